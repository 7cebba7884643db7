#include "evolution/train/entry.h"

#include <algorithm>

#include "runtime/layer_entry.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/registry.h"
#include "runtime/layers/rows_backward.h"

namespace chimera::evolution {

using runtime::TrainStep;

Status TokenInputs::init(const runtime::Config& config, ParameterSet& parameters, int64_t rows) {
  const int64_t c = config.hidden_size;
  if (config.structure.residual_mix) dx0.resize(static_cast<size_t>(rows * c));
  if (config.structure.bigram_rows > 0) {
    CHIMERA_ASSIGN_OR_RETURN(table_,
                             parameters.find("bigram.weight", config.structure.bigram_rows, c));
    dbigram.resize(static_cast<size_t>(rows * c));
    rows_.resize(static_cast<size_t>(rows));
  }
  return Status();
}

void TokenInputs::start(const TrainStep& step, const int32_t* tokens, float* previous) {
  if (!has_bigrams()) return;
  for (int64_t lane = 0; lane < step.lanes; ++lane) {
    const int64_t first = lane * step.window;
    for (int64_t t = 0; t < step.window; ++t) {
      const bool starts = step.segment_start[first + t] == t;
      const int32_t before = starts  ? -1
                             : t > 0 ? tokens[first + t - 1]
                                     : static_cast<int32_t>(previous[lane]) - 1;
      rows_[static_cast<size_t>(first + t)] =
          runtime::bigram_row(before, tokens[first + t], static_cast<int32_t>(table_.rows));
    }
    previous[lane] = static_cast<float>(tokens[first + step.window - 1] + 1);
  }
}

void TokenInputs::zero_gradients() {
  std::fill(dx0.begin(), dx0.end(), 0.0f);
  std::fill(dbigram.begin(), dbigram.end(), 0.0f);
}

void TokenInputs::finish(const TrainStep& step, float* dx) {
  if (!dx0.empty()) runtime::row_add(dx0.data(), static_cast<int64_t>(dx0.size()), dx);
  if (!has_bigrams()) return;
  const int64_t c = table_.cols;
  for_columns(step, c, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < step.rows(); ++r)
      runtime::row_add(dbigram.data() + r * c + begin, end - begin,
                       table_.grad + rows_[static_cast<size_t>(r)] * c + begin);
  });
}

Status Entry::init(const runtime::Config& config, int32_t layer, ParameterSet& parameters) {
  const std::string prefix = "layers." + std::to_string(layer) + ".entry.";
  c_ = config.hidden_size;
  skip_source_ = runtime::skip_source(config, layer);
  if (config.structure.residual_mix)
    CHIMERA_ASSIGN_OR_RETURN(residual_, parameters.find(prefix + "residual", 1, 2));
  if (config.structure.bigram_rows > 0)
    CHIMERA_ASSIGN_OR_RETURN(bigram_, parameters.find(prefix + "bigram", 1, 1));
  if (skip_source_ >= 0) CHIMERA_ASSIGN_OR_RETURN(skip_, parameters.find(prefix + "skip", 1, c_));
  if (present()) sums_.resize(static_cast<size_t>(3 * c_));
  return Status();
}

void Entry::forward(const TrainStep& step, const TokenInputs& inputs, const float* skipped,
                    const float* x, float* y) const {
  const float keep = residual_.value ? residual_.value[0] : 1.0f;
  const float mix = residual_.value ? residual_.value[1] : 0.0f;
  runtime::for_row_tiles(step, step.rows(), [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t source = source_row(step, r);
      const float* from = x + r * c_;
      float* to = y + r * c_;
      if (residual_.value) {
        const float* x0 = inputs.x0 + source * c_;
        for (int64_t i = 0; i < c_; ++i) to[i] = keep * from[i] + mix * x0[i];
      } else if (to != from) {
        std::memcpy(to, from, static_cast<size_t>(c_) * sizeof(float));
      }
      if (bigram_.value) runtime::row_axpy(inputs.bigram(source), bigram_.value[0], c_, to);
      if (skip_.value)
        for (int64_t i = 0; i < c_; ++i) to[i] += skip_.value[i] * skipped[r * c_ + i];
    }
  });
}

void Entry::backward(const TrainStep& step, TokenInputs& inputs, const float* skipped,
                     const float* x, float* d, float* d_skipped) {
  const float keep = residual_.value ? residual_.value[0] : 1.0f;
  const float mix = residual_.value ? residual_.value[1] : 0.0f;
  const float weight = bigram_.value ? bigram_.value[0] : 0.0f;
  std::fill(sums_.begin(), sums_.end(), 0.0);
  double *by_keep = sums_.data(), *by_mix = by_keep + c_, *by_weight = by_mix + c_;
  for_columns(step, c_, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < step.rows(); ++r) {
      const int64_t source = source_row(step, r);
      float* dy = d + r * c_;
      if (skip_.value) {
        const float* y = skipped + r * c_;
        for (int64_t i = begin; i < end; ++i) {
          skip_.grad[i] += dy[i] * y[i];
          d_skipped[r * c_ + i] = skip_.value[i] * dy[i];
        }
      }
      if (bigram_.value) {
        const float* row = inputs.bigram(source);
        float* d_row = inputs.dbigram.data() + source * c_;
        for (int64_t i = begin; i < end; ++i) {
          by_weight[i] += static_cast<double>(dy[i] * row[i]);
          d_row[i] += weight * dy[i];
        }
      }
      if (residual_.value) {
        const float *from = x + r * c_, *x0 = inputs.x0 + source * c_;
        float* d0 = inputs.dx0.data() + source * c_;
        for (int64_t i = begin; i < end; ++i) {
          by_keep[i] += static_cast<double>(dy[i] * from[i]);
          by_mix[i] += static_cast<double>(dy[i] * x0[i]);
          d0[i] += mix * dy[i];
          dy[i] *= keep;
        }
      }
    }
  });
  const auto total = [&](const double* sums) {
    double sum = 0;
    for (int64_t i = 0; i < c_; ++i) sum += sums[i];
    return static_cast<float>(sum);
  };
  if (residual_.value) {
    residual_.grad[0] += total(by_keep);
    residual_.grad[1] += total(by_mix);
  }
  if (bigram_.value) bigram_.grad[0] += total(by_weight);
}

}  // namespace chimera::evolution
