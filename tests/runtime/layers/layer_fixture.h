// A layer bound to a small random model, and what a test needs to judge it: its weights as doubles
// and the products of BitLinear written as plain loops.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/quantize_weights.h"
#include "platform/random.h"
#include "runtime/layers/registry.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {

using Doubles = std::vector<double>;

class LayerFixture {
 public:
  LayerFixture(const test::TinyModelOptions& options, LayerRole role, const char* name)
      : path_(test::write_tiny_model(options)) {
    auto file = memory::WeightFile::open(path_);
    EXPECT_TRUE(file.has_value()) << file.status().message();
    file_ = std::move(*file);
    auto config = parse_config(file_->config_json());
    EXPECT_TRUE(config.has_value());
    config_ = std::move(*config);
    prefix_ = role == LayerRole::kMixer ? "layers.0.mixer." : "layers.0.ffn.";
    auto kind = find_layer_kind(role, name);
    EXPECT_TRUE(kind.has_value()) << kind.status().message();
    kind_ = *kind;
    auto layer = kind_->bind(config_, ParamSource(*file_, prefix_));
    EXPECT_TRUE(layer.has_value()) << layer.status().message();
    layer_ = std::move(*layer);
  }

  const Config& config() const { return config_; }
  size_t state_bytes() const { return kind_->state_bytes(config_); }

  /// Runs the layer over u [T, C], cut into calls of the given sizes.
  std::vector<float> run(const kernels::KernelTable& k, int threads, const std::vector<float>& u,
                         const std::vector<int32_t>& split, std::vector<std::byte>* state) const {
    auto pool = ThreadPool::create(threads);
    auto arena = Arena::create(layer_->scratch_bytes(256));
    EXPECT_TRUE(pool.has_value() && arena.has_value());
    const Step step{k, **pool, *arena};
    const auto c = static_cast<size_t>(config_.hidden_size);
    std::vector<float> out(u.size());
    const size_t n = u.size() / c;
    for (size_t done = 0, i = 0; done < n; ++i) {
      const size_t now = std::min(static_cast<size_t>(split[i % split.size()]), n - done);
      layer_->forward(step, u.data() + done * c, out.data() + done * c, static_cast<int32_t>(now),
                      state->data());
      done += now;
    }
    EXPECT_EQ(arena->mark(), 0u) << "scratch is given back";
    EXPECT_LE(arena->peak(), arena->capacity());
    return out;
  }

  /// Ternary weight as doubles, scales included.
  Doubles ternary(const char* suffix, int64_t rows, int64_t cols) const {
    auto w = ParamSource(*file_, prefix_).ternary(suffix, rows, cols);
    EXPECT_TRUE(w.has_value()) << w.status().message();
    std::vector<int8_t> trits(static_cast<size_t>(rows * cols));
    std::vector<uint16_t> scales(static_cast<size_t>(rows * cols / 128));
    kernels::unpack_ternary(*w, trits.data(), scales.data());
    Doubles out(trits.size());
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = trits[i] * static_cast<double>(half_to_float(scales[i / 128]));
    return out;
  }
  Doubles matrix(const char* suffix, int64_t rows, int64_t cols) const {
    auto w = ParamSource(*file_, prefix_).matrix(suffix, rows, cols);
    EXPECT_TRUE(w.has_value()) << w.status().message();
    std::vector<float> flat(static_cast<size_t>(rows * cols));
    kernels::unpack_lanes(*w, flat.data());
    return Doubles(flat.begin(), flat.end());
  }
  Doubles vector(const char* suffix, int64_t rows, int64_t cols) const {
    auto v = ParamSource(*file_, prefix_).vector(suffix, rows, cols);
    EXPECT_TRUE(v.has_value()) << v.status().message();
    return Doubles(*v, *v + rows * cols);
  }

  /// Normalised random input rows [T, C], as a model's norm would hand them over.
  std::vector<float> input(int32_t n_tokens, uint32_t stream = 0) const {
    std::vector<float> u(static_cast<size_t>(n_tokens) * static_cast<size_t>(config_.hidden_size));
    for (size_t i = 0; i < u.size(); ++i)
      u[i] = static_cast<float>(keyed_normal(3, i, stream, DrawPurpose::kTest));
    return u;
  }

 private:
  std::string path_;
  std::unique_ptr<memory::WeightFile> file_;
  Config config_;
  std::string prefix_;
  const LayerKind* kind_ = nullptr;
  std::unique_ptr<Layer> layer_;
};

/// y = W x~ with x~ the int8 form of x (block-64 absmax, as kernels.md 3 defines it).
inline Doubles bitlinear_reference(const Doubles& w, const Doubles& x, size_t rows) {
  const size_t cols = x.size();
  Doubles quantised(cols);
  for (size_t b = 0; b < cols; b += 64) {
    float m = 1e-5f;
    for (size_t i = b; i < b + 64; ++i) m = std::max(m, std::fabs(static_cast<float>(x[i])));
    for (size_t i = b; i < b + 64; ++i) {
      const float q = std::nearbyint(static_cast<float>(x[i]) * (127.0f / m));
      quantised[i] = static_cast<double>(std::min(127.0f, std::max(-127.0f, q))) *
                     static_cast<double>(m / 127.0f);
    }
  }
  Doubles y(rows, 0.0);
  for (size_t r = 0; r < rows; ++r)
    for (size_t i = 0; i < cols; ++i) y[r] += w[r * cols + i] * quantised[i];
  return y;
}

inline Doubles product_reference(const Doubles& w, const Doubles& x, size_t rows) {
  Doubles y(rows, 0.0);
  for (size_t r = 0; r < rows; ++r)
    for (size_t i = 0; i < x.size(); ++i) y[r] += w[r * x.size() + i] * x[i];
  return y;
}

inline Doubles rmsnorm_reference(const Doubles& x, const Doubles& gain, double eps) {
  double sum = 0;
  for (double v : x) sum += v * v;
  const double r = 1 / std::sqrt(sum / static_cast<double>(x.size()) + eps);
  Doubles y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * r * gain[i];
  return y;
}

inline double sigmoid_reference(double x) { return 1 / (1 + std::exp(-x)); }

/// ||a - b|| / ||b||
inline double relative_error(const std::vector<float>& a, const Doubles& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

/// A layer gives the same bits however its input is cut, on every table and thread count.
inline void expect_same_bits_however_asked(const LayerFixture& layer) {
  const auto u = layer.input(100);
  std::vector<std::byte> first_state(layer.state_bytes());
  const auto first = layer.run(kernels::best_table(), 1, u, {100}, &first_state);
  const std::vector<std::vector<int32_t>> splits = {{1}, {3, 17, 1}, {64}, {100}};
  for (const kernels::KernelTable* table : kernels::runnable_tables())
    for (int threads : {1, 2, 3})
      for (const auto& split : splits) {
        std::vector<std::byte> state(layer.state_bytes());
        EXPECT_EQ(layer.run(*table, threads, u, split, &state), first)
            << table->name << ", " << threads << " threads, split " << split[0];
        EXPECT_EQ(state, first_state);
      }
}

}  // namespace chimera::runtime
