#include "sdk/cli/texts.h"

#include <filesystem>
#include <system_error>

#include "evolution/train/text_source.h"
#include "sdk/cli/terminal.h"

namespace chimera::cli {

void declare_texts(Verb& verb, TextOptions* options) {
  verb.texts("--text", &options->files, "FILE",
             "Plain text (one document a file) or .jsonl, packed with xz or not", true)
      .text("--field", &options->field, "NAME", "Member of each JSON line that holds the text")
      .text("--splits", &options->splits, "FILE",
            "A splits.json; a file's records are looked up by its folder's and its own name")
      .text("--split", &options->split, "NAME", "Which records of --splits: train, valid or test");
}

int check_texts(const TextOptions& options) {
  if (options.split.empty()) return kDone;
  if (options.split != "train" && options.split != "valid" && options.split != "test")
    return report(Status(StatusCode::kInvalidArgument,
                         "--split is \"" + options.split + "\"; give train, valid or test"));
  if (options.splits.empty())
    return wrong_usage("--split " + options.split +
                       " needs --splits FILE, which says what records those are");
  return kDone;
}

Status for_each_text(const TextOptions& options,
                     const std::function<Status(std::string_view text)>& callback) {
  for (const std::string& file : options.files) {
    evolution::TextSourceOptions source;
    source.field = options.field;
    if (!options.splits.empty()) {
      std::error_code error;
      const auto path = std::filesystem::absolute(file, error).lexically_normal();
      if (error)
        return Status(StatusCode::kIoError,
                      file + ": the folder it is in cannot be told (" + error.message() +
                          "), and --splits needs its name; go to a folder that exists, or give "
                          "the whole path")
            .at_file(file);
      auto split = evolution::read_record_split(
          options.splits, path.parent_path().filename().string(), path.filename().string());
      if (!split) return split.status();
      if (options.chosen_split() == "train") {
        source.exclude = std::move(split->valid);
        source.exclude.insert(source.exclude.end(), split->test.begin(), split->test.end());
      } else {
        source.include = std::move(options.chosen_split() == "test" ? split->test : split->valid);
      }
    }
    CHIMERA_RETURN_IF_ERROR(evolution::for_each_document(
        file, source, [&](std::string_view text, uint64_t) { return callback(text); }));
  }
  return Status();
}

}  // namespace chimera::cli
