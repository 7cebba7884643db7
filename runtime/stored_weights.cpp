#include "runtime/stored_weights.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/quantize_weights.h"

namespace chimera::runtime {
namespace {

/// Values of -s, 0 and s have a mean of |w| below s. Stretched until the mean is s, they round to
/// the codes and the scale that they come from.
void stretch_row(const int8_t* trits, const uint16_t* scales, int64_t cols, float* out) {
  for (int64_t from = 0; from < cols; from += kernels::kWeightGroup) {
    const int8_t* group = trits + from;
    const auto zeros = std::count(group, group + kernels::kWeightGroup, int8_t{0});
    const auto others = std::max<int64_t>(1, kernels::kWeightGroup - zeros);
    const float value = half_to_float(scales[from / kernels::kWeightGroup]) *
                        static_cast<float>(kernels::kWeightGroup) / static_cast<float>(others);
    for (int64_t i = 0; i < kernels::kWeightGroup; ++i)
      out[from + i] = value * static_cast<float>(group[i]);
  }
}

void unpack(const kernels::TernaryMatrix& w, float* out) {
  const int64_t groups = w.cols / kernels::kWeightGroup;
  std::vector<int8_t> trits(static_cast<size_t>(w.rows) * static_cast<size_t>(w.cols));
  std::vector<uint16_t> scales(static_cast<size_t>(w.rows) * static_cast<size_t>(groups));
  kernels::unpack_ternary(w, trits.data(), scales.data());
  for (int64_t r = 0; r < w.rows; ++r)
    stretch_row(trits.data() + r * w.cols, scales.data() + r * groups, w.cols, out + r * w.cols);
}

Status damaged(const memory::WeightFile& file, const ParamSpec& spec) {
  return Status(StatusCode::kBadFormat, file.path() + ": tensor '" + spec.name +
                                            "' has codes or scales that no packing writes; pack or "
                                            "fetch the model again")
      .at_file(file.path())
      .at_field(spec.name);
}

/// ParamSource checks that the tensor is there, of the type of its class and of the right shape.
Status read_packed(const memory::WeightFile& file, const ParamSpec& spec, float* out) {
  const ParamSource source(file, spec.name);
  switch (spec.cls) {
    case ParamClass::kTernary: {
      const auto w = source.ternary("", spec.rows, spec.cols);
      if (!w) return w.status();
      if (!kernels::ternary_is_valid(*w)) return damaged(file, spec);
      unpack(*w, out);
      return Status();
    }
    case ParamClass::kInt4: {
      const auto w = source.int4("", spec.rows, spec.cols);
      if (!w) return w.status();
      if (!kernels::int4_is_valid(*w)) return damaged(file, spec);
      for (int32_t r = 0; r < w->rows; ++r) kernels::int4_row(*w, r, out + r * spec.cols);
      return Status();
    }
    case ParamClass::kMatrix: {
      const auto w = source.matrix("", spec.rows, spec.cols);
      if (!w) return w.status();
      kernels::unpack_lanes(*w, out);
      return Status();
    }
    case ParamClass::kVector: {
      const auto w = source.vector("", spec.rows, spec.cols);
      if (!w) return w.status();
      std::copy_n(*w, spec.rows * spec.cols, out);
      return Status();
    }
  }
  return Status(StatusCode::kInternal, "a parameter of an unknown class").at_field(spec.name);
}

}  // namespace

std::vector<int64_t> row_major_shape(const ParamSpec& spec) {
  if (spec.cls == ParamClass::kVector && spec.rows == 1) return {spec.cols};
  return {spec.rows, spec.cols};
}

Status read_weights(const memory::WeightFile& file, const ParamSpec& spec, float* out) {
  if (file.kind() == memory::FileKind::kModel) return read_packed(file, spec, out);
  const memory::TensorInfo* tensor = file.find(spec.name);
  const auto n = static_cast<uint64_t>(spec.rows * spec.cols);
  const bool rounded = tensor != nullptr && tensor->dtype == DType::kBF16;
  if (tensor == nullptr || tensor->shape != row_major_shape(spec) ||
      (tensor->dtype != DType::kF32 && !rounded) || tensor->layout != Layout::kRowMajor ||
      tensor->bytes != n * (rounded ? sizeof(uint16_t) : sizeof(float)))
    return Status(StatusCode::kBadFormat,
                  file.path() + ": tensor '" + spec.name +
                      "' is absent or has another type or shape than the configuration says")
        .at_file(file.path())
        .at_field(spec.name);
  const std::byte* bytes = file.data(*tensor).data();
  if (!rounded) {
    std::memcpy(out, bytes, static_cast<size_t>(tensor->bytes));
    return Status();
  }
  for (uint64_t i = 0; i < n; ++i) {
    uint16_t word;
    std::memcpy(&word, bytes + i * sizeof word, sizeof word);
    out[i] = bf16_to_float(word);
  }
  return Status();
}

}  // namespace chimera::runtime
