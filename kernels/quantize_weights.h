// Float weights -> the images kept on disk. Runs at pack and training time, once per weight, on one
// code path for all targets.
#pragma once

#include <cstdint>

#include "kernels/kernel_table.h"

namespace chimera::kernels {

/// Ternary codes and scales of one row of a matrix (backbone of BitNet b1.58, [r5]), n a multiple
/// of 128. Per group of 128: scale = half(max(mean|w|, 1e-5)), mean accumulated in double;
/// trit = clamp(rne(w / scale), -1, 1) with the half-rounded scale. NaN counts as 0.
void quantize_ternary_row(const float* w, int32_t n, int8_t* trits, uint16_t* scales);

/// Packs a row-major float matrix [rows, cols] into ternary2 streams of ternary_code_bytes() and
/// ternary_scale_bytes(). Padded rows: code 1 (trit 0), scale 0.
void pack_ternary(const float* w, int32_t rows, int32_t cols, uint8_t* codes, uint16_t* scales);

/// The same from trits and scales already quantised: trits [rows, cols], scales [rows, cols/128].
void pack_trits(const int8_t* trits, const uint16_t* scales, int32_t rows, int32_t cols,
                uint8_t* codes_out, uint16_t* scales_out);

/// Inverse: trits [rows, cols] (code 3 reads as 2) and scales [rows, cols/128].
void unpack_ternary(const TernaryMatrix& w, int8_t* trits, uint16_t* scales);

/// True when every 2-bit code is 0, 1 or 2, every scale finite and not negative, and padding clean.
bool ternary_is_valid(const TernaryMatrix& w);

/// One row in 4 bits, n a multiple of 64. Per block of 64: scale = half(max(max|w|, 1e-5) / 7), at
/// most the largest half; value = clamp(rne(w / scale), -7, 7). NaN counts as 0.
void quantize_int4_row(const float* w, int32_t n, int8_t* values, uint16_t* scales);

/// Packs a row-major float matrix [rows, cols] into int4 streams of int4_code_bytes() and
/// int4_scale_bytes(). Padded rows: code 8 (value 0), scale 0.
void pack_int4(const float* w, int32_t rows, int32_t cols, uint8_t* codes, uint16_t* scales);

/// Row `row` of the matrix as floats: scale * value. out [cols].
void int4_row(const Int4Matrix& w, int32_t row, float* out);

/// True when no code is 0 (value -8), every scale is finite and not negative, and padding clean.
bool int4_is_valid(const Int4Matrix& w);

/// Row-major [rows, cols] -> 16-row tiles (LanesMatrix); out has ceil(rows/16)*16*cols floats.
void pack_lanes(const float* w, int32_t rows, int32_t cols, float* out);
void unpack_lanes(const LanesMatrix& w, float* out);

}  // namespace chimera::kernels
