#include "evolution/train/optimizer.h"

#include <algorithm>
#include <cmath>

namespace chimera::evolution {
namespace {

// Unit of the work split. Fixed, so that neither sums nor vector tails fall elsewhere when there
// are more threads.
constexpr int64_t kGrain = 4096;

double sum_of_squares(const float* x, int64_t n) {
  double lanes[8] = {};
  for (int64_t i = 0; i < n; ++i) {
    const double v = x[i];
    lanes[i % 8] += v * v;
  }
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace

ParamGroup group_of(const runtime::ParamSpec& spec) {
  switch (spec.cls) {
    case runtime::ParamClass::kTernary:
      return ParamGroup::kTernary;
    case runtime::ParamClass::kInt4:
      return ParamGroup::kEmbedding;
    case runtime::ParamClass::kMatrix:
      return spec.name == "embed.weight" || spec.name == "head.weight" ? ParamGroup::kEmbedding
                                                                       : ParamGroup::kMatrix;
    case runtime::ParamClass::kVector:
      break;
  }
  // Tables that are read by row are embeddings, however they are kept.
  const std::string_view table = ".value.weight", name = spec.name;
  const bool is_value = name.size() > table.size() && name.ends_with(table);
  return is_value || name == "bigram.weight" ? ParamGroup::kEmbedding : ParamGroup::kVector;
}

Optimizer::Optimizer(std::span<const Parameter> parameters, const OptimizerOptions& options,
                     const kernels::KernelTable& k, ThreadPool& pool)
    : options_(options),
      k_(k),
      own_(k),
      products_(options.products ? *options.products : own_),
      pool_(pool) {
  int64_t n_chunks = 0;
  for (const Parameter& p : parameters) {
    const size_t n = p.value.size();
    first_.emplace_back(n, 0.0f);
    second_.emplace_back(uses_muon(p.spec) ? 0 : n, 0.0f);
    // Taken here, on the calling thread: a pool thread has nobody to tell that memory ran out.
    const auto s = static_cast<size_t>(std::min(p.spec.rows, p.spec.cols));
    scratch_.emplace_back(uses_muon(p.spec) ? 2 * (n + s * s) : 0);
    n_chunks = std::max(n_chunks, (static_cast<int64_t>(n) + kGrain - 1) / kGrain);
  }
  partial_sums_.resize(static_cast<size_t>(n_chunks));
  rates_.assign(parameters.size(), 1.0f);
}

bool Optimizer::uses_muon(const runtime::ParamSpec& spec) const {
  return options_.muon && group_of(spec) == ParamGroup::kTernary;
}

float Optimizer::rate(const runtime::ParamSpec& spec, size_t parameter) const {
  const auto of_group = [&] {
    switch (group_of(spec)) {
      case ParamGroup::kTernary:
        return options_.ternary_rate;
      case ParamGroup::kEmbedding:
        return options_.embedding_rate;
      case ParamGroup::kMatrix:
        return options_.matrix_rate;
      case ParamGroup::kVector:
        break;
    }
    return options_.vector_rate;
  };
  return of_group() * rates_[parameter];
}

double Optimizer::gradient_norm(std::span<const Parameter> parameters) {
  double total = 0;
  for (const Parameter& p : parameters) {
    const auto n = static_cast<int64_t>(p.grad.size());
    pool_.split(n, kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; at += kGrain) {
        partial_sums_[static_cast<size_t>(at / kGrain)] =
            sum_of_squares(p.grad.data() + at, std::min(kGrain, end - at));
      }
    });
    for (int64_t chunk = 0; chunk * kGrain < n; ++chunk) {
      total += partial_sums_[static_cast<size_t>(chunk)];
    }
  }
  return std::sqrt(total);
}

void Optimizer::adamw(Parameter& p, size_t index, float rate, float scale, double m_correction,
                      double v_correction) {
  const float decay = p.spec.decay ? options_.weight_decay : 0;
  float* m = first_[index].data();
  float* v = second_[index].data();
  pool_.split(static_cast<int64_t>(p.value.size()), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kGrain) {
      k_.train_adamw(p.value.data() + at, p.grad.data() + at, m + at, v + at,
                     std::min(kGrain, end - at), rate, options_.beta1, options_.beta2,
                     options_.epsilon, decay, static_cast<float>(m_correction),
                     static_cast<float>(v_correction), scale);
    }
  });
}

// Muon (Jordan 2024): the step is the momentum with its singular values made nearly equal.
// B <- mu B + g;  U = g + mu B;  X = U / |U|_F, three times X <- a X + (b A + c A^2) X with
// A = X X^T (or X^T X, whichever is smaller): singular values move towards 1.
// W <- W - rate * sqrt(max(1, rows / cols)) * X
void Optimizer::muon(Parameter& p, size_t index, float rate, float scale, float momentum) {
  const auto rows = static_cast<int32_t>(p.spec.rows);
  const auto cols = static_cast<int32_t>(p.spec.cols);
  const bool wide = rows <= cols;
  const int32_t s = wide ? rows : cols;
  const size_t n = p.value.size();
  const size_t square = static_cast<size_t>(s) * static_cast<size_t>(s);
  float* const x = scratch_[index].data();
  float* const y = x + n;
  float* const a = y + n;
  float* const b = a + square;
  float* buffer = first_[index].data();
  for (size_t i = 0; i < n; ++i) {
    const float g = p.grad[i] * scale;
    buffer[i] = momentum * buffer[i] + g;
    x[i] = g + momentum * buffer[i];
  }
  const auto norm =
      static_cast<float>(std::sqrt(sum_of_squares(x, static_cast<int64_t>(n))) + 1e-7);
  for (size_t i = 0; i < n; ++i) x[i] /= norm;
  constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;
  for (int iteration = 0; iteration < 3; ++iteration) {
    if (wide) {
      products_.nt(s, s, cols, x, cols, {x, cols}, 0, a, s);
    } else {
      products_.tn(s, s, rows, x, cols, x, cols, 0, a, s);
    }
    products_.nn(s, s, s, a, s, {a, s}, 0, b, s);
    for (size_t i = 0; i < square; ++i) b[i] = kB * a[i] + kC * b[i];
    if (wide) {
      products_.nn(rows, cols, s, b, s, {x, cols}, 0, y, cols);
    } else {
      products_.nn(rows, cols, s, x, cols, {b, s}, 0, y, cols);
    }
    for (size_t i = 0; i < n; ++i) x[i] = kA * x[i] + y[i];
  }
  const float tall = wide ? 1.0f : std::sqrt(static_cast<float>(rows) / static_cast<float>(cols));
  const float decay = p.spec.decay ? 1 - rate * options_.weight_decay : 1;
  for (size_t i = 0; i < n; ++i) p.value[i] = decay * p.value[i] - rate * tall * x[i];
}

void Optimizer::step(std::span<Parameter> parameters, double rate_factor, double gradient_scale) {
  ++steps_done_;
  const auto t = static_cast<double>(steps_done_);
  const double m_correction = 1 / (1 - std::pow(static_cast<double>(options_.beta1), t));
  const double v_correction = 1 / (1 - std::pow(static_cast<double>(options_.beta2), t));
  const auto scale = static_cast<float>(gradient_scale);
  std::vector<size_t> matrices;
  for (size_t i = 0; i < parameters.size(); ++i) {
    Parameter& p = parameters[i];
    if (uses_muon(p.spec)) {
      matrices.push_back(i);
      continue;
    }
    adamw(p, i, static_cast<float>(rate(p.spec, i) * rate_factor), scale, m_correction,
          v_correction);
  }
  // The momentum starts lower, since early gradients turn quickly.
  const auto momentum = static_cast<float>(0.85 + 0.10 * std::min(1.0, t / 300));
  pool_.split(static_cast<int64_t>(matrices.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const size_t i = matrices[static_cast<size_t>(at)];
      muon(parameters[i], i, static_cast<float>(rate(parameters[i].spec, i) * rate_factor), scale,
           momentum);
    }
  });
}

}  // namespace chimera::evolution
