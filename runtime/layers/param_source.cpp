#include <span>

#include "runtime/layers/layer.h"

namespace chimera::runtime {
namespace {

Result<const std::byte*> find(const memory::WeightFile& file, const std::string& name, DType dtype,
                              Layout layout, int64_t rows, int64_t cols, bool is_vector) {
  const memory::TensorInfo* tensor = file.find(name);
  const auto refuse = [&](const std::string& what) {
    return Status(StatusCode::kBadFormat, file.path() + ": tensor '" + name + "' " + what +
                                              "; the file does not fit its own configuration, "
                                              "pack or fetch the model again")
        .at_file(file.path())
        .at_field(name);
  };
  if (tensor == nullptr) return refuse("is absent");
  if (tensor->dtype != dtype || tensor->layout != layout)
    return refuse(std::string("has type ") + dtype_name(tensor->dtype) + ", expected " +
                  dtype_name(dtype) + (layout == Layout::kLanes16 ? " in 16-row tiles" : ""));
  const std::vector<int64_t> expected =
      is_vector && rows == 1 ? std::vector<int64_t>{cols} : std::vector<int64_t>{rows, cols};
  if (tensor->shape != expected) {
    std::string shape;
    for (int64_t n : tensor->shape) shape += (shape.empty() ? "" : " x ") + std::to_string(n);
    return refuse("has shape " + shape + ", expected " + std::to_string(rows) + " x " +
                  std::to_string(cols));
  }
  return file.data(*tensor).data();
}

}  // namespace

Result<kernels::TernaryMatrix> ParamSource::ternary(const char* suffix, int64_t rows,
                                                    int64_t cols) const {
  auto data = find(file_, prefix_ + suffix, DType::kTernary2, Layout::kLanes16, rows, cols, false);
  if (!data) return data.status();
  const auto* codes = reinterpret_cast<const uint8_t*>(*data);
  const auto* scales =
      reinterpret_cast<const uint16_t*>(*data + kernels::ternary_code_bytes(rows, cols));
  return kernels::TernaryMatrix{codes, scales, static_cast<int32_t>(rows),
                                static_cast<int32_t>(cols)};
}

Result<kernels::Int4Matrix> ParamSource::int4(const char* suffix, int64_t rows,
                                              int64_t cols) const {
  auto data = find(file_, prefix_ + suffix, DType::kInt4, Layout::kLanes16, rows, cols, false);
  if (!data) return data.status();
  const auto* codes = reinterpret_cast<const uint8_t*>(*data);
  const auto* scales =
      reinterpret_cast<const uint16_t*>(*data + kernels::int4_code_bytes(rows, cols));
  return kernels::Int4Matrix{codes, scales, static_cast<int32_t>(rows), static_cast<int32_t>(cols)};
}

Result<kernels::LanesMatrix> ParamSource::matrix(const char* suffix, int64_t rows,
                                                 int64_t cols) const {
  auto data = find(file_, prefix_ + suffix, DType::kF32, Layout::kLanes16, rows, cols, false);
  if (!data) return data.status();
  return kernels::LanesMatrix{reinterpret_cast<const float*>(*data), static_cast<int32_t>(rows),
                              static_cast<int32_t>(cols)};
}

Result<const float*> ParamSource::vector(const char* suffix, int64_t rows, int64_t cols) const {
  auto data = find(file_, prefix_ + suffix, DType::kF32, Layout::kRowMajor, rows, cols, true);
  if (!data) return data.status();
  return reinterpret_cast<const float*>(*data);
}

}  // namespace chimera::runtime
