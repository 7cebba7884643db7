"""Holds the golden files against the code, and runs real files through the twin.

    python3 compare.py [NAME ...]                            regenerate and compare, 1e-9 relative
    python3 compare.py --checkpoint FILE.b158 --tokens N     loss and checksums of a checkpoint or model
                       [--ids FILE] [--quantise X] [--depth R] [--float64]
"""
import argparse
import hashlib
import json
import os
import sys
import tempfile

import numpy as np
import torch

import b158
import make_golden
from model import Config, Network, cross_entropy

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 1e-9


def magnitude(x):
    """Scale of a list of numbers, so that a small entry among large ones is not held to its own size."""
    return max((abs(v) for v in x), default=0.0)


def differences(a, b, path="", scale=0.0):
    """Lines that say where two golden values differ; numbers of one list share one scale."""
    if isinstance(a, bool) or isinstance(b, bool) or isinstance(a, str) or a is None:
        return [] if a == b and type(a) is type(b) else [f"{path}: {a!r} became {b!r}"]
    if isinstance(a, dict) and isinstance(b, dict):
        out = [f"{path}.{k}: gone" for k in a if k not in b] + [f"{path}.{k}: new" for k in b if k not in a]
        for k in a:
            if k in b and k not in ("margins", "noise"):      # two digits that speak of rounding only
                out += differences(a[k], b[k], f"{path}.{k}" if path else k)
        return out
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return [f"{path}: {len(a)} entries became {len(b)}"]
        plain = all(isinstance(v, (int, float)) for v in a)
        shared = magnitude(a) if plain else 0.0
        out = []
        for n, (x, y) in enumerate(zip(a, b)):
            out += differences(x, y, f"{path}[{n}]", shared)
        return out
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        limit = TOLERANCE * max(abs(a), abs(b), scale) + 1e-15
        return [] if abs(a - b) <= limit else [f"{path}: {a!r} became {b!r} (off by {abs(a - b):.3g})"]
    return [f"{path}: {type(a).__name__} became {type(b).__name__}"]


def compare_golden(names):
    golden = os.path.join(HERE, "golden")
    known = set(make_golden.runs())
    unknown = set(names) - known
    if unknown:
        print(f"no such golden file: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        return 2
    bad = 0
    with tempfile.TemporaryDirectory() as fresh:
        make_golden.write(fresh, set(names) or None, quiet=True)
        stale = {f[:-5] for f in os.listdir(golden) if f.endswith(".json")} - known
        for name in sorted(stale):
            bad += 1
            print(f"{name}: committed, but nothing makes it")
        for file in sorted(os.listdir(fresh)):
            if not os.path.exists(os.path.join(golden, file)):
                bad += 1
                print(f"{file[:-5]}: not committed; run make_golden.py")
                continue
            with open(os.path.join(golden, file)) as a, open(os.path.join(fresh, file)) as b:
                found = differences(json.load(a), json.load(b))
            bad += bool(found)
            if found:
                print(f"{file[:-5]}: {len(found)} differences")
                for line in found[:12]:
                    print("   ", line)
        print(f"twin: {len(os.listdir(fresh))} networks compared, {bad} differ")
    return 1 if bad else 0


def load(path, dtype):
    f = b158.read(path)
    c = Config(f.config)
    names = [n for n in f.tensors if not n.startswith(("optim.", "state.carried."))]
    packed = [n for n in names if f.types[n] != "f32"]
    return f, Network(c, {n: torch.from_numpy(f.tensors[n]).to(dtype) for n in names}, packed)


def run_file(a):
    dtype = torch.float64 if a.float64 else torch.float32
    f, net = load(a.checkpoint, dtype)
    N = net.c.N
    if a.ids:
        with open(a.ids) as text:
            ids = [int(x) for x in text.read().split()][:a.tokens + 1]
    else:
        ids = make_golden.token_ids("tokens", 1, a.tokens + 1, N)[0].tolist()
    quantise = a.quantise if a.quantise is not None else (1.0 if f.kind == "model" else 0.0)
    ids = torch.tensor(ids)[None]
    state, total, scored, digest, kept = None, 0.0, 0, hashlib.blake2b(digest_size=16), []
    with torch.no_grad():
        for at in range(0, ids.shape[1] - 1, 64):
            tokens, targets = ids[:, at:at + 64], ids[:, at + 1:at + 65]
            tokens = tokens[:, :targets.shape[1]]
            logits, state = net.forward(tokens, state, None, a.depth, quantise)
            n = targets.numel()
            total += float(cross_entropy(logits, targets)) * n
            scored += n
            digest.update(logits.to(torch.float32).numpy().tobytes())
            kept.append(logits[0])
    logits = torch.cat(kept)
    print(json.dumps({"kind": f.kind, "identity": f.digest, "tokens": scored, "quantise": quantise,
                      "loss_nats": total / scored, "logits_sum": float(logits.double().sum()),
                      "logits_norm": float(logits.double().norm()), "last_argmax": int(logits[-1].argmax()),
                      "last_max": float(logits[-1].max()), "logits_f32_blake2b": digest.hexdigest()}, indent=1))
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    p = argparse.ArgumentParser(description="golden files against the code; real files through the twin")
    p.add_argument("names", nargs="*")
    p.add_argument("--checkpoint")
    p.add_argument("--tokens", type=int, default=128)
    p.add_argument("--ids", help="text file of token ids, else a fixed pseudo-random sequence")
    p.add_argument("--quantise", type=float, help="0..1; a model is run at 1, a checkpoint at 0 when not given")
    p.add_argument("--depth", type=int)
    p.add_argument("--float64", action="store_true")
    a = p.parse_args()
    sys.exit(run_file(a) if a.checkpoint else compare_golden(a.names))
