#!/usr/bin/env python3
"""Second reader of safety_numbers.json, made from DESIGN.md section 12 alone.

It uses Python's standard library only. It computes every number, in both orders, and
prints how many it has computed, or the first difference.
"""

import hashlib
import json
import sys


def digits(first, again, groups):
    text = first
    for _ in range(5200):
        text = hashlib.sha512(text + again).digest()
    return "".join("%05d" % (int.from_bytes(text[5 * i : 5 * i + 5], "big") % 100000) for i in range(groups))


def label(what):
    return b"\xffunibus.seal." + what + b".v1"


def person(user):
    return digits(label(b"safety-number") + b"\x01" + user, user, 6)


def people(a, b):
    return "".join(sorted([person(a.encode()), person(b.encode())]))


def room(r):
    name, sh = r["room"].encode(), bytes.fromhex(r["head"]["hash"])
    first = label(b"room-number") + b"\x01" + len(name).to_bytes(2, "big") + name
    first += bytes.fromhex(r["founding"]) + r["head"]["seq"].to_bytes(8, "big") + sh
    return digits(first, sh, 12)


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got}, and the vectors have {want}")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        v = json.load(f)
    for p in v["people"]:
        expect(f"{p['a']} and {p['b']}", people(p["a"], p["b"]), p["number"])
        expect(f"{p['b']} and {p['a']}", people(p["b"], p["a"]), p["number"])
    for r in v["rooms"]:
        expect(f"the room after {r['head']['seq']}", room(r), r["number"])
    print(f"{len(v['people'])} numbers of people, {len(v['rooms'])} of rooms")


main()
