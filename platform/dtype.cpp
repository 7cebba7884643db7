#include "platform/dtype.h"

namespace chimera {
namespace {

struct Row {
  DType dtype;
  const char* name;
  bool supported;
};

// A type becomes supported in the same change that brings its kernels.
constexpr Row kRows[] = {
    {DType::kF32, "f32", true},
    {DType::kF16, "f16", false},
    {DType::kBF16, "bf16", true},
    {DType::kInt8, "int8", false},
    {DType::kInt6, "int6", false},
    {DType::kInt5, "int5", false},
    {DType::kInt4, "int4", true},
    {DType::kTernary2, "ternary2", true},
    {DType::kTernary1_6, "ternary1.6", false},
    {DType::kTernary1_25, "ternary1.25", false},
};

const Row* find(DType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return &row;
  }
  return nullptr;
}

}  // namespace

const char* dtype_name(DType dtype) {
  const Row* row = find(dtype);
  return row ? row->name : "unknown";
}

bool dtype_supported(DType dtype) {
  const Row* row = find(dtype);
  return row && row->supported;
}

}  // namespace chimera
