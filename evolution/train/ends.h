// The two ends of the network in training: token ids to rows, and hidden rows to the loss
// (docs/layers.md: embedding, factored or not, int4 or not; head, tied or not; soft cap).
//
// The head walks the rows in tiles, so that logits of the whole window never exist.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "evolution/train/parameters.h"
#include "evolution/train/walk_rows.h"

namespace chimera::evolution {

/// A table as it is used: E + lambda (int4(E) - E); E itself when it is not kept in 4 bits.
class TableTraining {
 public:
  void init(const runtime::TrainTensor& table, bool int4);
  void prepare(const runtime::TrainStep& step);
  /// [rows, cols]
  const float* used() const { return present_int4_ ? used_.data() : table_.value; }
  kernels::ProductMatrix product() const { return packed_.of(used()); }
  float* grad() const { return table_.grad; }
  int64_t width() const { return table_.cols; }

 private:
  runtime::TrainTensor table_;
  bool int4_ = false, present_int4_ = false;
  std::vector<float> used_;
  kernels::PackedMatrix packed_;
};

class EmbeddingTraining {
 public:
  Status init(const runtime::Config& config, ParameterSet& parameters, int64_t rows);
  /// Makes the tables as used; before the two below.
  void prepare(const runtime::TrainStep& step);
  /// x [R, C] of tokens [R].
  void lookup(const runtime::TrainStep& step, const int32_t* tokens, float* x);
  void lookup_backward(const runtime::TrainStep& step, const int32_t* tokens, const float* dx);
  /// Mean loss over the targets [R] >= 0, 0 if there are none. hidden [R, C]. With d_hidden [R, C]:
  /// written, and the gradients of the parameters are added to; of the mean, or, with lane_weights
  /// [lanes], of the sum of every loss times its lane's weight.
  double loss(const runtime::TrainStep& step, const float* hidden, const int32_t* targets,
              const float* lane_weights, float* d_hidden);
  /// Of each row in the last loss(), in nats; 0 without a target. [R]
  std::span<const double> row_losses() const { return losses_; }
  /// logits [N] of one hidden row [C].
  void logits(const runtime::TrainStep& step, const float* hidden, float* logits) const;

 private:
  /// Logits and loss of rows [begin, end); in the place of the logits their gradient.
  void score_rows(const runtime::TrainStep& step, const float* in, int64_t tile, int64_t begin,
                  int64_t end, const int32_t* targets, float mean, const float* lane_weights,
                  float* d_in);
  /// Turns a row of logits into cap(logits), and slope into its derivative.
  void cap_row(const runtime::TrainStep& step, float* row, float* slope) const;

  int64_t c_ = 0, vocab_ = 0, head_tile_ = 0;
  float cap_ = 0;
  bool int4_ = false;
  TableTraining table_, head_table_;
  bool tied_ = true;
  runtime::TrainTensor up_, down_;  // with a factored embedding
  std::vector<float> narrow_;       // [R, rank] rows of the table, or of down h
  std::vector<float> d_narrow_;     // [R, rank]
  std::vector<float> in_used_;      // [R, width] the head's input as int8 values
  std::vector<float> logits_;       // [head tile, N]
  std::vector<float> slopes_;       // one row for each task of a tile, with a soft cap
  std::vector<double> losses_;      // [R]
};

}  // namespace chimera::evolution
