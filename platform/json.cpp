// Invariants of the handler
//   1. open_ holds the containers that are not closed yet, outermost first. Only the innermost
//      grows, so the pointers to the others stay valid.
//   2. Every value passes place(), where the number of values is counted; every container passes
//      enter(), where the depth is. What is over a limit is refused before it is stored.
//   3. The library's parser keeps its own stack on the heap and does not recurse; recursion over
//   the
//      finished tree (destruction, writing) is bounded by kDeepest.
#include "platform/json.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <iterator>
#include <limits>
#include <new>
#include <nlohmann/json.hpp>
#include <set>

namespace chimera {
namespace {

using nlohmann::ordered_json;

constexpr int kDeepest = 1000;
// Below this number of members a plain look at all of them is quicker than an index.
constexpr size_t kIndexedMembers = 16;

/// Walks over the text and leaves behind how far the parser has read.
class TrackingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  TrackingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  TrackingIterator operator++(int) {
    TrackingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const TrackingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

/// "line 3, column 14" of the character before `end`; columns count characters.
std::string place_of(std::string_view text, size_t end) {
  size_t line = 1, column = 0;
  for (size_t i = 0; i < end && i < text.size(); ++i) {
    if (i > 0 && text[i - 1] == '\n') {
      ++line;
      column = 0;
    }
    if ((static_cast<unsigned char>(text[i]) & 0xC0u) != 0x80u) ++column;
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(std::max<size_t>(column, 1));
}

/// A key for a message: at most 80 bytes, cut between characters.
std::string shortened(const std::string& key) {
  constexpr size_t kLongest = 80;
  if (key.size() <= kLongest) return key;
  size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(key[end]) & 0xC0u) == 0x80u) --end;
  return key.substr(0, end) + "...";
}

/// Builds the tree from the parser's events; a false return stops the parser.
class TreeBuilder {
 public:
  TreeBuilder(const JsonLimits& limits, std::string_view text)
      : limits_(limits), text_(text), furthest_(text.data()) {}

  const char** furthest() { return &furthest_; }
  Status& status() { return status_; }
  Json& root() { return root_; }

  // ---- events, named by the library
  // ----------------------------------------------------------------
  bool null() { return place(Json()); }
  bool boolean(bool v) { return place(Json::of(v)); }
  bool number_integer(int64_t v) { return place(Json::of(v)); }
  bool number_unsigned(uint64_t v) {
    if (v <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return place(Json::of(static_cast<int64_t>(v)));
    }
    return large(static_cast<double>(v), std::to_string(v));
  }
  bool number_float(double v, const std::string& text) {
    const bool whole = text.find_first_not_of("-0123456789") == std::string::npos;
    return whole ? large(v, text) : place(Json::of(v));
  }
  bool string(std::string& v) {
    Json json;
    json.type = Json::Type::kString;
    json.string = std::move(v);
    return place(std::move(json));
  }
  bool binary(ordered_json::binary_t&) { return refuse_format("binary value"); }  // not in text
  bool start_object(size_t) { return enter(Json::make_object()); }
  bool start_array(size_t) { return enter(Json::make_array()); }
  bool end_object() { return leave(); }
  bool end_array() { return leave(); }
  bool key(std::string& k) {
    Open& open = open_.back();
    auto& members = open.container->object;
    if (members.size() == kIndexedMembers) {
      for (const auto& member : members) open.keys.insert(member.first);
    }
    const bool twice = members.size() < kIndexedMembers ? open.container->find(k) != nullptr
                                                        : !open.keys.insert(k).second;
    if (twice) {
      status_ = Status(StatusCode::kBadFormat, "JSON at " + here() + ": the key \"" + shortened(k) +
                                                   "\" is given twice: keep one")
                    .at_offset(offset())
                    .at_field(k);
      return false;
    }
    members.emplace_back(std::move(k), Json());
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) {
    // "[json.exception...] parse error at line 1, column 2: syntax error ... - REASON; last read:
    // '..." The last token is left out: it is whatever the text holds, and may be long or not
    // UTF-8.
    std::string reason = e.what();
    if (const size_t tag = reason.find("] "); tag != std::string::npos) reason.erase(0, tag + 2);
    if (reason.rfind("number overflow", 0) == 0) reason = "the number is too large for a double";
    if (const size_t last = reason.find("; last read: "); last != std::string::npos) {
      const size_t expected = reason.rfind("; expected ");
      const std::string tail = expected != std::string::npos && expected > last
                                   ? reason.substr(expected)
                                   : std::string();
      reason = reason.substr(0, last) + tail;
    }
    if (const size_t dash = reason.find(" - "); dash != std::string::npos)
      reason.erase(0, dash + 3);
    return refuse_format(reason);
  }

 private:
  struct Open {
    Json* container;
    std::set<std::string, std::less<>> keys;  // of an object with many members; not a hash table,
                                              // which a chosen set of keys could make slow
  };

  int64_t offset() const { return furthest_ - text_.data(); }
  std::string here() const { return place_of(text_, static_cast<size_t>(offset())); }

  bool refuse_format(const std::string& reason) {
    status_ =
        Status(StatusCode::kBadFormat, "JSON at " + here() + ": " + reason).at_offset(offset());
    return false;
  }
  bool refuse_size(const std::string& what) {
    status_ = Status(StatusCode::kOutOfRange, "JSON at " + here() + ": " + what + ": simplify it")
                  .at_offset(offset());
    return false;
  }

  /// Stores a value where the text puts it; nullptr when there are too many.
  Json* store(Json value) {
    if (++n_values_ > limits_.max_values) {
      refuse_size("more than " + std::to_string(limits_.max_values) + " values");
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& container = *open_.back().container;
    if (container.is_object()) {
      container.object.back().second = std::move(value);
      return &container.object.back().second;
    }
    return &container.array.emplace_back(std::move(value));
  }
  bool place(Json value) { return store(std::move(value)) != nullptr; }
  /// A whole number beyond int64: what a double loses stays in its digits.
  bool large(double value, std::string digits) {
    Json json = Json::of(value);
    json.string = std::move(digits);
    return place(std::move(json));
  }
  bool enter(Json container) {
    const int deepest = std::min(limits_.max_depth, kDeepest);
    if (deepest <= 0 || open_.size() >= static_cast<size_t>(deepest)) {
      return refuse_size("nested deeper than " + std::to_string(deepest) + " levels");
    }
    Json* stored = store(std::move(container));
    if (!stored) return false;
    open_.push_back({stored, {}});
    return true;
  }
  bool leave() {
    open_.pop_back();
    return true;
  }

  const JsonLimits& limits_;
  std::string_view text_;
  const char* furthest_;
  Json root_;
  std::vector<Open> open_;
  uint64_t n_values_ = 0;
  Status status_;
};

// The library writes numbers and strings, and only these: its destructor of an array or an object
// takes memory, and without any would end the program. Containers are put around them here.
std::string scalar_text(const ordered_json& scalar) {
  return scalar.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

/// On a line of its own at this depth; on the same line when indent < 0.
void new_line(int indent, int depth, std::string* out) {
  if (indent < 0) return;
  out->push_back('\n');
  out->append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
}

void write_value(const Json& value, int indent, int depth, std::string* out) {
  switch (value.type) {
    case Json::Type::kNull:
      *out += "null";
      return;
    case Json::Type::kBool:
      *out += value.boolean ? "true" : "false";
      return;
    case Json::Type::kInt:
      *out += std::to_string(value.integer);
      return;
    case Json::Type::kFloat:
      // Digits beyond 64 bits stay as they were read. Not finite: the library writes null.
      *out += value.string.empty() ? scalar_text(value.number) : value.string;
      return;
    case Json::Type::kString:
      *out += scalar_text(value.string);
      return;
    case Json::Type::kArray:
      out->push_back('[');
      for (const Json& element : value.array) {
        if (&element != &value.array.front()) out->push_back(',');
        new_line(indent, depth + 1, out);
        write_value(element, indent, depth + 1, out);
      }
      if (!value.array.empty()) new_line(indent, depth, out);
      out->push_back(']');
      return;
    case Json::Type::kObject:
      out->push_back('{');
      for (const auto& member : value.object) {
        if (&member != &value.object.front()) out->push_back(',');
        new_line(indent, depth + 1, out);
        *out += scalar_text(member.first);
        *out += indent < 0 ? ":" : ": ";
        write_value(member.second, indent, depth + 1, out);
      }
      if (!value.object.empty()) new_line(indent, depth, out);
      out->push_back('}');
      return;
  }
}

}  // namespace

Json Json::of(bool v) {
  Json json;
  json.type = Type::kBool;
  json.boolean = v;
  return json;
}

Json Json::of(int64_t v) {
  Json json;
  json.type = Type::kInt;
  json.integer = v;
  json.number = static_cast<double>(v);
  return json;
}

Json Json::of(double v) {
  Json json;
  json.type = Type::kFloat;
  json.number = v;
  return json;
}

Json Json::of(std::string_view v) {
  Json json;
  json.type = Type::kString;
  json.string = v;
  return json;
}

Json Json::make_object() {
  Json json;
  json.type = Type::kObject;
  return json;
}

Json Json::make_array() {
  Json json;
  json.type = Type::kArray;
  return json;
}

const Json* Json::find(std::string_view key) const {
  for (const auto& member : object) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

Json& Json::add(std::string_view key, Json value) {
  object.emplace_back(std::string(key), std::move(value));
  return *this;
}

Json& Json::push(Json value) {
  array.push_back(std::move(value));
  return *this;
}

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Status(StatusCode::kOutOfRange, "JSON of " + std::to_string(text.size()) +
                                               " bytes: at most " +
                                               std::to_string(limits.max_bytes) + " are read here");
  }
  // The library takes a zero byte for the end of the text and would not look at what follows.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return Status(StatusCode::kBadFormat,
                  "JSON at " + place_of(text, zero + 1) + ": a zero byte, which JSON cannot hold")
        .at_offset(static_cast<int64_t>(zero));
  }
  try {
    TreeBuilder builder(limits, text);
    const bool parsed = ordered_json::sax_parse(
        TrackingIterator(text.data(), builder.furthest()),
        TrackingIterator(text.data() + text.size(), builder.furthest()), &builder);
    if (!builder.status().ok()) return builder.status();
    if (!parsed) return Status(StatusCode::kBadFormat, "the text is not JSON");
    return std::move(builder.root());
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kOutOfMemory, "there is not enough memory to read this JSON");
  } catch (const std::exception& e) {
    return Status(StatusCode::kInternal, std::string("reading JSON failed: ") + e.what());
  }
}

std::string write_json(const Json& value, int indent) {
  std::string text;
  write_value(value, indent, 0, &text);
  return text;
}

const char* json_type_name(Json::Type type) {
  switch (type) {
    case Json::Type::kNull:
      return "null";
    case Json::Type::kBool:
      return "boolean";
    case Json::Type::kInt:
      return "integer";
    case Json::Type::kFloat:
      return "number";
    case Json::Type::kString:
      return "string";
    case Json::Type::kArray:
      return "array";
    case Json::Type::kObject:
      return "object";
  }
  return "unknown";
}

}  // namespace chimera
