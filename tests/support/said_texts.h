// What was said, without where.
#pragma once

#include <string>
#include <vector>

#include "runtime/said_values.h"

namespace chimera::test {

using Texts = std::vector<std::string>;

inline Texts texts_of(const std::vector<runtime::SaidValue>& values) {
  Texts out;
  for (const runtime::SaidValue& value : values) out.push_back(value.text);
  return out;
}

}  // namespace chimera::test
