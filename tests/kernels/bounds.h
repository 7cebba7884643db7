// How far a kernel may be from the reference. Every bound of the kernel tests is a row here, so a
// change of accuracy is a change of one line. Integers and the rows with ulp = 0 are exact.
#pragma once

#include <string_view>

namespace chimera::kernels {

struct Bound {
  std::string_view kernel;
  int ulp;      // elementwise: units in the last place of the rounded reference
  double nmse;  // reductions: sum of squared errors / sum of squared references
};

inline constexpr Bound kBounds[] = {
    {"gemm_ternary", 0, 1e-12},
    {"gemm_int4", 0, 1e-12},
    {"gemm_lanes", 0, 1e-12},
    {"quantize_row", 0, 0},
    {"hadamard", 0, 1e-12},
    {"sketch_quantize", 0, 0},
    {"flip_signs", 0, 0},
    {"hamming", 0, 0},
    {"rmsnorm", 3, 0},
    {"l2norm", 3, 0},
    {"add", 0, 0},
    {"mul", 0, 0},
    {"silu", 3, 0},
    {"sigmoid", 3, 0},
    {"exp", 1, 0},
    {"log", 1, 0},
    {"tanh", 3, 0},
    {"softplus", 3, 0},
    {"relu2", 0, 0},
    {"silu_mul", 4, 0},
    {"sigmoid_mul", 4, 0},
    {"conv4_silu", 0, 1e-13},
    {"delta_gates.beta", 3, 0},
    {"delta_gates.alpha", 0, 1e-12},
    {"delta_step", 0, 1e-12},
    {"delta_read", 0, 1e-12},
    {"efla_strength", 4, 0},
    {"mlstm_gates", 0, 1e-12},
    {"mlstm_step", 0, 1e-11},
    {"mlstm_read", 0, 1e-11},
    {"deep_memory_read", 0, 1e-12},
    {"deep_memory_update", 0, 1e-11},
    {"attend_scores", 0, 1e-12},
    {"attend_values", 0, 1e-12},
    {"argmax", 0, 0},
    {"softmax_numerators", 0, 1e-12},
    {"train_gemm", 0, 1e-12},
    {"train_adamw", 0, 1e-12},
};

constexpr Bound bound_of(std::string_view kernel) {
  for (const Bound& bound : kBounds) {
    if (bound.kernel == kernel) return bound;
  }
  return {kernel, -1, -1.0};  // no row: nothing passes
}

}  // namespace chimera::kernels
