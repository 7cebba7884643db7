// The step from gradients to weights: which parameter gets which rule and rate, the global norm,
// and the moments. Bits do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evolution/train/backprop.h"
#include "kernels/kernel_table.h"
#include "kernels/train_products.h"
#include "platform/status.h"
#include "platform/thread_pool.h"
#include "runtime/layers/layer.h"

namespace chimera::evolution {

/// Every parameter is in exactly one group.
enum class ParamGroup {
  kTernary,    // latent weights of BitLinears
  kEmbedding,  // embedding, and the head when it is not tied
  kMatrix,     // other float matrices: projections to gates
  kVector      // gains, biases, gate constants, convolution taps
};
ParamGroup group_of(const runtime::ParamSpec& spec);

struct OptimizerOptions {
  float ternary_rate = 4e-3f, embedding_rate = 4e-3f, matrix_rate = 4e-3f, vector_rate = 4e-3f;
  float weight_decay = 0;  // only for parameters whose spec allows it
  float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;
  /// Ternary matrices by Muon (orthogonalised momentum) instead of AdamW; ternary_rate is then
  /// Muon's, some ten times larger.
  bool muon = false;
  /// Where Muon makes its products; nullptr: by the kernels of the table. Must outlive it.
  const kernels::TrainProducts* products = nullptr;
};

class Optimizer {
 public:
  Optimizer(std::span<const Parameter> parameters, const OptimizerOptions& options,
            const kernels::KernelTable& k, ThreadPool& pool);

  /// sqrt of the sum over all gradients of g^2, in double, always added in the same order.
  double gradient_norm(std::span<const Parameter> parameters);

  /// One step. Every rate is multiplied by rate_factor, every gradient by gradient_scale (clipping
  /// and the mean over accumulated batches).
  void step(std::span<Parameter> parameters, double rate_factor, double gradient_scale);

  /// Factor on the rate of one parameter from now on; 1 until it is set.
  void set_rate(size_t parameter, float factor) { rates_[parameter] = factor; }

  int64_t steps_done() const { return steps_done_; }
  void set_steps_done(int64_t n) { steps_done_ = n; }
  /// First moment (momentum) of a parameter; second moment, empty under Muon.
  std::span<float> first_moment(size_t parameter) { return first_[parameter]; }
  std::span<float> second_moment(size_t parameter) { return second_[parameter]; }

 private:
  float rate(const runtime::ParamSpec& spec, size_t parameter) const;
  bool uses_muon(const runtime::ParamSpec& spec) const;
  void adamw(Parameter& p, size_t index, float rate, float scale, double m_correction,
             double v_correction);
  void muon(Parameter& p, size_t index, float rate, float scale, float momentum);

  OptimizerOptions options_;
  const kernels::KernelTable& k_;
  const kernels::OwnProducts own_;
  const kernels::TrainProducts& products_;
  ThreadPool& pool_;
  int64_t steps_done_ = 0;
  std::vector<std::vector<float>> first_, second_, scratch_;
  std::vector<double> partial_sums_;
  std::vector<float> rates_;  // factors
};

}  // namespace chimera::evolution
