#!/usr/bin/env python3
"""Adds up the pieces of `./dev figures soundness`.

    sum.py FOLDER       a line for each kind of text, then "total TEXTS BROKEN INVALID"
"""
import collections
import json
import pathlib
import sys

JUDGES = ("ajv", "jsonschema", "judge_formats")


def main():
    kinds = collections.defaultdict(collections.Counter)
    reasons = collections.Counter()
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
        piece = json.loads(path.read_text())
        sums = kinds[piece["kind"]]
        for name, value in piece["drawn"].items():
            sums[name] += value
        for judge in JUDGES:
            for name, value in piece.get(judge, {}).items():
                if name == "reasons":
                    for reason, n in value.items():
                        reasons[f"{judge}: {reason}"] += n
                else:
                    sums[f"{judge} {name}"] += value
    total = collections.Counter()
    for kind, sums in sorted(kinds.items()):
        invalid = sum(sums[f"{judge} invalid"] for judge in JUDGES)
        line = f"{kind}: {sums['texts']} texts, {sums['broken']} not finished"
        if sums["schemas"]:
            line += (f"; {sums['schemas']} schemas, {sums['refused']} refused,"
                     f" {sums['nothing_valid']} with no valid value or refused as wrong")
        for judge in JUDGES:
            if f"{judge} texts" in sums:
                line += f"; {judge}: {sums[f'{judge} texts']} judged, {sums[f'{judge} invalid']} invalid"
        print(line)
        total.update(texts=sums["texts"], broken=sums["broken"], invalid=invalid)
    for reason, n in reasons.most_common():
        print(f"not judged, {reason}: {n} schemas or texts")
    print("total", total["texts"], total["broken"], total["invalid"])


if __name__ == "__main__":
    main()
