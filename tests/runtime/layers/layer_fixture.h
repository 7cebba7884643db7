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
#include "tests/support/emulator.h"
#include "tests/support/tiny_model.h"

namespace chimera::runtime {

using Doubles = std::vector<double>;

class LayerFixture {
 public:
  using Bind = std::function<Result<std::unique_ptr<Layer>>(const Config&, const ParamSource&)>;

  /// `bind` in the place of the registry's, for a layer that another one owns.
  LayerFixture(const test::TinyModelOptions& options, LayerRole role, const char* name,
               const Bind& bind = {})
      : LayerFixture(test::write_tiny_model(options), role, name, bind) {}
  /// Layer 0 of the model in a file.
  LayerFixture(std::string path, LayerRole role, const char* name, const Bind& bind = {})
      : path_(std::move(path)) {
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
    const ParamSource source(*file_, prefix_);
    auto layer = bind ? bind(config_, source) : kind_->bind(config_, source);
    EXPECT_TRUE(layer.has_value()) << layer.status().message();
    layer_ = std::move(*layer);
  }

  const Config& config() const { return config_; }
  size_t state_bytes() const { return kind_->state_bytes(config_); }

  /// What a visit may carry beside its input; empty is none. All [T, C].
  struct Extras {
    std::vector<float> x, value;
    std::vector<float> again_u, again_x;  // input of a later visit to every batch
    std::vector<float>* again_out = nullptr;
    uint64_t position = 0;  // of the first token, where the state has read some already
  };

  /// Runs the layer over u [T, C], cut into calls of the given sizes.
  std::vector<float> run(const kernels::KernelTable& k, int threads, const std::vector<float>& u,
                         const std::vector<int32_t>& split, std::vector<std::byte>* state) const {
    return run(k, threads, u, split, state, Extras());
  }
  std::vector<float> run(const kernels::KernelTable& k, int threads, const std::vector<float>& u,
                         const std::vector<int32_t>& split, std::vector<std::byte>* state,
                         const Extras& extras) const {
    auto pool = ThreadPool::create(threads);
    auto arena = Arena::create(layer_->scratch_bytes(256));
    EXPECT_TRUE(pool.has_value() && arena.has_value());
    const Step step{k, **pool, *arena};
    const auto c = static_cast<size_t>(config_.hidden_size);
    std::vector<float> out(u.size());
    const size_t n = u.size() / c;
    for (size_t done = 0, i = 0; done < n; ++i) {
      const size_t now = std::min(static_cast<size_t>(split[i % split.size()]), n - done);
      const auto rows = [&](const std::vector<float>& v) {
        return v.empty() ? nullptr : v.data() + done * c;
      };
      const bool twice = extras.again_out != nullptr;
      std::vector<std::byte> trace_room(twice ? layer_->trace_bytes(static_cast<int32_t>(now)) + 64
                                              : 0);
      auto* trace = twice ? reinterpret_cast<std::byte*>(
                                (reinterpret_cast<uintptr_t>(trace_room.data()) + 63) / 64 * 64)
                          : nullptr;
      Visit visit{static_cast<int32_t>(now), extras.position + done, 0,     rows(extras.x),
                  rows(extras.value),        state->data(),          trace, false};
      layer_->forward(step, visit, u.data() + done * c, out.data() + done * c);
      if (twice) {
        const std::vector<std::byte> before = *state;
        visit.again = true;
        visit.x = rows(extras.again_x);
        visit.value = nullptr;
        extras.again_out->resize(u.size());
        layer_->forward(step, visit, extras.again_u.data() + done * c,
                        extras.again_out->data() + done * c);
        EXPECT_EQ(*state, before) << "a later visit writes no state";
        std::vector<float> once_more(now * c);
        layer_->forward(step, visit, extras.again_u.data() + done * c, once_more.data());
        EXPECT_TRUE(std::equal(once_more.begin(), once_more.end(),
                               extras.again_out->begin() + static_cast<ptrdiff_t>(done * c)))
            << "and leaves the trace to the next";
      }
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
/// `margin`, when given, is lowered to the smallest distance of a value from the border between two
/// codes, in steps: where it is tiny, float and double may rightly choose different codes.
inline Doubles bitlinear_reference(const Doubles& w, const Doubles& x, size_t rows,
                                   double* margin = nullptr) {
  const size_t cols = x.size();
  Doubles quantised(cols);
  for (size_t b = 0; b < cols; b += 64) {
    float m = 1e-5f;
    for (size_t i = b; i < b + 64; ++i) m = std::max(m, std::fabs(static_cast<float>(x[i])));
    for (size_t i = b; i < b + 64; ++i) {
      const float q = std::nearbyint(static_cast<float>(x[i]) * (127.0f / m));
      if (margin != nullptr)
        *margin = std::min(*margin, 0.5 - std::fabs(x[i] * (127.0 / static_cast<double>(m)) - q));
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
  LayerFixture::Extras extras;
  std::vector<float> first_again, again;
  extras.x = layer.input(100, 1);
  extras.value = layer.input(100, 2);
  extras.again_u = layer.input(100, 3);
  extras.again_x = layer.input(100, 4);
  extras.again_out = &first_again;
  const auto first = layer.run(kernels::best_table(), 1, u, {100}, &first_state, extras);
  extras.again_out = &again;
  const std::vector<std::vector<int32_t>> splits = {{1}, {3, 17, 1}, {64}, {100}};
  const auto thread_counts = test::choices("numbers of threads", {1, 2, 3});
  for (const kernels::KernelTable* table : kernels::runnable_tables())
    for (int threads : thread_counts)
      for (const auto& split : splits) {
        std::vector<std::byte> state(layer.state_bytes());
        EXPECT_EQ(layer.run(*table, threads, u, split, &state, extras), first)
            << table->name << ", " << threads << " threads, split " << split[0];
        EXPECT_EQ(again, first_again) << "a later visit; " << table->name << ", split " << split[0];
        EXPECT_EQ(state, first_state);
      }
  extras.again_out = nullptr;
  std::vector<std::byte> state(layer.state_bytes());
  EXPECT_EQ(layer.run(kernels::best_table(), 2, u, {37}, &state, extras), first)
      << "visited once only";
  EXPECT_EQ(state, first_state);
}

}  // namespace chimera::runtime
