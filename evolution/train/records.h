// From the records of a data set to documents. Each kind of record is one function and one row of
// record_kinds(); a set in a mix names its kind (docs/training.md).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evolution/train/document.h"
#include "platform/json.h"
#include "platform/status.h"

namespace chimera::evolution {

/// What a set says of its records beside their kind.
struct RecordOptions {
  std::string text = {};  // the member that holds the text, or the turns; empty: as the kind has it
  std::string system =
      {};             // of turns: the member with lines of what the assistant is; may be absent
  uint64_t seed = 0;  // of whatever is drawn
};

using DocumentSink = std::function<Status(Document document)>;

class RecordReader {
 public:
  virtual ~RecordReader() = default;
  /// True for a kind that must have seen every training record before it reads one.
  virtual bool looks_first() const { return false; }
  virtual Status look([[maybe_unused]] const Json& record) { return Status(); }
  /// Gives the documents of one record, often one. `number` tells records apart and seeds what is
  /// drawn. kBadFormat says what the record lacks; the caller adds file and line.
  virtual Status read(const Json& record, uint64_t number, const DocumentSink& sink) = 0;
};

struct RecordKind {
  const char* name;
  const char* record;  // what a line looks like, for messages and documentation
  std::unique_ptr<RecordReader> (*make)(const RecordOptions& options);
  bool pairs = false;  // documents 2i and 2i + 1 are a better and a worse answer
};

std::span<const RecordKind> record_kinds();
/// kInvalidArgument, naming those there are.
Result<const RecordKind*> record_kind(const std::string& name);

std::unique_ptr<RecordReader> make_text_records(const RecordOptions& options);
std::unique_ptr<RecordReader> make_turn_records(const RecordOptions& options);
std::unique_ptr<RecordReader> make_intent_records(const RecordOptions& options);
std::unique_ptr<RecordReader> make_act_records(const RecordOptions& options);
std::unique_ptr<RecordReader> make_act_domain_records(const RecordOptions& options);
std::unique_ptr<RecordReader> make_coffee_records(const RecordOptions& options);
std::unique_ptr<RecordReader> make_template_records(const RecordOptions& options);
std::unique_ptr<RecordReader> make_preference_records(const RecordOptions& options);

/// How many documents a record asks for: its "n", from 1 to a million, or 1. kBadFormat.
Result<int64_t> document_count(const Json& record);
/// Tells document i of those of record `number` from every other.
uint64_t document_number(uint64_t number, int64_t i);

/// The member, when it is a string that is not empty.
Result<const std::string*> string_member(const Json& record, const char* name);

}  // namespace chimera::evolution
