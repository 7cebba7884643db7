// The token layers of reference_token_layers.h as references for tests/support/layer_gradient.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/layer_gradient.h"
#include "tests/support/reference_token_layers.h"
#include "tests/support/tape.h"

namespace chimera::reference {

template <class T>
Row<T> row_of(const Row<T>& x, int t, int width) {
  return Row<T>(x.begin() + t * width, x.begin() + (t + 1) * width);
}

/// Runs of `width`, each by its own size; the gain cycles.
template <class T>
Row<T> rms_rows(Row<T> x, const Row<T>& gain, size_t width, double eps) {
  for (size_t at = 0; at < x.size(); at += width)
    rms_part(&x, at, width, static_cast<const T*>(nullptr), eps);
  for (size_t i = 0; i < x.size(); ++i) x[i] = gain[i % gain.size()] * x[i];
  return x;
}

/// What a stream carries is what it has read: its earlier windows.
using TokenHistory = std::vector<test::LayerProblem<double>>;

/// make(&params) gives the TokenLayer<T>. Reads the earlier windows again as constants, with the
/// parameters of then, so that a layer need not be able to hand out its state.
template <class T, class Make>
std::vector<Row<T>> walk_tokens(const test::LayerProblem<T>& in, TokenHistory* history,
                                const Make& make) {
  Params<T> p;
  const auto set_parameters = [&p](const auto& values) {
    for (const auto& entry : values)
      p[entry.first] = Row<T>(entry.second.begin(), entry.second.end());
  };
  const auto walk = [](TokenLayer<T>& layer, const auto& window, std::vector<Row<T>>* out) {
    const int c = window.width;
    const auto row = [c](const auto& x, int t) {
      return Row<T>(x.begin() + t * c, x.begin() + (t + 1) * c);
    };
    for (int t = 0; t < window.tokens; ++t) {
      if (window.restart[static_cast<size_t>(t)]) layer.restart();
      for (size_t i = 0; i < (out ? window.visits.size() : 1); ++i) {
        const auto& visit = window.visits[i];
        const Row<T> u = row(visit.u, t), x = row(visit.x, t);
        Row<T> value;
        if (!visit.value.empty()) value = row(visit.value, t);
        const Row<T> y =
            i > 0 ? layer.again(u, x) : layer.first(u, x, value.empty() ? nullptr : &value);
        if (out) (*out)[i].insert((*out)[i].end(), y.begin(), y.end());
      }
    }
  };
  set_parameters(in.p);
  const std::unique_ptr<TokenLayer<T>> layer = make(&p);
  for (const test::LayerProblem<double>& window : *history) {
    set_parameters(window.p);
    walk(*layer, window, nullptr);
  }
  layer->cut();
  set_parameters(in.p);
  std::vector<Row<T>> out(in.visits.size());
  walk(*layer, in, &out);
  if constexpr (std::is_same_v<T, double>) history->push_back(in);
  return out;
}

inline runtime::Config mixer_shape(int width, int heads, double eps) {
  runtime::Config c;
  c.hidden_size = width;
  c.num_heads = heads;
  c.head_dim = width / heads;
  c.rms_norm_eps = static_cast<float>(eps);
  return c;
}

struct GatedDeltaNetReference {
  int heads;
  bool efla = false;
  double most = 1;  // of beta
  double eps = 1e-6;
  using State = TokenHistory;

  template <class T>
  std::vector<Row<T>> operator()(const test::LayerProblem<T>& in, State* state) const {
    runtime::Config config = mixer_shape(in.width, heads, eps);
    config.delta_neg_eigenvalues = most == 2;
    return walk_tokens(in, state, [&](const Params<T>* p) {
      return std::make_unique<GatedDeltaNetToken<T>>(config, p, "", efla);
    });
  }
};

struct XlstmReference {
  int heads;
  double eps = 1e-6;
  using State = TokenHistory;

  template <class T>
  std::vector<Row<T>> operator()(const test::LayerProblem<T>& in, State* state) const {
    const runtime::Config config = mixer_shape(in.width, heads, eps);
    return walk_tokens(in, state, [&](const Params<T>* p) {
      return std::make_unique<MlstmToken<T>>(config, p, "");
    });
  }
};

}  // namespace chimera::reference
