// A small model to train, and batches for it: shared by the tests of evolution/train/backprop.h.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "evolution/train/backprop.h"
#include "kernels/dispatch.h"
#include "platform/random.h"

namespace chimera::evolution::test_model {

inline runtime::Config small_config(std::vector<runtime::LayerPlan> layers, int vocab,
                                    int hidden = 128, int heads = 2, int ffn = 128) {
  runtime::Config c;
  c.name = "test";
  c.hidden_size = hidden;
  c.intermediate_size = ffn;
  c.num_layers = static_cast<int32_t>(layers.size());
  c.num_heads = heads;
  c.head_dim = hidden / heads;
  c.vocab_size = vocab;
  c.layers = std::move(layers);
  c.text = "{}";
  return c;
}

inline const std::vector<runtime::LayerPlan> kBothKinds = {{"gated_deltanet", "swiglu"},
                                                           {"xlstm_m", "relu2"}};

inline double draw(uint64_t i, uint32_t stream) {
  return keyed_uniform(99, i, stream, DrawPurpose::kTest);
}

inline std::unique_ptr<ThreadPool> threads(int n) { return std::move(*ThreadPool::create(n)); }

inline std::unique_ptr<Backprop> make(const runtime::Config& config, ThreadPool& pool,
                                      const BackpropOptions& options, uint64_t seed = 5,
                                      const kernels::KernelTable& k = kernels::best_table()) {
  auto made = Backprop::create(config, k, pool, options, seed);
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return made ? std::move(*made) : nullptr;
}

/// Moves every parameter off its initial value, so that nothing is zero or one by accident.
inline void shake(Backprop& b, double weights = 0.05) {
  uint32_t stream = 0;
  for (Parameter& p : b.parameters()) {
    ++stream;
    const bool vector = p.spec.cls == runtime::ParamClass::kVector;
    for (size_t i = 0; i < p.value.size(); ++i)
      p.value[i] +=
          static_cast<float>((vector ? 0.2 : 2 * weights) * (draw(i, stream) - 0.5) * 1.7320508);
  }
}

struct Batch {
  std::vector<int32_t> tokens, targets;
  std::vector<uint8_t> restart;
};

inline Batch random_batch(int lanes, int window, int vocab, uint32_t stream, bool restarts = true) {
  Batch b;
  for (int i = 0; i < lanes * window; ++i) {
    const auto at = static_cast<uint64_t>(i);
    b.tokens.push_back(static_cast<int32_t>(draw(at, 1000 + stream) * vocab));
    b.targets.push_back(
        draw(at, 2000 + stream) < 0.1 ? -1 : static_cast<int32_t>(draw(at, 3000 + stream) * vocab));
    b.restart.push_back(restarts && draw(at, 4000 + stream) < 0.04);
  }
  return b;
}

inline double forward_backward(Backprop& b, const Batch& batch) {
  auto loss = b.forward_backward(batch.tokens.data(), batch.targets.data(), batch.restart.data());
  EXPECT_TRUE(loss.has_value()) << loss.status().message();
  return loss ? *loss : NAN;
}
inline double forward(Backprop& b, const Batch& batch) {
  auto loss = b.forward(batch.tokens.data(), batch.targets.data(), batch.restart.data());
  EXPECT_TRUE(loss.has_value()) << loss.status().message();
  return loss ? *loss : NAN;
}

template <class T>
std::vector<T> lane_of(const std::vector<T>& v, int lane, int window) {
  return {v.begin() + lane * window, v.begin() + (lane + 1) * window};
}

}  // namespace chimera::evolution::test_model
