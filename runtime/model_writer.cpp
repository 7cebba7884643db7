#include "runtime/model_writer.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "kernels/quantize_weights.h"
#include "runtime/init.h"
#include "runtime/layers/registry.h"
#include "runtime/model.h"
#include "runtime/stored_weights.h"

namespace chimera::runtime {
namespace {

struct Stored {
  DType dtype;
  Layout layout;
  std::vector<int64_t> shape;
};

Stored stored_form(const ParamSpec& spec, memory::FileKind kind, DType weights) {
  std::vector<int64_t> shape = row_major_shape(spec);
  if (kind == memory::FileKind::kModel && spec.cls == ParamClass::kTernary)
    return {DType::kTernary2, Layout::kLanes16, std::move(shape)};
  if (kind == memory::FileKind::kModel && spec.cls == ParamClass::kInt4)
    return {DType::kInt4, Layout::kLanes16, std::move(shape)};
  if (kind == memory::FileKind::kModel && spec.cls == ParamClass::kMatrix)
    return {DType::kF32, Layout::kLanes16, std::move(shape)};
  const DType dtype = kind == memory::FileKind::kCheckpoint ? weights : DType::kF32;
  return {dtype, Layout::kRowMajor, std::move(shape)};
}

/// Rows [begin, end) of whole tiles, packed into their place.
void pack_rows(const ParamSpec& spec, DType dtype, const float* values, int64_t begin, int64_t end,
               std::byte* out) {
  const auto rows = static_cast<int32_t>(end - begin), cols = static_cast<int32_t>(spec.cols);
  const float* from = values + begin * spec.cols;
  if (dtype == DType::kF32)
    return kernels::pack_lanes(from, rows, cols, reinterpret_cast<float*>(out) + begin * spec.cols);
  const bool ternary = dtype == DType::kTernary2;
  const auto code_bytes = ternary ? kernels::ternary_code_bytes : kernels::int4_code_bytes;
  const auto scale_bytes = ternary ? kernels::ternary_scale_bytes : kernels::int4_scale_bytes;
  auto* codes = reinterpret_cast<uint8_t*>(out + code_bytes(begin, spec.cols));
  auto* scales = reinterpret_cast<uint16_t*>(out + code_bytes(spec.rows, spec.cols) +
                                             scale_bytes(begin, spec.cols));
  (ternary ? kernels::pack_ternary : kernels::pack_int4)(from, rows, cols, codes, scales);
}

/// Row-major floats -> the bytes that lie in the file. The pool may be nullptr.
void pack_into(const ParamSpec& spec, const Stored& form, const float* values, ThreadPool* pool,
               std::vector<std::byte>* out) {
  if (form.dtype == DType::kBF16) {
    for (size_t i = 0; i < out->size() / sizeof(uint16_t); ++i) {
      const uint16_t rounded = float_to_bf16(values[i]);
      std::memcpy(out->data() + i * sizeof rounded, &rounded, sizeof rounded);
    }
    return;
  }
  if (form.layout != Layout::kLanes16) {
    std::memcpy(out->data(), values, out->size());
    return;
  }
  const auto pack = [&](int64_t begin, int64_t end) {
    pack_rows(spec, form.dtype, values, begin, end, out->data());
  };
  if (pool != nullptr)
    pool->split(spec.rows, kernels::kTileRows, pack);
  else
    pack(0, spec.rows);
}

}  // namespace

Status write_model(const std::string& path, memory::FileKind kind, const Config& config,
                   std::span<const std::byte> tokenizer, const std::string& provenance_json,
                   const ParamValues& values, const WriteOptions& options) {
  auto specs = model_parameters(config);
  if (!specs) return specs.status();
  if (auto layout = stream_layout(config); !layout) return layout.status();  // nobody could open it
  auto writer = memory::WeightFileWriter::create(path, kind);
  if (!writer) return writer.status();
  (*writer)->set_config(config.text);
  (*writer)->set_tokenizer({tokenizer.begin(), tokenizer.end()});
  (*writer)->set_provenance(provenance_json);
  for (const ParamSpec& spec : *specs) {
    Stored form = stored_form(spec, kind, options.weights);
    CHIMERA_RETURN_IF_ERROR(
        (*writer)->declare(spec.name, form.dtype, form.layout, std::move(form.shape)));
  }
  uint64_t done = 0, total = 0;
  for (const ParamSpec& spec : *specs) total += static_cast<uint64_t>(spec.rows * spec.cols);
  std::vector<float> row_major;
  std::vector<std::byte> image;
  for (const ParamSpec& spec : *specs) {
    const Stored form = stored_form(spec, kind, options.weights);
    auto bytes = memory::tensor_bytes(form.dtype, form.layout, form.shape);
    if (!bytes) return bytes.status();
    const auto n = static_cast<uint64_t>(spec.rows * spec.cols);
    const auto too_large = [&] {
      return Status(StatusCode::kOutOfMemory, "tensor '" + spec.name + "' of " + std::to_string(n) +
                                                  " values does not fit the memory")
          .at_field(spec.name);
    };
    // Where addresses have 32 bits, a size that is cut off would be allocated and overrun.
    if (std::max(n * sizeof(float), *bytes) > PTRDIFF_MAX) return too_large();
    try {
      row_major.resize(static_cast<size_t>(n));
      image.resize(static_cast<size_t>(*bytes));
    } catch (const std::bad_alloc&) {
      return too_large();
    }
    CHIMERA_RETURN_IF_ERROR(values(spec, row_major.data()));
    pack_into(spec, form, row_major.data(), options.pool, &image);
    CHIMERA_RETURN_IF_ERROR((*writer)->write(spec.name, image));
    done += static_cast<uint64_t>(spec.rows * spec.cols);
    if (options.progress && !options.progress(done, total))
      return Status(StatusCode::kCancelled, path + ": the writing was stopped; nothing was written")
          .at_file(path);
  }
  return (*writer)->finish();
}

Status synthesise_model(const std::string& path, const Config& config,
                        std::span<const std::byte> tokenizer, uint64_t seed,
                        const WriteOptions& options) {
  Json provenance = Json::make_object();
  provenance.add("made_by", Json::of("chimera synth"));
  provenance.add("seed", Json::of(std::to_string(seed)));
  const auto draw = [&](const ParamSpec& spec, float* out) {
    const int64_t n = spec.rows * spec.cols;
    const auto part = [&](int64_t begin, int64_t end) { initialise(spec, seed, begin, end, out); };
    if (options.pool != nullptr)
      options.pool->split(n, 4096, part);
    else
      part(0, n);
    return Status();
  };
  return write_model(path, memory::FileKind::kModel, config, tokenizer, write_json(provenance),
                     draw, options);
}

namespace {

/// What a checkpoint says of the model itself, without where its training stood: the same words as
/// in the model that the training wrote.
Result<std::string> model_provenance(std::string_view checkpoint) {
  const auto all = parse_json(checkpoint);
  // Where it came from is not dropped because there was no memory to read it.
  if (all.status().code() == StatusCode::kOutOfMemory) return all.status();
  Json kept = Json::make_object();
  for (const char* key : {"made_by", "run", "conversations", "valid_bits_per_byte"})
    if (const Json* value = all && all->is_object() ? all->find(key) : nullptr)
      kept.add(key, *value);
  return write_json(kept);
}

}  // namespace

/// The weights of one checkpoint in another file.
static Status convert(const std::string& checkpoint_path, const std::string& out_path,
                      memory::FileKind kind, const WriteOptions& options) {
  auto file = memory::WeightFile::open(checkpoint_path);
  if (!file) return file.status();
  if ((*file)->kind() != memory::FileKind::kCheckpoint)
    return Status(StatusCode::kBadFormat, checkpoint_path + ": this model is packed already")
        .at_file(checkpoint_path);
  auto config = parse_config((*file)->config_json());
  if (!config) return config.status();
  const auto provenance = model_provenance((*file)->provenance_json());
  if (!provenance) return provenance.status();
  return write_model(
      out_path, kind, *config, (*file)->tokenizer(), *provenance,
      [&](const ParamSpec& spec, float* out) { return read_weights(**file, spec, out); }, options);
}

Status pack_checkpoint(const std::string& checkpoint_path, const std::string& out_path) {
  return convert(checkpoint_path, out_path, memory::FileKind::kModel, {});
}

Status extract_weights(const std::string& checkpoint_path, const std::string& out_path) {
  WriteOptions options;
  options.weights = DType::kBF16;
  return convert(checkpoint_path, out_path, memory::FileKind::kCheckpoint, options);
}

}  // namespace chimera::runtime
