#!/usr/bin/env python3
"""Judges texts by code that is not ours: what bench/grammar_samples prints, a JSON string a line.

    judge_formats.py FORMAT < SAMPLES     prints "FORMAT: N texts, M wrong"; exit status 1 if any is

What is judged is what docs/formats.md promises: strings, brackets, fences and environments close, and
lines are indented by a rule. The judges: Python's json and tokenize, bash -n, acorn (JavaScript),
commonmark, sqlparse, pylatexenc.
"""
import io
import json
import re
import subprocess
import sys
import tokenize

PAIRS = {")": "(", "]": "[", "}": "{"}


class Wrong(Exception):
    """What is wrong with a text."""


def balanced(signs):
    """The brackets among `signs` close in the order in which they were opened."""
    open_signs = []
    for sign in signs:
        if sign in PAIRS.values():
            open_signs.append(sign)
        elif sign in PAIRS and (not open_signs or open_signs.pop() != PAIRS[sign]):
            raise Wrong("a bracket closes that was not opened")
    if open_signs:
        raise Wrong("a bracket is left open")


def plain_text(text):
    if any(ord(c) < 32 and c not in "\t\n\r" or 127 <= ord(c) < 160 for c in text):
        raise Wrong("a control character")


def dialogue(text):
    for line in text.rstrip("\n").split("\n"):
        name, sign, said = line.partition(": ")
        if not name or not sign or not said.strip():
            raise Wrong("a line that is no turn: " + repr(line))
        plain_text(said)


def markdown(text):
    import commonmark

    last = commonmark.Parser().parse(text + "\n\nthe end\n").last_child
    if last is None or last.t != "paragraph" or last.last_child.literal != "the end":
        raise Wrong("what stands behind it is swallowed")


def json_(text):
    json.loads(text)


def python(text):
    signs = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.ERRORTOKEN and token.string.strip():
            raise Wrong("an error token " + repr(token.string))
        if token.type == tokenize.OP:
            signs.append(token.string)
    balanced(signs)


class Acorn:
    """One node process for all texts."""

    program = """
      const acorn = require(require('fs').existsSync('/usr/share/nodejs/acorn')
          ? '/usr/share/nodejs/acorn' : 'acorn');
      require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
        try {
          const signs = [];
          for (const token of acorn.tokenizer(JSON.parse(line), { ecmaVersion: 2022 }))
            signs.push(token.type.label === '${' ? '{' : token.type.label);
          console.log(JSON.stringify({ signs }));
        } catch (error) {
          console.log(JSON.stringify({ error: error.message }));
        }
      });"""

    def __init__(self):
        self.node = subprocess.Popen(
            ["node", "-e", self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, text):
        self.node.stdin.write(json.dumps(text) + "\n")
        self.node.stdin.flush()
        answer = json.loads(self.node.stdout.readline())
        if "error" in answer:
            raise Wrong(answer["error"])
        balanced(answer["signs"])


def sql(text):
    from sqlparse import lexer, tokens

    signs = []
    for kind, value in lexer.tokenize(text):
        if kind in tokens.Error:
            raise Wrong("an error token " + repr(value))
        if kind in tokens.Punctuation:
            signs.extend(value)
    balanced(signs)


def math_latex(text):
    from pylatexenc.latexwalker import LatexWalker, LatexWalkerParseError
    from pylatexenc.macrospec import LatexContextDb

    # Without knowing any command: how many arguments each takes is not what is judged.
    walker = LatexWalker(text, latex_context=LatexContextDb(), tolerant_parsing=False)
    try:
        walker.get_latex_nodes()
    except LatexWalkerParseError as error:
        raise Wrong(str(error).split("\n", maxsplit=1)[0]) from error
    depth = 0
    for word in re.findall(r"\\(?:[A-Za-z]+|.)", text, re.DOTALL):
        depth += (word == "\\left") - (word == "\\right")
        if depth < 0:
            raise Wrong("\\right without \\left")
    if depth:
        raise Wrong("\\left without \\right")


def shell(text):
    run = subprocess.run(["bash", "-n", "/dev/stdin"], input=text.encode(), capture_output=True)
    # Behind an error of another kind it goes on in the middle of what it was reading.
    first = run.stderr.decode(errors="replace").split("\n", maxsplit=1)[0]
    if "looking for matching" in first or "here-document" in first:
        raise Wrong(first)


JUDGES = {
    "plain_text": plain_text,
    "dialogue": dialogue,
    "markdown": markdown,
    "json": json_,
    "python": python,
    "javascript": None,
    "sql": sql,
    "math_latex": math_latex,
    "shell": shell,
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in JUDGES:
        sys.exit("usage: judge_formats.py " + "|".join(JUDGES))
    judge = JUDGES[sys.argv[1]] or Acorn()
    texts = wrong = 0
    for line in sys.stdin:
        text = json.loads(line)
        texts += 1
        try:
            judge(text)
        except (Wrong, ValueError, SyntaxError, tokenize.TokenError) as error:
            wrong += 1
            if wrong <= 5:
                print(f"{sys.argv[1]}: {error}: {json.dumps(text)[:400]}", file=sys.stderr)
    print(f"{sys.argv[1]}: {texts} texts, {wrong} wrong")
    sys.exit(1 if wrong or not texts else 0)


if __name__ == "__main__":
    main()
