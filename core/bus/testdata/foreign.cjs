// Tries every subject in SUBJECTS as publish, request, subscribe and queue
// subscribe with the npm package nats, and ends with 1 where one is allowed.
const fs = require("fs");
const { connect, nkeyAuthenticator, Events } = require("nats");

const patience = 10000;

async function main() {
  const nc = await connect({
    servers: process.env.SERVER,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(fs.readFileSync(process.env.SEED, "utf8").trim())),
    inboxPrefix: "_INBOX." + process.env.USER_KEY,
    reconnect: false,
  });
  const refused = [];
  (async () => {
    for await (const s of nc.status()) {
      if (s.type === Events.Error) refused.push(String(s.permissionContext ? s.permissionContext.subject : s.data));
    }
  })();
  // A refusal is sent before the answer to the ping behind it, and reaches the
  // iterator a turn or more later.
  const isRefused = async (act) => {
    const before = refused.length;
    act();
    await nc.flush();
    const until = Date.now() + 200;
    while (refused.length === before && Date.now() < until) await new Promise((r) => setTimeout(r, 1));
    return refused.length > before;
  };
  const wrong = [];
  if (await isRefused(() => nc.publish(process.env.OWN))) wrong.push("publish " + process.env.OWN + " is refused");
  const listened = ["unibus.room.both.", "unibus.room.r."]; // in one's own rooms everybody may be heard
  for (const subject of process.env.SUBJECTS.split("\n")) {
    if (!(await isRefused(() => nc.publish(subject)))) wrong.push("publish " + subject);
    if (!(await isRefused(() => nc.publish(subject, "", { reply: "_INBOX." + process.env.USER_KEY + ".x" })))) wrong.push("request " + subject);
    if (listened.some((own) => subject.startsWith(own))) continue;
    const quiet = { callback: () => {} };
    if (!(await isRefused(() => nc.subscribe(subject, quiet)))) wrong.push("subscribe " + subject);
    if (!(await isRefused(() => nc.subscribe(subject, { ...quiet, queue: "q" })))) wrong.push("queue subscribe " + subject);
  }
  await nc.close();
  if (wrong.length) throw new Error("allowed, or not: " + wrong.join("; "));
  console.log("done: " + refused.length + " refusals");
}

setTimeout(() => { console.error("no end in sight"); process.exit(2); }, 6 * patience).unref();
main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
