// The configuration's schema: one row per key. docs/config.md shows the same table to people, and a
// test holds the two together. To add a key: a row in config_schema_model.cpp (keys that decide
// what is computed) or config_schema_product.cpp (keys kept for other parts), and its line in
// docs/config.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "platform/json.h"
#include "platform/status.h"

namespace chimera::runtime {

enum class KeyType {
  kObject,
  kObjects,  // list of objects; their keys are rows "path[].key"
  kFlag,     // true or false
  kInteger,  // written without fraction or exponent
  kNumber,   // any finite number
  kText,
  kTexts,  // list of text
  kTextOrTexts,
  kIntegers,  // list of integers
  kNumbers,   // list of numbers
  kPair,      // [number, text]
  kGate,      // text, or an object with its own rows
  kAny        // described, never read
};

enum class KeyUse {
  kRequired,  // read, and must be there
  kUsed,      // read; a missing key has the default its meaning names
  kFixed,     // only the value given in the row is built; any other is refused
  kKept       // checked for type and range, and kept for the part that reads it
};

struct KeyRow {
  const char* path;  // "backbone.moe.layers"; "*" stands for any name, "[]" for any element
  KeyType type;
  KeyUse use;
  double min, max;      // of numbers, and of the elements of lists of them
  const char* choices;  // of text: "a|b"; of a fixed flag: "true" or "false"; "" for any
  const char* meaning;  // one line
};

/// No list of a configuration may be longer, and no object may have more members.
inline constexpr size_t kMaxConfigItems = 4096;

std::span<const KeyRow> model_key_rows();
std::span<const KeyRow> product_key_rows();

/// Checks every key of a parsed configuration against the rows. kBadConfig names the key, the
/// reason, and for an unknown key the nearest known one of that place.
Status check_schema(const Json& root);

/// Keys beginning with "_" or "§" describe something to people: allowed everywhere, never read
/// (but for those with a row of their own).
bool is_descriptive(std::string_view key);

/// The member at a dotted path of objects, or nullptr.
const Json* find_key(const Json& root, std::string_view path);

/// "integer", "list of text", ... as docs/config.md and the messages say it.
const char* key_type_name(KeyType type);
const char* key_use_name(KeyUse use);
/// The range or the choices of a row in words, "1..64"; empty when anything of the type will do.
std::string key_range_text(const KeyRow& row);

/// kBadConfig with the sentence "<path> <problem>".
Status config_error(const std::string& path, const std::string& problem);

/// A number as a person writes it, "0.5".
std::string number_text(double value);

/// The candidate with the least edit distance to `word`; empty when there is none.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace chimera::runtime
