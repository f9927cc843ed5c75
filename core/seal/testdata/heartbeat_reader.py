#!/usr/bin/env python3
"""Second reader of heartbeats.json, made from DESIGN.md section 14 alone.

It uses Python's standard library, and membership_reader.py beside it for Ed25519, ids and
fields. It prints what it has read, or the first difference.
"""

import base64
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from membership_reader import Reader, Refused, ZERO, expect, label, need, refusal, signed


def read(room, user, b):
    r = Reader(b)
    need(r.take(2) == b"\x01\x01")
    name, time = r.name(), r.number(8)
    seq, statement, epoch, record = r.number(8), r.take(32), r.number(8), r.take(32)
    kem_time, kem, signer = r.number(8), r.take(32), r.user()
    sig = r.take(64)
    r.end()
    need(max(seq, time, kem_time) <= 1 << 62 and epoch < 1 << 63)
    need((epoch == 0) == (record == ZERO) and statement != ZERO)
    if (name, signer) != (room, user) or not signed(user, sig, label(b"heartbeat") + b[:-64]):
        raise Refused("not signed by its sender")
    return time, seq, statement.hex(), epoch, record.hex(), kem_time, kem.hex()


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        v = json.load(f)
    user = v["signer"]["user"].encode()
    for h in v["heartbeats"]:
        want = (h["time"], h["members"]["seq"], h["members"]["hash"], h["epoch"], h["record"], h["kem_time"], h["kem_hash"])
        expect("heartbeat", read(h["room"].encode(), user, base64.b64decode(h["heartbeat"])), want)
    for h in v["refused"]:
        expect(h["why"], refusal(read, h["room"].encode(), user, base64.b64decode(h["heartbeat"])), h["fault"])
    print(f"{len(v['heartbeats'])} heartbeats, {len(v['refused'])} refusals")


main()
