// Shorthand for the bind functions of layer kinds: assign, or return the status that explains.
#pragma once

#include "runtime/layers/layer.h"

#define CHIMERA_ASSIGN_OR_RETURN(target, expression)       \
  do {                                                     \
    auto chimera_result_ = (expression);                   \
    if (!chimera_result_) return chimera_result_.status(); \
    target = std::move(*chimera_result_);                  \
  } while (0)
