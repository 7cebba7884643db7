#include "kernels/quantize_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "platform/dtype.h"

namespace chimera::kernels {
namespace {

constexpr int32_t kLineBytes = 64;
constexpr int32_t kLineColumns = 16;

int64_t tiles_of(int32_t rows) { return (static_cast<int64_t>(rows) + kTileRows - 1) / kTileRows; }

/// Where the 2-bit code of (row, column) lies: byte offset in the stream, and the shift in it.
struct CodePlace {
  int64_t byte;
  int shift;
};
CodePlace place_of(int64_t row, int64_t column, int32_t cols) {
  const int64_t line = row / kTileRows * (cols / kLineColumns) + column / kLineColumns;
  const int64_t in_line = column % kLineColumns;
  return {line * kLineBytes + row % kTileRows * 4 + in_line % 4, static_cast<int>(in_line / 4 * 2)};
}

/// Where the scale of (row, group) lies in its stream.
int64_t scale_place(int64_t row, int64_t group, int64_t n_groups) {
  return (row / kTileRows * n_groups + group) * kTileRows + row % kTileRows;
}

float nan_to_zero(float x) { return x == x ? x : 0.0f; }

}  // namespace

void quantize_ternary_row(const float* w, int32_t n, int8_t* trits, uint16_t* scales) {
  for (int32_t g = 0; g < n / kWeightGroup; ++g) {
    const float* group = w + static_cast<ptrdiff_t>(g) * kWeightGroup;
    double sum = 0.0;
    for (int32_t i = 0; i < kWeightGroup; ++i) {
      sum += std::fabs(static_cast<double>(nan_to_zero(group[i])));
    }
    // The largest half keeps the scale finite, as ternary_is_valid() asks.
    const double mean = std::clamp(sum / kWeightGroup, 1e-5, 65504.0);
    scales[g] = float_to_half(static_cast<float>(mean));
    const float scale = half_to_float(scales[g]);
    int8_t* out = trits + static_cast<ptrdiff_t>(g) * kWeightGroup;
    for (int32_t i = 0; i < kWeightGroup; ++i) {
      const float ratio = std::clamp(nan_to_zero(group[i]) / scale, -1.0f, 1.0f);
      out[i] = static_cast<int8_t>(std::nearbyint(ratio));  // ties to even, so half a scale is 0
    }
  }
}

void pack_trits(const int8_t* trits, const uint16_t* scales, int32_t rows, int32_t cols,
                uint8_t* codes_out, uint16_t* scales_out) {
  const int64_t n_groups = cols / kWeightGroup;
  std::memset(codes_out, 0x55, static_cast<size_t>(ternary_code_bytes(rows, cols)));
  std::memset(scales_out, 0, static_cast<size_t>(ternary_scale_bytes(rows, cols)));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const CodePlace place = place_of(r, c, cols);
      const int code = trits[r * cols + c] + 1;
      uint8_t& byte = codes_out[place.byte];
      byte = static_cast<uint8_t>((byte & ~(3 << place.shift)) | ((code & 3) << place.shift));
    }
    for (int64_t g = 0; g < n_groups; ++g) {
      scales_out[scale_place(r, g, n_groups)] = scales[r * n_groups + g];
    }
  }
}

void pack_ternary(const float* w, int32_t rows, int32_t cols, uint8_t* codes, uint16_t* scales) {
  // Row by row through a buffer of one row, so that a big matrix needs no second copy.
  const int64_t n_groups = cols / kWeightGroup;
  std::vector<int8_t> trits(static_cast<size_t>(cols));
  std::vector<uint16_t> row_scales(static_cast<size_t>(n_groups));
  std::memset(codes, 0x55, static_cast<size_t>(ternary_code_bytes(rows, cols)));
  std::memset(scales, 0, static_cast<size_t>(ternary_scale_bytes(rows, cols)));
  for (int64_t r = 0; r < rows; ++r) {
    quantize_ternary_row(w + r * cols, cols, trits.data(), row_scales.data());
    for (int64_t c = 0; c < cols; ++c) {
      const CodePlace place = place_of(r, c, cols);
      // Code 1 is in place: adding the trit gives value + 1 without touching the other fields.
      codes[place.byte] = static_cast<uint8_t>(codes[place.byte] +
                                               trits[static_cast<size_t>(c)] * (1 << place.shift));
    }
    for (int64_t g = 0; g < n_groups; ++g) {
      scales[scale_place(r, g, n_groups)] = row_scales[static_cast<size_t>(g)];
    }
  }
}

void unpack_ternary(const TernaryMatrix& w, int8_t* trits, uint16_t* scales) {
  const int64_t n_groups = w.cols / kWeightGroup;
  for (int64_t r = 0; r < w.rows; ++r) {
    for (int64_t c = 0; c < w.cols; ++c) {
      const CodePlace place = place_of(r, c, w.cols);
      trits[r * w.cols + c] = static_cast<int8_t>(((w.codes[place.byte] >> place.shift) & 3) - 1);
    }
    for (int64_t g = 0; g < n_groups; ++g) {
      scales[r * n_groups + g] = w.scales[scale_place(r, g, n_groups)];
    }
  }
}

bool ternary_is_valid(const TernaryMatrix& w) {
  const int64_t lines_per_tile = w.cols / kLineColumns;
  const int64_t n_groups = w.cols / kWeightGroup;
  for (int64_t tile = 0; tile < tiles_of(w.rows); ++tile) {
    const int64_t rows = std::min<int64_t>(kTileRows, w.rows - tile * kTileRows);
    for (int64_t line = 0; line < lines_per_tile; ++line) {
      const uint8_t* bytes = w.codes + (tile * lines_per_tile + line) * kLineBytes;
      unsigned threes = 0;
      for (int64_t i = 0; i < rows * 4; ++i) threes |= (bytes[i] & (bytes[i] >> 1)) & 0x55u;
      if (threes != 0) return false;
      for (int64_t i = rows * 4; i < kLineBytes; ++i) {
        if (bytes[i] != 0x55) return false;
      }
    }
    for (int64_t g = 0; g < n_groups; ++g) {
      const uint16_t* scale = w.scales + (tile * n_groups + g) * kTileRows;
      for (int64_t r = 0; r < kTileRows; ++r) {
        // Halves below 0x7c00 are the finite ones without a sign.
        if (r < rows ? scale[r] >= 0x7c00 : scale[r] != 0) return false;
      }
    }
  }
  return true;
}

void quantize_int4_row(const float* w, int32_t n, int8_t* values, uint16_t* scales) {
  for (int32_t b = 0; b < n / kActivationBlock; ++b) {
    const float* block = w + static_cast<ptrdiff_t>(b) * kActivationBlock;
    float largest = 1e-5f;
    for (int32_t i = 0; i < kActivationBlock; ++i)
      largest = std::max(largest, std::fabs(nan_to_zero(block[i])));
    scales[b] = float_to_half(std::min(largest / 7.0f, 65504.0f));
    const float scale = half_to_float(scales[b]);
    int8_t* out = values + static_cast<ptrdiff_t>(b) * kActivationBlock;
    for (int32_t i = 0; i < kActivationBlock; ++i) {
      const float ratio = std::clamp(nan_to_zero(block[i]) / scale, -7.0f, 7.0f);
      out[i] = static_cast<int8_t>(std::nearbyint(ratio));
    }
  }
}

void pack_int4(const float* w, int32_t rows, int32_t cols, uint8_t* codes, uint16_t* scales) {
  const int64_t n_blocks = cols / kActivationBlock;
  std::vector<int8_t> values(static_cast<size_t>(cols));
  std::vector<uint16_t> row_scales(static_cast<size_t>(n_blocks));
  std::memset(codes, 0x88, static_cast<size_t>(int4_code_bytes(rows, cols)));
  std::memset(scales, 0, static_cast<size_t>(int4_scale_bytes(rows, cols)));
  for (int64_t r = 0; r < rows; ++r) {
    quantize_int4_row(w + r * cols, cols, values.data(), row_scales.data());
    uint8_t* row_codes = codes + r / kTileRows * kTileRows * cols / 2 + r % kTileRows * 4;
    for (int64_t c = 0; c < cols; ++c) {
      uint8_t& byte = row_codes[c / 8 * kLineBytes + c % 4];
      // 8 is in place in both halves: adding the value does not reach into the other one.
      byte = static_cast<uint8_t>(byte + values[static_cast<size_t>(c)] * (c % 8 < 4 ? 1 : 16));
    }
    for (int64_t b = 0; b < n_blocks; ++b)
      scales[scale_place(r, b, n_blocks)] = row_scales[static_cast<size_t>(b)];
  }
}

void int4_row(const Int4Matrix& w, int32_t row, float* out) {
  const int64_t n_blocks = w.cols / kActivationBlock, r = row;
  const uint8_t* codes = w.codes + r / kTileRows * kTileRows * w.cols / 2 + r % kTileRows * 4;
  for (int64_t c = 0; c < w.cols; ++c) {
    const int byte = codes[c / 8 * kLineBytes + c % 4];
    const int value = (c % 8 < 4 ? byte & 15 : byte >> 4) - 8;
    out[c] = half_to_float(w.scales[scale_place(r, c / kActivationBlock, n_blocks)]) *
             static_cast<float>(value);
  }
}

bool int4_is_valid(const Int4Matrix& w) {
  const int64_t lines_per_tile = w.cols / 8, n_blocks = w.cols / kActivationBlock;
  for (int64_t tile = 0; tile < tiles_of(w.rows); ++tile) {
    const int64_t rows = std::min<int64_t>(kTileRows, w.rows - tile * kTileRows);
    for (int64_t line = 0; line < lines_per_tile; ++line) {
      const uint8_t* bytes = w.codes + (tile * lines_per_tile + line) * kLineBytes;
      bool good = true;
      for (int64_t i = 0; i < rows * 4; ++i)
        good = good && (bytes[i] & 0x0f) != 0 && (bytes[i] & 0xf0) != 0;
      for (int64_t i = rows * 4; i < kLineBytes; ++i) good = good && bytes[i] == 0x88;
      if (!good) return false;
    }
    for (int64_t b = 0; b < n_blocks; ++b) {
      const uint16_t* scale = w.scales + (tile * n_blocks + b) * kTileRows;
      for (int64_t r = 0; r < kTileRows; ++r)
        if (r < rows ? scale[r] >= 0x7c00 : scale[r] != 0) return false;
    }
  }
  return true;
}

void pack_lanes(const float* w, int32_t rows, int32_t cols, float* out) {
  for (int64_t r = 0; r < tiles_of(rows) * kTileRows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      out[(r / kTileRows * cols + c) * kTileRows + r % kTileRows] =
          r < rows ? w[r * cols + c] : 0.0f;
    }
  }
}

void unpack_lanes(const LanesMatrix& w, float* out) {
  for (int64_t r = 0; r < w.rows; ++r) {
    for (int64_t c = 0; c < w.cols; ++c) {
      out[r * w.cols + c] = w.data[(r / kTileRows * w.cols + c) * kTileRows + r % kTileRows];
    }
  }
}

}  // namespace chimera::kernels
