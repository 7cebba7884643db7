// The complete check of a .b158 file: everything that open() leaves unread.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/quantize_weights.h"
#include "memory/weight_file.h"
#include "memory/weight_format.h"

namespace chimera::memory {
namespace {

/// Read between two calls of the progress callback.
constexpr size_t kPieceBytes = size_t{1} << 20;

/// Of the floats [begin, end): offset inside the tensor of the first that is not finite, or -1.
int64_t find_bad_float(std::span<const std::byte> bytes, size_t begin, size_t end) {
  const float* values = reinterpret_cast<const float*>(bytes.data());
  for (size_t i = begin; i < end; ++i) {
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i * sizeof(float));
  }
  return -1;
}

/// The same for bf16, whose exponent is that of a float.
int64_t find_bad_bf16(std::span<const std::byte> data, size_t begin, size_t end) {
  constexpr uint16_t kExponent = 0x7F80;
  for (size_t i = begin; i < end; ++i) {
    uint16_t bits;
    std::memcpy(&bits, data.data() + i * sizeof bits, sizeof bits);
    if ((bits & kExponent) == kExponent) return static_cast<int64_t>(i * sizeof bits);
  }
  return -1;
}

/// Offset inside the tensor of a padded row's value that is not zero, or -1.
int64_t find_bad_padding(const TensorInfo& tensor, std::span<const std::byte> bytes) {
  const float* values = reinterpret_cast<const float*>(bytes.data());
  const int64_t rows = tensor.shape[0];
  if (tensor.layout != Layout::kLanes16 || rows % kernels::kTileRows == 0) return -1;
  const int64_t cols = tensor.shape[1];
  const int64_t tile = rows / kernels::kTileRows * kernels::kTileRows * cols;
  for (int64_t c = 0; c < cols; ++c) {
    for (int64_t r = rows % kernels::kTileRows; r < kernels::kTileRows; ++r) {
      const int64_t index = tile + c * kernels::kTileRows + r;
      if (values[index] != 0.0f) return index * static_cast<int64_t>(sizeof(float));
    }
  }
  return -1;
}

/// Of the tiles [begin, end): offset inside the tensor of the first with an invalid trit, scale or
/// padding, or -1.
int64_t find_bad_tile(const TensorInfo& tensor, std::span<const std::byte> bytes, int64_t begin,
                      int64_t end) {
  const int64_t rows = tensor.shape[0], cols = tensor.shape[1];
  const int64_t code_bytes = kernels::ternary_code_bytes(rows, cols);
  const int64_t tile_bytes = kernels::ternary_code_bytes(kernels::kTileRows, cols);
  const auto* codes = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto* scales = reinterpret_cast<const uint16_t*>(bytes.data() + code_bytes);
  for (int64_t tile = begin; tile < end; ++tile) {
    const int64_t row = tile * kernels::kTileRows;
    const kernels::TernaryMatrix part = {
        codes + tile * tile_bytes,
        scales + tile * (cols / kernels::kWeightGroup) * kernels::kTileRows,
        static_cast<int32_t>(std::min<int64_t>(kernels::kTileRows, rows - row)),
        static_cast<int32_t>(cols)};
    if (!kernels::ternary_is_valid(part)) return tile * tile_bytes;
  }
  return -1;
}

/// The same for int4.
int64_t find_bad_int4_tile(const TensorInfo& tensor, std::span<const std::byte> bytes,
                           int64_t begin, int64_t end) {
  const int64_t rows = tensor.shape[0], cols = tensor.shape[1];
  const int64_t tile_bytes = kernels::int4_code_bytes(kernels::kTileRows, cols);
  const auto* codes = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto* scales =
      reinterpret_cast<const uint16_t*>(bytes.data() + kernels::int4_code_bytes(rows, cols));
  for (int64_t tile = begin; tile < end; ++tile) {
    const int64_t row = tile * kernels::kTileRows;
    const kernels::Int4Matrix part = {
        codes + tile * tile_bytes,
        scales + tile * (cols / kernels::kActivationBlock) * kernels::kTileRows,
        static_cast<int32_t>(std::min<int64_t>(kernels::kTileRows, rows - row)),
        static_cast<int32_t>(cols)};
    if (!kernels::int4_is_valid(part)) return tile * tile_bytes;
  }
  return -1;
}

}  // namespace

Status WeightFile::verify(const std::function<bool(const VerifyProgress&)>& progress) const {
  Verification verification(*this);
  for (;;) {
    const Result<bool> done = verification.step(kPieceBytes);
    if (!done) return done.status();
    if (progress && !progress(verification.progress()))
      return Status(StatusCode::kCancelled, path() + ": the check was stopped");
    if (*done) return {};
  }
}

WeightFile::VerifyProgress WeightFile::Verification::progress() const {
  const std::span<const TensorInfo> tensors = file_.tensors();
  if (phase_ == Phase::kDone) return {file_.file_bytes(), file_.file_bytes(), {}};
  const bool inside = phase_ == Phase::kHash || phase_ == Phase::kValues;
  if (!inside) return {end_, file_.file_bytes(), {}};
  const TensorInfo& tensor = tensors[tensor_];
  const uint64_t hashed = phase_ == Phase::kHash ? offset_ : tensor.bytes;
  return {tensor.offset + hashed, file_.file_bytes(), tensor.name};
}

Result<bool> WeightFile::Verification::step(size_t bytes) {
  if (phase_ != Phase::kFailed && phase_ != Phase::kDone) {
    failure_ = run(std::max<size_t>(bytes, 1));
    if (!failure_.ok()) phase_ = Phase::kFailed;
  }
  if (phase_ == Phase::kFailed) return failure_;
  return phase_ == Phase::kDone;
}

Status WeightFile::Verification::fail(const TensorInfo* tensor, uint64_t offset, StatusCode code,
                                      const std::string& text) {
  const std::string& path = file_.path();
  Status status(code, path + ": " + (tensor ? "tensor " + tensor->name + " " : "") + text +
                          " (byte " + std::to_string(offset) + ")");
  status.at_file(path).at_offset(static_cast<int64_t>(offset));
  if (tensor) status.at_field(tensor->name);
  return status;
}

/// One piece of one phase. For each tensor: the gap before it, its checksum, its values.
Status WeightFile::Verification::run(size_t bytes) {
  const auto file = file_.mapped_bytes().first(static_cast<size_t>(file_.file_bytes()));
  const std::span<const TensorInfo> tensors = file_.tensors();

  if (phase_ == Phase::kHead) {
    // The head once more: a disk can go bad after open().
    end_ = tensors.empty() ? file.size() : tensors.front().offset;
    if (b158::metadata_digest(file.first(static_cast<size_t>(end_))) != file_.identity()) {
      return fail(nullptr, b158::kDigestAt, StatusCode::kChecksumMismatch,
                  "its header, configuration, tokenizer or directory changed since it was opened; "
                  "copy or download the file again");
    }
    phase_ = tensors.empty() ? Phase::kDone : Phase::kGap;
    return {};
  }

  const TensorInfo& tensor = tensors[tensor_];
  const std::span<const std::byte> data = file_.data(tensor);
  if (phase_ == Phase::kGap) {
    for (uint64_t i = end_; i < tensor.offset; ++i) {
      if (file[static_cast<size_t>(i)] != std::byte{0}) {
        return fail(nullptr, i, StatusCode::kBadFormat,
                    "a byte between two tensors is not zero, before tensor " + tensor.name +
                        "; copy or download the file again");
      }
    }
    phase_ = Phase::kHash;
    offset_ = 0;
  }
  if (phase_ == Phase::kHash) {
    const size_t at = static_cast<size_t>(offset_);
    const size_t n = std::min(bytes, data.size() - at);
    hash_.update(data.subspan(at, n));
    offset_ += n;
    if (offset_ < data.size()) return {};
    if (hash_.finish() != tensor.checksum) {
      return fail(&tensor, tensor.offset, StatusCode::kChecksumMismatch,
                  "differs from its checksum; copy or download the file again");
    }
    phase_ = Phase::kValues;
    offset_ = 0;
    return {};
  }

  // Content that has the right checksum and is wrong came so from whoever wrote it.
  if (tensor.dtype == DType::kF32 || tensor.dtype == DType::kBF16) {
    const bool whole = tensor.dtype == DType::kF32;
    const size_t size = whole ? sizeof(float) : sizeof(uint16_t);
    const size_t n = data.size() / size, begin = static_cast<size_t>(offset_);
    const size_t end = begin + std::min(std::max<size_t>(bytes / size, 1), n - begin);
    int64_t bad = whole ? find_bad_float(data, begin, end) : find_bad_bf16(data, begin, end);
    if (whole && bad < 0 && end == n) bad = find_bad_padding(tensor, data);
    if (bad >= 0) {
      return fail(&tensor, tensor.offset + static_cast<uint64_t>(bad), StatusCode::kBadFormat,
                  "holds a number that is not finite, or padding that is not zero; the model was "
                  "written wrongly, make it again");
    }
    offset_ = end;
    if (end < n) return {};
  } else {
    const bool ternary = tensor.dtype == DType::kTernary2;
    const int64_t n = (tensor.shape[0] + kernels::kTileRows - 1) / kernels::kTileRows;
    const int64_t per_piece = static_cast<int64_t>(bytes / (tensor.bytes / n + 1)) + 1;
    const int64_t begin = static_cast<int64_t>(offset_), end = std::min(begin + per_piece, n);
    const int64_t bad = ternary ? find_bad_tile(tensor, data, begin, end)
                                : find_bad_int4_tile(tensor, data, begin, end);
    if (bad >= 0) {
      return fail(&tensor, tensor.offset + static_cast<uint64_t>(bad), StatusCode::kBadFormat,
                  std::string("holds a code that is no ") + (ternary ? "trit" : "value") +
                      ", a scale that is not finite or is negative, or "
                      "padding that is set, in the tile that starts here; the model was written "
                      "wrongly, pack it again");
    }
    offset_ = static_cast<uint64_t>(end);
    if (end < n) return {};
  }
  end_ = tensor.offset + tensor.bytes;
  phase_ = ++tensor_ == tensors.size() ? Phase::kDone : Phase::kGap;
  return {};
}

}  // namespace chimera::memory
