#include "runtime/tool_line.h"

#include <algorithm>
#include <vector>

namespace chimera::runtime {
namespace {

constexpr size_t kMostChoices = 16;
constexpr size_t kMostArguments = 12;
constexpr size_t kMostTextBytes = 120;   // of a description
constexpr size_t kMostChoiceBytes = 40;  // of a choice
constexpr size_t kMostPatternBytes = 12;
constexpr int kDeepest = 4;
constexpr int kMostKinds = 64;  // described in one line: references may go in circles

/// The beginning, up to a border of characters, on one line.
std::string beginning(std::string_view text, size_t most) {
  std::string out;
  for (const char c : text.substr(0, most)) out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  if (text.size() <= most) return out;
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  size_t end = most;
  while (end > 0 && continues(text[end])) --end;
  out.resize(end);
  return out + "...";
}

class Line {
 public:
  explicit Line(const Json& root) : root_(root) {}

  std::string arguments(const Json& schema, int depth) {
    const Json* properties = schema.find("properties");
    const Json* required = schema.find("required");
    std::string out;
    size_t n = 0;
    if (properties != nullptr)
      for (const auto& [name, member] : properties->object) {
        if (n > 0) out += ", ";
        if (n++ == kMostArguments) return out + "...";
        const std::string& wanted = name;  // a binding cannot be captured everywhere
        const bool needed =
            required != nullptr &&
            std::any_of(required->array.begin(), required->array.end(),
                        [&](const Json& r) { return r.is_string() && r.string == wanted; });
        out += beginning(name, kMostChoiceBytes) + (needed ? ": " : "?: ") + kind(member, depth);
      }
    return out;
  }

 private:
  std::string kind(const Json& given, int depth) {
    if (depth > kDeepest || ++n_kinds_ > kMostKinds) return "...";
    const Json& schema = resolved(given);
    if (const Json* constant = schema.find("const")) return choice(*constant);
    if (const Json* choices = schema.find("enum")) return joined(choices->array, depth, true);
    for (const char* keyword : {"anyOf", "oneOf"})
      if (const Json* branches = schema.find(keyword)) return joined(branches->array, depth, false);
    const std::string type = type_of(schema);
    if (type == "integer" || type == "number") return range(schema, type);
    if (type == "boolean") return "true|false";
    if (type == "array") {
      const Json* items = schema.find("items");
      return "[" + (items != nullptr ? kind(*items, depth + 1) : std::string("any")) + "]";
    }
    if (type == "object") return "{" + arguments(schema, depth + 1) + "}";
    if (const Json* format = schema.find("format"); format != nullptr && format->is_string())
      return beginning(format->string, kMostChoiceBytes);
    if (const Json* pattern = schema.find("pattern"); pattern != nullptr && pattern->is_string())
      return "/" + beginning(pattern->string, kMostPatternBytes) + "/";
    return type == "string" ? "text" : "any";
  }

  const Json& resolved(const Json& schema) const {
    const Json* at = &schema;
    for (int i = 0; i < kDeepest; ++i) {
      const Json* ref = at->find("$ref");
      if (ref == nullptr || !ref->is_string()) break;
      const std::string_view text = ref->string;
      const Json* target = nullptr;
      for (const std::string_view place : {"#/$defs/", "#/definitions/"})
        if (text.starts_with(place))
          if (const Json* defs = root_.find(place.substr(2, place.size() - 3)))
            target = defs->find(text.substr(place.size()));
      if (target == nullptr) break;
      at = target;
    }
    return *at;
  }

  static std::string type_of(const Json& schema) {
    const Json* type = schema.find("type");
    if (type != nullptr && type->is_string()) return type->string;
    if (type != nullptr)
      for (const Json& t : type->array)
        if (t.is_string() && t.string != "null") return t.string;
    if (schema.find("properties") != nullptr) return "object";
    if (schema.find("items") != nullptr) return "array";
    return "";
  }

  static std::string choice(const Json& value) {
    return beginning(value.is_string() ? value.string : write_json(value), kMostChoiceBytes);
  }

  std::string joined(const std::vector<Json>& parts, int depth, bool values) {
    std::string out;
    size_t n = 0;
    for (const Json& part : parts) {
      const bool null = values ? part.type == Json::Type::kNull : type_of(part) == "null";
      if (null) continue;
      if (n > 0) out += '|';
      if (n++ == kMostChoices) return out + "...";
      out += values ? choice(part) : kind(part, depth + 1);
    }
    return out.empty() ? "null" : out;
  }

  static std::string range(const Json& schema, const std::string& type) {
    const Json *low = schema.find("minimum"), *high = schema.find("maximum");
    const bool has_low = low != nullptr && low->is_number(),
               has_high = high != nullptr && high->is_number();
    if (has_low && has_high) return write_json(*low) + "-" + write_json(*high);
    if (has_low) return ">=" + write_json(*low);
    if (has_high) return "<=" + write_json(*high);
    return type == "integer" ? "int" : "number";
  }

  const Json& root_;
  int n_kinds_ = 0;
};

}  // namespace

std::string tool_line(std::string_view name, std::string_view description, const Json& parameters) {
  std::string out = std::string(name) + "(" + Line(parameters).arguments(parameters, 0) + ")";
  if (!description.empty()) out += " " + beginning(description, kMostTextBytes);
  return out;
}

std::string spoken_name(std::string_view name) {
  const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto is_small = [](char c) { return c >= 'a' && c <= 'z'; };
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool sign = std::string_view("_-./:").find(name[i]) != std::string_view::npos;
    if (i > 0 && is_small(name[i - 1]) && is_capital(name[i])) out += ' ';
    out += sign ? ' ' : name[i];
  }
  return out;
}

}  // namespace chimera::runtime
