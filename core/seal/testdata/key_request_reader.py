#!/usr/bin/env python3
"""Second reader of key_requests.json, made from DESIGN.md section 7 alone.

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
    name, time, kind = r.name(), r.number(8), r.number(1)
    epoch, record, kem_time, kem, signer = r.number(8), r.take(32), r.number(8), r.take(32), r.user()
    sig = r.take(64)
    r.end()
    need(max(time, kem_time) <= 1 << 62 and epoch < 1 << 63 and kind in (1, 2))
    need((epoch == 0) == (record == ZERO))
    if (name, signer) != (room, user) or not signed(user, sig, label(b"key-request") + b[:-64]):
        raise Refused("not signed by its sender")
    return time, kind, epoch, record.hex(), kem_time, kem.hex()


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        v = json.load(f)
    user = v["signer"]["user"].encode()
    for q in v["requests"]:
        want = (q["time"], q["kind"], q["epoch"], q["record"], q["kem_time"], q["kem_hash"])
        expect("request", read(q["room"].encode(), user, base64.b64decode(q["request"])), want)
    for q in v["refused"]:
        expect(q["why"], refusal(read, q["room"].encode(), user, base64.b64decode(q["request"])), q["fault"])
    print(f"{len(v['requests'])} requests, {len(v['refused'])} refusals")


main()
