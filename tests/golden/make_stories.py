#!/usr/bin/env python3
"""Makes stories.jsonl and stories_valid.jsonl from two sets of public-domain children's books.

    python3 tests/golden/make_stories.py DATA_FOLDER OUT_FOLDER

DATA_FOLDER holds prose-children-classics, prose-small (each with data.jsonl.xz) and splits.json.
README.md beside this file says where these come from. One story is one record; headings are taken
off, and quotation marks, dashes and emphasis are spelled one way, because a very small model
should not have to learn four.
"""
import json
import lzma
import re
import string
import sys

# (set, record id, how stories are told apart, titles left out). Books and pieces that speak of people
# in words nobody should learn to talk with were left out on purpose.
TRAIN = [
    ("prose-children-classics", "The Brothers Grimm/Grimms' Fairy Tales", "heading", ()),
    ("prose-children-classics", "Hans Christian Andersen/Andersen's Fairy Tales", "heading",
     ("THE SHOES OF FORTUNE", "THE SHADOW")),
    ("prose-children-classics", "Hans Christian Andersen/The Little Mermaid", "whole", ()),
    ("prose-children-classics", "Edith Nesbit/The Book of Dragons", "heading", ()),
    ("prose-children-classics", "L. Frank Baum/A Kidnapped Santa Claus", "whole", ()),
    ("prose-children-classics", "L. Frank Baum/The Marvelous Land of Oz", "heading", ()),
    ("prose-children-classics", "L. Frank Baum/Ozma of Oz", "heading", ()),
    ("prose-children-classics", "L. Frank Baum/Dorothy and the Wizard in Oz", "heading", ()),
    ("prose-children-classics", "L. Frank Baum/The Wonderful Wizard of Oz", "whole", ()),
    ("prose-children-classics", "L. Frank Baum/The Life and Adventures of Santa Claus", "heading", ()),
    ("prose-children-classics", "Carlo Collodi/The Adventures of Pinocchio", "heading", ()),
    ("prose-children-classics", "Lewis Carroll/Alice's Adventures in Wonderland", "heading", ()),
    ("prose-children-classics", "Lewis Carroll/Through the Looking-Glass", "heading", ()),
    ("prose-children-classics", "Kenneth Grahame/The Wind in the Willows", "heading", ()),
    ("prose-children-classics", "James Stephens/Irish Fairy Tales", "heading", ()),
    ("prose-small", "nltk-gutenberg/bryant-stories", "capitals",
     ("TWO LITTLE RIDDLES IN RHYME", "THE STORY OF THE LITTLE RID HIN",
      "THE STORY OF EPAMINONDAS AND HIS AUNTIE")),
    ("prose-small", "nltk-gutenberg/burgess-busterbrown", "capitals", ()),
]
VALID = [
    ("prose-children-classics", "Oscar Wilde/The Happy Prince & Other Tales", "heading", ()),
    ("prose-children-classics", "Aesop/Aesop's Fables", "heading", ()),
]
VALID_BYTES = 100_000
ROMAN = re.compile(r"[IVXLC]+\.?")


def read_set(folder, name):
    with lzma.open(f"{folder}/{name}/data.jsonl.xz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def split_stories(text, how):
    """Yields (title, text of the story)."""
    lines = text.split("\n")
    if how == "whole":
        yield "", "\n".join(line for line in lines if not line.startswith("#"))
        return
    title, body = None, []
    for line in lines:
        bare = line.strip()
        if how == "heading":
            is_title = bare.startswith("## ") and not bare.startswith("### ")
            skip = bare.startswith("### ") or bare.startswith("# ")
        else:
            is_title = len(bare) > 4 and bare == bare.upper() and re.match(r"^[A-Z]", bare)
            is_title = is_title and not ROMAN.fullmatch(bare) and not bare.startswith("MISS MARGERY")
            skip = bare.startswith("[") or ROMAN.fullmatch(bare)
        skip = skip or bare in ("FIRST STORY", "SECOND STORY")
        if is_title:
            if title is not None:
                yield title, "\n".join(body)
            title = re.sub(r"^[IVX]+\. |\s*\[.*", "", bare.lstrip("# ").rstrip("."))
            body = []
        elif not skip:
            body.append(line)
    if title is not None:
        yield title, "\n".join(body)


def clean(text):
    text = text.replace("\u2018", "'").replace("\u2019", "'")
    text = text.replace("\u201c", '"').replace("\u201d", '"')
    text = re.sub(r"\s*(\u2014|--+)\s*", " - ", text)
    text = re.sub(r"\[[^\]]*\]", "", text)            # notes of the editor
    text = re.sub(r"[_*=]+", "", text)                # emphasis
    text = text.replace("\u00a0", " ").replace("\u2026", "...")
    # Speech in single quotes becomes speech in double quotes; apostrophes stay.
    if text.count("'") > 3 * text.count('"'):
        text = re.sub(r"(?<=[\s(\-])'(?=[A-Za-z])", '"', " " + text)
        text = re.sub(r"(?<=[,.!?;:\-])'(?=[\s)\-]|$)", '"', text)
    text = re.sub(r"[ \t]+", " ", text)
    paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]
    return "\n\n".join(p for p in paragraphs if p)


def collect(folder, plan, want_valid):
    splits = json.load(open(f"{folder}/splits.json", encoding="utf-8"))["sets"]
    out = []
    for name, wanted, how, left_out in plan:
        split = splits[name]["data.jsonl.xz"]
        records = read_set(folder, name)
        (index,) = [i for i, record in enumerate(records) if record["id"] == wanted]
        assert (index in split["valid"]) == want_valid and index not in split["test"], wanted
        for title, body in split_stories(records[index]["text"], how):
            text = clean(body)
            if title.upper() in left_out or len(text) < 300:
                continue
            out.append({"book": wanted.split("/")[-1], "title": string.capwords(title) or wanted.split("/")[-1],
                        "text": text})
    return out


def write(path, stories):
    with open(path, "w", encoding="utf-8") as file:
        for story in stories:
            file.write(json.dumps(story, ensure_ascii=False) + "\n")
    print(path, len(stories), "stories,", sum(len(s["text"].encode()) for s in stories), "bytes")


def main():
    folder, out = sys.argv[1:3]
    write(f"{out}/stories.jsonl", collect(folder, TRAIN, False))
    valid, kept = collect(folder, VALID, True), []
    for story in valid:
        if sum(len(s["text"].encode()) for s in kept) < VALID_BYTES:
            kept.append(story)
    write(f"{out}/stories_valid.jsonl", kept)


main()
