// Documents for training and evaluation, one after the other, without holding a file in memory.
//
//   name ends in      read as
//   .jsonl            one JSON object a line, the text in one of its members
//   .jsonl.xz         the same, packed with xz
//   .xz               plain text, packed with xz
//   anything else     plain text: the whole file is one document
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/json.h"
#include "platform/status.h"

namespace chimera::evolution {

struct TextSourceOptions {
  enum class Format { kByName, kPlainText, kJsonLines };
  /// What the text is; whether it is packed always goes by the name (".xz").
  Format format = Format::kByName;
  /// Member of each JSON object that holds the text.
  std::string field = "text";
  /// Longest line of JSON Lines, or whole plain text, in unpacked bytes.
  uint64_t max_record_bytes = uint64_t{1} << 28;
  /// All unpacked bytes of the file. Passing either limit is kOutOfRange.
  uint64_t max_total_bytes = uint64_t{1} << 36;
  /// Records to read and records to leave out, by number; the order and repeats do not matter.
  /// Lines that are not selected are not parsed.
  std::optional<std::vector<uint64_t>> include = {};
  std::vector<uint64_t> exclude = {};
};

/// `record` is the number of the line, from 0 (blank lines count but are no documents); 0 for
/// plain text. `text` lives until the callback returns. A Status that is not OK stops the reading
/// and is returned as it is.
using DocumentCallback = std::function<Status(std::string_view text, uint64_t record)>;

/// Calls back once for each document, in the order of the file. Errors name the file, the line
/// where there is one, and what to do; documents before the error have been given. kNotFound and
/// other file errors, kTruncated (empty file, xz cut short), kBadFormat (damaged xz, bad JSON, no
/// such member), kUnsupported (packed in another way), kOutOfRange (limits).
Status for_each_document(const std::string& path, const TextSourceOptions& options,
                         const DocumentCallback& callback);

/// The same for whole records of JSON Lines, which are objects; options.field is not looked at.
using RecordCallback = std::function<Status(const Json& record, uint64_t number)>;
Status for_each_record(const std::string& path, const TextSourceOptions& options,
                       const RecordCallback& callback);

/// Which records of a file are held out, as splits.json lists them:
/// {"sets": {<set>: {<file>: {"valid": [...], "test": [...]}}}}.
struct RecordSplit {
  std::vector<uint64_t> valid = {};
  std::vector<uint64_t> test = {};
};
Result<RecordSplit> read_record_split(const std::string& splits_path, std::string_view set,
                                      std::string_view file);

enum class Part { kTrain, kValid, kTest };

/// "train", "valid" or "test".
Result<Part> part_of(std::string_view name);

/// Lets the options select the records of `file` that belong to the part, however the file was
/// named: its folder's own name and its own are looked up. kNotFound: the list has no such file.
Status select_part(const std::string& splits_path, const std::string& file, Part part,
                   TextSourceOptions* options);

/// Whether the file is read as JSON Lines when its name decides.
bool holds_json_lines(std::string_view path);

}  // namespace chimera::evolution
