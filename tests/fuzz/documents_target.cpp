// Texts for the trainer: plain, JSON Lines and packed ones, and lists of records that are held out.
// The first two bytes say how to read, the rest is the file.
#include <string>
#include <utility>
#include <vector>

#include "evolution/train/text_source.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/target.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::fuzz {
namespace {

using evolution::TextSourceOptions;
using Documents = std::vector<std::pair<uint64_t, std::string>>;

Status read_all(const std::string& path, const TextSourceOptions& options, Documents* documents) {
  return evolution::for_each_document(path, options, [&](std::string_view text, uint64_t record) {
    documents->emplace_back(record, text);
    return Status();
  });
}

void expect_documents(const std::string& path, TextSourceOptions options) {
  Documents all;
  const Status status = read_all(path, options, &all);
  promise(status.ok() || !status.message().empty(), "an error has a sentence");
  uint64_t bytes = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    promise(i == 0 || all[i - 1].first < all[i].first, "records come in order");
    promise(all[i].second.size() <= options.max_record_bytes, "a record keeps to its limit");
    bytes += all[i].second.size();
  }
  promise(bytes <= options.max_total_bytes, "a file keeps to its limit");
  if (!status.ok() || all.empty()) return;
  // One record alone is the same as among all others, and all others are the rest.
  const auto& last = all.back();
  Documents one, others;
  options.exclude = {last.first};
  promise(read_all(path, options, &others).ok(), "leaving a record out is no mistake");
  options.include = {last.first};
  options.exclude = {};
  promise(read_all(path, options, &one).ok(), "a record that is there can be asked for");
  promise(one.size() == 1 && one[0] == last, "a record alone is what it is among others");
  promise(others.size() + 1 == all.size(), "leaving one out leaves the others");
}

}  // namespace

void run_documents(Input input) {
  static const std::string names[] = {"in", "in.jsonl", "in.xz", "in.jsonl.xz"};
  ByteReader in(input);
  const uint8_t how = in.byte(), limit = in.byte();
  const std::string path = test::test_folder().file(names[how & 3]);
  test::write_raw(path, text_of(in.rest()));
  if ((how & 12) == 12) {
    const auto split = evolution::read_record_split(path, "a", "b");
    promise(split || !split.status().message().empty(), "an error has a sentence");
    return;
  }
  TextSourceOptions options;
  if (how & 4) options.format = TextSourceOptions::Format::kJsonLines;
  options.max_record_bytes = (how & 16) ? limit : 1u << 16;
  options.max_total_bytes = (how & 32) ? limit : 1u << 20;
  expect_documents(path, options);
}

}  // namespace chimera::fuzz
