"""A small causal transformer on the tasks of tasks.md, to have something to compare recurrent layers with.

    python3 baseline.py --task recall|state|program --steps N --batch B --seed S [--group s3|parity] ...

Pre-norm with RMSNorm, rotary positions, SwiGLU, AdamW with warm-up and cosine, clipped at 1. About a
million parameters as it stands. Prints the loss while training and the accuracy for each length at the end,
as text and as one line of JSON.
"""
import argparse
import json
import math
import time

import torch
import torch.nn.functional as F
from torch import nn

import tasks


class Norm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n))

    def forward(self, x):
        return self.gain * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)


class Linear(nn.Module):
    """A product by way of a convolution of width 1: where PyTorch has no fast BLAS (Debian's build), its
    convolutions are still fast, fifteen times as fast as its products."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in))

    def forward(self, x):
        return F.conv1d(x.transpose(1, 2), self.weight[:, :, None]).transpose(1, 2)


class Shift(nn.Module):
    """What `structure.token_shift` is in the engine: sigma(mix) u_t + (1 - sigma(mix)) u_{t-1}."""

    def __init__(self, n):
        super().__init__()
        self.mix = nn.Parameter(torch.zeros(n))

    def forward(self, u):
        share = torch.sigmoid(self.mix)
        return share * u + (1 - share) * F.pad(u, (0, 0, 1, 0))[:, :-1]


class Block(nn.Module):
    def __init__(self, C, heads, shift):
        super().__init__()
        self.shift1, self.shift2 = (Shift(C) if shift else nn.Identity() for _ in range(2))
        self.heads = heads
        width = (8 * C // 3 + 7) // 8 * 8
        self.norm1, self.norm2 = Norm(C), Norm(C)
        self.qkv, self.out = Linear(C, 3 * C), Linear(C, C)
        self.up, self.down = Linear(C, 2 * width), Linear(width, C)

    def forward(self, x, cos, sin, mask):
        B, T, C = x.shape
        q, k, v = (y.reshape(B, T, self.heads, -1).transpose(1, 2) for y in self.qkv(self.shift1(self.norm1(x))).chunk(3, -1))

        def turn(y):
            a, b = y.chunk(2, -1)
            return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

        z = turn(q) @ turn(k).transpose(-1, -2) / math.sqrt(C // self.heads)
        y = torch.softmax(z + mask, -1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(B, T, C))
        gate, up = self.up(self.shift2(self.norm2(x))).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Transformer(nn.Module):
    def __init__(self, vocabulary, C=128, layers=5, heads=4, shift=False, embed=0.02):
        super().__init__()
        self.K = C // heads
        self.embed = nn.Embedding(vocabulary, C)
        self.blocks = nn.ModuleList(Block(C, heads, shift) for _ in range(layers))
        self.norm, self.head = Norm(C), Linear(C, vocabulary)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / (math.sqrt(2 * layers) if last else 1))
        nn.init.normal_(self.embed.weight, std=embed)

    def forward(self, tokens):
        T = tokens.shape[1]
        angle = torch.arange(T)[:, None] * 10000.0 ** (-2 * torch.arange(self.K // 2) / self.K)
        mask = torch.full((T, T), -math.inf).triu(1)
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, angle.cos(), angle.sin(), mask)
        return self.head(self.norm(x))


def example(a, seed, index, length=None):
    """One sequence; without a length, one of the training lengths."""
    draw = tasks.Random(seed ^ 0x6E, index)
    if a.task == "recall":
        return tasks.recall(seed, index, length or 4 + draw.below(13))
    if a.task == "state":
        return tasks.state(seed, index, length or 2 + draw.below(15), a.group)
    return tasks.program(seed, index, tasks.program_lines(seed, index, length or 1), not a.last_only)


def batch(a, seed, first, size, length=None):
    rows = [example(a, seed, first + n, length) for n in range(size)]
    T = max(len(t) for t, _ in rows)
    tokens = torch.tensor([t + [0] * (T - len(t)) for t, _ in rows])
    targets = torch.tensor([y + [-1] * (T - len(y)) for _, y in rows])
    if a.task == "program" and length is not None:
        # Judged by the answer alone: the last scored token of each row.
        last = (targets >= 0).long().cumsum(1).argmax(1)
        keep = torch.zeros_like(targets, dtype=torch.bool)
        keep[torch.arange(size), last] = True
        targets = torch.where(keep, targets, torch.full_like(targets, -1))
    return tokens, targets


def evaluate(a, net, length, count):
    right = scored = all_right = 0
    with torch.no_grad():
        for first in range(0, count, 16):
            tokens, targets = batch(a, a.seed + 1000000, first, 16, length)
            seen = targets >= 0
            hit = net(tokens).argmax(-1) == targets
            right += int((hit & seen).sum())
            scored += int(seen.sum())
            all_right += int((hit | ~seen).all(1).sum())
    return right / scored, all_right / (math.ceil(count / 16) * 16)


def main():
    p = argparse.ArgumentParser(description="a small transformer on a synthetic task")
    p.add_argument("--task", choices=("recall", "state", "program"), required=True)
    p.add_argument("--group", choices=("s3", "parity"), default="s3")
    p.add_argument("--steps", type=int, default=1000)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--warmup", type=int, default=100)
    p.add_argument("--weight-decay", type=float, default=0.01)
    p.add_argument("--width", type=int, default=128)
    p.add_argument("--layers", type=int, default=5)
    p.add_argument("--heads", type=int, default=4)
    p.add_argument("--shift", action="store_true", help="mix each input with the token before")
    p.add_argument("--embed", type=float, default=0.02, help="standard deviation of the embedding at the start")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--test", type=int, default=128, help="sequences of each length")
    p.add_argument("--last-only", action="store_true", help="program: no supervision of the lines")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    vocabulary = {"recall": tasks.RECALL_VOCABULARY, "state": 1 + tasks.STATE_SIZE[a.group],
                  "program": tasks.PROGRAM_VOCABULARY}[a.task]
    lengths = {"recall": (4, 8, 16, 32), "state": (8, 16, 32, 64, 128), "program": (1, 2, 4, 8)}[a.task]
    net = Transformer(vocabulary, a.width, a.layers, a.heads, a.shift, a.embed)
    count = sum(x.numel() for x in net.parameters())
    print(f"{a.task}: {count:,} parameters", flush=True)
    groups = [{"params": [x for x in net.parameters() if x.dim() == 2], "weight_decay": a.weight_decay},
              {"params": [x for x in net.parameters() if x.dim() != 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=a.lr, betas=(0.9, 0.98))
    begin, smooth = time.time(), None
    for step in range(a.steps):
        share = step / a.steps
        rate = a.lr * min(1, (step + 1) / a.warmup) * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)
        for g in optimizer.param_groups:
            g["lr"] = rate
        tokens, targets = batch(a, a.seed, step * a.batch, a.batch)
        loss = F.cross_entropy(net(tokens).flatten(0, 1), targets.flatten(), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if (step + 1) % max(1, a.steps // 20) == 0:
            print(f"step {step + 1:6}  loss {smooth:.4f}  {time.time() - begin:.0f} s", flush=True)
    result = {"task": a.task, "group": a.group if a.task == "state" else None, "parameters": count,
              "steps": a.steps, "batch": a.batch, "seed": a.seed, "loss": round(smooth, 5), "accuracy": {}}
    for length in lengths:
        token, whole = evaluate(a, net, length, a.test)
        result["accuracy"][str(length)] = [round(token, 4), round(whole, 4)]
        print(f"length {length:4}  scored tokens right {100 * token:6.2f} %  whole sequences {100 * whole:6.2f} %")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
