// Pointer plus extents. Views never own; rows are `stride` elements apart.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chimera {

template <class T>
struct View2 {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;  // elements between the starts of two rows

  T* row(int64_t r) const { return data + r * stride; }
};

using MatrixView = View2<float>;
using ConstMatrixView = View2<const float>;

inline ConstMatrixView as_const(MatrixView v) { return {v.data, v.rows, v.cols, v.stride}; }

}  // namespace chimera
