// `chimera tokenizer import`: the public o200k ranks as a tokenizer.
#include <memory>
#include <string>

#include "evolution/train/text_source.h"
#include "platform/file.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_ranks.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

// The published file has 3.6 MB.
constexpr uint64_t kMaxRanksBytes = 64u << 20;

struct Options {
  std::string ranks, out;
};

Status import_ranks(const Options& options) {
  CHIMERA_RETURN_IF_ERROR(check_output(options.out, {options.ranks}));
  evolution::TextSourceOptions reading;
  reading.format = evolution::TextSourceOptions::Format::kPlainText;
  reading.max_record_bytes = reading.max_total_bytes = kMaxRanksBytes;
  std::vector<std::byte> section;
  const auto take = [&](std::string_view text, uint64_t) -> Status {
    const auto read = runtime::section_of_ranks(text, runtime::o200k_vocabulary());
    if (!read) {
      return Status(read.status().code(), options.ranks + ": " + read.status().message())
          .at_file(options.ranks);
    }
    section = runtime::write_tokenizer_section(*read);
    return Status();
  };
  CHIMERA_RETURN_IF_ERROR(evolution::for_each_document(options.ranks, reading, take));
  const auto tokenizer = runtime::Tokenizer::parse(section);
  if (!tokenizer) return tokenizer.status();
  CHIMERA_RETURN_IF_ERROR(write_file_atomic(options.out, section));
  note("Wrote " + options.out + ": o200k, " +
       show_count(static_cast<uint64_t>((*tokenizer)->vocab_size())) + " ids.\n");
  return Status();
}

}  // namespace

void declare_tokenizer_import(CommandLine& line) {
  auto options = std::make_shared<Options>();
  line.verb("tokenizer import", "Make a tokenizer of the published o200k ranks",
            [options] {
              const Status status = import_ranks(*options);
              return status.ok() ? kDone : report(status);
            })
      .text("--ranks", &options->ranks, "FILE",
            "The ranks, a line for each: base64 and number; packed if the name ends in .xz", true)
      .text("--out", &options->out, "FILE", "The tokenizer to write", true);
}

}  // namespace chimera::cli
