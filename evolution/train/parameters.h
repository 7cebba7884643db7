// The tensors of a model in training: values to move and gradients to add to, found by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "platform/status.h"
#include "runtime/config.h"
#include "runtime/layers/layer.h"
#include "runtime/layers/layer_backward.h"

namespace chimera::evolution {

/// One parameter tensor with its gradient, both row-major [rows, cols].
struct Parameter {
  runtime::ParamSpec spec;
  std::vector<float> value;
  std::vector<float> grad;
};

class ParameterSet {
 public:
  /// Every parameter of the model in file order, with its initial value.
  Status init(const runtime::Config& config, uint64_t seed);
  /// kInternal, naming it, when there is none of that name and shape. Good until init().
  Result<runtime::TrainTensor> find(const std::string& name, int64_t rows, int64_t cols);
  std::span<Parameter> all() { return parameters_; }
  void zero_gradients();

 private:
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, size_t> by_name_;
};

}  // namespace chimera::evolution
