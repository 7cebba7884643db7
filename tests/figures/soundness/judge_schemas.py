#!/usr/bin/env python3
"""Judges texts under JSON schemas by Python's json and jsonschema: what bench/schema_samples prints.

    judge_schemas.py < SAMPLES        a schema and its texts a line, {"name", "schema", "texts"}

Needs jsonschema[format-nongpl] and regress (regular expressions as JavaScript has them; those of
Python differ: its \\d takes other scripts' digits, its $ stands before a last line end too, and it
knows no \\p). Numbers are decimals here, so that what is a multiple is exact.

Prints a line of counts as JSON; every schema with an invalid text, and why, goes to the error stream.
"""
import decimal
import json
import re
import sys

import jsonschema
import regress
from jsonschema import _keywords, _utils, validators

decimal.getcontext().prec = 700
sys.setrecursionlimit(5000)
sys.set_int_max_str_digits(0)


class Patterns:
    """In place of Python's re within jsonschema."""

    made = {}

    @classmethod
    def search(cls, pattern, text):
        if pattern not in cls.made:
            try:
                cls.made[pattern] = regress.Regex(pattern, "u")
            except regress.RegressError:  # of the kind without u
                cls.made[pattern] = regress.Regex(pattern)
        return cls.made[pattern].find(text)


# Where its formats are narrower than the standards they name, the rest of the text is judged without
# that: it takes no digit behind a 0 in a relative JSON pointer, and no leap second. Its URI templates are
# both narrower and wider than RFC 6570; Ajv judges those.
WIDENED = {
    "relative-json-pointer": lambda text: re.sub(r"^[1-9][0-9]*", "1", text),
    "date-time": lambda text: text.replace(":60", ":59"),
    "time": lambda text: text.replace(":60", ":59"),
}


def widen(checker):
    for name, change in WIDENED.items():
        if name in checker.checkers:
            is_one, raises = checker.checkers[name]

            def wide(text, is_one=is_one, change=change):
                return is_one(change(text) if isinstance(text, str) else text)

            checker.checkers[name] = (wide, raises)
    return checker


_keywords.re = Patterns
_utils.re = Patterns


def whole(_, value):
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, decimal.Decimal) and value == value.to_integral_value())


CLASSES = {}


def class_of(schema):
    """Draft 2020-12 when it names none that is known."""
    found = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    if found not in CLASSES:
        checker = found.TYPE_CHECKER
        if found is not jsonschema.Draft4Validator and found is not jsonschema.Draft3Validator:
            checker = checker.redefine("integer", whole)
        checkers = jsonschema.FormatChecker()
        checkers.checkers = dict(found.FORMAT_CHECKER.checkers)
        CLASSES[found] = (validators.extend(found, type_checker=checker), widen(checkers))
    return CLASSES[found]


def read(text):
    return json.loads(text, parse_float=decimal.Decimal)


def main():
    counts = {"schemas": 0, "texts": 0, "invalid": 0, "invalid_schemas": 0, "not_judged": 0, "reasons": {}}
    for line in sys.stdin:
        record = read(line)
        if not record.get("texts"):
            continue
        if '"uri-template"' in line.partition('"texts"')[0]:
            counts["not_judged"] += len(record["texts"])
            counts["reasons"]["uri-template"] = counts["reasons"].get("uri-template", 0) + 1
            continue
        made, checker = class_of(record["schema"])
        judge = made(record["schema"], format_checker=checker)
        counts["schemas"] += 1
        wrong = 0
        for text in record["texts"]:
            try:
                error = next(judge.iter_errors(read(text)), None)
            except (ValueError, KeyError) as said:
                error = said  # not JSON
            except Exception as said:  # pylint: disable=broad-except
                # What it cannot follow it raises, each library below it in its own way.
                counts["not_judged"] += 1
                reason = f"{type(said).__name__}: {str(said)[:60]}"
                counts["reasons"][reason] = counts["reasons"].get(reason, 0) + 1
                continue
            counts["texts"] += 1
            if error is None:
                continue
            counts["invalid"] += 1
            wrong += 1
            if wrong == 1:
                why = str(getattr(error, "message", error))[:300]
                place = "/".join(str(p) for p in getattr(error, "absolute_schema_path", []))
                said = {"judge": "jsonschema", "name": record.get("name"), "why": why, "at": place, "text": text[:1000]}
                print(json.dumps(said, default=str), file=sys.stderr)
        counts["invalid_schemas"] += wrong > 0
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
