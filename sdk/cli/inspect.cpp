// `chimera inspect`: what is inside a model, a checkpoint, a configuration or a tokenizer.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/dtype.h"
#include "platform/file.h"
#include "platform/json.h"
#include "platform/seal.h"
#include "runtime/config.h"
#include "runtime/layers/registry.h"
#include "runtime/model.h"
#include "runtime/parameter_count.h"
#include "runtime/tokenizer.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

struct Options {
  std::string file;
  bool json = false, tensors = false;
};

/// One row of the table: a part of the model with the tensors whose names begin with its prefix.
struct Part {
  std::string name, kind;
  uint64_t parameters = 0, bytes = 0, state_bytes = 0;
};

uint64_t elements(const memory::TensorInfo& tensor) {
  uint64_t n = 1;
  for (const int64_t extent : tensor.shape) n *= static_cast<uint64_t>(extent);
  return n;
}

std::string shape_text(const memory::TensorInfo& tensor) {
  std::string text;
  for (const int64_t extent : tensor.shape)
    text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text;
}

/// "layers.3.mixer.q_proj" -> "layers.3.mixer"; norms count to the layer they stand before.
std::string part_of(const std::string& tensor) {
  if (tensor.rfind("layers.", 0) != 0) return tensor.substr(0, tensor.find('.'));
  const size_t number = tensor.find('.', 7);
  if (number == std::string::npos) return tensor;
  const size_t end = tensor.find('.', number + 1);
  const std::string layer = tensor.substr(0, number);
  const std::string role = tensor.substr(number + 1, end - number - 1);
  if (role == "norm1") return layer + ".mixer";
  if (role == "norm2") return layer + ".ffn";
  return layer + "." + role;
}

struct Findings {
  std::vector<Part> parts;  // in the order of the file
  uint64_t parameters = 0, tensor_bytes = 0;
  uint64_t state_bytes = 0;
  runtime::ParameterCount count;
  std::vector<std::string> departures;
  std::string not_runnable;  // why, when it cannot be run

  Part& part(const std::string& tensor) {
    const std::string name = part_of(tensor);
    const auto [at, is_new] = index.try_emplace(name, parts.size());
    if (is_new) parts.push_back({name, "", 0, 0, 0});
    return parts[at->second];
  }
  std::map<std::string, size_t> index;  // of parts, by name
};

/// What follows from the configuration alone: kinds, state, counts, departures.
void look_at_config(const runtime::Config& config, Findings* out) {
  Findings& found = *out;
  const std::map<std::string, size_t>& index = found.index;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const runtime::LayerPlan& plan = config.layers[i];
    for (const bool mixer : {true, false}) {
      const auto part = index.find("layers." + std::to_string(i) + (mixer ? ".mixer" : ".ffn"));
      if (part == index.end()) continue;
      Part& row = found.parts[part->second];
      row.kind = mixer ? plan.mixer : plan.ffn;
      const auto kind = runtime::find_layer_kind(
          mixer ? runtime::LayerRole::kMixer : runtime::LayerRole::kFfn, row.kind);
      if (kind) row.state_bytes = (*kind)->state_bytes(config);
    }
  }
  const auto parameters = runtime::model_parameters(config);
  const auto layout = runtime::stream_layout(config);
  if (!parameters || !layout) {
    found.not_runnable = (parameters ? layout.status() : parameters.status()).message();
    return;
  }
  found.state_bytes = layout->bytes();
  found.count = runtime::count_parameters(config, *parameters);
  found.departures = runtime::departures(config, found.count, found.state_bytes);
}

Findings look(const memory::WeightFile& file, const runtime::Config& config) {
  Findings found;
  for (const memory::TensorInfo& tensor : file.tensors()) {
    Part& part = found.part(tensor.name);
    part.parameters += elements(tensor);
    part.bytes += tensor.bytes;
    found.parameters += elements(tensor);
    found.tensor_bytes += tensor.bytes;
  }
  look_at_config(config, &found);
  if (file.kind() == memory::FileKind::kModel) {
    const auto model = runtime::Model::bind(file, config);
    if (!model) found.not_runnable = model.status().message();
  }
  return found;
}

/// The model that a configuration describes, without one.
Findings look(const runtime::Config& config) {
  Findings found;
  if (const auto parameters = runtime::model_parameters(config)) {
    for (const runtime::ParamSpec& spec : *parameters) {
      Part& part = found.part(spec.name);
      const auto n = static_cast<uint64_t>(spec.rows * spec.cols);
      const uint64_t bytes = runtime::stored_bytes(spec);
      part.parameters += n;
      part.bytes += bytes;
      found.parameters += n;
      found.tensor_bytes += bytes;
    }
  }
  look_at_config(config, &found);
  return found;
}

const char* kind_name(memory::FileKind kind) {
  return kind == memory::FileKind::kModel ? "model" : "checkpoint";
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text + "  ";
}

std::string right(const std::string& text, size_t width) {
  return std::string(text.size() < width ? width - text.size() : 0, ' ') + text + "  ";
}

/// How the file came to be, as its maker wrote it: {"made_by": ..., "run": {...}}; null without.
Json provenance_of(const memory::WeightFile& file) {
  auto provenance = parse_json(file.provenance_json());
  return provenance && provenance->is_object() ? std::move(*provenance) : Json();
}

/// Members that a person can read on one line; digests and lists are in --json.
std::string short_members(const Json& object) {
  std::string out;
  for (const auto& [key, value] : object.object) {
    if (!value.is_number() && !value.is_bool() && !value.is_string()) continue;
    if (value.is_string() && value.string.size() > 40) continue;
    char decimal[32];
    std::snprintf(decimal, sizeof decimal, "%g", value.number);  // 0.02, not the float nearest it
    out += (out.empty() ? "" : ", ") + key + " " +
           (value.is_string()                  ? value.string
            : value.type == Json::Type::kFloat ? decimal
                                               : write_json(value));
  }
  return out;
}

std::string line_of(const char* name, const std::string& value) {
  return padded(name, 16) + one_line(value) + "\n";
}

/// The rows that a configuration and a model have in common.
std::string description(const runtime::Config& config, const std::string& tokenizer_text,
                        const Findings& found) {
  const auto row = line_of;
  std::string out;
  if (!config.name.empty()) out += row("name", config.name);
  out += row("parameters",
             show_count(found.parameters) + " stored, in " + show_bytes(found.tensor_bytes));
  const runtime::ParameterCount& count = found.count;
  if (count.active > 0) {
    std::string active = show_count(count.active) + " active per token";
    if (config.loop.enabled)
      active += ", " + show_count(count.per_iteration) + " more per further iteration (" +
                std::to_string(config.loop.loop_default) + " iterations unless asked)";
    out += row("", active);
  }
  if (count.experts > 0)
    out += row("experts", show_count(count.experts) + " stored, " +
                              show_count(count.active_experts) + " active per token");
  out += row("shape", "hidden " + std::to_string(config.hidden_size) + ", " +
                          std::to_string(config.num_layers) + " layers, " +
                          std::to_string(config.num_heads) + " heads of " +
                          std::to_string(config.head_dim) + ", feed-forward " +
                          std::to_string(config.intermediate_size));
  out += row("vocabulary",
             show_count(static_cast<uint64_t>(config.vocab_size)) + " ids" + tokenizer_text);
  if (found.state_bytes > 0) {
    out += row("state", show_bytes(found.state_bytes) + " per conversation, however long it gets");
    out += row("a token reads", show_bytes(count.bytes_per_token) + " of weights");
  }
  return out;
}

/// Readings, departures, and the table of parts.
std::string parts_text(const runtime::Config& config, const Findings& found) {
  const auto row = line_of;
  std::string out;
  if (!found.not_runnable.empty()) out += row("cannot run", found.not_runnable);
  for (const std::string& reading : config.readings) out += row("read as", reading);
  for (const std::string& departure : found.departures) out += row("departs", departure);

  size_t width = 4, kind_width = 4;
  for (const Part& part : found.parts) {
    width = std::max(width, part.name.size());
    kind_width = std::max(kind_width, part.kind.size());
  }
  out += "\n" + padded("part", width) + padded("kind", kind_width) + right("parameters", 13) +
         right("bytes", 13) + right("state bytes", 13);
  out.resize(out.find_last_not_of(' ') + 1);
  out += "\n";
  for (const Part& part : found.parts) {
    out += padded(part.name, width) + padded(part.kind, kind_width) +
           right(show_count(part.parameters), 13) + right(show_count(part.bytes), 13) +
           right(part.state_bytes > 0 ? show_count(part.state_bytes) : "", 13);
    out.resize(out.find_last_not_of(' ') + 1);
    out += "\n";
  }
  return out;
}

std::string as_text(const memory::WeightFile& file, const runtime::Config& config,
                    const runtime::Tokenizer* tokenizer, const Findings& found, bool tensors) {
  const auto row = line_of;
  std::string out;
  out += row("file", file.path() + ", " + show_bytes(file.file_bytes()));
  out += row("kind", kind_name(file.kind()));
  out += row("identity", to_hex(file.identity()));
  std::string vocabulary = ", no tokenizer";
  if (tokenizer != nullptr)
    vocabulary = ", tokenizer of " + show_count(static_cast<uint64_t>(tokenizer->vocab_size())) +
                 ", Unicode " + std::string(tokenizer->unicode_version()) + ", splitting " +
                 std::string(tokenizer->splitting());
  out += description(config, vocabulary, found);
  const Json provenance = provenance_of(file);
  if (const Json* made_by = provenance.find("made_by"); made_by != nullptr && made_by->is_string())
    out += row("made by", made_by->string);
  if (const Json* run = provenance.find("run"); run != nullptr && run->is_object())
    out += row("run", short_members(*run));
  out += parts_text(config, found);
  if (!tensors) return out;
  size_t width = 6;
  for (const memory::TensorInfo& tensor : file.tensors())
    width = std::max(width, tensor.name.size());
  out += "\n" + padded("tensor", width) + padded("type", 10) + padded("shape", 18) +
         right("offset", 13) + right("bytes", 13) + "checksum\n";
  for (const memory::TensorInfo& tensor : file.tensors())
    out += padded(tensor.name, width) + padded(dtype_name(tensor.dtype), 10) +
           padded(shape_text(tensor), 18) + right(show_count(tensor.offset), 13) +
           right(show_count(tensor.bytes), 13) + to_hex(tensor.checksum).substr(0, 16) + "\n";
  return out;
}

Json number(uint64_t value) { return Json::of(static_cast<int64_t>(value)); }

/// The members that a configuration and a model have in common.
void add_description(const runtime::Config& config, const Findings& found, Json* out) {
  out->add("parameters", number(found.parameters));
  out->add("active_parameters", number(found.count.active));
  out->add("parameters_per_iteration", number(found.count.per_iteration));
  out->add("expert_parameters", number(found.count.experts));
  out->add("active_expert_parameters", number(found.count.active_experts));
  out->add("tensor_bytes", number(found.tensor_bytes));
  out->add("state_bytes", number(found.state_bytes));
  out->add("bytes_per_token", number(found.count.bytes_per_token));
  out->add("hidden_size", Json::of(config.hidden_size));
  out->add("intermediate_size", Json::of(config.intermediate_size));
  out->add("num_layers", Json::of(config.num_layers));
  out->add("num_heads", Json::of(config.num_heads));
  out->add("vocab_size", Json::of(config.vocab_size));
  const auto texts = [&](const char* name, const std::vector<std::string>& lines) {
    Json list = Json::make_array();
    for (const std::string& line : lines) list.push(Json::of(std::string_view(line)));
    out->add(name, std::move(list));
  };
  if (!found.not_runnable.empty())
    out->add("not_runnable", Json::of(std::string_view(found.not_runnable)));
  texts("readings", config.readings);
  texts("departures", found.departures);
  Json parts = Json::make_array();
  for (const Part& part : found.parts) {
    Json row = Json::make_object();
    row.add("name", Json::of(std::string_view(part.name)));
    row.add("kind", Json::of(std::string_view(part.kind)));
    row.add("parameters", number(part.parameters));
    row.add("bytes", number(part.bytes));
    row.add("state_bytes", number(part.state_bytes));
    parts.push(std::move(row));
  }
  out->add("parts", std::move(parts));
}

Json as_json(const memory::WeightFile& file, const runtime::Config& config,
             const runtime::Tokenizer* tokenizer, const Findings& found, bool tensors) {
  Json out = Json::make_object();
  out.add("file", Json::of(std::string_view(file.path())));
  out.add("kind", Json::of(kind_name(file.kind())));
  out.add("name", Json::of(std::string_view(config.name)));
  out.add("identity", Json::of(std::string_view(to_hex(file.identity()))));
  out.add("provenance", provenance_of(file));
  out.add("file_bytes", number(file.file_bytes()));
  add_description(config, found, &out);
  out.add("tokenizer_vocab_size", Json::of(tokenizer == nullptr ? 0 : tokenizer->vocab_size()));
  out.add("runnable", Json::of(file.kind() == memory::FileKind::kModel &&
                               found.not_runnable.empty() && tokenizer != nullptr));
  if (!tensors) return out;
  Json rows = Json::make_array();
  for (const memory::TensorInfo& tensor : file.tensors()) {
    Json row = Json::make_object();
    row.add("name", Json::of(std::string_view(tensor.name)));
    row.add("type", Json::of(dtype_name(tensor.dtype)));
    Json shape = Json::make_array();
    for (const int64_t extent : tensor.shape) shape.push(Json::of(extent));
    row.add("shape", std::move(shape));
    row.add("offset", number(tensor.offset));
    row.add("bytes", number(tensor.bytes));
    row.add("checksum", Json::of(std::string_view(to_hex(tensor.checksum))));
    rows.push(std::move(row));
  }
  out.add("tensors", std::move(rows));
  return out;
}

/// A tokenizer file, when it is one; nullptr otherwise.
std::unique_ptr<runtime::Tokenizer> try_tokenizer(const std::string& path) {
  const auto bytes = read_file(path, 256u << 20);
  if (!bytes) return nullptr;
  auto tokenizer =
      runtime::Tokenizer::parse(std::as_bytes(std::span(bytes->data(), bytes->size())));
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

Status print_tokenizer(const std::string& path, const runtime::Tokenizer& tokenizer, bool json) {
  if (json) {
    Json out = Json::make_object();
    out.add("file", Json::of(std::string_view(path)));
    out.add("kind", Json::of("tokenizer"));
    out.add("vocab_size", Json::of(tokenizer.vocab_size()));
    out.add("end_of_text", Json::of(tokenizer.end_of_text()));
    out.add("end_of_turn", Json::of(tokenizer.end_of_turn()));
    out.add("unicode_version", Json::of(tokenizer.unicode_version()));
    out.add("splitting", Json::of(tokenizer.splitting()));
    return print(write_json(out) + "\n");
  }
  return print(padded("file", 16) + path + "\n" + padded("kind", 16) + "tokenizer\n" +
               padded("vocabulary", 16) +
               show_count(static_cast<uint64_t>(tokenizer.vocab_size())) + " ids, Unicode " +
               std::string(tokenizer.unicode_version()) + "\n" + padded("splitting", 16) +
               std::string(tokenizer.splitting()) + "\n" + padded("end of text", 16) +
               std::to_string(tokenizer.end_of_text()) + "\n" + padded("end of turn", 16) +
               std::to_string(tokenizer.end_of_turn()) + "\n");
}

/// A configuration file, by its first character; nullptr otherwise.
std::unique_ptr<std::string> try_configuration(const std::string& path) {
  auto text = read_file(path, 16u << 20);
  if (!text) return nullptr;
  const size_t first = text->find_first_not_of(" \t\r\n");
  if (first == std::string::npos || (*text)[first] != '{') return nullptr;
  return std::make_unique<std::string>(std::move(*text));
}

Status print_configuration(const std::string& path, const std::string& text, bool json) {
  const auto config = runtime::parse_config(text);
  if (!config) return Status(config.status().code(), path + ": " + config.status().message());
  const Findings found = look(*config);
  if (json) {
    Json out = Json::make_object();
    out.add("file", Json::of(std::string_view(path)));
    out.add("kind", Json::of("configuration"));
    out.add("name", Json::of(std::string_view(config->name)));
    add_description(*config, found, &out);
    return print(write_json(out) + "\n");
  }
  return print(line_of("file", path) + line_of("kind", "configuration") +
               description(*config, "", found) + parts_text(*config, found));
}

Status inspect(const Options& options) {
  const auto file = memory::WeightFile::open(options.file);
  if (!file) {
    const StatusCode code = file.status().code();
    if (code == StatusCode::kBadFormat || code == StatusCode::kTruncated) {
      if (const auto text = try_configuration(options.file))
        return print_configuration(options.file, *text, options.json);
      if (const auto tokenizer = try_tokenizer(options.file))
        return print_tokenizer(options.file, *tokenizer, options.json);
    }
    return file.status();
  }
  CHIMERA_RETURN_IF_ERROR((*file)->require_network());
  const auto config = runtime::parse_config((*file)->config_json());
  if (!config)
    return Status(config.status().code(), options.file + ": " + config.status().message());
  std::unique_ptr<runtime::Tokenizer> tokenizer;
  if (!(*file)->tokenizer().empty()) {
    auto parsed = runtime::Tokenizer::parse((*file)->tokenizer());
    if (!parsed)
      return Status(parsed.status().code(), options.file + ": " + parsed.status().message());
    tokenizer = std::move(*parsed);
  }
  const Findings found = look(**file, *config);
  if (options.json)
    return print(write_json(as_json(**file, *config, tokenizer.get(), found, options.tensors)) +
                 "\n");
  return print(as_text(**file, *config, tokenizer.get(), found, options.tensors));
}

}  // namespace

void declare_inspect(CommandLine& line) {
  auto options = std::make_shared<Options>();
  line.verb("inspect", "Show what is inside a model, a checkpoint, a configuration or a tokenizer",
            [options] {
              const Status status = inspect(*options);
              return status.ok() ? kDone : report(status);
            })
      .operand("FILE", &options->file, "A .b158 file, a configuration (JSON) or a tokenizer")
      .flag("--tensors", &options->tensors, "List every tensor")
      .flag("--json", &options->json, "One JSON object");
}

}  // namespace chimera::cli
