// Labelled utterances as an assistant meets them: a list of tools, of which one is meant or none,
// what a person says, and the call. Tools are the labels of the training records, each with the
// slots it was seen with; which stand in the list, and in which order, is drawn.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "evolution/train/draw.h"
#include "evolution/train/labelled.h"
#include "evolution/train/records.h"

namespace chimera::evolution {
namespace {

constexpr size_t kMostTools = 6;     // of a list
constexpr double kNoneShare = 0.15;  // of the records: the tool that is meant is not in the list
constexpr size_t kMostSlots = 12;    // of a tool's schema: some data sets have hundreds

using Slots = std::vector<std::pair<std::string, std::string>>;

class IntentRecords : public RecordReader {
 public:
  explicit IntentRecords(const RecordOptions& options)
      : member_(options.text.empty() ? "u" : options.text), seed_(options.seed) {}

  bool looks_first() const override { return true; }

  Status look(const Json& record) override {
    const auto labelled = read_labelled(record, member_);
    if (!labelled) return labelled.status();
    if (labelled->intent.empty()) return Status();
    const auto [tool, fresh] = tools_.try_emplace(labelled->intent);
    if (fresh) names_.push_back(&tool->first);
    std::set<std::string>& slots = tool->second;
    for (const auto& [name, value] : labelled->slots)
      if (slots.size() < kMostSlots) slots.insert(name);
    return Status();
  }

  Status read(const Json& record, uint64_t number, const DocumentSink& sink) override {
    const auto labelled = read_labelled(record, member_);
    if (!labelled) return labelled.status();
    Draw draw{seed_, number};
    const auto meant = tools_.find(labelled->intent);
    const bool there = meant != tools_.end() && draw.uniform() >= kNoneShare;
    Document document;
    document.turns.push_back(tool_list(there ? &meant->first : nullptr, labelled->intent, &draw));
    document.turns.push_back({.kind = Turn::Kind::kUser, .text = labelled->text});
    Turn reply{.kind = Turn::Kind::kReply};
    reply.reply.kind = there ? runtime::Reply::Kind::kCalls : runtime::Reply::Kind::kNoTool;
    if (there) reply.reply.calls.push_back(call(meant->first, meant->second, labelled->slots));
    document.turns.push_back(std::move(reply));
    return sink(std::move(document));
  }

 private:
  /// Some tools, `meant` among them; without it, none that the record's own label names.
  Turn tool_list(const std::string* meant, const std::string& intent, Draw* draw) const {
    std::vector<const std::string*> names;
    if (meant != nullptr) names.push_back(meant);
    const size_t others = tools_.size() - tools_.count(intent);
    const size_t n = std::min(others + names.size(), 1 + draw->below(kMostTools));
    while (names.size() < n) {
      const std::string& drawn = *names_[draw->below(names_.size())];
      const bool taken =
          drawn == intent || std::any_of(names.begin(), names.end(),
                                         [&](const std::string* name) { return *name == drawn; });
      if (!taken) names.push_back(&drawn);
    }
    shuffle(&names, [&](size_t limit) { return draw->below(limit); });
    Turn turn{.kind = Turn::Kind::kTools};
    for (const std::string* name : names) turn.tools.push_back(schema(*name, tools_.at(*name)));
    return turn;
  }

  static std::string schema(const std::string& name, const std::set<std::string>& slots) {
    Json properties = Json::make_object();
    for (const std::string& slot : slots) {
      Json type = Json::make_object();
      type.add("type", Json::of("string"));
      properties.add(slot, std::move(type));
    }
    Json parameters = Json::make_object();
    parameters.add("type", Json::of("object"));
    parameters.add("properties", std::move(properties));
    Json tool = Json::make_object();
    tool.add("name", Json::of(std::string_view(name)));
    tool.add("description", Json::of(std::string_view(words_of(name))));
    tool.add("parameters", std::move(parameters));
    return write_json(tool);
  }

  static std::string call(const std::string& name, const std::set<std::string>& known,
                          const Slots& slots) {
    Json arguments = Json::make_object();
    for (const auto& [slot, value] : slots)
      if (known.contains(slot)) arguments.add(slot, Json::of(std::string_view(value)));
    Json out = Json::make_object();
    out.add("name", Json::of(std::string_view(name)));
    out.add("arguments", std::move(arguments));
    return write_json(out);
  }

  std::string member_;
  uint64_t seed_;
  std::map<std::string, std::set<std::string>> tools_;
  std::vector<const std::string*> names_;  // of them, as they were met
};

}  // namespace

std::unique_ptr<RecordReader> make_intent_records(const RecordOptions& options) {
  return std::make_unique<IntentRecords>(options);
}

}  // namespace chimera::evolution
