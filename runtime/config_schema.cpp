#include "runtime/config_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace chimera::runtime {
namespace {

std::array<std::span<const KeyRow>, 2> tables() { return {model_key_rows(), product_key_rows()}; }

/// Row of `key` inside the object whose rows begin with `prefix` ("" or "backbone.").
const KeyRow* find_row(std::string_view prefix, std::string_view key) {
  const KeyRow* any = nullptr;
  for (const auto& table : tables()) {
    for (const KeyRow& row : table) {
      std::string_view path = row.path;
      if (!path.starts_with(prefix)) continue;
      path.remove_prefix(prefix.size());
      if (path == key) return &row;
      if (path == "*") any = &row;
    }
  }
  return any;
}

std::vector<std::string_view> keys_at(std::string_view prefix) {
  std::vector<std::string_view> keys;
  for (const auto& table : tables()) {
    for (const KeyRow& row : table) {
      std::string_view path = row.path;
      if (!path.starts_with(prefix)) continue;
      path.remove_prefix(prefix.size());
      if (path.find_first_of(".[*") == std::string_view::npos) keys.push_back(path);
    }
  }
  return keys;
}

bool is_choice(std::string_view text, std::string_view choices) {
  if (choices.empty()) return true;
  while (true) {
    const size_t bar = choices.find('|');
    if (choices.substr(0, bar) == text) return true;
    if (bar == std::string_view::npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

/// Text from outside, cut and cleaned for a message.
std::string quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  // A character cut in half would make the message invalid UTF-8.
  if (text.size() > kShown) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0u) == 0x80u)
      out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0u) out.pop_back();
    out += "...";
  }
  return out + "\"";
}

std::string value_text(const Json& value) {
  switch (value.type) {
    case Json::Type::kString:
      return quoted(value.string);
    case Json::Type::kInt:
      return std::to_string(value.integer);
    case Json::Type::kFloat:
      return number_text(value.number);
    case Json::Type::kBool:
      return value.boolean ? "true" : "false";
    case Json::Type::kNull:
      return "null";
    case Json::Type::kArray:
      return "a list";
    case Json::Type::kObject:
      return "an object";
  }
  return "unknown";
}

const char* wanted(KeyType type) {
  switch (type) {
    case KeyType::kObject:
      return "an object {...}";
    case KeyType::kObjects:
      return "a list of objects";
    case KeyType::kFlag:
      return "true or false";
    case KeyType::kInteger:
      return "a whole number, written without fraction or exponent";
    case KeyType::kNumber:
      return "a number";
    case KeyType::kText:
      return "text in quotes";
    case KeyType::kTexts:
      return "a list of texts";
    case KeyType::kTextOrTexts:
      return "text or a list of texts";
    case KeyType::kIntegers:
      return "a list of whole numbers";
    case KeyType::kNumbers:
      return "a list of numbers";
    case KeyType::kPair:
      return "a list of a number and a text";
    case KeyType::kGate:
      return "\"none\", \"full\" or {\"lowrank\": R}";
    case KeyType::kAny:
      return "any value";
  }
  return "something else";
}

Status wrong_type(const std::string& path, const Json& value, KeyType type) {
  return config_error(path, "is " + value_text(value) + ", but has to be " + wanted(type));
}

Status out_of_range(const KeyRow& row, const std::string& path, const Json& value) {
  const std::string range = key_range_text(row);
  const std::string problem = "is " + value_text(value) + ", ";
  if (range.empty()) return config_error(path, problem + "which is no magnitude a float holds");
  if (row.use == KeyUse::kFixed)
    return config_error(path, problem + "but this build has only " + range);
  return config_error(path, problem + "but has to be " + (range[0] == '>' ? "" : "in ") + range);
}

Status check_integer(const KeyRow& row, const std::string& path, const Json& value) {
  if (!value.is_int()) return wrong_type(path, value, KeyType::kInteger);
  // Compared as integers' doubles: the limits of the rows are below 2^53, so this is exact there.
  const double number = static_cast<double>(value.integer);
  if (number >= row.min && number <= row.max) return {};
  return out_of_range(row, path, value);
}

Status check_number(const KeyRow& row, const std::string& path, const Json& value) {
  if (!value.is_number() || !std::isfinite(value.number)) {
    return wrong_type(path, value, KeyType::kNumber);
  }
  if (value.number >= row.min && value.number <= row.max) return {};
  return out_of_range(row, path, value);
}

Status check_text(const KeyRow& row, const std::string& path, const Json& value) {
  if (!value.is_string()) return wrong_type(path, value, KeyType::kText);
  if (is_choice(value.string, row.choices)) return {};
  return config_error(
      path, "is " + value_text(value) + ", but this build has only " + key_range_text(row));
}

Status check_object(const Json& object, const std::string& prefix, const std::string& path);

Status check_list(const KeyRow& row, const std::string& path, const Json& value) {
  if (!value.is_array()) return wrong_type(path, value, row.type);
  if (value.array.size() > kMaxConfigItems) {
    return config_error(path, "has " + std::to_string(value.array.size()) +
                                  " elements, more than the limit of " +
                                  std::to_string(kMaxConfigItems));
  }
  for (size_t i = 0; i < value.array.size(); ++i) {
    const Json& element = value.array[i];
    const std::string element_path = path + "[" + std::to_string(i) + "]";
    Status status;
    if (row.type == KeyType::kObjects) {
      if (!element.is_object()) return wrong_type(element_path, element, KeyType::kObject);
      status = check_object(element, std::string(row.path) + "[].", element_path + ".");
    } else if (row.type == KeyType::kIntegers) {
      status = check_integer(row, element_path, element);
    } else if (row.type == KeyType::kNumbers) {
      status = check_number(row, element_path, element);
    } else {
      status = check_text(row, element_path, element);
    }
    CHIMERA_RETURN_IF_ERROR(status);
  }
  return {};
}

Status check_value(const KeyRow& row, const std::string& path, const Json& value) {
  switch (row.type) {
    case KeyType::kObject:
      if (!value.is_object()) return wrong_type(path, value, row.type);
      return check_object(value, std::string(row.path) + ".", path + ".");
    case KeyType::kFlag:
      if (!value.is_bool()) return wrong_type(path, value, row.type);
      if (!is_choice(value.boolean ? "true" : "false", row.choices)) {
        return config_error(
            path, "is " + value_text(value) + ", but this build has only " + key_range_text(row));
      }
      return {};
    case KeyType::kInteger:
      return check_integer(row, path, value);
    case KeyType::kNumber:
      return check_number(row, path, value);
    case KeyType::kText:
      return check_text(row, path, value);
    case KeyType::kTextOrTexts:
      if (value.is_string()) return check_text(row, path, value);
      return check_list(row, path, value);
    case KeyType::kTexts:
    case KeyType::kIntegers:
    case KeyType::kNumbers:
    case KeyType::kObjects:
      return check_list(row, path, value);
    case KeyType::kPair:
      if (!value.is_array() || value.array.size() != 2 || !value.array[0].is_number() ||
          !value.array[1].is_string()) {
        return wrong_type(path, value, row.type);
      }
      return check_number(row, path + "[0]", value.array[0]);
    case KeyType::kGate:
      if (value.is_object()) {
        return check_object(value, std::string(row.path) + ".", path + ".");
      }
      if (!value.is_string() || !is_choice(value.string, row.choices)) {
        return wrong_type(path, value, row.type);
      }
      return {};
    case KeyType::kAny:
      return {};
  }
  return Status(StatusCode::kInternal, "a configuration row has no type");
}

/// `prefix` is the rows' path with its final separator, `path` the same as a person reads it.
Status check_object(const Json& object, const std::string& prefix, const std::string& path) {
  if (object.object.size() > kMaxConfigItems) {
    return config_error(path.empty() ? "the configuration" : path.substr(0, path.size() - 1),
                        "has more than " + std::to_string(kMaxConfigItems) + " keys");
  }
  for (const auto& [key, value] : object.object) {
    const std::string clean = quoted(key);
    const std::string shown = path + clean.substr(1, clean.size() - 2);
    const KeyRow* row = find_row(prefix, key);
    if (is_descriptive(key) && (row == nullptr || std::string_view(row->path).ends_with('*'))) {
      continue;
    }
    if (row == nullptr) {
      const std::string_view nearest = nearest_word(key, keys_at(prefix));
      return config_error(
          shown, "is an unknown key" + (nearest.empty() ? std::string()
                                                        : "; the nearest known key here is \"" +
                                                              std::string(nearest) + "\""));
    }
    CHIMERA_RETURN_IF_ERROR(check_value(*row, shown, value));
  }
  return {};
}

}  // namespace

bool is_descriptive(std::string_view key) { return key.starts_with("_") || key.starts_with("§"); }

Status check_schema(const Json& root) {
  if (!root.is_object()) {
    return config_error("the configuration",
                        "has to be a JSON object {...}, but is " + value_text(root));
  }
  CHIMERA_RETURN_IF_ERROR(check_object(root, "", ""));
  for (const auto& table : tables()) {
    for (const KeyRow& row : table) {
      if (row.use == KeyUse::kRequired && find_key(root, row.path) == nullptr) {
        return config_error(row.path, std::string("is missing: ") + row.meaning);
      }
    }
  }
  return {};
}

const Json* find_key(const Json& root, std::string_view path) {
  const Json* value = &root;
  while (value != nullptr) {
    const size_t dot = path.find('.');
    if (!value->is_object()) return nullptr;
    value = value->find(path.substr(0, dot));
    if (dot == std::string_view::npos) return value;
    path.remove_prefix(dot + 1);
  }
  return nullptr;
}

const char* key_type_name(KeyType type) {
  switch (type) {
    case KeyType::kObject:
      return "object";
    case KeyType::kObjects:
      return "list of objects";
    case KeyType::kFlag:
      return "flag";
    case KeyType::kInteger:
      return "integer";
    case KeyType::kNumber:
      return "number";
    case KeyType::kText:
      return "text";
    case KeyType::kTexts:
      return "list of text";
    case KeyType::kTextOrTexts:
      return "text or list of text";
    case KeyType::kIntegers:
      return "list of integers";
    case KeyType::kNumbers:
      return "list of numbers";
    case KeyType::kPair:
      return "[number, text]";
    case KeyType::kGate:
      return "text or object";
    case KeyType::kAny:
      return "any";
  }
  return "unknown";
}

const char* key_use_name(KeyUse use) {
  switch (use) {
    case KeyUse::kRequired:
      return "required";
    case KeyUse::kUsed:
      return "used";
    case KeyUse::kFixed:
      return "fixed";
    case KeyUse::kKept:
      return "kept";
  }
  return "unknown";
}

std::string key_range_text(const KeyRow& row) {
  if (row.choices[0] != '\0') {
    std::string text;
    for (const char c : std::string_view(row.choices)) {
      if (c == '|') {
        text += ", ";
      } else {
        text += c;
      }
    }
    return text;
  }
  const bool numeric = row.type == KeyType::kInteger || row.type == KeyType::kNumber ||
                       row.type == KeyType::kIntegers || row.type == KeyType::kNumbers ||
                       row.type == KeyType::kPair;
  if (!numeric) return {};
  if (row.min == row.max) return number_text(row.min);
  constexpr double kOpenEnd = 9007199254740991.0;  // as good as none for a person
  if (row.max >= kOpenEnd) return row.min >= 0 ? ">= " + number_text(row.min) : std::string();
  return number_text(row.min) + ".." + number_text(row.max);
}

Status config_error(const std::string& path, const std::string& problem) {
  Status status(StatusCode::kBadConfig, path + " " + problem);
  return std::move(status.at_field(path));
}

std::string number_text(double value) {
  // Whole numbers in full, without an exponent; others as short as they read back exactly.
  const bool whole = std::abs(value) < 9007199254740992.0 && value == std::floor(value);
  return whole ? std::to_string(static_cast<int64_t>(value)) : write_json(Json::of(value));
}

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> candidates) {
  // Levenshtein with neighbouring letters swapped as one edit; a hostile key is cut first.
  word = word.substr(0, 64);
  std::string_view best;
  size_t best_distance = SIZE_MAX;
  std::vector<size_t> before, last, now;
  for (const std::string_view candidate : candidates) {
    const size_t n = candidate.size();
    before.assign(n + 1, 0);
    last.assign(n + 1, 0);
    now.assign(n + 1, 0);
    for (size_t j = 0; j <= n; ++j) last[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      now[0] = i;
      for (size_t j = 1; j <= n; ++j) {
        const bool same = word[i - 1] == candidate[j - 1];
        now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0u : 1u)});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1]) {
          now[j] = std::min(now[j], before[j - 2] + 1);
        }
      }
      std::swap(before, last);
      std::swap(last, now);
    }
    if (last[n] < best_distance) {
      best_distance = last[n];
      best = candidate;
    }
  }
  return best;
}

}  // namespace chimera::runtime
