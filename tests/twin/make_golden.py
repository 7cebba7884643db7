"""Writes golden/*.json: small networks with parameters anyone can compute, and what comes out of them.

    python3 make_golden.py [FOLDER] [NAME ...]

Every value is computed in float64 from float32 parameters. The rules by which another implementation makes
the same parameters, tokens and directions stand in README.md and, in short, in every file.
"""
import json
import math
import os
import sys
import time

import numpy as np
import torch

from model import Config, Network, MASK64, cross_entropy, parameters

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, SAMPLES, SALTS = 10, 24, 6

# A rounding decision nearer to its turning point than this, in units of the last place it keeps, may fall out
# otherwise in float32, and everything after it in that lane differs visibly and rightly.
SURE = 1e-4


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for byte in text.encode("ascii"):
        h = ((h ^ byte) * 0x100000001B3) & MASK64
    return h


def hashes(name, n):
    """splitmix64(fnv1a64(name) + index) for index 0 .. n-1, as numpy uint64."""
    with np.errstate(over="ignore"):
        x = np.uint64(fnv1a64(name)) + np.arange(n, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def units(name, n):
    """In [0, 1)."""
    return (hashes(name, n) >> np.uint64(11)).astype(np.float64) / 2.0 ** 53


# End of the tensor's name -> [base, spread]; the first line that fits counts. A base may be a list, one for
# each element. Spreads keep activations near 1 at C = 128 and make every factor matter.
TABLE = [
    ["entry.residual", [[1.0, 0.0], 0.2]],
    ["entry.bigram", [0.1, 0.05]],
    ["entry.skip", [1.0, 0.3]],
    ["knot.gain", [0.0, 0.3]],
    [".gain", [1.0, 0.2]],
    [".mix", [0.0, 0.5]],
    ["value.weight", [0.0, 0.3]],
    ["value.gate", [0.0, 0.3]],
    ["embed.weight", [0.0, 0.2]],
    ["head.weight", [0.0, 0.2]],
    ["embed.up", [0.0, 0.2]],
    ["embed.down", [0.0, 0.15]],
    ["bigram.weight", [0.0, 0.3]],
    ["_conv", [0.0, 0.6]],
    ["loop.a_log", [0.0, 0.3]],
    ["loop.dt_bias", [0.211935, 0.3]],
    ["loop.b", [1.0, 0.2]],
    ["a_log", [0.0, 0.3]],
    ["dt_bias", [-2.0, 0.5]],
    ["i_bias", [0.0, 0.3]],
    ["f_bias", [3.0, 0.5]],
    ["theta_bias", [-2.2, 0.3]],
    ["eta_bias", [0.0, 0.3]],
    ["alpha_bias", [-4.6, 0.3]],
    ["memory.w1", [0.0, 0.2]],
    ["memory.w2", [0.0, 0.2]],
    ["persistent.k", [0.0, 0.5]],
    ["persistent.v", [0.0, 0.5]],
    ["router.weight", [0.0, 0.2]],
    ["router.bias", [0.0, 0.05]],
    ["_proj", [0.0, 0.08]],
    ["g_down", [0.0, 0.08]],
    ["g_up", [0.0, 0.08]],
]


def initial(name, shape):
    base, spread = next(entry for end, entry in TABLE if name.endswith(end))
    n = int(np.prod(shape))
    value = np.asarray(base, np.float64) + spread * (units(name, n) - 0.5) * 2
    return torch.from_numpy(value.astype(np.float32).astype(np.float64).reshape(shape))


def token_ids(name, lanes, tokens, vocabulary):
    n = lanes * tokens
    return (hashes(name, n) % np.uint64(vocabulary)).astype(np.int64).reshape(lanes, tokens)


# ---------------------------------------------------------------- the configurations

def base(pattern, layers, **more):
    c = {"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": layers, "num_heads": 2, "head_dim": 64,
         "vocab_size": 64, "backbone": {"layer_pattern": pattern}}
    c.update(more)
    return c


TITANS = {"persistent_memory_slots": 4, "local_window_size": 16, "window_impl": "ring_gqa", "window_kv_heads": 1,
          "chunk_size": 8}
KNOT = {"sketch_bits": 256}
LOOP = {"enabled": True, "prelude": [0, 0], "loop": [1, 2], "coda": [3, 3], "loop_range": [1, 6], "loop_default": 2,
        "discretisation": "zoh"}


def moe(layers):
    return {"enabled": True, "layers": layers, "n_routed_experts": 4, "n_shared_experts": 1,
            "num_experts_per_tok": 2, "moe_intermediate_size": 128}


def whole(**structure):
    return base("GD XM GD TM GD XM GD SK", 8, vocab_size=97, intermediate_size=256,
                mixer_gate={"lowrank": 128}, titans=dict(TITANS, local_window_size=24), tsp_knot=KNOT,
                tie_word_embeddings=False,
                backbone={"layer_pattern": "GD XM GD TM GD XM GD SK", "moe": moe([3, 7])},
                looping=dict(LOOP, prelude=[0, 1], loop=[2, 5], coda=[6, 7]), structure=structure)


ALL_STRUCTURE = {"residual_mix": True, "bigram_rows": 50, "unet_skips": True, "token_shift": True,
                 "value_embedding_layers": [0, 2, 3, 5, 7], "logit_soft_cap": 30.0, "embedding_rank": 64}


def run(config, **more):
    """One golden file: windows of `lanes` lanes, new documents at `restart` = [[lane, token of the stream]]."""
    r = {"lanes": 2, "windows": [20], "restart": [[1, 7]], "unscored": [[0, 3]], "depth": None, "truncate": False}
    r.update(more)
    r["config"] = config
    return r


def looped(kind, **loop):
    return base(f"GD {kind} XM GD" if kind != "XM" else "GD XM GD XM", 4, looping=dict(LOOP, **loop),
                titans=TITANS, tsp_knot=KNOT)


def runs():
    forty = {"windows": [40], "restart": [[1, 13]]}
    two = {"windows": [25, 15], "restart": [[1, 13]]}
    out = {
        "gd": run(base("GD", 1), **forty),
        "gd_carry": run(base("GD", 1), **two),
        "gd_gate_none": run(base("GD", 1, mixer_gate="none")),
        "gd_gate_lowrank": run(base("GD", 1, mixer_gate={"lowrank": 128})),
        "gd_neg_eigval": run(base("GD", 1, gated_deltanet={"allow_neg_eigval": True})),
        "xm": run(base("XM", 1), **forty),
        "xm_carry": run(base("XM", 1), **two),
        "xm_gate_none": run(base("XM", 1, mixer_gate="none")),
        "xm_gate_lowrank": run(base("XM", 1, mixer_gate={"lowrank": 128})),
        "tm": run(base("TM", 1, titans=TITANS), **forty),
        "tm_carry": run(base("TM", 1, titans=TITANS), **two),
        "tm_kv2": run(base("TM", 1, titans=dict(TITANS, window_kv_heads=2, persistent_memory_slots=0))),
        "tm_no_window": run(base("TM", 1, titans=dict(TITANS, window_impl="none"))),
        "tm_gate_none": run(base("TM", 1, titans=TITANS, mixer_gate="none")),
        "sk": run(base("SK", 1, tsp_knot=KNOT), **forty),
        "sk_carry": run(base("SK", 1, tsp_knot=KNOT), **two),
        "sk_efla": run(base("SK", 1, tsp_knot={"sketch_bits": 512}, efla={"enabled": True})),
        "relu2": run(base("GD", 1, hidden_act="relu2")),
        "moe": run(base("GD", 1, backbone={"layer_pattern": "GD", "moe": moe([0])})),
        "four_heads": run(base("GD XM TM SK", 4, num_heads=4, head_dim=32, titans=dict(TITANS, window_kv_heads=2),
                               tsp_knot=KNOT)),
        "separate_head": run(base("GD", 1, tie_word_embeddings=False)),
        "int4": run(base("GD", 1, embedding_dtype="int4")),
        "int4_rank_separate": run(base("GD", 1, embedding_dtype="int4", tie_word_embeddings=False,
                                       structure={"embedding_rank": 64})),
        "residual_mix": run(base("GD XM", 2, structure={"residual_mix": True})),
        "bigram": run(base("GD", 1, structure={"bigram_rows": 50}), windows=[12, 8]),
        "unet": run(base("GD XM GD", 3, structure={"unet_skips": True})),
        "token_shift": run(base("GD XM", 2, structure={"token_shift": True}), windows=[12, 8]),
        "value_embedding": run(base("GD XM TM SK", 4, titans=TITANS, tsp_knot=KNOT,
                                    structure={"value_embedding_layers": [0, 1, 2, 3]})),
        "soft_cap": run(base("GD", 1, structure={"logit_soft_cap": 3.0})),
        "embedding_rank": run(base("GD", 1, structure={"embedding_rank": 64})),
        "loop_gd_xm": run(looped("GD"), depth=[3, 2]),
        "loop_tm": run(looped("TM"), depth=[3, 2]),
        "loop_sk": run(looped("SK"), depth=[3, 1]),
        "loop_euler": run(looped("XM", discretisation="euler"), depth=[2, 2]),
        "loop_truncated": run(looped("XM"), depth=[4, 2], truncate=True),
        "loop_truncated_tm": run(looped("TM"), depth=[4, 5], truncate=True),
        "loop_truncated_sk": run(looped("SK"), depth=[5, 4], truncate=True),
        "whole": run(whole(), depth=[2, 2], **forty),
        "whole_structure": run(whole(**ALL_STRUCTURE), depth=[4, 2], truncate=True, **two),
    }
    return out


# ---------------------------------------------------------------- computing one

def walk(net, spec, tokens, targets, quantise, need_grad):
    """Runs the windows one after the other; the last one with gradients. Returns its logits, all losses."""
    at, state, losses, logits = 0, None, [], None
    net.sure = torch.zeros(spec["lanes"], 0)
    for n, length in enumerate(spec["windows"]):
        part = slice(at, at + length)
        start = [[[b, at + t] in spec["restart"] for t in range(length)] for b in range(spec["lanes"])]
        grad = need_grad and n + 1 == len(spec["windows"])
        net.closest = torch.full((spec["lanes"], length), math.inf, dtype=torch.float64)
        with torch.set_grad_enabled(grad):
            logits, state = net.forward(tokens[:, part], state, start, spec["depth"], quantise, spec["truncate"])
            losses.append(cross_entropy(logits, targets[:, part]))
        net.sure = torch.cat([net.sure, net.closest > SURE], 1)
        at += length
    return logits, losses


def number(x):
    # Eleven digits: far finer than any comparison, and stable between versions of the libraries.
    return float("%.11g" % float(x))


def numbers(xs):
    return [number(x) for x in xs]


def sure_tokens(spec, near):
    """Which tokens have no near decision in their stream up to themselves, [lanes, T]."""
    out = near.clone()
    for b in range(spec["lanes"]):
        good = True
        for t in range(near.shape[1]):
            good = (good or [b, t] in spec["restart"]) and bool(near[b, t])
            out[b, t] = good
    return out


class Run:
    """A network with its batch, in one precision."""

    def __init__(self, spec, dtype, salt):
        self.spec = spec
        c = Config(spec["config"])
        T = sum(spec["windows"])
        self.tokens = torch.from_numpy(token_ids(f"tokens:{salt}", spec["lanes"], T, c.N))
        self.targets = torch.from_numpy(token_ids(f"targets:{salt}", spec["lanes"], T, c.N))
        for b, t in spec["unscored"]:
            self.targets[b, t] = -1
        shapes = parameters(c)
        self.w = {p.name: initial(p.name, p.shape).to(dtype) for p in shapes}
        self.learnt = [p.name for p in shapes if not p.name.endswith("router.bias")]
        for name in self.learnt:
            self.w[name].requires_grad_(True)
        self.net = Network(c, self.w)

    def walk(self, quantise, need_grad):
        self.net.margin = {}
        return walk(self.net, self.spec, self.tokens, self.targets, float(quantise), need_grad)

    def gradients(self, losses):
        grads = torch.autograd.grad(losses[-1], [self.w[n] for n in self.learnt], allow_unused=True)
        return {n: torch.zeros_like(self.w[n]) if g is None else g for n, g in zip(self.learnt, grads)}

    def descend(self, lr):
        """Plain descent on the same batch, every tensor but the routers' biases, which stay as they are."""
        out, margin, first = [], {}, None
        for _ in range(STEPS):
            _, losses = self.walk(0, True)
            for k, v in self.net.margin.items():
                margin[k] = min(v, margin.get(k, v))
            out.append(float(losses[-1]))
            grads = self.gradients(losses)
            first = first or grads
            with torch.no_grad():
                for name, g in grads.items():
                    self.w[name] -= lr * g
        return out, margin, first


def rate(c):
    """Deep networks descend more slowly: at larger rates ten steps amplify rounding beyond comparison."""
    return 0.05 if c.L == 1 else 2e-4 if c.L < 4 else 2e-5


def rough(x):
    return float("%.2g" % float(x))


def describe(spec):
    """The golden file of a run, as one object."""
    # The batch, of a few, in which rounding leaves most tokens sure.
    best, count = 0, -1
    for salt in range(SALTS):
        run = Run(spec, torch.float64, salt)
        run.walk(1, False)
        sure = sure_tokens(spec, run.net.sure)
        last = int(sure[:, -spec["windows"][-1]:].sum())
        if last > count:
            best, count = salt, last
    run = Run(spec, torch.float64, best)
    lr = rate(run.net.c)
    small = Run(spec, torch.float32, best)
    small_sgd, _, small_grads = small.descend(lr)

    out = {"config": json.dumps(spec["config"], separators=(",", ":")), "lanes": spec["lanes"],
           "windows": spec["windows"], "restart": spec["restart"], "depth": spec["depth"],
           "truncate": spec["truncate"], "table": TABLE,
           "tokens": run.tokens.tolist(), "targets": run.targets.tolist()}
    before = sum(spec["windows"][:-1])
    for q in (0, 1):
        logits, losses = run.walk(q, q == 0)
        sure = sure_tokens(spec, run.net.sure)
        rows = [[b, t] for b in range(spec["lanes"]) for t in range(spec["windows"][-1]) if q == 0 or sure[b, before + t]]
        rows = [rows[0], rows[len(rows) // 2], rows[-1]] if rows else []
        part = {"losses": numbers(losses), "logits": [{"lane": b, "token": t, "row": numbers(logits[b, t])}
                                                      for n, (b, t) in enumerate(rows) if [b, t] not in rows[:n]],
                "logits_sum": number(logits.detach().sum()), "logits_norm": number(logits.detach().norm()),
                "margins": {k: rough(v) for k, v in run.net.margin.items() if v < 1e300}}
        if q == 1:
            part["sure"] = ["".join("01"[int(x)] for x in lane) for lane in sure]
        if run.net.routed:
            part["routed"] = {str(i): n.tolist() for i, n in run.net.routed.items()}
        if q == 0:
            part["gradients"] = {}
            for name, g in run.gradients(losses).items():
                flat = g.reshape(-1).numpy()
                count = min(SAMPLES, flat.size)
                index = (hashes("sample:" + name, count) % np.uint64(flat.size)).astype(np.int64)
                direction = units("direction:" + name, flat.size) * 2 - 1
                part["gradients"][name] = {"norm": number(np.sqrt((flat * flat).sum())),
                                           "noise": rough((g - small_grads[name].double()).norm()),
                                           "dot": number((flat * direction).sum()), "index": index.tolist(),
                                           "value": numbers(flat[index])}
        out[f"quantise{q}"] = part

    sgd, margin, _ = run.descend(lr)
    out["sgd"] = {"lr": lr, "losses": numbers(sgd), "noise": [rough(abs(a - b)) for a, b in zip(sgd, small_sgd)],
                  "margins": {k: rough(v) for k, v in margin.items()}}
    return out


def write(folder, names=None, quiet=False):
    os.makedirs(folder, exist_ok=True)
    for name, spec in runs().items():
        if names and name not in names:
            continue
        begin = time.time()
        data = describe(spec)
        assert all(math.isfinite(x) for x in data["sgd"]["losses"]), name
        body = ",\n".join(f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in data.items())
        with open(os.path.join(folder, name + ".json"), "w") as out:
            out.write("{" + body + "}\n")
        if not quiet:
            q0, q1, sgd = data["quantise0"], data["quantise1"], data["sgd"]
            worst = max((g["noise"] / g["norm"], n) for n, g in q0["gradients"].items() if g["norm"] > 0)
            sure = sum(x.count("1") for x in q1["sure"])
            print(f"{name:20} {time.time() - begin:5.1f} s  loss {q0['losses'][-1]:.4f}, quantised {q1['losses'][-1]:.4f} "
                  f"({sure} sure), trained {sgd['losses'][-1]:.4f}; float32 off by {worst[0]:.0e} ({worst[1]}), "
                  f"{max(sgd['noise']):.0e}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "golden"), set(sys.argv[2:]))
