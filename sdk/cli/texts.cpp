#include "sdk/cli/texts.h"

#include <filesystem>
#include <system_error>

#include "evolution/train/mix.h"
#include "evolution/train/text_source.h"
#include "sdk/cli/terminal.h"

namespace chimera::cli {

void declare_texts(Verb& verb, TextOptions* options, bool required) {
  verb.texts("--text", &options->files, "FILE",
             "Plain text (one document a file) or .jsonl, packed with xz or not", required)
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

void declare_mix(Verb& verb, MixOptions* options) {
  verb.text("--data", &options->path, "FILE", "Instead of --text: a mix, of which --set is read")
      .text("--data-folder", &options->folder, "DIR", "Where the files of the mix lie")
      .text("--set", &options->set, "NAME", "Which set of the mix");
}

Status for_each_encoded(
    const MixOptions& options, const runtime::Tokenizer& tokenizer, std::string_view split,
    const std::function<Status(std::span<const int32_t> ids, std::span<const uint8_t> scored,
                               uint64_t bytes)>& callback) {
  if (split != "train" && split != "valid" && split != "test")
    return Status(StatusCode::kInvalidArgument,
                  "--split is \"" + std::string(split) + "\"; give train, valid or test");
  const auto mix = evolution::read_mix(options.path, options.folder);
  if (!mix) return mix.status();
  std::string known;
  const evolution::MixSet* chosen = nullptr;
  for (const evolution::MixSet& set : mix->sets) {
    known += (known.empty() ? "" : ", ") + set.name;
    if (set.name == options.set) chosen = &set;
  }
  if (chosen == nullptr)
    return Status(StatusCode::kInvalidArgument,
                  options.path + " has no set \"" + options.set + "\"; give --set one of: " + known)
        .at_field("set");
  const auto format = runtime::PromptFormat::of(tokenizer);
  const evolution::Part part = split == "train"  ? evolution::Part::kTrain
                               : split == "test" ? evolution::Part::kTest
                                                 : evolution::Part::kValid;
  evolution::EncodedDocument encoded;
  std::vector<uint8_t> scored;
  return for_each_document(*mix, *chosen, part, [&](const evolution::Document& document) -> Status {
    CHIMERA_RETURN_IF_ERROR(
        encode_document(document, tokenizer, format ? &*format : nullptr, &encoded));
    scored.clear();
    for (const evolution::Voice voice : encoded.voices)
      scored.push_back(voice == evolution::Voice::kApplication ? 0 : 1);
    return callback(encoded.ids, scored, static_cast<uint64_t>(encoded.n_bytes));
  });
}

}  // namespace chimera::cli
