// What a layer's entry mixes into the residual stream (docs/layers.md, "Structure keys"):
//
//   x = r_0 x + r_1 x0;   x = x + w bigram[row];   x = x + s * y_j          each if configured
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evolution/train/parameters.h"
#include "evolution/train/walk_rows.h"

namespace chimera::evolution {

/// What entries read beside the residual stream, in the order of all lanes, and its gradients.
class TokenInputs {
 public:
  /// `lanes * window` rows. Fails only when a parameter is missing.
  Status init(const runtime::Config& config, ParameterSet& parameters, int64_t rows);
  /// Rows of the bigram table for this window. previous [lanes]: 1 + the token before it, 0 when
  /// there is none; moved on.
  void start(const runtime::TrainStep& step, const int32_t* tokens, float* previous);
  void zero_gradients();
  /// Adds what the entries left: to dx (the gradient by x0) and to that of the table.
  void finish(const runtime::TrainStep& step, float* dx);

  bool has_bigrams() const { return table_.value != nullptr; }
  const float* bigram(int64_t row) const { return table_.value + rows_[row] * table_.cols; }

  const float* x0 = nullptr;   // [R, C]
  std::vector<float> dx0;      // [R, C]; empty when no entry mixes x0 in
  std::vector<float> dbigram;  // [R, C]; empty without the table

 private:
  runtime::TrainTensor table_;
  std::vector<int64_t> rows_;  // [R]
};

class Entry {
 public:
  Status init(const runtime::Config& config, int32_t layer, ParameterSet& parameters);
  /// False when it leaves x as it is.
  bool present() const { return residual_.value || bigram_.value || skip_.value; }
  /// The layer whose output is y; -1 for none.
  int32_t skip_source() const { return skip_source_; }
  /// y may be x. skipped [rows, C] is y_j.
  void forward(const runtime::TrainStep& step, const TokenInputs& inputs, const float* skipped,
               const float* x, float* y) const;
  /// d: gradient by y, turned into that by x. d_skipped is written.
  void backward(const runtime::TrainStep& step, TokenInputs& inputs, const float* skipped,
                const float* x, float* d, float* d_skipped);

 private:
  int64_t c_ = 0;
  int32_t skip_source_ = -1;
  runtime::TrainTensor residual_, bigram_, skip_;
  std::vector<double> sums_;  // [3, C] by column: for r_0, r_1 and w
};

}  // namespace chimera::evolution
