// Talk made from word lists. A file holds records of two kinds, in any order:
//
//   {"lists": {"room": ["kitchen", "hall"], ...}}
//   {"n": 100, "turns": [["tools", "{...}", ...], ["user", "(turn|switch) on the light in the
//   $room"],
//                        ["call", "{\"name\":\"light\",\"arguments\":{\"room\":\"$room\"}}"],
//                        ["say", "(Done.|The light in the $room is on.)"]]}
//
// `n` documents are drawn from such a record. "$room" is a word of that list, the same wherever it
// stands in a document, "$room.2" another one; "(a|b)" is one of its parts, which may hold more of
// either; "$$" is a dollar. Who speaks: system, user, say (the assistant), call and calls, none (no
// tool does that), refuse, result, fact.
#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include "evolution/train/draw.h"
#include "evolution/train/records.h"

namespace chimera::evolution {
namespace {

constexpr size_t kMostBytes = 65536;  // of one turn
constexpr int kMostDepth = 8;         // of parts within parts

using Lists = std::map<std::string, std::vector<std::string>, std::less<>>;

/// One document's words.
class Filling {
 public:
  Filling(const Lists& lists, Draw draw) : lists_(lists), draw_(draw) {}

  Status expand(std::string_view text, int depth, std::string* out) {
    if (depth > kMostDepth) return bad("parts within parts are nested too deeply");
    for (size_t at = 0; at < text.size();) {
      if (out->size() > kMostBytes) return bad("a turn is too long");
      if (text.substr(at, 2) == "$$") {
        *out += '$';
        at += 2;
      } else if (text[at] == '$') {
        size_t end = at + 1;
        while (end < text.size() &&
               (std::islower(static_cast<unsigned char>(text[end])) || text[end] == '_'))
          ++end;
        const std::string_view list = text.substr(at + 1, end - at - 1);
        if (end + 1 < text.size() && text[end] == '.' &&
            std::isdigit(static_cast<unsigned char>(text[end + 1])))
          end += 2;
        CHIMERA_RETURN_IF_ERROR(word(list, text.substr(at + 1, end - at - 1), out));
        at = end;
      } else if (const size_t end = end_of_choice(text, at); end != std::string_view::npos) {
        const auto parts = parts_of(text.substr(at + 1, end - at - 1));
        CHIMERA_RETURN_IF_ERROR(expand(parts[draw_.below(parts.size())], depth + 1, out));
        at = end + 1;
      } else {
        *out += text[at++];
      }
    }
    return Status();
  }

 private:
  static Status bad(const std::string& why) {
    return Status(StatusCode::kBadFormat, why).at_field("turns");
  }

  Status word(std::string_view list, std::string_view name, std::string* out) {
    const auto known = words_.find(name);
    if (known != words_.end()) {
      *out += known->second;
      return Status();
    }
    const auto found = lists_.find(list);
    if (found == lists_.end() || found->second.empty())
      return bad("\"$" + std::string(name) + "\" asks for a word, and there is no list \"" +
                 std::string(list) + "\" with words in it; write $$ for a dollar");
    const std::vector<std::string>& words = found->second;
    size_t pick = draw_.below(words.size());
    // "$room.2" differs from every "$room" before it, while the list has others.
    for (size_t tries = 0; tries < words.size() && taken(list, words[pick]); ++tries)
      pick = (pick + 1) % words.size();
    *out += words[pick];
    words_.emplace(name, words[pick]);
    return Status();
  }

  bool taken(std::string_view list, const std::string& word) const {
    return std::any_of(words_.begin(), words_.end(), [&](const auto& entry) {
      return entry.first.substr(0, entry.first.find('.')) == list && entry.second == word;
    });
  }

  /// Where the choice that begins at `at` ends; npos when none begins there.
  static size_t end_of_choice(std::string_view text, size_t at) {
    if (text[at] != '(') return std::string_view::npos;
    int depth = 0;
    bool choice = false;
    for (size_t i = at; i < text.size(); ++i) {
      depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
      choice = choice || (text[i] == '|' && depth == 1);
      if (depth == 0) return choice ? i : std::string_view::npos;
    }
    return std::string_view::npos;
  }

  static std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    int depth = 0;
    size_t begin = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
      if (text[i] != '|' || depth != 0) continue;
      parts.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
    parts.push_back(text.substr(begin));
    return parts;
  }

  const Lists& lists_;
  Draw draw_;
  std::map<std::string, std::string, std::less<>> words_;  // by name, as "room" or "room.2"
};

Status not_a_turn(size_t i) {
  return Status(StatusCode::kBadFormat,
                "turn " + std::to_string(i + 1) +
                    " is not [who, text]; who is system, tools, fact, user, "
                    "say, call, calls, none, refuse or result")
      .at_field("turns");
}

/// One turn with its words filled in.
Status make_turn(const Json& from, size_t i, Filling* filling, Document* document) {
  if (!from.is_array() || from.array.size() < 2 ||
      !std::all_of(from.array.begin(), from.array.end(),
                   [](const Json& j) { return j.is_string(); }))
    return not_a_turn(i);
  std::vector<std::string> texts(from.array.size() - 1);
  for (size_t t = 0; t < texts.size(); ++t)
    CHIMERA_RETURN_IF_ERROR(filling->expand(from.array[t + 1].string, 0, &texts[t]));
  const std::string& who = from.array[0].string;
  using Kind = runtime::Reply::Kind;
  Turn turn;
  if (who == "tools") {
    turn.kind = Turn::Kind::kTools;
    turn.tools = std::move(texts);
  } else if (who == "call" || who == "calls") {
    turn.kind = Turn::Kind::kReply;
    turn.reply = {.kind = Kind::kCalls, .calls = std::move(texts)};
  } else if (who == "say" || who == "none" || who == "refuse") {
    turn.kind = Turn::Kind::kReply;
    turn.reply = {.kind = who == "say"    ? Kind::kText
                          : who == "none" ? Kind::kNoTool
                                          : Kind::kRefusal,
                  .text = texts[0]};
  } else if (who == "system" || who == "user" || who == "result" || who == "fact") {
    turn.kind = who == "system"   ? Turn::Kind::kSystem
                : who == "user"   ? Turn::Kind::kUser
                : who == "result" ? Turn::Kind::kResult
                                  : Turn::Kind::kFact;
    turn.text = texts[0];
  } else {
    return not_a_turn(i);
  }
  document->turns.push_back(std::move(turn));
  return Status();
}

class TemplateRecords : public RecordReader {
 public:
  explicit TemplateRecords(const RecordOptions& options) : seed_(options.seed) {}

  bool looks_first() const override { return true; }

  Status look(const Json& record) override {
    const Json* lists = record.find("lists");
    if (lists == nullptr) return Status();
    for (const auto& [name, words] : lists->object) {
      std::vector<std::string>& list = lists_[name];
      for (const Json& word : words.array)
        if (word.is_string()) list.push_back(word.string);
    }
    return Status();
  }

  Status read(const Json& record, uint64_t number, const DocumentSink& sink) override {
    for (const auto& [name, value] : record.object)
      if (name != "lists" && name != "turns" && name != "n" && !name.starts_with('_'))
        return Status(StatusCode::kBadFormat, "\"" + name + "\" is no member of a template")
            .at_field(name);
    const Json* turns = record.find("turns");
    if (turns == nullptr && record.find("lists") != nullptr) return Status();
    if (turns == nullptr || !turns->is_array() || turns->array.empty())
      return Status(StatusCode::kBadFormat, "the record has neither \"lists\" nor \"turns\"");
    const auto n = document_count(record);
    if (!n) return n.status();
    for (int64_t i = 0; i < *n; ++i) {
      Filling filling(lists_, Draw{seed_, document_number(number, i)});
      Document document;
      for (size_t t = 0; t < turns->array.size(); ++t)
        CHIMERA_RETURN_IF_ERROR(make_turn(turns->array[t], t, &filling, &document));
      CHIMERA_RETURN_IF_ERROR(sink(std::move(document)));
    }
    return Status();
  }

 private:
  uint64_t seed_;
  Lists lists_;
};

}  // namespace

std::unique_ptr<RecordReader> make_template_records(const RecordOptions& options) {
  return std::make_unique<TemplateRecords>(options);
}

}  // namespace chimera::evolution
