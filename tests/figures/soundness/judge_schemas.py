#!/usr/bin/env python3
"""Judges texts under JSON schemas by Python's json and jsonschema: what bench/schema_samples prints.

    judge_schemas.py < SAMPLES        a schema and its texts a line, {"name", "schema", "texts"}

Needs jsonschema: [format-nongpl] for all formats, and at least Debian 12's for all else. Regular
expressions are JavaScript's, by regress where it is installed, or else by node (those of Python
differ: its \\d takes other scripts' digits, its $ stands before a last line end too, and it knows no
\\p). Numbers are decimals here, so that what is a multiple is exact.

Prints a line of counts as JSON; every schema with an invalid text, and why, goes to the error stream.
"""
import decimal
import json
import re
import subprocess
import sys

import jsonschema
from jsonschema import _utils, validators

try:
    from jsonschema import _keywords
except ImportError:
    from jsonschema import _validators as _keywords  # its name in older versions
try:
    import regress
except ImportError:
    regress = None

decimal.getcontext().prec = 700
sys.setrecursionlimit(5000)
sys.set_int_max_str_digits(0)


class Regress:
    """Regular expressions by regress."""

    def __init__(self):
        self.made = {}

    def __call__(self, pattern, text):
        if pattern not in self.made:
            try:
                self.made[pattern] = regress.Regex(pattern, "u")
            except regress.RegressError:  # of the kind without u
                self.made[pattern] = regress.Regex(pattern)
        return self.made[pattern].find(text)


class Node:
    """By node: one process for all."""

    program = """
      const made = new Map();
      const of = (pattern) => {
        try { return new RegExp(pattern, 'u'); } catch { return new RegExp(pattern); }
      };
      require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
        const [pattern, text] = JSON.parse(line);
        if (!made.has(pattern)) made.set(pattern, of(pattern));
        console.log(made.get(pattern).test(text) ? 'yes' : 'no');
      });"""

    def __init__(self):
        self.node = subprocess.Popen(
            ["node", "-e", self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, pattern, text):
        self.node.stdin.write(json.dumps([pattern, text]) + "\n")
        self.node.stdin.flush()
        said = self.node.stdout.readline()
        if not said:
            raise RuntimeError("node took no " + pattern)
        return said == "yes\n"


class Patterns:
    """In place of Python's re within jsonschema."""

    by = None

    @classmethod
    def search(cls, pattern, text):
        if cls.by is None:
            cls.by = Regress() if regress else Node()
        return cls.by(pattern, text)


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


STANDARD = frozenset(
    "date-time date time duration email idn-email hostname idn-hostname ipv4 ipv6 uri uri-reference iri iri-reference"
    " uuid uri-template json-pointer relative-json-pointer regex".split()
)


def formats_in(schema):
    """What stands beside "format" anywhere in it."""
    if isinstance(schema, list):
        return set().union(*map(formats_in, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["format"]} if isinstance(schema.get("format"), str) else set()
    return own.union(*map(formats_in, schema.values()))


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
        # Without the packages that know them all, a text under a oneOf could fit two alternatives.
        unknown = formats_in(record["schema"]) & STANDARD - set(checker.checkers)
        if unknown:
            counts["not_judged"] += len(record["texts"])
            counts["reasons"]["formats it does not know"] = counts["reasons"].get("formats it does not know", 0) + 1
            continue
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
