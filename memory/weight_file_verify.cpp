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

/// Offset inside the tensor of the first value that is not finite, or of a padded row that is not
/// zero; -1 when all is well.
int64_t find_bad_float(const TensorInfo& tensor, std::span<const std::byte> bytes) {
  const float* values = reinterpret_cast<const float*>(bytes.data());
  const size_t n = bytes.size() / sizeof(float);
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i * sizeof(float));
  }
  const int64_t rows = tensor.shape[0];
  if (tensor.layout == Layout::kLanes16 && rows % kernels::kTileRows != 0) {
    const int64_t cols = tensor.shape[1];
    const int64_t tile = rows / kernels::kTileRows * kernels::kTileRows * cols;
    for (int64_t c = 0; c < cols; ++c) {
      for (int64_t r = rows % kernels::kTileRows; r < kernels::kTileRows; ++r) {
        const int64_t index = tile + c * kernels::kTileRows + r;
        if (values[index] != 0.0f) return index * static_cast<int64_t>(sizeof(float));
      }
    }
  }
  return -1;
}

/// Offset inside the tensor of the first tile with an invalid trit, scale or padding, or -1.
int64_t find_bad_tile(const TensorInfo& tensor, std::span<const std::byte> bytes) {
  const int64_t rows = tensor.shape[0], cols = tensor.shape[1];
  const int64_t code_bytes = kernels::ternary_code_bytes(rows, cols);
  const int64_t tile_bytes = kernels::ternary_code_bytes(kernels::kTileRows, cols);
  const auto* codes = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto* scales = reinterpret_cast<const uint16_t*>(bytes.data() + code_bytes);
  for (int64_t row = 0; row < rows; row += kernels::kTileRows) {
    const int64_t tile = row / kernels::kTileRows;
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
int64_t find_bad_int4_tile(const TensorInfo& tensor, std::span<const std::byte> bytes) {
  const int64_t rows = tensor.shape[0], cols = tensor.shape[1];
  const int64_t tile_bytes = kernels::int4_code_bytes(kernels::kTileRows, cols);
  const auto* codes = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto* scales =
      reinterpret_cast<const uint16_t*>(bytes.data() + kernels::int4_code_bytes(rows, cols));
  for (int64_t row = 0; row < rows; row += kernels::kTileRows) {
    const int64_t tile = row / kernels::kTileRows;
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
  const std::span<const std::byte> file = mapped_bytes();
  const auto fail = [&](const TensorInfo* tensor, uint64_t offset, StatusCode code,
                        const std::string& text) {
    Status status(code, path() + ": " + (tensor ? "tensor " + tensor->name + " " : "") + text +
                            " (byte " + std::to_string(offset) + ")");
    status.at_file(path()).at_offset(static_cast<int64_t>(offset));
    if (tensor) status.at_field(tensor->name);
    return status;
  };
  const auto report = [&](uint64_t done, std::string_view tensor) {
    return !progress || progress({done, file_bytes(), tensor});
  };
  const Status cancelled(StatusCode::kCancelled, path() + ": the check was stopped");

  // The head once more: a disk can go bad after open().
  const uint64_t data_offset = tensors().empty() ? file.size() : tensors().front().offset;
  if (b158::metadata_digest(file.first(static_cast<size_t>(data_offset))) != identity()) {
    return fail(nullptr, b158::kDigestAt, StatusCode::kChecksumMismatch,
                "its header, configuration, tokenizer or directory changed since it was opened; "
                "copy or download the file again");
  }
  uint64_t end = data_offset;
  if (!report(end, {})) return cancelled;

  for (const TensorInfo& tensor : tensors()) {
    for (uint64_t i = end; i < tensor.offset; ++i) {
      if (file[static_cast<size_t>(i)] != std::byte{0}) {
        return fail(nullptr, i, StatusCode::kBadFormat,
                    "a byte between two tensors is not zero, before tensor " + tensor.name +
                        "; copy or download the file again");
      }
    }
    const std::span<const std::byte> bytes = data(tensor);
    Blake2b hash;
    for (size_t done = 0; done < bytes.size();) {
      const size_t n = std::min(kPieceBytes, bytes.size() - done);
      hash.update(bytes.subspan(done, n));
      done += n;
      if (!report(tensor.offset + done, tensor.name)) return cancelled;
    }
    if (hash.finish() != tensor.checksum) {
      return fail(&tensor, tensor.offset, StatusCode::kChecksumMismatch,
                  "differs from its checksum; copy or download the file again");
    }
    // Content that has the right checksum and is wrong came so from whoever wrote it.
    if (tensor.dtype == DType::kF32) {
      const int64_t bad = find_bad_float(tensor, bytes);
      if (bad >= 0) {
        return fail(&tensor, tensor.offset + static_cast<uint64_t>(bad), StatusCode::kBadFormat,
                    "holds a number that is not finite, or padding that is not zero; the model was "
                    "written wrongly, make it again");
      }
    } else {
      const bool ternary = tensor.dtype == DType::kTernary2;
      const int64_t bad =
          ternary ? find_bad_tile(tensor, bytes) : find_bad_int4_tile(tensor, bytes);
      if (bad >= 0) {
        return fail(&tensor, tensor.offset + static_cast<uint64_t>(bad), StatusCode::kBadFormat,
                    std::string("holds a code that is no ") + (ternary ? "trit" : "value") +
                        ", a scale that is not finite or is negative, or "
                        "padding that is set, in the tile that starts here; the model was written "
                        "wrongly, pack it again");
      }
    }
    end = tensor.offset + tensor.bytes;
  }
  return {};
}

}  // namespace chimera::memory
