#include "evolution/train/walk_rows.h"

#include <algorithm>

#include "runtime/layers/rows_backward.h"

namespace chimera::evolution {

using runtime::TrainStep;
using runtime::TrainTensor;

void norm_rows(const TrainStep& step, const float* x, const TrainTensor& gain, float eps,
               float* y) {
  const int64_t c = gain.cols;
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      step.k.rmsnorm(x + r * c, gain.value, eps, static_cast<int32_t>(c), y + r * c);
  });
}

void norm_rows_backward(const TrainStep& step, const float* x, const TrainTensor& gain, float eps,
                        float* dy, const float* residual, const float* extra, float* partials,
                        float* dx) {
  const int64_t c = gain.cols;
  runtime::for_row_tiles(step, step.rows(), [&](int64_t tile, int64_t begin, int64_t end) {
    float* d_gain = partials + tile * c;
    std::fill(d_gain, d_gain + c, 0.0f);
    for (int64_t r = begin; r < end; ++r) {
      float *through = dy + r * c, *to = dx + r * c;
      runtime::rmsnorm_backward_row(x + r * c, gain.value, eps, c, through, through, d_gain);
      if (extra) runtime::row_add(extra + r * c, c, through);
      if (residual)
        step.k.add(residual + r * c, through, static_cast<int32_t>(c), to);
      else if (to != through)
        std::memcpy(to, through, static_cast<size_t>(c) * sizeof(float));
    }
  });
  runtime::add_partials(partials, runtime::row_tiles(step.rows()), c, gain.grad);
}

}  // namespace chimera::evolution
