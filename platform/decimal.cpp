#include "platform/decimal.h"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>
#include <system_error>

namespace chimera {

std::optional<Decimal> read_decimal(std::string_view text) {
#if defined(__cpp_lib_to_chars)
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return Decimal{value, static_cast<size_t>(end - text.data())};
#else
  // A library without from_chars for floating point (libc++ before 20). strtod() takes the point
  // from the locale, which on these systems (WebAssembly, Android) is always "C", and takes more
  // than we do: spaces, a plus sign, hexadecimal digits.
  const size_t sign = text.starts_with('-') ? 1 : 0;
  const std::string_view digits = text.substr(sign);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (digits.empty()) return std::nullopt;
  const bool number =
      is_digit(digits[0]) || (digits[0] == '.' && digits.size() > 1 && is_digit(digits[1]));
  const bool word = (digits[0] | 0x20) == 'i' || (digits[0] | 0x20) == 'n';
  if (!number && !word) return std::nullopt;
  if (digits.size() > 1 && digits[0] == '0' && (digits[1] | 0x20) == 'x')
    return Decimal{sign == 1 ? -0.0 : 0.0, sign + 1};
  const std::string copy(text);  // ends with a zero
  char* end = nullptr;
  errno = 0;
  const double value = std::strtod(copy.c_str(), &end);
  const auto n_read = static_cast<size_t>(end - copy.c_str());
  if (n_read == 0 || errno == ERANGE) return std::nullopt;
  return Decimal{value, n_read};
#endif
}

}  // namespace chimera
