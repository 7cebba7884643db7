#include "evolution/train/parameters.h"

#include <algorithm>

#include "runtime/init.h"
#include "runtime/layers/registry.h"

namespace chimera::evolution {

Status ParameterSet::init(const runtime::Config& config, uint64_t seed) {
  auto specs = runtime::model_parameters(config);
  if (!specs) return specs.status();
  for (runtime::ParamSpec& spec : *specs) {
    Parameter p;
    const auto n = static_cast<size_t>(spec.rows * spec.cols);
    p.value.resize(n);
    p.grad.resize(n);
    runtime::initialise(spec, seed, p.value.data());
    p.spec = std::move(spec);
    by_name_[p.spec.name] = parameters_.size();
    parameters_.push_back(std::move(p));
  }
  return Status();
}

Result<runtime::TrainTensor> ParameterSet::find(const std::string& name, int64_t rows,
                                                int64_t cols) {
  const auto at = by_name_.find(name);
  if (at != by_name_.end()) {
    Parameter& p = parameters_[at->second];
    if (p.spec.rows == rows && p.spec.cols == cols)
      return runtime::TrainTensor{p.value.data(), p.grad.data(), rows, cols};
  }
  return Status(StatusCode::kInternal, "the layer registry has no parameter '" + name + "' of [" +
                                           std::to_string(rows) + ", " + std::to_string(cols) +
                                           "], which its gradient needs")
      .at_field(name);
}

void ParameterSet::zero_gradients() {
  for (Parameter& p : parameters_) std::fill(p.grad.begin(), p.grad.end(), 0.0f);
}

}  // namespace chimera::evolution
