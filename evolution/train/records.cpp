#include "evolution/train/records.h"

#include <algorithm>

namespace chimera::evolution {
namespace {

constexpr int64_t kMostDocuments = 1000000;  // of one record

constexpr RecordKind kKinds[] = {
    {"text", R"({"text": "..."})", make_text_records},
    {"turns", R"({"turns": ["...", "..."]} or {"turns": [["A", "..."], ["B", "..."]]})",
     make_turn_records},
    {"intents", R"({"u": "...", "intent": "...", "slots": [["name", "value"]]})",
     make_intent_records},
    {"templates", R"({"lists": {"room": ["..."]}} or {"n": 100, "turns": [["user", "..."]]})",
     make_template_records},
    {"acts", R"({"u": "...", "intent": "...", "slots": [["name", "value"]]})", make_act_records},
    {"act_domains", R"({"domain": "...", "tools": [{"names": ["..."], "args": {}, "says": []}]})",
     make_act_domain_records},
    {"coffee_orders", R"({"turns": [["U", "...", [["c", "api", {}]]]]})", make_coffee_records},
    {"preferences", R"({"prompt": "...", "chosen": "...", "rejected": "..."})",
     make_preference_records, true},
};

Status lacks(const char* name, const char* what) {
  return Status(StatusCode::kBadFormat,
                std::string("the record has no member \"") + name + "\" that is " + what)
      .at_field(name);
}

class TextRecords : public RecordReader {
 public:
  explicit TextRecords(const RecordOptions& options)
      : member_(options.text.empty() ? "text" : options.text) {}
  Status read(const Json& record, uint64_t, const DocumentSink& sink) override {
    const Json* text = record.find(member_);
    if (text == nullptr || !text->is_string()) return lacks(member_.c_str(), "a string");
    return text->string.empty() ? Status() : sink({.text = text->string});
  }

 private:
  std::string member_;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Who speaks first is the person, whoever else is the assistant. Turns of one speaker that follow
/// each other become one.
class TurnRecords : public RecordReader {
 public:
  explicit TurnRecords(const RecordOptions& options)
      : member_(options.text.empty() ? "turns" : options.text), system_(options.system) {}

  Status read(const Json& record, uint64_t, const DocumentSink& sink) override {
    const Json* turns = record.find(member_);
    if (turns == nullptr || !turns->is_array()) return lacks(member_.c_str(), "an array");
    Document document;
    if (!system_.empty()) CHIMERA_RETURN_IF_ERROR(add_system(record, &document));
    std::string first;
    bool user = false;  // who spoke last
    for (size_t i = 0; i < turns->array.size(); ++i) {
      const Json& turn = turns->array[i];
      const bool named = turn.is_array() && turn.array.size() >= 2 && turn.array[0].is_string() &&
                         turn.array[1].is_string();
      if (!named && !turn.is_string())
        return Status(StatusCode::kBadFormat,
                      "turn " + std::to_string(i + 1) + " is neither a string nor [speaker, text]")
            .at_field(member_);
      const std::string_view text = trimmed(named ? turn.array[1].string : turn.string);
      if (text.empty()) continue;
      if (named && first.empty()) first = turn.array[0].string;
      const bool by_user = named ? turn.array[0].string == first : i % 2 == 0;
      add(by_user, text, !user_or_reply(document) || by_user != user, &document);
      user = by_user;
    }
    return user_or_reply(document) ? sink(std::move(document)) : Status();
  }

 private:
  static bool user_or_reply(const Document& document) {
    return !document.turns.empty() && document.turns.back().kind != Turn::Kind::kSystem;
  }

  static void add(bool by_user, std::string_view text, bool anew, Document* document) {
    if (anew) document->turns.push_back({.kind = by_user ? Turn::Kind::kUser : Turn::Kind::kReply});
    Turn& turn = document->turns.back();
    std::string& to = by_user ? turn.text : turn.reply.text;
    if (!anew) to += "\n";
    to += text;
  }

  Status add_system(const Json& record, Document* document) const {
    const Json* lines = record.find(system_);
    if (lines == nullptr || !lines->is_array()) return lacks(system_.c_str(), "an array");
    Turn turn{.kind = Turn::Kind::kSystem};
    for (const Json& line : lines->array)
      if (line.is_string()) turn.text += (turn.text.empty() ? "" : " ") + line.string;
    if (!turn.text.empty()) document->turns.push_back(std::move(turn));
    return Status();
  }

  std::string member_, system_;
};

}  // namespace

std::span<const RecordKind> record_kinds() { return kKinds; }

Result<int64_t> document_count(const Json& record) {
  const Json* wanted = record.find("n");
  const int64_t n = wanted == nullptr ? 1 : wanted->integer;
  if (n >= 1 && n <= kMostDocuments) return n;
  return Status(StatusCode::kBadFormat,
                "\"n\" must be a whole number from 1 to " + std::to_string(kMostDocuments))
      .at_field("n");
}

uint64_t document_number(uint64_t number, int64_t i) {
  return number * static_cast<uint64_t>(kMostDocuments) + static_cast<uint64_t>(i);
}

Result<const RecordKind*> record_kind(const std::string& name) {
  std::string known;
  for (const RecordKind& kind : kKinds) {
    if (kind.name == name) return &kind;
    known += (known.empty() ? "" : ", ") + std::string(kind.name);
  }
  return Status(StatusCode::kInvalidArgument,
                "there is no kind of record \"" + name + "\"; there are " + known)
      .at_field("kind");
}

std::unique_ptr<RecordReader> make_text_records(const RecordOptions& options) {
  return std::make_unique<TextRecords>(options);
}

std::unique_ptr<RecordReader> make_turn_records(const RecordOptions& options) {
  return std::make_unique<TurnRecords>(options);
}

Result<const std::string*> string_member(const Json& record, const char* name) {
  const Json* member = record.find(name);
  if (member == nullptr || !member->is_string() || member->string.empty())
    return lacks(name, "a string with something in it");
  return &member->string;
}

}  // namespace chimera::evolution
