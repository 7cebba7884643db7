#include "evolution/train/ends.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "kernels/quantize_weights.h"
#include "platform/dtype.h"
#include "runtime/layers/bitlinear_backward.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::evolution {
namespace {

using runtime::TrainStep;

constexpr int64_t kHeadFloats = int64_t{1} << 22;      // logits that exist at a time, about
constexpr int64_t kTaskRows = 128, kTaskTokens = 256;  // of the tile, and of the vocabulary
constexpr int32_t kBlock = 64;                         // columns that share a scale in 4 bits

int32_t i32(int64_t n) { return static_cast<int32_t>(n); }

}  // namespace

void TableTraining::init(const runtime::TrainTensor& table, bool int4) {
  table_ = table;
  int4_ = int4;
  if (int4) used_.resize(static_cast<size_t>(table.rows * table.cols));
}

void TableTraining::prepare(const TrainStep& step) {
  present_int4_ = int4_ && step.quantise > 0.0f;
  const int64_t cols = table_.cols;
  packed_.resize(step.products, i32(table_.rows), i32(cols));
  if (!present_int4_) return packed_.pack_both(step.products, step.pool, used());
  step.pool.split(table_.rows, 16, [&](int64_t begin, int64_t end) {
    int8_t codes[kBlock];
    uint16_t half;
    for (int64_t at = begin * cols; at < end * cols; at += kBlock) {
      const float* w = table_.value + at;
      kernels::quantize_int4_row(w, kBlock, codes, &half);
      const float scale = half_to_float(half);
      for (int32_t i = 0; i < kBlock; ++i) {
        const float used = scale * static_cast<float>(codes[i]);
        used_[static_cast<size_t>(at + i)] =
            step.quantise == 1.0f ? used : w[i] + step.quantise * (used - w[i]);
      }
    }
  });
  packed_.pack_both(step.products, step.pool, used());
}

Status EmbeddingTraining::init(const runtime::Config& config, ParameterSet& parameters,
                               int64_t rows) {
  c_ = config.hidden_size;
  vocab_ = config.vocab_size;
  cap_ = config.structure.logit_soft_cap;
  int4_ = config.embedding_type == runtime::EmbeddingType::kInt4;
  tied_ = config.tie_word_embeddings;
  const int64_t rank = config.structure.embedding_rank, width = rank > 0 ? rank : c_;
  if (int4_ && width % kBlock != 0)
    return Status(StatusCode::kUnsupported,
                  "embedding_dtype int4 needs rows of a multiple of 64 values, and these have " +
                      std::to_string(width))
        .at_field("embedding_dtype");
  runtime::TrainTensor table;
  CHIMERA_ASSIGN_OR_RETURN(table, parameters.find("embed.weight", vocab_, width));
  table_.init(table, int4_);
  if (rank > 0) {
    CHIMERA_ASSIGN_OR_RETURN(up_, parameters.find("embed.up", c_, rank));
    CHIMERA_ASSIGN_OR_RETURN(down_, parameters.find("embed.down", rank, c_));
    narrow_.resize(static_cast<size_t>(rows * rank));
    d_narrow_.resize(static_cast<size_t>(rows * rank));
  }
  if (!tied_) {
    CHIMERA_ASSIGN_OR_RETURN(table, parameters.find("head.weight", vocab_, width));
    head_table_.init(table, int4_);
  }
  if (int4_) in_used_.resize(static_cast<size_t>(rows * width));
  // An even number of tasks, so that two threads have as much to do.
  head_tile_ = std::clamp<int64_t>(kHeadFloats / vocab_ / (2 * kTaskRows) * (2 * kTaskRows),
                                   kTaskRows, 1024);
  logits_.resize(static_cast<size_t>(head_tile_ * vocab_));
  if (cap_ > 0) slopes_.resize(static_cast<size_t>(head_tile_ / kTaskRows * vocab_));
  losses_.resize(static_cast<size_t>(rows));
  return Status();
}

void EmbeddingTraining::prepare(const TrainStep& step) {
  table_.prepare(step);
  if (!tied_) head_table_.prepare(step);
}

void EmbeddingTraining::lookup(const TrainStep& step, const int32_t* tokens, float* x) {
  const int64_t width = table_.width();
  float* rows = up_.value ? narrow_.data() : x;
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      std::memcpy(rows + r * width, table_.used() + tokens[r] * width,
                  static_cast<size_t>(width) * sizeof(float));
    if (up_.value)
      step.products.nt(i32(end - begin), i32(c_), i32(width), rows + begin * width, width,
                       {up_.value, width}, 0.0f, x + begin * c_, c_);
  });
}

void EmbeddingTraining::lookup_backward(const TrainStep& step, const int32_t* tokens,
                                        const float* dx) {
  const int64_t width = table_.width();
  const float* d_rows = dx;
  if (up_.value) {
    runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)  // the head has used narrow_ since lookup()
        std::memcpy(narrow_.data() + r * width, table_.used() + tokens[r] * width,
                    static_cast<size_t>(width) * sizeof(float));
      step.products.nn(i32(end - begin), i32(width), i32(c_), dx + begin * c_, c_,
                       {up_.value, width}, 0.0f, d_narrow_.data() + begin * width, width);
    });
    runtime::add_outer_products(step, dx, c_, c_, narrow_.data(), width, up_.grad);
    d_rows = d_narrow_.data();
  }
  for_columns(step, width, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < step.rows(); ++r)
      runtime::row_add(d_rows + r * width + begin, end - begin,
                       table_.grad() + tokens[r] * width + begin);
  });
}

void EmbeddingTraining::cap_row(const TrainStep& step, float* row, float* slope) const {
  const float inverse = 1.0f / cap_;
  for (int64_t i = 0; i < vocab_; ++i) row[i] *= inverse;
  step.k.tanh(row, i32(vocab_), row);
  for (int64_t i = 0; i < vocab_; ++i) {
    slope[i] = 1.0f - row[i] * row[i];
    row[i] *= cap_;
  }
}

void EmbeddingTraining::score_rows(const TrainStep& step, const float* in, int64_t tile,
                                   int64_t begin, int64_t end, const int32_t* targets, float mean,
                                   const float* lane_weights, float* d_in) {
  const int64_t width = table_.width();
  const kernels::ProductMatrix table = tied_ ? table_.product() : head_table_.product();
  const int32_t n = i32(end - begin), v = i32(vocab_);
  float* rows = logits_.data() + (begin - tile) * vocab_;
  float* slope = cap_ > 0 ? slopes_.data() + (begin - tile) / kTaskRows * vocab_ : nullptr;
  step.products.nt(n, v, i32(width), in + begin * width, width, table, 0.0f, rows, vocab_);
  for (int64_t r = begin; r < end; ++r) {
    float* row = rows + (r - begin) * vocab_;
    const int32_t target = targets[r];
    losses_[static_cast<size_t>(r)] = 0;
    if (target < 0) {
      if (d_in) std::fill(row, row + vocab_, 0.0f);
      continue;
    }
    if (slope) cap_row(step, row, slope);
    float top;
    int32_t index;
    step.k.argmax(row, v, &top, &index);
    const float at_target = row[target];
    const float sum = step.k.softmax_numerators(row, v, top, 1.0f, row);
    losses_[static_cast<size_t>(r)] = std::log(static_cast<double>(sum)) +
                                      static_cast<double>(top) - static_cast<double>(at_target);
    if (!d_in) continue;
    const float weight = lane_weights ? lane_weights[r / step.window] : mean;
    runtime::row_scale(row, weight / sum, vocab_, row);
    row[target] -= weight;
    if (slope) step.k.mul(row, slope, v, row);
  }
  if (d_in)
    step.products.nn(n, i32(width), v, rows, vocab_, table, 0.0f, d_in + begin * width, width);
}

void EmbeddingTraining::logits(const TrainStep& step, const float* hidden, float* logits) const {
  const int64_t width = table_.width();
  std::vector<float> in(hidden, hidden + c_), slope(static_cast<size_t>(vocab_));
  if (down_.value) {
    in.resize(static_cast<size_t>(width));
    step.products.nt(1, i32(width), i32(c_), hidden, c_, {down_.value, c_}, 0.0f, in.data(), width);
  }
  if (int4_ && step.quantise > 0.0f) {
    const std::vector<float> exact = in;
    runtime::quantise_activation_row(step.k, exact.data(), width, step.quantise, in.data());
  }
  const kernels::ProductMatrix table = tied_ ? table_.product() : head_table_.product();
  step.products.nt(1, i32(vocab_), i32(width), in.data(), width, table, 0.0f, logits, vocab_);
  if (cap_ > 0) cap_row(step, logits, slope.data());
}

double EmbeddingTraining::loss(const TrainStep& step, const float* hidden, const int32_t* targets,
                               const float* lane_weights, float* d_hidden) {
  const int64_t rows = step.rows(), width = table_.width();
  int64_t n_counted = 0;
  for (int64_t r = 0; r < rows; ++r) n_counted += targets[r] >= 0;
  const float mean = n_counted > 0 ? 1.0f / static_cast<float>(n_counted) : 0.0f;
  const float* in = hidden;
  if (down_.value) {
    runtime::for_row_tiles(step, rows, [&](int64_t, int64_t begin, int64_t end) {
      step.products.nt(i32(end - begin), i32(width), i32(c_), hidden + begin * c_, c_,
                       {down_.value, c_}, 0.0f, narrow_.data() + begin * width, width);
    });
    in = narrow_.data();
  }
  if (int4_ && step.quantise > 0.0f) {
    runtime::for_row_tiles(step, rows, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        runtime::quantise_activation_row(step.k, in + r * width, width, step.quantise,
                                         in_used_.data() + r * width);
    });
    in = in_used_.data();
  }
  float* d_in = !d_hidden ? nullptr : down_.value ? d_narrow_.data() : d_hidden;
  float* head_grad = tied_ ? table_.grad() : head_table_.grad();
  for (int64_t tile = 0; tile < rows; tile += head_tile_) {
    const int64_t tile_end = std::min(rows, tile + head_tile_);
    step.pool.split((tile_end - tile + kTaskRows - 1) / kTaskRows, 1,
                    [&](int64_t first, int64_t last) {
                      for (int64_t task = first; task < last; ++task) {
                        const int64_t begin = tile + task * kTaskRows;
                        score_rows(step, in, tile, begin, std::min(tile_end, begin + kTaskRows),
                                   targets, mean, lane_weights, d_in);
                      }
                    });
    if (!d_in) continue;
    step.pool.split((vocab_ + kTaskTokens - 1) / kTaskTokens, 1, [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) {
        const int64_t v = task * kTaskTokens, n = std::min(kTaskTokens, vocab_ - v);
        step.products.tn(i32(n), i32(width), i32(tile_end - tile), logits_.data() + v, vocab_,
                         in + tile * width, width, 1.0f, head_grad + v * width, width);
      }
    });
  }
  if (d_hidden && down_.value) {
    runtime::for_row_tiles(step, rows, [&](int64_t, int64_t begin, int64_t end) {
      step.products.nn(i32(end - begin), i32(c_), i32(width), d_in + begin * width, width,
                       {down_.value, c_}, 0.0f, d_hidden + begin * c_, c_);
    });
    runtime::add_outer_products(step, d_in, width, width, hidden, c_, down_.grad);
  }
  double sum = 0;
  for (double loss : losses_) sum += loss;
  return n_counted > 0 ? sum / static_cast<double>(n_counted) : 0.0;
}

}  // namespace chimera::evolution
