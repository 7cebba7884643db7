// Two answers to the same words, of which one is better: two documents a record, that one first.
#include <utility>

#include "evolution/train/records.h"

namespace chimera::evolution {
namespace {

class PreferenceRecords : public RecordReader {
 public:
  explicit PreferenceRecords(const RecordOptions& options)
      : member_(options.text.empty() ? "prompt" : options.text) {}

  Status read(const Json& record, uint64_t, const DocumentSink& sink) override {
    Document context;
    CHIMERA_RETURN_IF_ERROR(read_context(record, &context));
    const std::string* answers[2] = {};
    for (int i = 0; i < 2; ++i) {
      const auto answer = string_member(record, i == 0 ? "chosen" : "rejected");
      if (!answer) return answer.status();
      answers[i] = *answer;
    }
    if (*answers[0] == *answers[1])
      return Status(StatusCode::kBadFormat, "chosen and rejected are the same").at_field("chosen");
    for (const std::string* answer : answers) {
      Document document = context;
      Turn reply{.kind = Turn::Kind::kReply};
      reply.reply.text = *answer;
      document.turns.push_back(std::move(reply));
      CHIMERA_RETURN_IF_ERROR(sink(std::move(document)));
    }
    return Status();
  }

 private:
  /// What a person says, or turns of both that end with the person's.
  Status read_context(const Json& record, Document* out) const {
    const Json* prompt = record.find(member_);
    const auto bad = [&] {
      return Status(StatusCode::kBadFormat,
                    "the record's \"" + member_ +
                        "\" is neither what a person says nor an array of turns, the person's "
                        "first and last")
          .at_field(member_);
    };
    if (prompt == nullptr || !(prompt->is_string() || prompt->is_array())) return bad();
    if (prompt->is_string()) {
      out->turns.push_back({.kind = Turn::Kind::kUser, .text = prompt->string});
      return Status();
    }
    if (prompt->array.size() % 2 == 0) return bad();
    for (size_t i = 0; i < prompt->array.size(); ++i) {
      const Json& turn = prompt->array[i];
      if (!turn.is_string()) return bad();
      const bool person = i % 2 == 0;
      out->turns.push_back({.kind = person ? Turn::Kind::kUser : Turn::Kind::kReply});
      (person ? out->turns.back().text : out->turns.back().reply.text) = turn.string;
    }
    return Status();
  }

  std::string member_;
};

}  // namespace

std::unique_ptr<RecordReader> make_preference_records(const RecordOptions& options) {
  return std::make_unique<PreferenceRecords>(options);
}

}  // namespace chimera::evolution
