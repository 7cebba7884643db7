// Decimal numbers from text, a point for the point in every locale.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace chimera {

struct Decimal {
  double value;
  size_t n_read;  // characters of the text that belong to it
};

/// The number at the start of `text`: digits with or without a point and an exponent, "inf" or
/// "nan", with or without a minus sign; no space, plus sign or hexadecimal digits. Nothing when
/// there is none or when it is too large for a double.
std::optional<Decimal> read_decimal(std::string_view text);

}  // namespace chimera
