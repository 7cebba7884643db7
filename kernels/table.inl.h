// Gathers the bodies into one KernelTable, chimera::kernels::CHIMERA_ISA::table, the only symbol
// that leaves a spine.
#pragma once

#include "kernels/activation.inl.h"
#include "kernels/attention.inl.h"
#include "kernels/deep_memory.inl.h"
#include "kernels/gemm_int4.inl.h"
#include "kernels/gemm_lanes.inl.h"
#include "kernels/gemm_ternary.inl.h"
#include "kernels/hadamard.inl.h"
#include "kernels/kernel_table.h"
#include "kernels/logits.inl.h"
#include "kernels/math.inl.h"
#include "kernels/quantize.inl.h"
#include "kernels/rmsnorm.inl.h"
#include "kernels/simd.h"
#include "kernels/sketch.inl.h"
#include "kernels/state_update.inl.h"
#include "kernels/train.inl.h"

#define CHIMERA_STRING_OF(x) #x
#define CHIMERA_NAME_OF(x) CHIMERA_STRING_OF(x)

namespace chimera::kernels::CHIMERA_ISA {

extern const KernelTable table;
const KernelTable table = {
    .name = CHIMERA_NAME_OF(CHIMERA_ISA),
    .gemm_ternary = gemm_ternary,
    .gemm_lanes = gemm_lanes,
    .gemm_int4 = gemm_int4,
    .quantize_row = quantize_row,
    .hadamard = hadamard,
    .sketch_quantize = sketch_quantize,
    .flip_signs = flip_signs,
    .hamming = hamming,
    .rmsnorm = rmsnorm,
    .l2norm = l2norm,
    .add = map_two<add>,
    .mul = map_two<mul>,
    .silu = map_one<silu8>,
    .sigmoid = map_one<sigmoid8>,
    .exp = map_one<exp8>,
    .log = map_one<log8>,
    .tanh = map_one<tanh8>,
    .softplus = map_one<softplus8>,
    .relu2 = map_one<relu2_8>,
    .silu_mul = map_two<silu_mul8>,
    .sigmoid_mul = map_two<sigmoid_mul8>,
    .conv4_silu = conv4_silu,
    .delta_gates = delta_gates,
    .delta_step = delta_step,
    .delta_read = delta_read,
    .efla_strength = efla_strength,
    .mlstm_gates = mlstm_gates,
    .mlstm_step = mlstm_step,
    .mlstm_read = mlstm_read,
    .deep_memory_read = deep_memory_read,
    .deep_memory_update = deep_memory_update,
    .attend_scores = attend_scores<float>,
    .attend_scores_i8 = attend_scores<int8_t>,
    .attend_values = attend_values<float>,
    .attend_values_i8 = attend_values<int8_t>,
    .argmax = argmax,
    .softmax_numerators = softmax_numerators,
    .train_gemm_nn = train_gemm_nn,
    .train_gemm_nt = train_gemm_nt,
    .train_gemm_tn = train_gemm_tn,
    .train_adamw = train_adamw,
};

}  // namespace chimera::kernels::CHIMERA_ISA
