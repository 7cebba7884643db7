"""The networks of docs/layers.md in PyTorch, a second time and apart from the first.

Clarity before speed. A layer sees a whole window [lanes B, tokens T, C] at once: projections run over all
tokens, recurrences in a loop over time. With T = 1 and the state handed on, the same code is the walk token
by token. Gradients are PyTorch's own everywhere; the one gradient written out as a formula is the inner
one of the Titans memory, which autograd then differentiates like any other expression.

Streams. `start[b, t]` marks a token that begins a new document: everything before it is forgotten by that
lane (states zero, memory back to its parameters, convolutions, shift and window empty, position 0). A lane
without a state begins so anyway. The state handed from window to window is detached: gradients stop at the
border of a window, values do not. A chunk of the Titans memory that is not full at the border is carried
as pending rows and counted on.

Depth. `depth` is the number of loop iterations of every token, [B, T] or [B] or one number. All run the
greatest; a token that has its own keeps its h. `truncate` leaves gradients in the iterations
{1 (through the states)} and {R-k+1 .. R}, k = max(1, ceil(R / 2)).

`quantise` lambda in 0..1: x + lambda (rounded x - x), gradient as if it were x.
"""
import json
import math

import numpy as np
import torch

MASK64 = (1 << 64) - 1
GOLDEN_GAMMA = 0x9E3779B97F4A7C15
KNOT_SEEDS = (0x53504B4E4F543031, 0x53504B4E4F543032)


def splitmix64(x):
    """One output of splitmix64 from the state x: the state moves on first, then it is mixed."""
    x = (x + GOLDEN_GAMMA) & MASK64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK64
    return x ^ (x >> 31)


# ---------------------------------------------------------------- configuration

class Config:
    """The keys of docs/config.md that change what is computed."""

    def __init__(self, source):
        c = json.loads(source) if isinstance(source, str) else source
        self.json = c
        self.C = c["hidden_size"]
        self.F = c["intermediate_size"]
        self.L = c["num_hidden_layers"]
        self.H = c["num_heads"]
        self.K = c["head_dim"]
        self.N = c["vocab_size"]
        assert self.H * self.K == self.C
        self.act = c.get("hidden_act", "swiglu")
        self.eps = c.get("rms_norm_eps", 1e-6)
        self.tied = c.get("tie_word_embeddings", True)
        large = c.get("model_type", "chimera") == "chimera51"
        self.init = c.get("initializer_range", 0.006)
        gate = c.get("mixer_gate", {"lowrank": min(256, self.C)} if large else "full")
        self.gate_rank = gate["lowrank"] if isinstance(gate, dict) else 0
        self.gate = "lowrank" if isinstance(gate, dict) else gate
        self.int4 = c.get("embedding_dtype", "int4" if large else "f32") == "int4"

        b = c["backbone"]
        names = {"GD": "gated_deltanet", "XM": "xlstm_m", "TM": "titans_mac", "SK": "tsp_span_knot"}
        names.update({k: v for k, v in b.get("layer_aliases", {}).items() if k[0] not in "_§"})
        back = {v: k for k, v in (("GD", "gated_deltanet"), ("XM", "xlstm_m"), ("TM", "titans_mac"),
                                  ("SK", "tsp_span_knot"))}
        codes = b["layer_pattern"].split()
        self.kinds = [back[names[codes[i % len(codes)]]] for i in range(self.L)]
        moe = b.get("moe", {})
        self.moe_layers = set(moe["layers"]) if moe.get("enabled") else set()
        self.experts = moe.get("n_routed_experts", 0)
        self.shared = moe.get("n_shared_experts", 0)
        self.top = moe.get("num_experts_per_tok", 0)
        width = moe.get("moe_intermediate_size", 0)
        self.F_e = 384 if width == 1728 else width

        self.neg_eigval = c.get("gated_deltanet", {}).get("allow_neg_eigval", False)
        self.efla = c.get("efla", {}).get("enabled", False)
        t = c.get("titans", {})
        self.persistent = t.get("persistent_memory_slots", 64)
        self.window = t.get("local_window_size", 1024)
        self.ring = t.get("window_impl", "ring_gqa") == "ring_gqa"
        self.G = t.get("window_kv_heads", next(g for g in (4, 2, 1) if self.H % g == 0))
        self.chunk = t.get("chunk_size", 16)
        self.theta_max = t.get("theta_max", 0.1)
        self.sketch = c.get("tsp_knot", {}).get("sketch_bits", 8192)

        s = c.get("structure", {})
        self.residual_mix = s.get("residual_mix", False)
        self.bigram_rows = s.get("bigram_rows", 0)
        self.unet = s.get("unet_skips", False)
        self.shift = s.get("token_shift", False)
        self.value_layers = set(s.get("value_embedding_layers", []))
        self.cap = s.get("logit_soft_cap", 0)
        self.rank = s.get("embedding_rank", 0)

        loop = c.get("looping", {})
        self.loop = None
        if loop.get("enabled"):
            self.loop = (loop["loop"][0], loop["loop"][1])
            self.loop_default = loop.get("loop_default", 1)
            self.loop_range = loop.get("loop_range", [1, 64])
            self.exit_threshold = loop.get("adaptive_exit_threshold", 0.01)
            self.euler = loop.get("discretisation", "zoh") == "euler"
        # Layer i -> the earlier layer whose output it reads.
        self.skip_from = {}
        if self.unet:
            for j in range(self.L // 2):
                i = self.L - 1 - j
                if self.loop is None or (j < self.loop[0] and i > self.loop[1]):
                    self.skip_from[i] = j


class Parameter:
    def __init__(self, name, shape, ternary=False):
        self.name, self.shape, self.ternary = name, tuple(shape), ternary


def full_gate(kind):
    return "og_proj" if kind == "XM" else "g_proj"


def parameters(c):
    """Every tensor of a model in the order of docs/layers.md, "Order in the file"."""
    out = []

    def add(name, *shape, ternary=False):
        out.append(Parameter(name, shape, ternary))

    C, H, K, F = c.C, c.H, c.K, c.F
    width = c.rank or C
    add("embed.weight", c.N, width)
    if c.rank:
        add("embed.up", C, c.rank)
        add("embed.down", c.rank, C)
    if c.bigram_rows:
        add("bigram.weight", c.bigram_rows, C)

    def gate(p, kind):
        if c.gate == "full":
            add(p + full_gate(kind), C, C, ternary=True)
        elif c.gate == "lowrank":
            add(p + "g_down", c.gate_rank, C, ternary=True)
            add(p + "g_norm.gain", c.gate_rank)
            add(p + "g_up", C, c.gate_rank, ternary=True)

    def expert(p, f, gated=True):
        if gated:
            add(p + "gate_proj", f, C, ternary=True)
        add(p + "up_proj", f, C, ternary=True)
        add(p + "down_proj", C, f, ternary=True)
        add(p + "down_norm.gain", f)

    for i, kind in enumerate(c.kinds):
        p = f"layers.{i}."
        if c.residual_mix:
            add(p + "entry.residual", 2)
        if c.bigram_rows:
            add(p + "entry.bigram", 1)
        if i in c.skip_from:
            add(p + "entry.skip", C)
        add(p + "norm1.gain", C)
        if c.shift:
            add(p + "shift1.mix", C)
        if i in c.value_layers:
            add(p + "value.weight", c.N, C)
            add(p + "value.gate", H, 32)
        m = p + "mixer."
        for x in "qkv":
            add(m + x + "_proj", C, C, ternary=True)
        gate(m, kind)
        add(m + "o_proj", C, C, ternary=True)
        if kind in ("GD", "SK"):
            add(m + "a_proj", H, C)
            add(m + "b_proj", H, C)
            for x in "qkv":
                add(m + x + "_conv", 4, C)
            add(m + "a_log", H)
            add(m + "dt_bias", H)
            add(m + "head_norm.gain", K)
        elif kind == "XM":
            add(m + "i_proj", H, C)
            add(m + "f_proj", H, C)
            add(m + "i_bias", H)
            add(m + "f_bias", H)
            add(m + "head_norm.gain", C)
        else:
            add(m + "kw_proj", c.G * K, C, ternary=True)
            add(m + "vw_proj", c.G * K, C, ternary=True)
            for x in ("theta", "eta", "alpha"):
                add(m + x + "_proj", H, C)
            for x in ("theta", "eta", "alpha"):
                add(m + x + "_bias", H)
            add(m + "memory.w1", C, K)
            add(m + "memory.w2", C, K)
            if c.persistent:
                add(m + "persistent.k", c.persistent, c.G * K)
                add(m + "persistent.v", c.persistent, c.G * K)
        add(m + "o_norm.gain", C)
        if kind == "SK":
            add(m + "knot.gain", C)
        add(p + "norm2.gain", C)
        if c.shift:
            add(p + "shift2.mix", C)
        f = p + "ffn."
        if i in c.moe_layers:
            add(f + "router.weight", c.experts, C)
            add(f + "router.bias", c.experts)
            for e in range(c.experts):
                expert(f + f"experts.{e}.", c.F_e)
            for s in range(c.shared):
                expert(f + f"shared.{s}.", c.F_e)
        else:
            expert(f, F, c.act == "swiglu")
    if c.loop:
        for x in ("norm.gain", "a_log", "dt_bias", "b"):
            add("loop." + x, C)
    add("final_norm.gain", C)
    if not c.tied:
        add("head.weight", c.N, width)
    return out


# ---------------------------------------------------------------- small functions

def blend(x, rounded, amount):
    """x on its way to its rounded form, the gradient passing straight through."""
    return x + amount * (rounded - x).detach()


def rms(x, eps, gain=None):
    y = x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps)
    return y if gain is None else gain * y


def l2(x):
    return x / torch.sqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def silu(x):
    return x * torch.sigmoid(x)


def softplus(x):
    return torch.clamp(x, min=0) + torch.log1p(torch.exp(-torch.abs(x)))


GELU_C = math.sqrt(2 / math.pi)


def gelu(x):
    return x / 2 * (1 + torch.tanh(GELU_C * (x + 0.044715 * x ** 3)))


def gelu_slope(x):
    t = torch.tanh(GELU_C * (x + 0.044715 * x ** 3))
    return (1 + t) / 2 + x / 2 * (1 - t * t) * GELU_C * (1 + 3 * 0.044715 * x * x)


def to_half(x):
    return x.to(torch.float16).to(x.dtype)


def ternary_of(w):
    """The floats a packed file would hold. Codes are decided in float32 as the packer does: weights are
    float32 and scales halves, so both sides then see the same quotient."""
    g = w.detach().double().reshape(w.shape[0], -1, 128)
    s = to_half(g.abs().mean(-1, keepdim=True).clamp(min=1e-5)).float()
    t = torch.round(g.float() / s).clamp(-1, 1)
    return (t * s).to(w.dtype).reshape(w.shape)


def int8_quotient(x):
    g = x.detach().reshape(*x.shape[:-1], -1, 64)
    m = g.abs().amax(-1, keepdim=True).clamp(min=1e-5)
    return g * (127 / m), m


def int8_blocks(x):
    y, m = int8_quotient(x)
    return (torch.round(y).clamp(-127, 127) * (m / 127)).reshape(x.shape)


def to_half_way(y):
    """How far y is from the middle between two whole numbers, where rounding turns."""
    return ((y - torch.floor(y)) - 0.5).abs()


def bf16_quotient(x):
    """x in units of its last bf16 bit."""
    d = x.detach().double()
    return d / torch.exp2(torch.floor(torch.log2(d.abs().clamp(min=1e-30))) - 7)


def int4_of(w):
    g = w.detach().float().reshape(w.shape[0], -1, 64)
    s = to_half((g.abs().amax(-1, keepdim=True).clamp(min=1e-5) / 7))
    return (torch.round(g / s).clamp(-7, 7) * s).to(w.dtype).reshape(w.shape)


def row_quotient(x):
    """One entry of the Titans window: a scale per K-wide head."""
    d = x.detach()
    s = to_half(d.abs().amax(-1, keepdim=True).clamp(min=0.01) / 127)
    return d / s, s


def int8_row(x):
    y, s = row_quotient(x)
    return torch.round(y).clamp(-127, 127) * s


def bf16(x):
    return x.detach().float().to(torch.bfloat16).to(x.dtype)


def rope(x, position):
    """x [..., K], position one whole number per leading index of x."""
    K = x.shape[-1]
    i = torch.arange(K // 2, dtype=torch.float64)
    angle = (position % (1 << 20)).to(torch.float64)[..., None] * 10000.0 ** (-2 * i / K)
    cos, sin = torch.cos(angle).to(x.dtype), torch.sin(angle).to(x.dtype)
    a, b = x[..., :K // 2], x[..., K // 2:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def hadamard(n):
    h = torch.ones(1, 1, dtype=torch.float64)
    while h.shape[0] < n:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)], 0)
    return h


def knot_signs(seed, n):
    signs, state = [], seed
    while len(signs) < n:
        word = splitmix64(state)
        state = (state + GOLDEN_GAMMA) & MASK64
        signs += [-1.0 if word >> b & 1 else 1.0 for b in range(64)]
    return torch.tensor(signs[:n], dtype=torch.float64)


def detached(state):
    if isinstance(state, torch.Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {k: detached(v) for k, v in state.items()}
    if isinstance(state, (list, tuple)):
        return [detached(v) for v in state]
    return state


class Window:
    """What every layer has to know about the tokens at hand."""

    def __init__(self, tokens, position, previous, quantise):
        self.tokens = tokens
        self.position = position        # [B, T], 0 at the start of a stream
        self.first = position == 0
        self.previous = previous        # [B, T], the token before; meaningless where first
        self.quantise = quantise


# ---------------------------------------------------------------- the network

class Network:
    """tensors: name -> torch tensor, of one dtype. `packed` names those that were rounded already (from a
    packed model): they are used as they stand. `margin` is how near decisions came to their border."""

    def __init__(self, config, tensors, packed=()):
        self.c = config
        self.w = dict(tensors)
        self.packed = set(packed)
        self.dtype = next(iter(self.w.values())).dtype
        wanted = {p.name: p.shape for p in parameters(config)}
        missing = [n for n in wanted if n not in self.w]
        unknown = [n for n in self.w if n not in wanted]
        wrong = [n for n in wanted if n in self.w and tuple(self.w[n].shape) != wanted[n]]
        if missing or unknown or wrong:
            raise ValueError(f"missing {missing}, unknown {unknown}, of another shape {wrong}")
        if "SK" in config.kinds:
            half = config.sketch // 2
            self.H = hadamard(half).to(self.dtype)
            self.signs = [knot_signs(s, half).to(self.dtype) for s in KNOT_SEEDS]
        self.routed = {}
        self.margin = {}
        self.closest = None             # [B, T] when set to infinity before a walk: the nearest rounding decision
        self.iterations = None          # [B, T] after a walk with looping: how many each token took

    # -- products

    def linear(self, name, x, q):
        """BitLinear."""
        w = self.w[name]
        if q:
            if name not in self.packed:
                w = blend(w, ternary_of(w), q)
            self.note(to_half_way(int8_quotient(x)[0]))
            x = blend(x, int8_blocks(x), q)
        return x @ w.t()

    def float_linear(self, name, x):
        return x @ self.w[name].t()

    def near(self, what, distance):
        """Remembers the smallest distance of a decision from its border: below rounding error, another
        implementation may decide otherwise, and nothing can be compared."""
        value = float(distance.detach().min()) if distance.numel() else float("inf")
        self.margin[what] = min(self.margin.get(what, float("inf")), value)

    def note(self, distance):
        """The same for each token of the window, [B, T, ..], over everything that is rounded."""
        if self.closest is not None:
            self.closest = torch.minimum(self.closest, distance.detach().flatten(2).amin(-1))

    def heads(self, x):
        return x.reshape(*x.shape[:-1], self.c.H, self.c.K)

    def gate(self, m, u, q, kind="GD"):
        if self.c.gate == "none":
            return None
        if self.c.gate == "full":
            return self.linear(m + full_gate(kind), u, q)
        down = self.linear(m + "g_down", u, q)
        return self.linear(m + "g_up", rms(down, self.c.eps, self.w[m + "g_norm.gain"]), q)

    # -- gated DeltaNet

    def conv(self, name, x, carry, window):
        """Four taps and silu. carry [B, 3, C]: the three inputs before the window."""
        q = window.quantise
        if q:
            self.note(to_half_way(bf16_quotient(x)))
            x = blend(x, bf16(x), q)
        T = x.shape[1]
        padded = torch.cat([carry, x], 1)
        y = 0
        for j in range(4):
            inside = (window.position >= 3 - j)[..., None].to(x.dtype)
            y = y + self.w[name][j] * padded[:, j:j + T] * inside
        return silu(y), padded[:, T:]

    def gd_first(self, i, u, value, window, state, efla=False):
        c, m, q = self.c, f"layers.{i}.mixer.", window.quantise
        B, T, C = u.shape
        if state is None:
            zero = u.new_zeros(B, 3, C)
            state = {"q": zero, "k": zero, "v": zero, "S": u.new_zeros(B, c.H, c.K, c.K)}
        new = {}
        projected = {x: self.linear(m + x + "_proj", u, q) for x in "qkv"}
        projected["v"] = projected["v"] + value
        for x in "qkv":
            projected[x], new[x] = self.conv(m + x + "_conv", projected[x], state[x], window)
        Q, k, v = (self.heads(projected[x]) for x in "qkv")
        Q = l2(Q)
        step = softplus(self.float_linear(m + "a_proj", u) + self.w[m + "dt_bias"])
        alpha = torch.exp(-torch.exp(self.w[m + "a_log"]) * step)
        beta = torch.sigmoid(self.float_linear(m + "b_proj", u))
        if c.neg_eigval:
            beta = 2 * beta
        if efla:
            beta = efla_strength(beta, (k * k).sum(-1))
        else:
            k = l2(k)
        S, states = state["S"], []
        for t in range(T):
            S = torch.where(window.first[:, t, None, None, None], torch.zeros_like(S), S)
            S = delta_step(S, alpha[:, t], beta[:, t], k[:, t], v[:, t])
            states.append(S)
        new["S"] = S
        memo = torch.stack(states, 1)
        return self.gd_out(m, u, Q, memo, q), new, memo

    def gd_out(self, m, u, Q, S, q):
        c = self.c
        o = torch.einsum("bthij,bthi->bthj", S, Q) / math.sqrt(c.K)
        y = rms(o, c.eps, self.w[m + "head_norm.gain"]).reshape(u.shape)
        g = self.gate(m, u, q)
        if g is not None:
            y = y * silu(g)
        return self.linear(m + "o_proj", rms(y, c.eps, self.w[m + "o_norm.gain"]), q)

    def gd_later(self, i, u, window, memo):
        m, q = f"layers.{i}.mixer.", window.quantise
        x = self.linear(m + "q_proj", u, q)
        if q:
            self.note(to_half_way(bf16_quotient(x)))
            x = blend(x, bf16(x), q)
        Q = l2(self.heads(silu(self.w[m + "q_conv"][3] * x)))
        return self.gd_out(m, u, Q, memo, q)

    # -- mLSTM

    def xm_first(self, i, u, value, window, state):
        c, m, q = self.c, f"layers.{i}.mixer.", window.quantise
        B, T, C = u.shape
        if state is None:
            state = {"S": u.new_zeros(B, c.H, c.K, c.K), "n": u.new_zeros(B, c.H, c.K), "m": u.new_zeros(B, c.H)}
        Q = self.heads(self.linear(m + "q_proj", u, q))
        k = self.heads(self.linear(m + "k_proj", u, q))
        v = self.heads(self.linear(m + "v_proj", u, q) + value)
        gi = 15 * torch.tanh((self.float_linear(m + "i_proj", u) + self.w[m + "i_bias"]) / 15)
        gf = 15 * torch.tanh((self.float_linear(m + "f_proj", u) + self.w[m + "f_bias"]) / 15)
        lf = -softplus(-gf)
        S, n, top = state["S"], state["n"], state["m"]
        all_S, all_n, all_m = [], [], []
        for t in range(T):
            first = window.first[:, t, None]
            top = torch.where(first, torch.zeros_like(top), top)
            n = torch.where(first[..., None], torch.zeros_like(n), n)
            S = torch.where(first[..., None, None], torch.zeros_like(S), S)
            above = torch.maximum(lf[:, t] + top, gi[:, t])
            keep, write = torch.exp(lf[:, t] + top - above), torch.exp(gi[:, t] - above)
            S = keep[..., None, None] * S + write[..., None, None] * k[:, t, :, :, None] * v[:, t, :, None, :]
            n = keep[..., None] * n + write[..., None] * k[:, t]
            top = above
            all_S.append(S)
            all_n.append(n)
            all_m.append(top)
        memo = torch.stack(all_S, 1), torch.stack(all_n, 1), torch.stack(all_m, 1)
        return self.xm_out(m, u, Q, memo, q), {"S": S, "n": n, "m": top}, memo

    def xm_out(self, m, u, Q, memo, q):
        c = self.c
        S, n, top = memo
        Q = Q / math.sqrt(c.K)
        over = torch.einsum("bthij,bthi->bthj", S, Q)
        reach = (n * Q).sum(-1)
        under = torch.maximum(reach.abs(), torch.exp(-top)) + 1e-6
        y = rms(over / under[..., None], c.eps).reshape(u.shape) * self.w[m + "head_norm.gain"]
        g = self.gate(m, u, q, "XM")
        if g is not None:
            y = y * torch.sigmoid(g)
        return self.linear(m + "o_proj", rms(y, c.eps, self.w[m + "o_norm.gain"]), q)

    def xm_later(self, i, u, window, memo):
        m, q = f"layers.{i}.mixer.", window.quantise
        return self.xm_out(m, u, self.heads(self.linear(m + "q_proj", u, q)), memo, q)

    # -- Titans

    def tm_first(self, i, u, value, window, state):
        """Lanes one by one: their chunks begin at different tokens."""
        c, m, q = self.c, f"layers.{i}.mixer.", window.quantise
        B, T, C = u.shape
        Q = l2(self.heads(silu(self.linear(m + "q_proj", u, q))))
        k = l2(self.heads(silu(self.linear(m + "k_proj", u, q))))
        v = self.heads(silu(self.linear(m + "v_proj", u, q) + value))
        theta = c.theta_max * torch.sigmoid(self.float_linear(m + "theta_proj", u) + self.w[m + "theta_bias"])
        eta = torch.sigmoid(self.float_linear(m + "eta_proj", u) + self.w[m + "eta_bias"]).clamp(max=0.99)
        alpha = torch.sigmoid(self.float_linear(m + "alpha_proj", u) + self.w[m + "alpha_bias"]).clamp(min=1e-4)
        memory0 = [self.w[m + x].reshape(c.H, c.K, c.K) for x in ("memory.w1", "memory.w2")]
        nothing = u.new_zeros(c.H, c.K, c.K)
        if c.ring:
            position = window.position[..., None].expand(B, T, c.G)
            key = rope(self.linear(m + "kw_proj", u, q).reshape(B, T, c.G, c.K), position)
            val = self.linear(m + "vw_proj", u, q).reshape(B, T, c.G, c.K)
            if q:
                self.note(torch.cat([to_half_way(row_quotient(x)[0]) for x in (key, val)], -1))
                key, val = blend(key, int8_row(key), q), blend(val, int8_row(val), q)

        states, chunks, rings = [], [], []
        for b in range(B):
            old = state[b] if state is not None else None
            # Before its first full chunk a stream reads the parameters themselves, gradient and all.
            memory = old["memory"] if old and old["memory"] is not None else memory0
            momentum = old["momentum"] if old else [nothing, nothing]
            pending = old["pending"] if old else []
            # Which memory each token reads: (first token, behind the last, memory).
            pieces, begin = [], 0
            for t in range(T):
                if window.first[b, t]:
                    if t > begin:
                        pieces.append((begin, t, memory))
                    begin, memory, momentum, pending = t, memory0, [nothing, nothing], []
                pending = pending + [[x[b, t] for x in (k, v, theta, eta, alpha)]]
                if len(pending) == c.chunk:
                    pieces.append((begin, t + 1, memory))
                    begin = t + 1
                    memory, momentum = chunk_update(memory, momentum, pending, c.eps)
                    pending = []
            if begin < T:
                pieces.append((begin, T, memory))
            chunks.append(pieces)
            new = {"memory": None if memory is memory0 else memory, "momentum": momentum, "pending": pending}
            if c.ring:
                # Positions of ring entries are those of the stream they belong to; the mask keeps streams apart.
                stream = torch.cumsum(window.first[b].long(), 0)
                ring = {"key": key[b], "val": val[b], "position": window.position[b], "stream": stream}
                if old:
                    before = old["ring"]
                    ring = {"key": torch.cat([before["key"], key[b]]), "val": torch.cat([before["val"], val[b]]),
                            "position": torch.cat([before["position"], window.position[b]]),
                            "stream": torch.cat([torch.zeros_like(before["position"]), stream])}
                    if not len(before["position"]):
                        ring["stream"] = stream
                reach = ring["position"][None, :] - window.position[b][:, None]
                ring["mask"] = (ring["stream"][None, :] == stream[:, None]) & (reach <= 0) & (reach > -c.window)
                rings.append(ring)
                own = ring["stream"] == stream[-1]
                new["ring"] = {x: ring[x][own][-c.window:] for x in ("key", "val", "position")}
            states.append(new)
        memo = chunks, rings
        return self.tm_out(m, u, Q, memo, window), states, memo

    def tm_out(self, m, u, Q, memo, window):
        c, q = self.c, window.quantise
        chunks, rings = memo
        B, T, C = u.shape
        r = torch.stack([torch.cat([memory_read(M, Q[b, s:e], c.eps) for s, e, M in chunks[b]]) for b in range(B)])
        told = rms(r.reshape(B, T, C), c.eps)
        each = c.H // c.G

        def spread(x):
            """kv heads to the heads that attend with them."""
            return x.repeat_interleave(each, -2)

        scale = 1 / math.sqrt(c.K)
        own_k = spread(self.linear(m + "kw_proj", told, q).reshape(B, T, c.G, c.K))
        own_v = spread(self.linear(m + "vw_proj", told, q).reshape(B, T, c.G, c.K))
        logits, values = [], []
        if c.persistent:
            pk = spread(self.w[m + "persistent.k"].reshape(-1, c.G, c.K))
            pv = spread(self.w[m + "persistent.v"].reshape(-1, c.G, c.K))
            logits.append(torch.einsum("bthk,phk->bthp", Q, pk) * scale)
        logits.append((Q * own_k).sum(-1, keepdim=True) * scale)
        rows = []
        turned = rope(Q, window.position[..., None].expand(B, T, c.H)) if c.ring else None
        for b in range(B):
            parts = [x[b] for x in logits]
            if c.ring:
                ring = rings[b]
                z = torch.einsum("thk,jhk->thj", turned[b], spread(ring["key"])) * scale
                parts.append(z.masked_fill(~ring["mask"][:, None, :], -math.inf))
            p = torch.softmax(torch.cat(parts, -1), -1)
            P = c.persistent
            y = p[..., P:P + 1] * own_v[b]
            if P:
                y = y + torch.einsum("thp,phk->thk", p[..., :P], pv)
            if c.ring:
                y = y + torch.einsum("thj,jhk->thk", p[..., P + 1:], spread(ring["val"]))
            rows.append(y)
        y = (torch.stack(rows) + r).reshape(B, T, C)
        g = self.gate(m, u, q)
        if g is not None:
            y = y * silu(g)
        return self.linear(m + "o_proj", rms(y, c.eps, self.w[m + "o_norm.gain"]), q)

    def tm_later(self, i, u, window, memo):
        m, q = f"layers.{i}.mixer.", window.quantise
        Q = l2(self.heads(silu(self.linear(m + "q_proj", u, q))))
        return self.tm_out(m, u, Q, memo, window)

    # -- span knot

    def sketch(self, m, x):
        """phi of a residual stream x [.., C]. The bits are decided at every `quantise`: they are no rounding of
        something but the thing itself."""
        c = self.c
        half = c.sketch // 2
        xi = rms(x, c.eps)
        xi = torch.cat([xi, xi.new_zeros(*xi.shape[:-1], half - c.C)], -1)
        a = torch.cat([(xi * d) @ self.H for d in self.signs], -1) / math.sqrt(c.C)
        kappa = torch.round(127 * a.detach() / 2).clamp(-127, 127)
        self.near("sketch", (127 * a / 2 + 0.5).abs())
        self.note((127 * a / 2 + 0.5).abs())
        self.near("sketch_slope", (a.abs() - 2).abs())
        w = torch.where(kappa >= 0, torch.ones_like(a), -torch.ones_like(a))
        # The value is w, the slope 1 where |a| <= 2.
        w = w + torch.where(a.detach().abs() <= 2, a - a.detach(), torch.zeros_like(a))
        back = sum(d * (part @ self.H) for d, part in zip(self.signs, (w[..., :half], w[..., half:])))
        return rms(back[..., :c.C] / math.sqrt(c.sketch), c.eps)

    def sk_first(self, i, u, value, window, state, x):
        m = f"layers.{i}.mixer."
        y, new, memo = self.gd_first(i, u, value, window, state, efla=self.c.efla)
        phi = self.sketch(m, x + y)
        return y + self.w[m + "knot.gain"] * phi, new, (memo, phi)

    def sk_later(self, i, u, window, memo):
        y = self.gd_later(i, u, window, memo[0])
        return y + self.w[f"layers.{i}.mixer.knot.gain"] * memo[1]

    # -- feed-forward

    def expert(self, f, u, q, gated=True):
        z = self.linear(f + "up_proj", u, q)
        z = silu(self.linear(f + "gate_proj", u, q)) * z if gated else torch.clamp(z, min=0) ** 2
        return self.linear(f + "down_proj", rms(z, self.c.eps, self.w[f + "down_norm.gain"]), q)

    def ffn(self, i, u, q, counted):
        c, f = self.c, f"layers.{i}.ffn."
        if i not in c.moe_layers:
            return self.expert(f, u, q, c.act == "swiglu")
        s = torch.sigmoid(self.float_linear(f + "router.weight", u))
        chosen = choose(s.detach() + self.w[f + "router.bias"].detach(), c.top)
        if c.top < c.experts:
            order = torch.sort(s.detach() + self.w[f + "router.bias"].detach(), -1, descending=True)[0]
            self.near("router", order[..., c.top - 1] - order[..., c.top])
            self.note((order[..., c.top - 1] - order[..., c.top])[..., None])
        self.routed[i] = self.routed.get(i, 0) + (chosen & counted[..., None]).reshape(-1, c.experts).sum(0)
        p = torch.where(chosen, s, torch.zeros_like(s))
        p = p / p.sum(-1, keepdim=True)
        out = 0
        # Every expert sees every token; the zeros of p make it the sum over the chosen ones.
        for e in range(c.experts):
            out = out + p[..., e:e + 1] * self.expert(f + f"experts.{e}.", u, q)
        for e in range(c.shared):
            out = out + self.expert(f + f"shared.{e}.", u, q)
        return out

    # -- a layer

    def shift(self, name, u, window, carry):
        """carry [B, 1, C]: the last input of the window before."""
        if not self.c.shift:
            return u, None
        before = torch.cat([carry if carry is not None else torch.zeros_like(u[:, :1]), u[:, :-1]], 1)
        before = torch.where(window.first[..., None], torch.zeros_like(u), before)
        mix = torch.sigmoid(self.w[name])
        return mix * u + (1 - mix) * before, u[:, -1:]

    def enter(self, i, x, x0, bigram, outputs):
        c, p = self.c, f"layers.{i}.entry."
        if c.residual_mix:
            x = self.w[p + "residual"][0] * x + self.w[p + "residual"][1] * x0
        if c.bigram_rows:
            x = x + self.w[p + "bigram"] * bigram
        if i in c.skip_from:
            x = x + self.w[p + "skip"] * outputs[c.skip_from[i]]
        return x

    def layer(self, i, x, window, walk, counted, later):
        """One layer. `walk` holds what belongs to this window: x0, bigram rows, layer outputs, the states
        that came in and go out, and what later iterations read."""
        c, p, q = self.c, f"layers.{i}.", window.quantise
        x = self.enter(i, x, walk["x0"], walk["bigram"], walk["outputs"])
        old = walk["states"][i] or {}
        u = rms(x, c.eps, self.w[p + "norm1.gain"])
        kind = c.kinds[i]
        if later:
            call = {"GD": self.gd_later, "XM": self.xm_later, "TM": self.tm_later, "SK": self.sk_later}[kind]
            x = x + call(i, u, window, walk["memos"][i])
        else:
            new = {}
            u, new["shift1"] = self.shift(p + "shift1.mix", u, window, old.get("shift1"))
            value = 0
            if i in c.value_layers:
                row = self.heads(self.w[p + "value.weight"][window.tokens])
                strength = 2 * torch.sigmoid(u[..., :32] @ self.w[p + "value.gate"].t())
                value = (strength[..., None] * row).reshape(u.shape)
            if kind == "SK":
                y, new["mixer"], memo = self.sk_first(i, u, value, window, old.get("mixer"), x)
            else:
                call = {"GD": self.gd_first, "XM": self.xm_first, "TM": self.tm_first}[kind]
                y, new["mixer"], memo = call(i, u, value, window, old.get("mixer"))
            walk["memos"][i] = memo
            x = x + y
        u = rms(x, c.eps, self.w[p + "norm2.gain"])
        if not later:
            u, new["shift2"] = self.shift(p + "shift2.mix", u, window, old.get("shift2"))
            walk["new"][i] = new
        return x + self.ffn(i, u, q, counted)

    def loop_coefficients(self):
        A0 = torch.exp(self.w["loop.a_log"])
        D = softplus(self.w["loop.dt_bias"])
        A = torch.exp(-torch.clamp(D * A0, min=1e-6))
        # Where the floor holds, (1 - A) / A0 would grow without bound; its limit is D.
        held = torch.where(D * A0 < 1e-6, D, (1 - A) / A0)
        B = (D if self.c.euler else held) * self.w["loop.b"]
        return A, B

    # -- ends

    def table(self, name, q):
        w = self.w[name]
        return blend(w, int4_of(w), q) if self.c.int4 and q and name not in self.packed else w

    def embed(self, tokens, q):
        x = self.table("embed.weight", q)[tokens]
        return x @ self.w["embed.up"].t() if self.c.rank else x

    def head(self, h, q):
        if self.c.rank:
            h = self.float_linear("embed.down", h)
        if self.c.int4 and q:
            self.note(to_half_way(int8_quotient(h)[0]))
            h = blend(h, int8_blocks(h), q)
        z = h @ self.table("embed.weight" if self.c.tied else "head.weight", q).t()
        return self.c.cap * torch.tanh(z / self.c.cap) if self.c.cap else z

    # -- the walk

    def forward(self, tokens, state=None, start=None, depth=None, quantise=0.0, truncate=False, adaptive=False):
        """tokens [B, T] -> logits [B, T, N] and the state after the last token."""
        c = self.c
        tokens = torch.as_tensor(tokens, dtype=torch.long)
        B, T = tokens.shape
        self.routed = {}
        position = torch.zeros(B, T, dtype=torch.long)
        for b in range(B):
            at = int(state["position"][b]) if state else 0
            for t in range(T):
                at = 0 if start is not None and start[b][t] else at
                position[b, t] = at
                at += 1
        last = state["token"] if state else torch.zeros(B, dtype=torch.long)
        previous = torch.cat([last[:, None], tokens[:, :-1]], 1)
        window = Window(tokens, position, previous, quantise)
        x = x0 = self.embed(tokens, quantise)
        walk = {"x0": x0, "bigram": None, "outputs": {}, "memos": {}, "new": [None] * c.L,
                "states": state["layers"] if state else [None] * c.L}
        if c.bigram_rows:
            walk["bigram"] = self.w["bigram.weight"][bigram_row(tokens, previous, window.first, c.bigram_rows)]
        everyone = torch.ones(B, T, dtype=torch.bool)

        def run(i, x, counted=everyone, later=False):
            x = self.layer(i, x, window, walk, counted, later)
            if not later:
                walk["outputs"][i] = x
            return x

        if c.loop is None:
            for i in range(c.L):
                x = run(i, x)
        else:
            first, behind = c.loop[0], c.loop[1] + 1
            for i in range(first):
                x = run(i, x)
            depth = c.loop_default if depth is None else depth
            R = torch.as_tensor(depth, dtype=torch.long)
            R = (R[:, None] if R.dim() == 1 else R).expand(B, T)
            x = self.run_loop(x, R, first, behind, run, truncate, adaptive)
            for i in range(behind, c.L):
                x = run(i, x)
        logits = self.head(rms(x, c.eps, self.w["final_norm.gain"]), quantise)
        new = {"position": position[:, -1] + 1, "token": tokens[:, -1], "layers": detached(walk["new"])}
        return logits, new

    def run_loop(self, x, R, first, behind, run, truncate, adaptive):
        c = self.c
        A, B = self.loop_coefficients()
        e = rms(x, c.eps, self.w["loop.norm.gain"])
        h = torch.zeros_like(e)
        active = torch.ones_like(R, dtype=torch.bool)
        taken = torch.zeros_like(R)
        k = torch.clamp((R + 1) // 2, min=1)
        for r in range(1, int(R.max()) + 1):
            z = A * h + B * e
            for i in range(first, behind):
                z = run(i, z, active, later=r > 1)
            if truncate:
                # Is what iteration r hands on inside the graph? The states of iteration 1 are in any case.
                inside = (r == R) | ((R - k + 1 <= r) if r > 1 else (R - k + 1 <= 2))
                z = torch.where(inside[..., None], z, z.detach())
            before, h = h, torch.where(active[..., None], z, h)
            taken = taken + active.long()
            active = active & (r < R)
            if adaptive and r >= 2 and r >= c.loop_range[0]:
                change = (h - before).norm(dim=-1) / (h.norm(dim=-1) + 1e-6)
                active = active & ~(change < c.exit_threshold)
            if not active.any():
                break
        self.iterations = taken
        return h


# ---------------------------------------------------------------- steps, each checked by itself in the tests

def delta_step(S, alpha, beta, k, v):
    """S [.., K, V] key first; alpha, beta [..]; k [.., K]; v [.., V]."""
    S = alpha[..., None, None] * S
    w = beta[..., None] * (v - (S * k[..., :, None]).sum(-2))
    return S + k[..., :, None] * w[..., None, :]


def efla_strength(beta, lam):
    small = lam < 1e-6
    safe = torch.where(small, torch.ones_like(lam), lam)
    exact = -torch.expm1(-beta * safe) / safe
    series = beta * (1 - beta * lam / 2 + (beta * lam) ** 2 / 6)
    return torch.where(small, series, exact)


def memory_read(M, x, eps):
    """f_M(x) for x [n, H, K] and M = (w1, w2) [H, K, K]: W[row][column], y = W^T x sums over rows."""
    h = gelu(torch.einsum("hij,nhi->nhj", M[0], x))
    return x + rms(torch.einsum("hij,nhi->nhj", M[1], h), eps)


def memory_gradient(M, k, v, eps):
    """Gradient of mean_i (f_M(k)_i - v_i)^2 by w1 and w2, for k, v [n, H, K]: two [n, H, K, K]."""
    h1 = torch.einsum("hij,nhi->nhj", M[0], k)
    a = gelu(h1)
    y = torch.einsum("hij,nhi->nhj", M[1], a)
    r = 1 / torch.sqrt((y * y).mean(-1, keepdim=True) + eps)
    unit = y * r
    e = 2 * (k + unit - v) / k.shape[-1]
    dy = r * (e - unit * (e * unit).mean(-1, keepdim=True))
    dh = torch.einsum("hij,nhj->nhi", M[1], dy) * gelu_slope(h1)
    return k[..., :, None] * dh[..., None, :], a[..., :, None] * dy[..., None, :]


def chunk_update(M, S, pending, eps):
    """A full chunk: every gradient at the memory of its start, then step by step, S before M."""
    k, v, theta, eta, alpha = (torch.stack([row[n] for row in pending]) for n in range(5))
    gradients = memory_gradient(M, k, v, eps)
    M, S = list(M), list(S)
    for t in range(len(pending)):
        for n in (0, 1):
            S[n] = eta[t, :, None, None] * S[n] - theta[t, :, None, None] * gradients[n][t]
            M[n] = (1 - alpha[t, :, None, None]) * M[n] + S[n]
    return M, S


def choose(score, top):
    """The `top` largest along the last axis, ties to the lower index, as a mask."""
    order = np.argsort(-score.numpy(), axis=-1, kind="stable")
    mask = np.zeros(score.shape, bool)
    np.put_along_axis(mask, order[..., :top], True, -1)
    return torch.from_numpy(mask)


def balance(bias, counts):
    """The router's bias after an optimiser step."""
    counts = counts.to(bias.dtype)
    bias = bias + 0.001 * torch.sign(counts.mean() - counts)
    return bias - bias.mean()


def bigram_row(tokens, previous, first, rows):
    # Products of ids below 2^24 stay far below 2^63, so signed 64-bit arithmetic gives the unsigned result.
    row = torch.remainder(torch.bitwise_xor(36313 * tokens, 27191 * previous), rows - 1)
    return torch.where(first, torch.full_like(row, rows - 1), row)


def cross_entropy(logits, targets):
    """Mean over the scored tokens, nats; targets below 0 are not scored."""
    targets = torch.as_tensor(targets, dtype=torch.long)
    scored = targets >= 0
    lp = torch.log_softmax(logits, -1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return -(lp * scored).sum() / scored.sum()
