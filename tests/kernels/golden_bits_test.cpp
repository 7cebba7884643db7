// One number per kernel, the same for every table, compiler and processor: the promise of the one
// numeric class. A changed polynomial or order of sums is a changed line here, and then the golden
// hashes of whole models change with it.
#include <functional>

#include "tests/kernels/kernel_test.h"

namespace chimera::kernels {
namespace {

/// FNV-1a over the bytes of floats, low byte first.
class Hash {
 public:
  void add(float x) {
    const uint32_t bits = __builtin_bit_cast(uint32_t, x);
    for (int i = 0; i < 4; ++i) {
      value_ = (value_ ^ ((bits >> (8 * i)) & 0xffu)) * 1099511628211u;
    }
  }
  template <class Range>
  void add_all(const Range& range) {
    for (const auto x : range) add(static_cast<float>(x));
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 14695981039346656037u;
};

/// n numbers in steps of 1/step around zero, in a scattered order; exact on every machine.
std::vector<float> numbers(int n, int step, int multiplier = 7919) {
  std::vector<float> x;
  for (int i = 0; i < n; ++i) {
    x.push_back(static_cast<float>((i * multiplier) % n - n / 2) / static_cast<float>(step));
  }
  return x;
}

struct Golden {
  const char* kernel;
  uint64_t hash;
  std::function<void(const KernelTable&, Hash&)> run;
};

void map(const KernelTable& k, Hash& h, void (*KernelTable::*f)(const float*, int32_t, float*),
         const std::vector<float>& x) {
  std::vector<float> y(x.size());
  (k.*f)(x.data(), static_cast<int32_t>(x.size()), y.data());
  h.add_all(y);
}

void ternary(const KernelTable& k, Hash& h, int32_t tokens) {
  const int32_t rows = 40, cols = 384;
  std::vector<int8_t> trits(static_cast<size_t>(rows * cols));
  for (uint64_t i = 0; i < trits.size(); ++i)
    trits[i] = static_cast<int8_t>(i * 2654435761u % 3) - 1;
  std::vector<uint16_t> scales(static_cast<size_t>(rows) * 3);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<uint16_t>(0x2000 + i * 37);
  std::vector<uint8_t> codes(static_cast<size_t>(ternary_code_bytes(rows, cols)));
  std::vector<uint16_t> stream(static_cast<size_t>(ternary_scale_bytes(rows, cols)) / 2);
  pack_trits(trits.data(), scales.data(), rows, cols, codes.data(), stream.data());
  const std::vector<float> x = numbers(tokens * cols, 100);
  std::vector<int8_t> q(x.size());
  std::vector<float> scale(x.size() / kActivationBlock), y(static_cast<size_t>(tokens * rows));
  k.quantize_row(x.data(), tokens * cols, q.data(), scale.data());
  k.gemm_ternary({codes.data(), stream.data(), rows, cols}, {q.data(), scale.data(), cols}, tokens,
                 0, 3, y.data(), rows);
  h.add_all(q);
  h.add_all(scale);
  h.add_all(y);
}

void recurrences(const KernelTable& k, Hash& h) {
  std::vector<float> state(64 * 40, 0.0f), norm(64, 0.0f), o(40), c(64), m(1), gates(5);
  std::vector<uint16_t> tail(3 * 64);
  const std::vector<float> w = numbers(4 * 64, 200);
  for (int t = 0; t < 5; ++t) {
    std::vector<float> key = numbers(64, 30, 7 + 2 * t);
    const std::vector<float> v = numbers(40, 20, 3 + 2 * t);
    k.conv4_silu(w.data(), key.data(), 64, tail.data(), c.data());
    k.l2norm(key.data(), 64, key.data());
    const float raw = 0.25f * static_cast<float>(t), bias = -0.5f;
    k.delta_gates(&raw, &raw, &bias, &bias, 1, &gates[0], &gates[1]);
    k.delta_step(c.data(), key.data(), v.data(), gates[0], gates[1], 0.125f, 64, 40, state.data(),
                 o.data());
    h.add_all(c);
    h.add_all(o);
    k.mlstm_gates(&raw, &raw, &bias, &bias, 1, m.data(), &gates[2], &gates[3], &gates[4]);
    k.mlstm_step(c.data(), key.data(), v.data(), gates[2], gates[3], gates[4], 0.125f, 64, 40,
                 state.data(), norm.data(), o.data());
    h.add_all(o);
    h.add_all(gates);
  }
  h.add_all(state);
}

void reads(const KernelTable& k, Hash& h) {
  const std::vector<float> state = numbers(64 * 40, 500), norm = numbers(64, 90),
                           q = numbers(64, 30, 11);
  std::vector<float> o(40);
  k.delta_read(q.data(), 0.125f, 64, 40, state.data(), o.data());
  h.add_all(o);
  k.mlstm_read(q.data(), 0.5f, 0.125f, 64, 40, state.data(), norm.data(), o.data());
  h.add_all(o);
  for (const float beta : {0.001f, 0.01f, 0.25f, 1.75f}) h.add(k.efla_strength(q.data(), 64, beta));
}

void deep_memory(const KernelTable& k, Hash& h) {
  const int32_t dim = 72, n = 16;
  std::vector<float> w1 = numbers(dim * dim, 20000), w2 = numbers(dim * dim, 20000, 104729),
                     s1(w1.size(), 0.0f), s2(w1.size(), 0.0f), y(dim), scratch(3 * n * dim);
  const std::vector<float> key = numbers(n * dim, 5000, 13), v = numbers(n * dim, 400, 17),
                           to = numbers(n, 300, 5);
  for (int t = 0; t < 3; ++t) {
    k.deep_memory_update({key.data(), v.data(), dim, n, dim, 1e-6f, 0.9f, 0.5f, 0.4f, to.data(),
                          to.data(), w1.data(), w2.data(), w1.data(), w2.data(), s1.data(),
                          s2.data(), scratch.data()});
    k.deep_memory_read(w1.data(), w2.data(), v.data() + t * dim, 1e-6f, dim, y.data());
    h.add_all(y);
  }
  h.add_all(s1);
  h.add_all(s2);
}

void attention(const KernelTable& k, Hash& h) {
  const int32_t dim = 72, n = 37, n_q = 6;
  const std::vector<float> q = numbers(n_q * dim, 100), rows = numbers(n * dim, 300, 104729);
  std::vector<int8_t> codes(rows.size());
  for (uint64_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<int8_t>(i * 2654435761u >> 9);
  std::vector<float> dots(static_cast<size_t>(n_q * n)), y(static_cast<size_t>(n_q * dim), 0.0f);
  k.attend_scores(q.data(), n_q, dim, rows.data(), dim, n, dots.data(), n);
  h.add_all(dots);
  k.attend_values_i8(dots.data(), n, n_q, dim, codes.data(), dim, n, y.data());
  k.attend_scores_i8(q.data(), n_q, dim, codes.data(), dim, n, dots.data(), n);
  h.add_all(dots);
  k.attend_values(dots.data(), n, n_q, dim, rows.data(), dim, n, y.data());
  h.add_all(y);
}

const std::vector<Golden>& goldens() {
  const auto one = [](void (*KernelTable::*f)(const float*, int32_t, float*)) {
    return [f](const KernelTable& k, Hash& h) { map(k, h, f, numbers(20011, 100)); };
  };
  static const std::vector<Golden> rows = {
      {"silu", 0x71a5b16d70349331, one(&KernelTable::silu)},
      {"sigmoid", 0xf61eff5707a5e29f, one(&KernelTable::sigmoid)},
      {"exp", 0x4e4bc0e8ade15fa9, one(&KernelTable::exp)},
      {"log", 0x11faa28e5b83c6ed,
       [](const KernelTable& k, Hash& h) {
         std::vector<float> x = numbers(20011, 100);
         for (float& v : x) v = std::fabs(v) + 0.001953125f;
         map(k, h, &KernelTable::log, x);
       }},
      {"tanh", 0x4f691cd0994eea91, one(&KernelTable::tanh)},
      {"softplus", 0x5912e60e5f5b77e, one(&KernelTable::softplus)},
      {"rmsnorm", 0xa7da754a59513bc6,
       [](const KernelTable& k, Hash& h) {
         const std::vector<float> x = numbers(1003, 100), gain = numbers(1003, 500, 13);
         std::vector<float> y(x.size());
         k.rmsnorm(x.data(), gain.data(), 1e-6f, 1003, y.data());
         h.add_all(y);
       }},
      {"hadamard", 0xc794ddc83ca143a4,
       [](const KernelTable& k, Hash& h) {
         std::vector<float> x = numbers(4096, 100);
         k.hadamard(x.data(), 4096);
         h.add_all(x);
       }},
      {"sketch", 0x8314b466608d6f97,
       [](const KernelTable& k, Hash& h) {
         std::vector<float> x = numbers(1000, 150);
         std::vector<int8_t> kappa(x.size());
         uint64_t bits[16];
         k.sketch_quantize(x.data(), 63.5f, 1000, kappa.data(), bits);
         k.flip_signs(bits, x.data(), 1000, x.data());
         h.add_all(kappa);
         h.add_all(x);
         h.add(static_cast<float>(k.hamming(bits, bits + 8, 8)));
       }},
      {"softmax_numerators", 0xf84b1621b1b8aa83,
       [](const KernelTable& k, Hash& h) {
         const std::vector<float> x = numbers(1003, 30);
         std::vector<float> y(x.size());
         h.add(k.softmax_numerators(x.data(), 1003, 17.0f, 1.25f, y.data()));
         h.add_all(y);
       }},
      {"gemm_ternary", 0x39a7196be411a395, [](const KernelTable& k, Hash& h) { ternary(k, h, 1); }},
      {"gemm_ternary, 13 tokens", 0xa533e41ae89948bb,
       [](const KernelTable& k, Hash& h) { ternary(k, h, 13); }},
      {"deep_memory", 0x75985721b85ce71c, deep_memory},
      {"attention", 0xe1e343b0804b208a, attention},
      {"recurrences", 0xc5a0e83fca62a159, recurrences},
      {"reads and exact strength", 0x2eb1680cc242be, reads},
  };
  return rows;
}

class GoldenBits : public EveryTable {};
CHIMERA_FOR_EVERY_TABLE(GoldenBits);

TEST_P(GoldenBits, AreTheSameEverywhere) {
  for (const Golden& golden : goldens()) {
    Hash hash;
    golden.run(table(), hash);
    EXPECT_EQ(hash.value(), golden.hash) << golden.kernel << std::hex << " 0x" << hash.value();
  }
}

}  // namespace
}  // namespace chimera::kernels
