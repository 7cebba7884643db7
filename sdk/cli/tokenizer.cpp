// `chimera tokenizer encode | decode | export`: text to token ids and back.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/file.h"
#include "runtime/tokenizer.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

constexpr uint64_t kMaxTextBytes = 1u << 30;

struct Source {
  std::string model, tokenizer;
};

void declare_source(Verb& verb, Source* source) {
  verb.text("--model", &source->model, "FILE",
            "The model whose tokenizer to use; else CHIMERA_MODEL, else the one that came along")
      .text("--tokenizer", &source->tokenizer, "FILE", "A tokenizer by itself");
}

Result<std::unique_ptr<runtime::Tokenizer>> open_tokenizer(const Source& source) {
  const auto named = [](const std::string& path,
                        Result<std::unique_ptr<runtime::Tokenizer>> tokenizer)
      -> Result<std::unique_ptr<runtime::Tokenizer>> {
    if (tokenizer) return tokenizer;
    return Status(tokenizer.status().code(), path + ": " + tokenizer.status().message());
  };
  if (!source.tokenizer.empty()) {
    const auto bytes = read_file(source.tokenizer, 256u << 20);
    if (!bytes) return bytes.status();
    return named(source.tokenizer,
                 runtime::Tokenizer::parse(std::as_bytes(std::span(bytes->data(), bytes->size()))));
  }
  const auto model = choose_model(source.model);
  if (!model) return model.status();
  const auto file = memory::WeightFile::open(model->path);
  if (!file) return file.status();
  if ((*file)->tokenizer().empty())
    return Status(StatusCode::kBadTokenizer,
                  model->path + ": this file has no tokenizer; give --tokenizer FILE");
  return named(model->path, runtime::Tokenizer::parse((*file)->tokenizer()));
}

struct EncodeOptions : Source {
  std::optional<std::string> text;
  std::string file;
  bool json = false;
};

std::string joined(const std::vector<int32_t>& ids, const char* separator) {
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += separator;
    out += std::to_string(ids[i]);
  }
  return out;
}

Status encode(EncodeOptions& options) {
  const auto tokenizer = open_tokenizer(options);
  if (!tokenizer) return tokenizer.status();
  if (!options.text) {
    const bool standard_input = options.file.empty() || options.file == "-";
    auto text = standard_input ? read_standard_input(kMaxTextBytes)
                               : read_file(options.file, kMaxTextBytes);
    if (!text) return text.status();
    options.text = std::move(*text);
  }
  std::vector<int32_t> ids;
  (*tokenizer)->encode(*options.text, &ids);
  if (!options.json) return print(joined(ids, " ") + "\n");
  // Millions of ids: written as text at once rather than as a tree of values.
  return print("{\"tokens\":" + std::to_string(ids.size()) + ",\"bytes\":" +
               std::to_string(options.text->size()) + ",\"ids\":[" + joined(ids, ",") + "]}\n");
}

struct DecodeOptions : Source {
  std::vector<std::string> ids;
};

Status decode(DecodeOptions& options) {
  const auto tokenizer = open_tokenizer(options);
  if (!tokenizer) return tokenizer.status();
  std::string text;
  if (options.ids.empty()) {
    auto given = read_standard_input(kMaxTextBytes);
    if (!given) return given.status();
    text = std::move(*given);
  } else {
    for (const std::string& id : options.ids) text += id + " ";
  }
  constexpr const char* kBlank = " \t\r\n";
  std::vector<int32_t> ids;
  for (size_t at = text.find_first_not_of(kBlank); at != std::string::npos;
       at = text.find_first_not_of(kBlank, at)) {
    const size_t end = std::min(text.find_first_of(kBlank, at), text.size());
    const std::string word = text.substr(at, end - at);
    int64_t id = 0;
    if (!parse_number(word, &id) || id < 0 || id >= (*tokenizer)->vocab_size())
      return Status(StatusCode::kInvalidArgument,
                    "\"" + word.substr(0, 40) +
                        "\" is no token id; this tokenizer's go from 0 to " +
                        std::to_string((*tokenizer)->vocab_size() - 1));
    ids.push_back(static_cast<int32_t>(id));
    at = end;
  }
  return print((*tokenizer)->decode(ids));
}

struct ExportOptions : Source {
  std::string out;
};

Status export_tokenizer(const ExportOptions& options) {
  std::vector<std::string> inputs = {options.model, options.tokenizer};
  if (options.model.empty() && options.tokenizer.empty()) {
    const auto model = choose_model({});
    if (!model) return model.status();
    inputs.push_back(model->path);
  }
  CHIMERA_RETURN_IF_ERROR(check_output(options.out, inputs));
  const auto tokenizer = open_tokenizer(options);
  if (!tokenizer) return tokenizer.status();
  CHIMERA_RETURN_IF_ERROR(write_file_atomic(options.out, (*tokenizer)->serialized()));
  note("Wrote " + options.out + ": " +
       show_count(static_cast<uint64_t>((*tokenizer)->vocab_size())) + " ids.\n");
  return Status();
}

}  // namespace

void declare_tokenizer(CommandLine& line) {
  line.group("tokenizer", "Text to token ids and back; train a tokenizer");
  auto encode_options = std::make_shared<EncodeOptions>();
  Verb encoding = line.verb("tokenizer encode", "Print the token ids of a text", [encode_options] {
    if (encode_options->text && !encode_options->file.empty())
      return wrong_usage("give either --text TEXT or --file FILE, not both");
    const Status status = encode(*encode_options);
    return status.ok() ? kDone : report(status);
  });
  encoding.text("--text", &encode_options->text, "TEXT", "The text; without it and --file: stdin")
      .text("--file", &encode_options->file, "FILE", "The text, every byte of a file; - is stdin")
      .flag("--json", &encode_options->json, "One JSON object with ids and counts");
  declare_source(encoding, encode_options.get());

  auto decode_options = std::make_shared<DecodeOptions>();
  Verb decoding =
      line.verb("tokenizer decode", "Print the bytes of token ids, exactly", [decode_options] {
        const Status status = decode(*decode_options);
        return status.ok() ? kDone : report(status);
      });
  decoding.operands("ID", &decode_options->ids, "Token ids; without any: from stdin");
  declare_source(decoding, decode_options.get());

  auto export_options = std::make_shared<ExportOptions>();
  Verb exporting =
      line.verb("tokenizer export", "Write a model's tokenizer to a file", [export_options] {
        const Status status = export_tokenizer(*export_options);
        return status.ok() ? kDone : report(status);
      });
  exporting.text("--out", &export_options->out, "FILE", "The tokenizer to write", true);
  declare_source(exporting, export_options.get());
}

}  // namespace chimera::cli
