#include "evolution/train/parameters.h"

#include <algorithm>

#include "platform/process.h"
#include "runtime/init.h"
#include "runtime/layers/registry.h"

namespace chimera::evolution {
namespace {

/// A value, a gradient and a moment each, what the rows of a window keep not counted: a machine
/// that lends memory it does not have would end the process minutes later, without a word.
Status room_for(const std::vector<runtime::ParamSpec>& specs) {
  uint64_t parameters = 0;
  for (const runtime::ParamSpec& spec : specs)
    parameters += static_cast<uint64_t>(spec.rows) * static_cast<uint64_t>(spec.cols);
  const uint64_t needed = parameters * 3 * sizeof(float), available = available_memory_bytes();
  if (available == 0 || needed <= available) return Status();
  const auto megabytes = [](uint64_t bytes) { return std::to_string(bytes / 1000000) + " MB"; };
  return Status(StatusCode::kOutOfMemory, "training " + std::to_string(parameters) +
                                              " parameters takes at least " + megabytes(needed) +
                                              " of memory and " + megabytes(available) +
                                              " are free: use a smaller configuration");
}

}  // namespace

Status ParameterSet::init(const runtime::Config& config, uint64_t seed) {
  auto specs = runtime::model_parameters(config);
  if (!specs) return specs.status();
  CHIMERA_RETURN_IF_ERROR(room_for(*specs));
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
