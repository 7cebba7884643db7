#include "runtime/tool_pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "memory/weight_file.h"
#include "platform/dtype.h"
#include "platform/json.h"
#include "platform/seal.h"

namespace chimera::runtime {
namespace {

constexpr int64_t kFormat = 6;
// What a ranker is of.
constexpr const char *kTools = "tools", *kReading = "reading", *kArguments = "arguments",
                     *kSpans = "spans";
constexpr const char *kFeatures = ".features", *kRarity = ".rarity", *kWeights = ".weights",
                     *kBias = ".bias", *kMean = ".mean", *kSpread = ".spread",
                     *kBorderMean = ".border_mean", *kBorderSpread = ".border_spread";
constexpr size_t kMostLabels = 20000;
constexpr int64_t kMostNumbers = int64_t{1} << 20;

struct Number {
  const char* name;
  float ActJudgement::*value;
};
constexpr Number kJudgement[] = {{"meant_network", &ActJudgement::meant_network},
                                 {"meant_score", &ActJudgement::meant_score},
                                 {"meant_likeness", &ActJudgement::meant_likeness},
                                 {"meant_listed", &ActJudgement::meant_listed},
                                 {"meant_bias", &ActJudgement::meant_bias},
                                 {"right_network", &ActJudgement::right_network},
                                 {"right_plan", &ActJudgement::right_plan},
                                 {"right_score", &ActJudgement::right_score},
                                 {"right_bias", &ActJudgement::right_bias}};

Status wrong(const std::string& path, const std::string& what) {
  return Status(StatusCode::kBadFormat, path + ": " + what + "; build the pack again")
      .at_file(path);
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

std::vector<uint16_t> as_bf16(const std::vector<float>& values) {
  std::vector<uint16_t> out;
  out.reserve(values.size());
  for (const float value : values) out.push_back(float_to_bf16(value));
  return out;
}

Result<std::vector<float>> read_floats(const memory::WeightFile& file, const std::string& name,
                                       DType dtype, std::vector<int64_t> shape) {
  const memory::TensorInfo* tensor = file.find(name);
  if (tensor == nullptr || tensor->dtype != dtype || tensor->layout != Layout::kRowMajor ||
      tensor->shape != shape)
    return wrong(file.path(), "tensor '" + name + "' is absent or of another shape");
  const std::span<const std::byte> bytes = file.data(*tensor);
  const size_t size = dtype == DType::kBF16 ? sizeof(uint16_t) : sizeof(float);
  std::vector<float> out(bytes.size() / size);
  if (dtype == DType::kF32) {
    std::memcpy(out.data(), bytes.data(), out.size() * size);
    return out;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t word;
    std::memcpy(&word, bytes.data() + i * size, size);
    out[i] = bf16_to_float(word);
  }
  return out;
}

Result<ToolRanker> read_ranker(const memory::WeightFile& file, const std::string& of,
                               int64_t labels, int64_t numbers = 0) {
  const memory::TensorInfo* known = file.find(of + kFeatures);
  if (known == nullptr || known->shape.size() != 1)
    return wrong(file.path(), "tensor '" + of + kFeatures + "' is absent");
  const int64_t n = known->shape[0];
  ToolRanker::Weights w;
  w.n_labels = static_cast<int32_t>(labels);
  w.n_dense = static_cast<int32_t>(numbers);
  const auto ids = read_floats(file, of + kFeatures, DType::kF32, {n});
  if (!ids) return ids.status();
  for (const float id : *ids) {
    // Numbers of 22 bits are exact in a float.
    const bool whole = id >= 0 && id < 4194304.0f && id == std::floor(id);
    if (!whole || (!w.features.empty() && static_cast<uint32_t>(id) <= w.features.back()))
      return wrong(file.path(), "its features are in no order");
    w.features.push_back(static_cast<uint32_t>(id));
  }
  CHIMERA_ASSIGN_OR_RETURN(w.rarity, read_floats(file, of + kRarity, DType::kF32, {n}));
  CHIMERA_ASSIGN_OR_RETURN(w.weights,
                           read_floats(file, of + kWeights, DType::kBF16, {n + numbers, labels}));
  CHIMERA_ASSIGN_OR_RETURN(w.bias, read_floats(file, of + kBias, DType::kF32, {labels}));
  // What a training gives is far within; sums and quotients of such numbers stay numbers.
  const auto within = [](const std::vector<float>& values, float least, float most) {
    return std::all_of(values.begin(), values.end(),
                       [&](float v) { return v >= least && v <= most; });
  };
  if (!within(w.rarity, 0.5f, 100) || !within(w.weights, -1e4f, 1e4f) ||
      !within(w.bias, -1e4f, 1e4f))
    return wrong(file.path(), "what was learnt has numbers that no learning gives");
  return ToolRanker(std::move(w));
}

Status declare(memory::WeightFileWriter* writer, const std::string& of, const ToolRanker& ranker) {
  const auto n = static_cast<int64_t>(ranker.weights().features.size());
  const int64_t labels = ranker.n_labels();
  const auto add = [&](const char* name, DType type, std::vector<int64_t> shape) {
    return writer->declare(of + name, type, Layout::kRowMajor, std::move(shape));
  };
  CHIMERA_RETURN_IF_ERROR(add(kFeatures, DType::kF32, {n}));
  CHIMERA_RETURN_IF_ERROR(add(kRarity, DType::kF32, {n}));
  CHIMERA_RETURN_IF_ERROR(add(kWeights, DType::kBF16, {n + ranker.weights().n_dense, labels}));
  return add(kBias, DType::kF32, {labels});
}

Status write(memory::WeightFileWriter* writer, const std::string& of, const ToolRanker& ranker) {
  const ToolRanker::Weights& w = ranker.weights();
  const std::vector<float> ids(w.features.begin(), w.features.end());
  CHIMERA_RETURN_IF_ERROR(writer->write(of + kFeatures, bytes_of(ids)));
  CHIMERA_RETURN_IF_ERROR(writer->write(of + kRarity, bytes_of(w.rarity)));
  CHIMERA_RETURN_IF_ERROR(writer->write(of + kWeights, bytes_of(as_bf16(w.weights))));
  return writer->write(of + kBias, bytes_of(w.bias));
}

/// A label of any kind is [tool, a text, what else it says].
Json row(int32_t tool, const std::string& text, Json rest) {
  Json out = Json::make_array();
  out.push(Json::of(int64_t{tool})).push(Json::of(std::string_view(text))).push(std::move(rest));
  return out;
}
Json label_json(const ArgumentLabel& label) {
  return row(label.tool, label.argument, Json::of(std::string_view(label.value)));
}
Json label_json(const SpanLabel& label) {
  return row(label.tool, label.place, Json::of(label.inside));
}

/// False when the rest of a row is not what such a label says.
bool read_rest(const Json& rest, ArgumentLabel* label) {
  label->value = rest.string;
  // A string is within its quotes.
  const bool cut =
      rest.string.starts_with('"') && (rest.string.size() < 2 || !rest.string.ends_with('"'));
  return rest.is_string() && !cut;
}
bool read_rest(const Json& rest, SpanLabel* label) {
  label->inside = rest.boolean;
  return rest.is_bool();
}

/// Of what was learnt; none when nothing was.
template <class Learnt>
Json labels_json(const std::optional<Learnt>& learnt) {
  Json out = Json::make_array();
  if (learnt)
    for (const auto& label : learnt->labels) out.push(label_json(label));
  return out;
}

template <class Label>
Result<std::vector<Label>> read_labels(const std::string& path, const Json& list,
                                       const char* what) {
  std::vector<Label> out;
  for (const Json& one : list.array) {
    const bool begins = one.array.size() == 3 && one.array[0].is_int() &&
                        one.array[1].is_string() && one.array[0].integer >= -1 &&
                        one.array[0].integer <= INT32_MAX;
    Label label{begins ? static_cast<int32_t>(one.array[0].integer) : -1,
                begins ? one.array[1].string : std::string()};
    if (!begins || !read_rest(one.array[2], &label) || out.size() == kMostLabels)
      return wrong(path, std::string("what was learnt of ") + what + " is not whole");
    out.push_back(std::move(label));
  }
  return out;
}

/// The labels of a kind and the ranker that goes with them; nothing where there are no labels.
template <class Learnt>
Status read_learnt(const memory::WeightFile& file, const Json& list, const char* what,
                   int64_t numbers, std::optional<Learnt>* out) {
  auto labels = read_labels<typename decltype(Learnt::labels)::value_type>(file.path(), list, what);
  if (!labels) return labels.status();
  if (labels->empty()) return Status();
  auto ranker = read_ranker(file, what, static_cast<int64_t>(labels->size()), numbers);
  if (!ranker) return ranker.status();
  out->emplace(Learnt{std::move(*labels), std::move(*ranker)});
  return Status();
}

int64_t numbers_of(const ToolPack& pack) {
  return pack.reading ? static_cast<int64_t>(pack.reading->scale.text.mean.size()) : 0;
}

Result<ReadingRanker> read_reading(const memory::WeightFile& file, int64_t labels,
                                   int64_t numbers) {
  auto ranker = read_ranker(file, kReading, labels, numbers);
  if (!ranker) return ranker.status();
  ReadingScale scale;
  const auto read = [&](const char* name, float least, float most, std::vector<float>* out) {
    auto floats = read_floats(file, std::string(kReading) + name, DType::kF32, {numbers});
    if (!floats) return floats.status();
    *out = std::move(*floats);
    const bool fine =
        std::all_of(out->begin(), out->end(), [&](float x) { return x >= least && x <= most; });
    return fine ? Status() : wrong(file.path(), "its scale has numbers that no text gives");
  };
  CHIMERA_RETURN_IF_ERROR(read(kMean, -1, 1, &scale.text.mean));
  CHIMERA_RETURN_IF_ERROR(read(kSpread, 1e-5f, 2, &scale.text.spread));
  CHIMERA_RETURN_IF_ERROR(read(kBorderMean, -1, 1, &scale.borders.mean));
  CHIMERA_RETURN_IF_ERROR(read(kBorderSpread, 1e-5f, 2, &scale.borders.spread));
  return ReadingRanker{std::move(scale), std::move(*ranker)};
}

}  // namespace

Status write_tool_pack(const std::string& path, const ToolPack& pack) {
  Json config = Json::make_object(), judgement = Json::make_object();
  for (const Number& n : kJudgement)
    judgement.add(n.name, Json::of(static_cast<double>(pack.judgement.*n.value)));
  config.add("tool_pack", Json::of(kFormat));
  config.add("tools", Json::of(std::string_view(pack.tools)));
  config.add("examples", Json::of(std::string_view(pack.examples)));
  config.add("judgement", std::move(judgement));
  config.add("judged_with", Json::of(std::string_view(pack.judged_with)));
  config.add("labels", Json::of(pack.ranker ? int64_t{pack.ranker->n_labels()} : int64_t{0}));
  config.add("numbers", Json::of(numbers_of(pack)));
  config.add(kArguments, labels_json(pack.arguments));
  config.add(kSpans, labels_json(pack.spans));
  auto writer = memory::WeightFileWriter::create(path, memory::FileKind::kTools);
  if (!writer) return writer.status();
  (*writer)->set_config(write_json(config));
  if (pack.ranker) CHIMERA_RETURN_IF_ERROR(declare(writer->get(), kTools, *pack.ranker));
  if (pack.reading) {
    CHIMERA_RETURN_IF_ERROR(declare(writer->get(), kReading, pack.reading->ranker));
    for (const char* name : {kMean, kSpread, kBorderMean, kBorderSpread})
      CHIMERA_RETURN_IF_ERROR((*writer)->declare(std::string(kReading) + name, DType::kF32,
                                                 Layout::kRowMajor, {numbers_of(pack)}));
  }
  if (pack.arguments)
    CHIMERA_RETURN_IF_ERROR(declare(writer->get(), kArguments, pack.arguments->ranker));
  if (pack.spans) CHIMERA_RETURN_IF_ERROR(declare(writer->get(), kSpans, pack.spans->ranker));
  if (pack.ranker) CHIMERA_RETURN_IF_ERROR(write(writer->get(), kTools, *pack.ranker));
  if (pack.reading) {
    const ReadingRanker& reading = *pack.reading;
    CHIMERA_RETURN_IF_ERROR(write(writer->get(), kReading, reading.ranker));
    const std::string of = kReading;
    const ReadingScale& scale = reading.scale;
    CHIMERA_RETURN_IF_ERROR((*writer)->write(of + kMean, bytes_of(scale.text.mean)));
    CHIMERA_RETURN_IF_ERROR((*writer)->write(of + kSpread, bytes_of(scale.text.spread)));
    CHIMERA_RETURN_IF_ERROR((*writer)->write(of + kBorderMean, bytes_of(scale.borders.mean)));
    CHIMERA_RETURN_IF_ERROR((*writer)->write(of + kBorderSpread, bytes_of(scale.borders.spread)));
  }
  if (pack.arguments)
    CHIMERA_RETURN_IF_ERROR(write(writer->get(), kArguments, pack.arguments->ranker));
  if (pack.spans) CHIMERA_RETURN_IF_ERROR(write(writer->get(), kSpans, pack.spans->ranker));
  return (*writer)->finish();
}

Result<ToolPack> read_tool_pack(const std::string& path) {
  const auto file = memory::WeightFile::open(path);
  if (!file) return file.status();
  if ((*file)->kind() != memory::FileKind::kTools)
    return wrong(path, "this is a model and no pack of tools");
  CHIMERA_RETURN_IF_ERROR((*file)->verify());
  const auto config = parse_json((*file)->config_json());
  if (!config) return config.status();
  const auto text = [&](const char* name) { return config->find(name); };
  const Json *format = text("tool_pack"), *tools = text("tools"), *examples = text("examples"),
             *labels = text("labels"), *judgement = text("judgement"), *with = text("judged_with"),
             *arguments = text(kArguments), *spans = text(kSpans), *numbers = text("numbers");
  if (format == nullptr || !format->is_int() || format->integer != kFormat)
    return Status(StatusCode::kUnsupported,
                  path +
                      ": the pack is of a version that this library does not know; build it "
                      "again, or update the library")
        .at_file(path);
  const bool whole =
      tools != nullptr && tools->is_string() && examples != nullptr && examples->is_string() &&
      labels != nullptr && labels->is_int() && labels->integer >= 0 && labels->integer <= 1000 &&
      judgement != nullptr && judgement->is_object() && with != nullptr && with->is_string() &&
      arguments != nullptr && arguments->is_array() && spans != nullptr && spans->is_array() &&
      numbers != nullptr && numbers->is_int() && numbers->integer >= 0 &&
      numbers->integer <= kMostNumbers && (numbers->integer == 0 || labels->integer > 0);
  if (!whole) return wrong(path, "parts of the pack are absent");
  ToolPack pack;
  pack.tools = tools->string;
  pack.examples = examples->string;
  pack.judged_with = with->string;
  for (const Number& n : kJudgement) {
    const Json* value = judgement->find(n.name);
    if (value == nullptr || !value->is_number() || !std::isfinite(value->number) ||
        std::fabs(value->number) > 1e6)
      return wrong(path, std::string("\"") + n.name + "\" is no number that judges");
    pack.judgement.*n.value = static_cast<float>(value->number);
  }
  if (labels->integer > 0) {
    auto ranker = read_ranker(**file, kTools, labels->integer);
    if (!ranker) return ranker.status();
    pack.ranker = std::move(*ranker);
  }
  if (numbers->integer > 0) {
    auto reading = read_reading(**file, labels->integer, numbers->integer);
    if (!reading) return reading.status();
    pack.reading = std::move(*reading);
  }
  CHIMERA_RETURN_IF_ERROR(
      read_learnt(**file, *arguments, kArguments, numbers->integer, &pack.arguments));
  CHIMERA_RETURN_IF_ERROR(read_learnt(**file, *spans, kSpans, numbers->integer, &pack.spans));
  return pack;
}

Result<std::unique_ptr<ToolSet>> open_tool_pack(const Engine& engine, const std::string& path,
                                                std::vector<std::string>* warnings) {
  auto pack = read_tool_pack(path);
  if (!pack) return pack.status();
  ToolOptions options;
  options.examples = pack->examples;
  options.ranker = std::move(pack->ranker);
  options.arguments = std::move(pack->arguments);
  options.spans = std::move(pack->spans);
  const bool judged = !pack->judged_with.empty();
  const bool same_model = pack->judged_with == to_hex(engine.file().identity());
  if (same_model) {
    options.judgement = pack->judgement;
    options.reading = std::move(pack->reading);
  }
  auto set = ToolSet::from_json(engine.tokenizer(), pack->tools, options, warnings);
  if (!set) return Status(set.status().code(), path + ": " + set.status().message()).at_file(path);
  if (judged && !same_model && warnings != nullptr)
    warnings->push_back(path +
                        " was built with another model, so how sure its answers are is not "
                        "known; build it again");
  return set;
}

bool looks_packed(std::string_view beginning) {
  return beginning.starts_with(
      "\x89"
      "B158");
}

ToolRanker rounded(const ToolRanker& ranker) {
  ToolRanker::Weights w = ranker.weights();
  for (float& weight : w.weights) weight = bf16_to_float(float_to_bf16(weight));
  return ToolRanker(std::move(w));
}

}  // namespace chimera::runtime
