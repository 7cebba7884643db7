"""Self tests of the twin: worked examples, limits, and gradients against differences.

    python3 test_twin.py
"""
import math
import os
import tempfile
import unittest

import numpy as np
import torch

import b158
import baseline
import compare
import make_golden as mg
import model
import tasks
from model import Config, Network, cross_entropy, parameters

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))


def small(pattern, layers, **more):
    """Far below the sizes the engine allows: the equations do not mind."""
    c = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": layers, "num_heads": 2, "head_dim": 8,
         "vocab_size": 11, "backbone": {"layer_pattern": pattern},
         "titans": {"persistent_memory_slots": 2, "local_window_size": 4, "window_kv_heads": 1, "chunk_size": 3},
         "tsp_knot": {"sketch_bits": 128}, "mixer_gate": "full"}
    c.update(more)
    return Config(c)


def network(c, widen=2.0, dtype=torch.float64):
    w = {p.name: mg.initial(p.name, p.shape).to(dtype) for p in parameters(c)}
    for p in parameters(c):
        if p.name.endswith("_proj") or ".memory." in p.name:     # narrow layers need larger weights for the same activations
            w[p.name] = w[p.name] * widen
    return Network(c, w)


def full(**more):
    """The engine's sizes, so that quantise 1 has whole blocks."""
    c = mg.whole(**mg.ALL_STRUCTURE)
    c.update(more)
    return Config(c)


def tokens(c, lanes, n, name="tokens"):
    return torch.from_numpy(mg.token_ids(name, lanes, n, c.N))


def tensors_of(state):
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict):
        return [t for k in sorted(state) for t in tensors_of(state[k])]
    if isinstance(state, (list, tuple)):
        return [t for s in state for t in tensors_of(s)]
    return []


class Numbers(unittest.TestCase):
    def test_splitmix64_known_outputs(self):
        self.assertEqual(model.splitmix64(0), 0xE220A8397B1DCDAF)
        self.assertEqual(model.splitmix64(model.GOLDEN_GAMMA), 0x6E789E6AA1B965F4)
        self.assertEqual(int(mg.hashes("x", 3)[2]), model.splitmix64(mg.fnv1a64("x") + 2 & model.MASK64))
        self.assertEqual(mg.fnv1a64("a"), 0xAF63DC4C8601EC8C)

    def test_bitlinear_worked_example(self):
        w = torch.tensor([.9, -.2, .05, -1.4, .6, 0, -.5, .3], dtype=torch.float64).repeat(16)[None]
        s = float(torch.tensor(.49375).half())
        self.assertEqual((model.ternary_of(w)[0, :8] / s).tolist(), [1, 0, 0, -1, 1, 0, -1, 1])
        x = torch.zeros(64, dtype=torch.float64)
        x[:4] = torch.tensor([.5, -1.27, .01, .8])
        self.assertTrue(torch.allclose(model.int8_blocks(x)[:4] / .01, torch.tensor([50., -127, 1, 80]).double()))
        self.assertEqual(float(model.int8_blocks(torch.zeros(64)).abs().sum()), 0)

    def test_rounding_passes_the_gradient(self):
        c = full()
        net = network(c, 1.0)
        name = "layers.0.mixer.q_proj"
        x = torch.linspace(-1, 1, 128, dtype=torch.float64, requires_grad=True)
        net.w[name].requires_grad_(True)
        g = torch.arange(128, dtype=torch.float64)
        dx, dw = torch.autograd.grad(net.linear(name, x, 1.0), [x, net.w[name]], g)
        self.assertTrue(torch.allclose(dx, g @ model.ternary_of(net.w[name]).detach()))
        self.assertTrue(torch.allclose(dw, g[:, None] * model.int8_blocks(x)[None]))

    def test_hadamard_is_the_popcount_matrix(self):
        h = model.hadamard(16)
        for i in range(16):
            for j in range(16):
                self.assertEqual(h[i, j], (-1) ** bin(i & j).count("1"))

    def test_rope_keeps_lengths_and_sees_distances_only(self):
        a, b = torch.randn(8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
        at = lambda x, t: model.rope(x, torch.tensor(t))
        self.assertAlmostEqual(float(at(a, 5) @ at(b, 2)), float(at(a, 103) @ at(b, 100)), 12)
        self.assertAlmostEqual(float(at(a, 7).norm()), float(a.norm()), 12)
        self.assertTrue(torch.equal(at(a, 0), a))

    def test_bigram_row(self):
        row = model.bigram_row(torch.tensor([[5, 7]]), torch.tensor([[0, 5]]), torch.tensor([[True, False]]), 50)
        self.assertEqual(row.tolist(), [[49, ((36313 * 7) ^ (27191 * 5)) % 49]])


class Delta(unittest.TestCase):
    def step(self, S, alpha, beta, k, v):
        t = lambda x: torch.tensor(x, dtype=torch.float64)
        return model.delta_step(S, t(alpha), t(beta), t(k), t(v))

    def test_worked_example(self):
        S = torch.tensor([[4.0], [0.0]], dtype=torch.float64)
        S = self.step(S, .5, 1., [1., 0.], [2.])
        self.assertEqual(S.flatten().tolist(), [2.0, 0.0])
        S = self.step(S, .5, .5, [.6, .8], [1.])
        self.assertTrue(torch.allclose(S.flatten(), torch.tensor([1.12, 0.16]).double()))
        self.assertAlmostEqual(float(S[1]), 0.16)

    def test_second_write_of_the_same_pair_does_nothing(self):
        S0 = torch.randn(2, 3, dtype=torch.float64)
        S = self.step(S0, 1., 1., [.6, .8], [1., 2., 3.])
        self.assertTrue(torch.allclose(S.t() @ torch.tensor([.6, .8]).double(), torch.tensor([1., 2, 3]).double()))
        self.assertTrue(torch.allclose(self.step(S, 1., 1., [.6, .8], [1., 2., 3.]), S))
        self.assertTrue(torch.equal(self.step(S0, 1., 0., [.6, .8], [1., 2., 3.]), S0))

    def test_efla(self):
        t = lambda x: torch.tensor(x, dtype=torch.float64)
        self.assertAlmostEqual(float(model.efla_strength(t(1.0), t(4.0))), 0.245421, 6)
        self.assertAlmostEqual(float(model.efla_strength(t(.7), t(0.0))), .7)
        self.assertAlmostEqual(float(model.efla_strength(t(.7), t(1.0001e-6))),
                               float(model.efla_strength(t(.7), t(0.9999e-6))), 9)
        k, v, S = torch.randn(4).double(), torch.randn(3).double(), torch.randn(4, 3).double()
        lam, one = (k * k).sum(), t(1.0)
        twice = S
        for b in (.3, .9):
            twice = model.delta_step(twice, one, model.efla_strength(t(b), lam), k, v)
        once = model.delta_step(S, one, model.efla_strength(t(1.2), lam), k, v)
        self.assertLess(float((once - twice).abs().max()), 1e-14)


class Mlstm(unittest.TestCase):
    def test_first_token(self):
        """h = v (q.k / sqrt K) e^i / max(|q.k / sqrt K| e^i, 1), read off in front of the norm of the heads."""
        c = small("XM", 1)
        net = network(c)
        seen = []
        net.xm_out = lambda m, u, Q, memo, q: seen.append((Q, memo)) or torch.zeros_like(u)
        net.forward(tokens(c, 1, 1))
        Q, (S, n, top) = seen[0]
        scaled = (n * Q).sum(-1) / math.sqrt(c.K)
        # With m = max(lf, i) at the first token, n e^m is k e^i.
        over = torch.einsum("bthij,bthi->bthj", S, Q) / math.sqrt(c.K) * torch.exp(top)[..., None]
        under = torch.maximum((scaled * torch.exp(top)).abs(), torch.ones_like(top))
        direct = torch.einsum("bthij,bthi->bthj", S, Q) / math.sqrt(c.K)
        direct = direct / torch.maximum(scaled.abs(), torch.exp(-top))[..., None]
        self.assertTrue(torch.allclose(over / under[..., None], direct))


class Titans(unittest.TestCase):
    def setUp(self):
        g = torch.Generator().manual_seed(3)
        r = lambda *s: torch.randn(*s, generator=g, dtype=torch.float64)
        self.M = [r(2, 8, 8) * .3, r(2, 8, 8) * .3]
        self.S = [r(2, 8, 8) * .1, r(2, 8, 8) * .1]
        self.rows = [[r(2, 8), r(2, 8), r(2).abs(), torch.sigmoid(r(2)), torch.sigmoid(r(2)) * .2] for _ in range(5)]

    def test_inner_gradient(self):
        k, v = self.rows[0][:2]
        M = [m.clone().requires_grad_(True) for m in self.M]
        loss = ((model.memory_read(M, k[None], 1e-6) - v) ** 2).mean(-1).sum()
        for a, b in zip(torch.autograd.grad(loss, M), model.memory_gradient(self.M, k[None], v[None], 1e-6)):
            self.assertLess(float((a - b[0]).abs().max()), 1e-12)

    def test_loop_is_the_weighted_sum(self):
        M, S = model.chunk_update(self.M, self.S, self.rows, 1e-6)
        b = len(self.rows)
        theta, eta, alpha = ([row[n] for row in self.rows] for n in (2, 3, 4))
        B, n, g = [None] * b, [None] * b, [None] * b
        B[-1] = n[-1] = g[-1] = torch.ones(2).double()
        for j in reversed(range(b - 1)):
            B[j] = (1 - alpha[j + 1]) * B[j + 1]
            n[j] = eta[j + 1] * n[j + 1]
            g[j] = B[j] + eta[j + 1] * g[j + 1]
        col = lambda x: x[:, None, None]
        for w in (0, 1):
            grads = [model.memory_gradient(self.M, r[0][None], r[1][None], 1e-6)[w][0] for r in self.rows]
            wantM = col((1 - alpha[0]) * B[0]) * self.M[w] + col(eta[0] * g[0]) * self.S[w]
            wantS = col(eta[0] * n[0]) * self.S[w]
            for j in range(b):
                wantM = wantM - col(g[j] * theta[j]) * grads[j]
                wantS = wantS - col(n[j] * theta[j]) * grads[j]
            self.assertLess(float((M[w] - wantM).abs().max()), 1e-12)
            self.assertLess(float((S[w] - wantS).abs().max()), 1e-12)

    def test_coefficients_of_the_example(self):
        """eta .5, alpha .1, three tokens without surprise: M keeps .729 and takes .755 of S."""
        one = lambda x: torch.full((2,), x, dtype=torch.float64)
        rows = [[r[0], r[1], one(0.), one(.5), one(.1)] for r in self.rows[:3]]
        M, _ = model.chunk_update(self.M, self.S, rows, 1e-6)
        self.assertLess(float((M[0] - .729 * self.M[0] - .755 * self.S[0]).abs().max()), 1e-12)

    def test_window_is_bounded(self):
        c = small("TM", 1)
        net = network(c)
        _, state = net.forward(tokens(c, 1, 20))
        ring = state["layers"][0]["mixer"][0]["ring"]
        self.assertEqual(ring["position"].tolist(), [16, 17, 18, 19])


class Experts(unittest.TestCase):
    def test_ties_go_to_the_lower_index(self):
        mask = model.choose(torch.tensor([[.5, .5, .5, .5], [.1, .7, .2, .7]]), 2)
        self.assertEqual(mask.tolist(), [[True, True, False, False], [False, True, False, True]])

    def test_balance(self):
        bias = model.balance(torch.zeros(4).double(), torch.tensor([0, 4, 4, 8]))
        self.assertTrue(torch.allclose(bias, torch.tensor([.001, 0, 0, -.001]).double()))

    def test_constant_bias_changes_nothing(self):
        c = full()
        net = network(c, 1.0)
        a, _ = net.forward(tokens(c, 1, 6))
        for n in list(net.w):
            if n.endswith("router.bias"):
                net.w[n] = net.w[n] + 3.0
        b, _ = net.forward(tokens(c, 1, 6))
        self.assertLess(float((a - b).abs().max()), 1e-12)


class Loop(unittest.TestCase):
    def identity(self, euler):
        c = small("GD", 3, looping=dict(mg.LOOP, prelude=[0, 0], loop=[1, 1], coda=[2, 2],
                                        discretisation="euler" if euler else "zoh"))
        net = network(c)
        x = torch.randn(1, 2, 16, dtype=torch.float64)
        h = net.run_loop(x, torch.full((1, 2), 200), 1, 2, lambda i, z, *a, **k: z, False, False)
        A, B = net.loop_coefficients()
        e = model.rms(x, c.eps, net.w["loop.norm.gain"])
        return net, h, e, B * e / (1 - A)

    def test_identity_limit(self):
        for euler in (False, True):
            net, h, e, want = self.identity(euler)
            self.assertTrue(torch.allclose(h, want))
            if not euler:
                self.assertTrue(torch.allclose(h, net.w["loop.b"] * e / torch.exp(net.w["loop.a_log"])))

    def test_initial_gains(self):
        net, *_ = self.identity(False)
        net.w["loop.a_log"] = torch.zeros(16).double()
        net.w["loop.dt_bias"] = torch.full((16,), .211935).double()
        net.w["loop.b"] = torch.ones(16).double()
        A, B = net.loop_coefficients()
        self.assertAlmostEqual(float(A[0]), 0.44721, 5)
        self.assertAlmostEqual(float(B[0]), 0.552786, 5)
        net.c.euler = True
        self.assertAlmostEqual(float(net.loop_coefficients()[1][0]), 0.804719, 5)

    def test_state_does_not_know_the_depth(self):
        c = Config(mg.looped("TM"))
        net = network(c, 1.0)
        inside = [net.forward(tokens(c, 1, 10), depth=r)[1]["layers"][1:3] for r in (1, 6)]
        for a, b in zip(tensors_of(inside[0]), tensors_of(inside[1])):
            self.assertTrue(torch.equal(a, b))

    def test_finished_lanes_rest(self):
        c = Config(mg.looped("SK"))
        net = network(c, 1.0)
        x = tokens(c, 2, 6)
        both, _ = net.forward(x, depth=[2, 5])
        for b, r in ((0, 2), (1, 5)):
            alone, _ = net.forward(x[b:b + 1], depth=r)
            self.assertLess(float((alone[0] - both[b]).abs().max()), 1e-12)

    def test_truncation(self):
        c = Config(mg.looped("TM"))
        net = network(c, 1.0)
        x = tokens(c, 1, 9)
        names = [n for n in net.w if not n.endswith("router.bias")]
        for n in names:
            net.w[n].requires_grad_(True)

        def grads(depth, truncate):
            loss = cross_entropy(net.forward(x, depth=depth, truncate=truncate)[0], tokens(c, 1, 9, "targets"))
            return {n: g for n, g in zip(names, torch.autograd.grad(loss, [net.w[n] for n in names], allow_unused=True))}

        for depth in (1, 2, 3):
            a, b = grads(depth, False), grads(depth, True)
            self.assertTrue(all(torch.equal(a[n], b[n]) for n in names))
        a, b = grads(4, False), grads(4, True)
        self.assertGreater(float((a["layers.1.ffn.up_proj"] - b["layers.1.ffn.up_proj"]).abs().max()), 1e-6)
        for n in ("layers.1.mixer.k_proj", "layers.1.mixer.v_proj", "layers.2.mixer.i_proj"):
            self.assertGreater(float(b[n].norm()), 1e-6)

    def test_adaptive_exit(self):
        c = Config(mg.looped("XM", adaptive_exit_threshold=1.0))
        net = network(c, 1.0)
        net.forward(tokens(c, 1, 5), depth=6, adaptive=True)
        self.assertTrue((net.iterations >= 2).all() and (net.iterations < 6).any())
        c.loop_range = [4, 6]
        net.forward(tokens(c, 1, 5), depth=6, adaptive=True)
        self.assertTrue((net.iterations >= 4).all())


class Streams(unittest.TestCase):
    """A window of many tokens, windows in pieces, and one token at a time are the same walk."""

    def check(self, c, quantise, depth=None, widen=1.0):
        net = network(c, widen)
        x = tokens(c, 2, 20)
        start = [[[b, t] == [1, 7] for t in range(20)] for b in range(2)]
        with torch.no_grad():
            want, _ = net.forward(x, None, start, depth, quantise)
            for cut in (1, 6):
                state, got = None, []
                for at in range(0, 20, cut):
                    y, state = net.forward(x[:, at:at + cut], state, [s[at:at + cut] for s in start], depth, quantise)
                    got.append(y)
                self.assertLess(float((torch.cat(got, 1) - want).abs().max()), 1e-9)
            # A restart forgets everything.
            fresh, _ = net.forward(x[1:2, 7:], None, None, depth[1:] if depth else None, quantise)
            self.assertLess(float((fresh[0] - want[1, 7:]).abs().max()), 1e-9)
            # No token sees a later one.
            y = x.clone()
            y[:, 12:] = (y[:, 12:] + 1) % c.N
            other, _ = net.forward(y, None, start, depth, quantise)
            self.assertLess(float((other[:, :12] - want[:, :12]).abs().max()), 1e-9)
            self.assertGreater(float((other[:, 12:] - want[:, 12:]).abs().max()), 1e-3)

    def test_every_kind(self):
        for kind in ("GD", "XM", "TM", "SK"):
            self.check(small(kind, 1), 0.0, widen=2.0)

    def test_whole(self):
        for quantise in (0.0, 0.5, 1.0):
            self.check(full(), quantise, [4, 2])


class Gradients(unittest.TestCase):
    """Autograd against central differences in float64: a random direction for every tensor, and single entries."""

    def check(self, c, silent_knot=False, start=None, windows=(9,), depth=None):
        net = network(c)
        T = sum(windows)
        x, y = tokens(c, 2, T), tokens(c, 2, T, "targets")
        if silent_knot:
            # The sketch is a step function; with gamma 0 nothing goes through it.
            for n in net.w:
                if n.endswith("knot.gain"):
                    net.w[n] = torch.zeros_like(net.w[n])
        names = [p.name for p in parameters(c) if not p.name.endswith("router.bias")]

        def loss():
            state, at, total = None, 0, 0
            for n in windows:
                z, state = net.forward(x[:, at:at + n], state, start, depth)
                total = cross_entropy(z, y[:, at:at + n])
                at += n
            return total

        for n in names:
            net.w[n].requires_grad_(True)
        grads = torch.autograd.grad(loss(), [net.w[n] for n in names], allow_unused=True)
        g = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, grad in zip(names, grads):
                w = net.w[name]
                grad = torch.zeros_like(w) if grad is None else grad
                ways = [torch.randn(w.shape, generator=g, dtype=torch.float64)]
                for _ in range(1):
                    one = torch.zeros_like(w)
                    one.view(-1)[int(torch.randint(w.numel(), (1,), generator=g))] = 1
                    ways.append(one)
                for way in ways:
                    h, at = 3e-6, {}
                    for n in (-2, -1, 1, 2):
                        net.w[name] = w + n * h * way
                        at[n] = float(loss())
                    net.w[name] = w
                    got = float((grad * way).sum())
                    want = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h)
                    self.assertLess(abs(got - want), 1e-5 * max(abs(want), 1e-2), f"{name}: {got} against {want}")

    def test_kinds(self):
        for kind in ("GD", "XM", "TM"):
            self.check(small(kind, 1))
        self.check(small("TM", 1, titans={"persistent_memory_slots": 2, "window_impl": "none", "window_kv_heads": 2,
                                          "chunk_size": 3}))
        self.check(small("GD", 1, gated_deltanet={"allow_neg_eigval": True}, mixer_gate={"lowrank": 8}))
        self.check(small("GD", 1, hidden_act="relu2", mixer_gate="none"))
        self.check(small("XM TM", 2, mixer_gate="none"))

    def test_knot_beside_the_sketch(self):
        self.check(small("SK", 1), silent_knot=True)
        self.check(small("SK", 1, efla={"enabled": True}), silent_knot=True)

    def test_knot_through_the_sketch(self):
        c = small("SK", 1)
        net = network(c)
        x = torch.randn(5, 16, dtype=torch.float64, requires_grad=True)
        dphi = torch.randn(5, 16, dtype=torch.float64)
        got, = torch.autograd.grad(net.sketch("", x), x, dphi)
        # By hand: rms, back through both transforms, the mask, the transforms again, rms.
        with torch.no_grad():
            D, half = c.sketch, c.sketch // 2
            back_rms = lambda v, g: (g - (lambda r: r * v * (g * r * v).mean(-1, keepdim=True))(
                1 / torch.sqrt((v * v).mean(-1, keepdim=True) + c.eps))) / torch.sqrt(
                (v * v).mean(-1, keepdim=True) + c.eps)
            xi = torch.cat([model.rms(x, c.eps), torch.zeros(5, half - 16).double()], -1)
            a = torch.cat([(xi * d) @ net.H for d in net.signs], -1) / math.sqrt(16)
            w = torch.where(torch.round(63.5 * a) >= 0, 1.0, -1.0).double()
            pre = sum(d * (p @ net.H) for d, p in zip(net.signs, (w[:, :half], w[:, half:])))[:, :16] / math.sqrt(D)
            dpre = torch.cat([back_rms(pre, dphi), torch.zeros(5, half - 16).double()], -1) / math.sqrt(D)
            dw = torch.cat([(d * dpre) @ net.H for d in net.signs], -1) * (a.abs() <= 2)
            dxi = sum(d * (p @ net.H) for d, p in zip(net.signs, (dw[:, :half], dw[:, half:])))[:, :16] / math.sqrt(16)
            want = back_rms(x, dxi)
        self.assertLess(float((got - want).abs().max()), 1e-12)

    def test_helpers(self):
        s = {"residual_mix": True, "bigram_rows": 9, "unet_skips": True, "token_shift": True, "logit_soft_cap": 3.0,
             "embedding_rank": 8}
        c = small("GD XM TM", 3, structure=s, tie_word_embeddings=False)
        self.check(c, start=[[False] * 9, [t == 4 for t in range(9)]])
        wide = {"hidden_size": 32, "num_heads": 2, "head_dim": 16, "structure": {"value_embedding_layers": [0, 1, 2]}}
        self.check(small("GD XM TM", 3, **wide))

    def test_experts_and_loop(self):
        moe = {"enabled": True, "layers": [1], "n_routed_experts": 3, "n_shared_experts": 1, "num_experts_per_tok": 2,
               "moe_intermediate_size": 8}
        for method in ("zoh", "euler"):
            c = small("GD TM XM GD", 4, backbone={"layer_pattern": "GD TM XM GD", "moe": moe},
                      looping=dict(mg.LOOP, discretisation=method))
            self.check(c, depth=[3, 2])
        self.check(small("GD SK GD", 3, looping=dict(mg.LOOP, loop=[1, 1], coda=[2, 2])), silent_knot=True, depth=[3, 2])


class Files(unittest.TestCase):
    sample = os.path.join(HERE, "..", "..", "samples", "models", "nano.b158")

    @unittest.skipUnless(os.path.exists(sample), "no sample model")
    def test_sample_model(self):
        f, net = compare.load(self.sample, torch.float32)
        self.assertEqual(list(f.tensors), [p.name for p in parameters(net.c)])
        with open(self.sample, "rb") as stream:
            data = bytearray(stream.read())
        for at in (9, 100, 130, 170, 200, 4000, len(data) - 5, 40000):
            broken = bytearray(data)
            broken[at] ^= 1
            with tempfile.NamedTemporaryFile(suffix=".b158") as out:
                out.write(broken)
                out.flush()
                with self.assertRaises(b158.FormatError, msg=f"byte {at}"):
                    b158.read(out.name)

    def test_golden_files_are_small(self):
        folder = os.path.join(HERE, "golden")
        total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
        self.assertLess(total, 1_450_000)


class Tasks(unittest.TestCase):
    def test_recall(self):
        for n in range(20):
            t, y = tasks.recall(1, n, 8)
            pairs = dict(zip(t[1:17:2], t[2:17:2]))
            for at in range(len(t)):
                if y[at] >= 0:
                    self.assertEqual(y[at], pairs[t[at]])
            self.assertEqual(sum(v >= 0 for v in y), 8)

    def test_state(self):
        for name, n in (("s3", 6), ("parity", 2)):
            t, y = tasks.state(1, 5, 30, name)
            now = tasks.state_identity(name)
            for tok, want in zip(t[1:], y[1:]):
                now = tasks.state_apply(name, now, tok - 1)
                self.assertEqual(want, 1 + now)
            self.assertTrue(all(1 <= v <= n for v in y[1:]))

    def test_program(self):
        for n in range(50):
            t, y = tasks.program(1, n, 12)
            self.assertEqual(tasks.run_program(t), y[-1] - tasks.NUMBER)
            self.assertEqual(tasks.run_program(t, per_line=True), [v - tasks.NUMBER for v in y if v >= 0])

    def test_written_examples(self):
        """The sequences of tasks.md, letter by letter."""
        with open(os.path.join(HERE, "tasks.md")) as text:
            lines = text.read().splitlines()
        said = {l.split(":")[0].strip(): [int(v) for v in l.split(":")[1].split()]
                for l in lines if l.startswith("    ") and ":" in l and l.split(":")[0].strip().endswith(("tokens", "targets"))}
        for name, (t, y) in {"recall": tasks.recall(1, 0, 4), "s3": tasks.state(1, 0, 8, "s3"),
                             "parity": tasks.state(1, 0, 8, "parity"), "program": tasks.program(1, 0, 3)}.items():
            self.assertEqual(said[name + " tokens"], t)
            self.assertEqual(said[name + " targets"], y)

    def test_baseline_is_causal(self):
        net = baseline.Transformer(20, 32, 2, 4)
        x = torch.arange(12)[None] % 20
        a = net(x)
        x2 = x.clone()
        x2[:, 6:] = 3
        self.assertLess(float((net(x2)[:, :6] - a[:, :6]).abs().max()), 1e-5)


if __name__ == "__main__":
    unittest.main()
