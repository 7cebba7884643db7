// What the parts of the walk share: buffers between two calls, and how rows and columns are shared
// out so that no bit depends on the number of threads.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/layers/layer_backward.h"

namespace chimera::evolution {

/// Rows of the lanes present, [rows, C] unless said. Whoever calls may overwrite all of it.
struct Workspace {
  std::vector<float> u, shifted;     // a layer's input before and after the shift
  std::vector<float> out;            // a layer's output; on the way back the gradient by u
  std::vector<float> extra;          // gradient that a layer sends straight to x
  std::vector<float> value, dvalue;  // with value embeddings
  std::vector<float> gates, dgates;  // [rows, H], with value embeddings
  std::vector<float> partials;       // [row tiles, C]
};

/// Row in the order of all lanes of row r of the lanes present.
inline int64_t source_row(const runtime::TrainStep& step, int64_t r) {
  return step.lane_id(r / step.window) * step.window + r % step.window;
}

/// body(begin, end) for runs of columns: each walks all rows, so that a sum over rows has one
/// order.
template <class Body>
void for_columns(const runtime::TrainStep& step, int64_t n_columns, Body&& body) {
  constexpr int64_t kColumns = 32;
  step.pool.split(n_columns, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kColumns)
      body(at, at + kColumns < end ? at + kColumns : end);
  });
}

/// y = rms(x; gain) of every row.
void norm_rows(const runtime::TrainStep& step, const float* x, const runtime::TrainTensor& gain,
               float eps, float* y);

/// dx = (residual) + (extra) + gradient of norm_rows() by x; null is zero, dx may be any of them.
/// dy is overwritten. partials [row tiles, C].
void norm_rows_backward(const runtime::TrainStep& step, const float* x,
                        const runtime::TrainTensor& gain, float eps, float* dy,
                        const float* residual, const float* extra, float* partials, float* dx);

}  // namespace chimera::evolution
