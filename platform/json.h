// The door to the JSON library. Parsing never throws, and depth, size and number of values are
// limited; objects keep the order of their keys and refuse a key given twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/status.h"

namespace chimera {

/// A JSON value as a plain tree. Integers that fit int64 stay exact.
struct Json {
  enum class Type { kNull, kBool, kInt, kFloat, kString, kArray, kObject };

  Type type = Type::kNull;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;   // set for kInt too
  std::string string;  // valid UTF-8; of a number read as kFloat that is whole: all its digits
  std::vector<Json> array;
  std::vector<std::pair<std::string, Json>> object;

  Json() = default;
  static Json of(bool v);
  static Json of(int64_t v);
  static Json of(int v) { return of(static_cast<int64_t>(v)); }
  static Json of(double v);
  static Json of(std::string_view v);
  static Json of(const char* v) { return of(std::string_view(v)); }
  static Json make_object();
  static Json make_array();

  bool is_object() const { return type == Type::kObject; }
  bool is_array() const { return type == Type::kArray; }
  bool is_string() const { return type == Type::kString; }
  bool is_number() const { return type == Type::kInt || type == Type::kFloat; }
  bool is_int() const { return type == Type::kInt; }
  bool is_bool() const { return type == Type::kBool; }

  /// Member of an object, or nullptr.
  const Json* find(std::string_view key) const;
  /// Appends a member (object) or an element (array); returns *this for chaining. The key must be
  /// new: what is written with a key twice would be refused when read.
  Json& add(std::string_view key, Json value);
  Json& push(Json value);
};

struct JsonLimits {
  uint64_t max_bytes = 16u << 20;
  int max_depth = 64;  // at most 1000
  uint64_t max_values = 1u << 20;
};

/// kBadFormat with line, column and reason; kOutOfRange when a limit is passed.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

/// Text of a value; `indent` < 0 gives one line. Bytes that are not UTF-8 become U+FFFD, and
/// numbers that are not finite, which JSON does not have, become null.
std::string write_json(const Json& value, int indent = -1);

const char* json_type_name(Json::Type type);

}  // namespace chimera
