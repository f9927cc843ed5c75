// Listens to SUBJECT with one of the npm packages of NATS and prints what it receives. It has that
// package's own options, except that it reconnects for ever, and that a try takes TIMEOUT
// milliseconds where that is set: it does not see a connection closed before its first PONG, and
// waits 20 s for it. It ends when the package gives up.
const fs = require("fs");
const { connect, nkeyAuthenticator } = require(process.env.MODULE);

async function main() {
  const nc = await connect({
    servers: process.env.SERVERS.split(","),
    authenticator: nkeyAuthenticator(new TextEncoder().encode(fs.readFileSync(process.env.SEED, "utf8").trim())),
    inboxPrefix: "_INBOX." + process.env.USER_KEY,
    maxReconnectAttempts: -1,
    ...(process.env.TIMEOUT ? { timeout: Number(process.env.TIMEOUT) } : {}),
  });
  (async () => {
    for await (const s of nc.status()) console.log("status", s.type, String(s.data || s.error || ""));
  })();
  (async () => {
    for await (const m of nc.subscribe(process.env.SUBJECT)) console.log(new TextDecoder().decode(m.data));
  })();
  const err = await nc.closed();
  console.log("closed", err ? err.message : "");
}

main().then(() => process.exit(1), (e) => { console.error(e); process.exit(1); });
