#!/usr/bin/env python3
"""Second reader of membership.json, made from DESIGN.md section 11 and RFC 8032 alone.

It uses Python's standard library only. It reads every statement, state and record of the
vectors, follows the chain by the table of rights, and expects each refusal with its fault.
Then it flips bits in every statement. It prints what it has read, or the first difference.
"""

import base64
import hashlib
import json
import sys

# Ed25519, RFC 8032, without the cofactor; points are (X, Y, Z, T) of the twisted Edwards curve.
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return (w * x % P, y * z % P, x * y % P, w * z % P)


def times(n, a):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, a)
        a, n = add(a, a), n >> 1
    return out


def decode_point(b):
    y = int.from_bytes(b, "little")
    sign, y = y >> 255, (y & (2**255 - 1)) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if x & 1 != sign:
        x = (P - x) % P
    return (x, y, 1, x * y % P)


def encode_point(a):
    z = pow(a[2], P - 2, P)
    x, y = a[0] * z % P, a[1] * z % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(user, sig, message):
    key = user_key(user)
    a, s = decode_point(key), int.from_bytes(sig[32:], "little")
    if a is None or s >= Q:
        return False
    k = int.from_bytes(hashlib.sha512(sig[:32] + key + message).digest(), "little") % Q
    minus = (P - a[0], a[1], 1, P - a[3])
    return encode_point(add(times(s, BASE), times(k, minus))) == sig[:32]


# Ids: base32 of a prefix, the key, and a CRC-16 of both, little-endian.
def user_key(user):
    if len(user) != 56 or any(c not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" for c in user):
        raise Refused("not readable")
    raw = base64.b32decode(user)
    crc = 0
    for byte in raw[:-2]:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    if raw[0] != 20 << 3 or crc != raw[-2] | raw[-1] << 8:
        raise Refused("not readable")
    return raw[1:-2]


class Refused(Exception):
    pass


def label(what):
    return b"\xffunibus.seal." + what + b".v1"


def hash_of(what, *parts):
    return hashlib.sha256(label(what) + b"".join(parts)).digest()


class Reader:
    def __init__(self, b):
        self.b = b

    def take(self, n):
        if len(self.b) < n:
            raise Refused("not readable")
        out, self.b = self.b[:n], self.b[n:]
        return out

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def name(self):
        n = self.number(2)
        if not 1 <= n <= 64:
            raise Refused("not readable")
        name = self.take(n)
        word = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        if name[:1] == b"_" or any(c not in word for c in name):
            raise Refused("not readable")
        return name

    def user(self):
        user = self.take(56)
        user_key(user)
        return user

    def end(self):
        if self.b:
            raise Refused("not readable")


ZERO = bytes(32)
FOUND, FOUND_PLAIN, INVITE, ACCEPT, DECLINE, ROLE, REMOVE, LEAVE, CHECKPOINT = range(1, 10)
NOBODY, MEMBER, ADMIN, OWNER = range(4)


def need(condition):
    if not condition:
        raise Refused("not readable")


class Statement:
    def __init__(self, b):
        r = Reader(b)
        need(r.take(2) == b"\x01\x01")
        self.room, self.seq, self.prev = r.name(), r.number(8), r.take(32)
        self.time, self.epoch, self.record = r.number(8), r.number(8), r.take(32)
        self.kind, self.role, self.ref = r.number(1), r.number(1), r.take(32)
        self.subject, self.signer = r.user(), r.user()
        self.body, self.sig = b[:-64], r.take(64)
        r.end()
        self.hash = hash_of(b"statement-hash", b)
        self.check()

    def check(self):
        founds, about_signer = self.kind in (FOUND, FOUND_PLAIN), self.kind in (FOUND, FOUND_PLAIN, ACCEPT, DECLINE, LEAVE, CHECKPOINT)
        need(FOUND <= self.kind <= CHECKPOINT and self.seq <= 1 << 62 and self.time <= 1 << 62 and self.epoch < 1 << 63)
        need((self.epoch == 0) == (self.record == ZERO))
        need(founds == (self.seq == 0) and founds == (self.prev == ZERO))
        need(not founds or self.epoch == 0)
        need(not about_signer or self.subject == self.signer)
        need(self.kind != REMOVE or self.subject != self.signer)
        roles = {FOUND: (OWNER,), FOUND_PLAIN: (OWNER,), INVITE: (MEMBER, ADMIN), ACCEPT: (MEMBER, ADMIN), ROLE: (MEMBER, ADMIN, OWNER)}
        need(self.role in roles.get(self.kind, (NOBODY,)))
        need(founds or (self.ref != ZERO) == (self.kind in (ACCEPT, DECLINE, CHECKPOINT)))


def may_decide(signer, about):
    return signer == OWNER or signer == ADMIN and about == MEMBER


class Chain:
    """people: id -> (role, None) for an active member, (role, (ref, inviter)) for an invited user."""

    def __init__(self, room, founding, snapshot=None):
        s = self.read(room, founding)
        need(s.seq == 0)
        self.room, self.founding, self.encrypted = room, s.hash, s.kind == FOUND
        self.people = {s.signer: (OWNER, None)}
        if s.ref != ZERO:
            need(hash_of(b"state", snapshot) == s.ref)
            self.people = self.read_state(snapshot)
            need(self.people[s.signer] == (OWNER, None))
        self.known = [s]

    @staticmethod
    def read(room, b):
        s = Statement(b)
        if s.room != room:
            raise Refused("another statement")
        if not signed(s.signer, s.sig, label(b"statement") + s.body):
            raise Refused("another statement")
        return s

    def active(self, user):
        role, invited = self.people.get(user, (NOBODY, None))
        return NOBODY if invited else role

    def owners(self):
        return [u for u, (role, invited) in self.people.items() if role == OWNER and not invited]

    def append(self, b):
        s, head = self.read(self.room, b), self.known[-1]
        if s.seq <= head.seq:
            if self.known[s.seq].hash != s.hash:
                raise Refused("two histories were shown")
            return
        if s.seq > head.seq + 1:
            raise Refused("a record is missing")
        if s.prev != head.hash:
            raise Refused("two histories were shown")
        if s.epoch < head.epoch:
            raise Refused("older than what is known")
        if s.epoch == head.epoch and s.record != head.record:
            raise Refused("two histories were shown")
        if not self.allows(s):
            raise Refused("its signer may not")
        self.apply(s)
        self.known.append(s)

    def allows(self, s):
        signer, was = self.active(s.signer), self.people.get(s.subject)
        last = self.owners() == [s.subject]
        if s.kind == INVITE:
            return may_decide(signer, s.role) and (was is None or was[1] is not None and may_decide(signer, was[0]))
        if s.kind in (ACCEPT, DECLINE):
            if was is None or was[1] is None or was[1][0] != s.ref:
                return False
            return s.kind == DECLINE or s.role == was[0] and may_decide(self.active(was[1][1]), was[0])
        if s.kind == ROLE:
            return signer == OWNER and self.active(s.subject) not in (NOBODY, s.role) and not last
        if s.kind == REMOVE:
            return was is not None and may_decide(signer, was[0])
        if s.kind == LEAVE:
            return signer != NOBODY and not last
        if s.kind == CHECKPOINT:
            return signer == OWNER and hash_of(b"state", self.state()) == s.ref
        return False

    def apply(self, s):
        if s.kind == INVITE:
            self.people[s.subject] = (s.role, (s.hash, s.signer))
        elif s.kind in (ACCEPT, ROLE):
            self.lapse(s.subject, self.active(s.subject), s.role)
            self.people[s.subject] = (s.role, None)
        elif s.kind in (DECLINE, REMOVE, LEAVE):
            del self.people[s.subject]

    def lapse(self, inviter, was, role):
        for user, (offered, invited) in list(self.people.items()):
            if invited and invited[1] == inviter and not may_decide(was, offered) and may_decide(role, offered):
                del self.people[user]

    def state(self):
        head = self.known[-1]
        out = b"\x01\x01" + len(self.room).to_bytes(2, "big") + self.room + self.founding + head.seq.to_bytes(8, "big") + head.hash
        out += head.epoch.to_bytes(8, "big") + head.record + bytes([self.encrypted]) + len(self.people).to_bytes(4, "big")
        for user in sorted(self.people):
            role, invited = self.people[user]
            out += user + bytes([role]) + (b"\x02" + invited[0] + invited[1] if invited else b"\x01")
        return out

    def read_state(self, b):
        r = Reader(b)
        need(r.take(2) == b"\x01\x01" and r.name() == self.room)
        need(r.take(32 + 8 + 32 + 8 + 32) == bytes(112) and r.number(1) == self.encrypted)
        people = {}
        for _ in range(r.number(4)):
            user, role, kind = r.user(), r.number(1), r.number(1)
            need(kind == 1 and MEMBER <= role <= OWNER and (not people or user > max(people)))
            people[user] = (role, None)
        r.end()
        return people


def read_record(b):
    """The fields of a record of version 2 that concern the members, and the checks of 11.4."""
    r = Reader(b)
    need(r.take(2) == b"\x02\x01")
    room, epoch, _, _ = r.name(), r.number(8), r.name(), r.name()
    r.take(32 + 8 + 1)
    maker = r.user()
    r.take(4 + 32 + 32)
    seq, head = r.number(8), r.take(32)
    r.take(32)
    sig = r.take(64)
    r.end()
    if not signed(maker, sig, label(b"record") + b[:-64]):
        raise Refused("another record")
    return room, epoch, maker, seq, head, hash_of(b"record-hash", b)


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


def refusal(f, *args):
    try:
        f(*args)
    except Refused as e:
        return str(e)
    return "accepted"


def check_records(v, chain):
    n = 0
    for r in v["records"]:
        if r["seq"] != chain.known[-1].seq:
            continue
        room, epoch, maker, seq, head, digest = read_record(base64.b64decode(r["record"]["record"]))
        expect("record", (room, epoch, maker, digest.hex()), (chain.room, r["record"]["epoch"], r["maker"].encode(), r["hash"]))
        expect("the head of a record", (seq, head), (chain.known[-1].seq, chain.known[-1].hash))
        expect("its maker is a member", chain.active(maker) != NOBODY, True)
        expect("the epoch before it", chain.known[-1].epoch < epoch, True)
        n += 1
    return n


def check_statement(v, i, chain):
    want, s = v["statements"][i], chain.known[-1]
    roles = {"": NOBODY, "member": MEMBER, "admin": ADMIN, "owner": OWNER}
    expect(
        f"statement {i}",
        (s.kind, s.role, s.subject.decode(), s.signer.decode(), s.time, s.epoch, s.record.hex(), s.ref.hex(), s.hash.hex()),
        (want["kind"], roles[want["role"]], *(want[k] for k in ("subject", "signer", "time", "epoch", "record", "ref", "hash"))),
    )
    expect(f"the state after {i}", chain.state(), base64.b64decode(v["states"][i]["state"]))
    expect(f"its hash after {i}", hash_of(b"state", chain.state()).hex(), v["states"][i]["hash"])


def check_flips(b, room):
    for at in list(range(0, len(b), 9)) + [len(b) - 1]:
        flipped = bytearray(b)
        flipped[at] ^= 1 << at % 8
        expect(f"a flipped bit in byte {at}", refusal(Chain.read, room, bytes(flipped)) in ("not readable", "another statement"), True)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        v = json.load(f)
    room, all_statements = v["room"].encode(), [base64.b64decode(s["statement"]) for s in v["statements"]]
    chain, records, refusals = None, 0, 0
    for i, b in enumerate(all_statements):
        if chain is None:
            chain = Chain(room, b)
        else:
            chain.append(b)
        check_statement(v, i, chain)
        records += check_records(v, chain)
        for r in v["refused"]:
            if r["after"] == i:
                expect(r["why"], refusal(chain.append, base64.b64decode(r["statement"])), r["fault"])
                refusals += 1
    check_flips(all_statements[3], room)
    expect("all records were read", records, len(v["records"]))
    expect("all refusals were read", refusals, len(v["refused"]))
    anew = v["snapshot"]
    attic = Chain(anew["room"].encode(), base64.b64decode(anew["founding"]), base64.b64decode(anew["snapshot"]))
    expect("the founding with a snapshot", (attic.founding.hex(), len(attic.people)), (anew["hash"], 2))
    print(f"{len(all_statements)} statements, {records} records, {refusals} refusals, 1 snapshot")


if __name__ == "__main__":
    main()
