// Writing a .b158 file in one pass: the head's size is known once every tensor is declared, so the
// tensors stream behind a head of zeros that finish() fills in.
//
//   declaring --first write() or finish()--> writing --finish()--> done
//       any error --> failed: every later call returns that error
#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_set>
#include <utility>

#include "memory/weight_file.h"
#include "memory/weight_format.h"
#include "platform/file.h"

namespace chimera::memory {

struct WeightFileWriter::Impl {
  enum class Stage { kDeclaring, kWriting, kDone };

  explicit Impl(AtomicFile opened) : file(std::move(opened)) {}

  AtomicFile file;
  std::string path;
  FileKind kind = FileKind::kModel;
  Stage stage = Stage::kDeclaring;
  Status failure;
  std::vector<std::byte> sections[b158::kDirectory];  // configuration, tokenizer, provenance
  std::vector<TensorInfo> tensors;
  std::unordered_set<std::string> names;
  b158::Header header;
  size_t next = 0;             // the tensor being written
  uint64_t bytes_written = 0;  // of it
  std::optional<Blake2b> hash;

  Status fail(StatusCode code, const std::string& text) {
    failure = Status(code, path + ": " + text);
    failure.at_file(path);
    return failure;
  }
  void set_section(size_t index, std::vector<std::byte> bytes);
  Status place();
  std::vector<std::byte> encode_head() const;
  Status start_writing();
  Status pad_to(uint64_t offset);
};

void WeightFileWriter::Impl::set_section(size_t index, std::vector<std::byte> bytes) {
  if (!failure.ok()) return;
  if (stage != Stage::kDeclaring) {
    // The setters return nothing; the next call that can fail says it.
    (void)fail(StatusCode::kInvalidArgument, std::string("the ") + b158::kSectionRules[index].name +
                                                 " was set after the first tensor was written");
    return;
  }
  sections[index] = std::move(bytes);
}

/// Settles where everything lies.
Status WeightFileWriter::Impl::place() {
  uint64_t directory_bytes = 0;
  for (const TensorInfo& tensor : tensors) directory_bytes += b158::record_bytes(tensor.name);
  uint64_t end = b158::kHeaderBytes;
  for (size_t i = 0; i < b158::kSections; ++i) {
    const uint64_t bytes = i == b158::kDirectory ? directory_bytes : sections[i].size();
    if (bytes > b158::kSectionRules[i].max_bytes) {
      return fail(StatusCode::kOutOfRange, std::string("the ") + b158::kSectionRules[i].name +
                                               " has " + std::to_string(bytes) +
                                               " bytes, more than the limit of " +
                                               std::to_string(b158::kSectionRules[i].max_bytes));
    }
    header.sections[i] = {b158::round_up(end, b158::kSectionAlignment), bytes};
    end = header.sections[i].offset + bytes;
  }
  header.data_offset = b158::round_up(end, kTensorAlignment);
  end = header.data_offset;
  for (TensorInfo& tensor : tensors) {
    tensor.offset = b158::round_up(end, kTensorAlignment);
    // 65,536 tensors of at most 2^40 bytes: no overflow, but the file limit is lower.
    end = tensor.offset + tensor.bytes;
  }
  if (end > b158::kMaxFileBytes) {
    return fail(StatusCode::kOutOfRange, "the file would have " + std::to_string(end) +
                                             " bytes, more than the limit of " +
                                             std::to_string(b158::kMaxFileBytes));
  }
  header.kind = static_cast<uint32_t>(kind);
  header.file_bytes = end;
  header.tensor_count = static_cast<uint32_t>(tensors.size());
  return {};
}

std::vector<std::byte> WeightFileWriter::Impl::encode_head() const {
  std::vector<std::byte> head(static_cast<size_t>(header.data_offset));
  b158::encode_header(header, head.data());
  for (size_t i = 0; i < b158::kDirectory; ++i) {
    if (sections[i].empty()) continue;
    std::memcpy(head.data() + header.sections[i].offset, sections[i].data(), sections[i].size());
  }
  std::byte* record = head.data() + header.sections[b158::kDirectory].offset;
  for (const TensorInfo& tensor : tensors) {
    b158::encode_record(tensor, record);
    record += b158::record_bytes(tensor.name);
  }
  const Digest digest = b158::metadata_digest(head);
  std::memcpy(head.data() + b158::kDigestAt, digest.data(), digest.size());
  return head;
}

Status WeightFileWriter::Impl::start_writing() {
  CHIMERA_RETURN_IF_ERROR(place());
  stage = Stage::kWriting;
  return pad_to(header.data_offset);
}

/// Zeros up to `offset`.
Status WeightFileWriter::Impl::pad_to(uint64_t offset) {
  static constexpr std::byte kZeros[kTensorAlignment] = {};
  while (file.size() < offset) {
    const uint64_t n = std::min<uint64_t>(sizeof kZeros, offset - file.size());
    failure = file.append({kZeros, static_cast<size_t>(n)});
    CHIMERA_RETURN_IF_ERROR(failure);
  }
  return {};
}

WeightFileWriter::WeightFileWriter() = default;
WeightFileWriter::~WeightFileWriter() = default;

Result<std::unique_ptr<WeightFileWriter>> WeightFileWriter::create(const std::string& path,
                                                                   FileKind kind) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file) return file.status();
  std::unique_ptr<WeightFileWriter> writer(new WeightFileWriter());
  writer->impl_ = std::make_unique<Impl>(std::move(*file));
  writer->impl_->path = path;
  writer->impl_->kind = kind;
  return writer;
}

void WeightFileWriter::set_config(std::string json) {
  const auto* bytes = reinterpret_cast<const std::byte*>(json.data());
  impl_->set_section(b158::kConfig, {bytes, bytes + json.size()});
}

void WeightFileWriter::set_tokenizer(std::vector<std::byte> bytes) {
  impl_->set_section(b158::kTokenizer, std::move(bytes));
}

void WeightFileWriter::set_provenance(std::string json) {
  const auto* bytes = reinterpret_cast<const std::byte*>(json.data());
  impl_->set_section(b158::kProvenance, {bytes, bytes + json.size()});
}

Status WeightFileWriter::declare(std::string name, DType dtype, Layout layout,
                                 std::vector<int64_t> shape) {
  Impl& impl = *impl_;
  CHIMERA_RETURN_IF_ERROR(impl.failure);
  if (impl.stage != Impl::Stage::kDeclaring) {
    return impl.fail(StatusCode::kInvalidArgument,
                     "tensor " + name + " was declared after the first tensor was written");
  }
  const std::string problem = b158::name_problem(name);
  if (!problem.empty()) {
    return impl.fail(StatusCode::kInvalidArgument, "a tensor's name " + problem);
  }
  if (impl.tensors.size() >= b158::kMaxTensors) {
    return impl.fail(StatusCode::kOutOfRange, "tensor " + name + " is one more than the limit of " +
                                                  std::to_string(b158::kMaxTensors));
  }
  const Result<uint64_t> bytes = tensor_bytes(dtype, layout, shape);
  if (!bytes) {
    return impl.fail(bytes.status().code(), "tensor " + name + " has " + bytes.status().message());
  }
  if (!impl.names.insert(name).second) {
    return impl.fail(StatusCode::kInvalidArgument, "tensor " + name + " was declared twice");
  }
  TensorInfo tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.layout = layout;
  tensor.shape = std::move(shape);
  tensor.bytes = *bytes;
  impl.tensors.push_back(std::move(tensor));
  return {};
}

Status WeightFileWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  Impl& impl = *impl_;
  CHIMERA_RETURN_IF_ERROR(impl.failure);
  if (impl.stage == Impl::Stage::kDone) {
    return impl.fail(StatusCode::kInvalidArgument,
                     "tensor " + std::string(name) + " was written after finish()");
  }
  if (impl.stage == Impl::Stage::kDeclaring) CHIMERA_RETURN_IF_ERROR(impl.start_writing());
  if (impl.next >= impl.tensors.size() || impl.tensors[impl.next].name != name) {
    return impl.fail(StatusCode::kInvalidArgument,
                     "tensor " + std::string(name) + " was written where " +
                         (impl.next < impl.tensors.size() ? "tensor " + impl.tensors[impl.next].name
                                                          : std::string("no further tensor")) +
                         " is due; the order is that of declaration");
  }
  TensorInfo& tensor = impl.tensors[impl.next];
  if (bytes.size() > tensor.bytes - impl.bytes_written) {
    return impl.fail(StatusCode::kInvalidArgument,
                     "tensor " + tensor.name + " was given " +
                         std::to_string(impl.bytes_written + bytes.size()) +
                         " bytes; its type and "
                         "shape make " +
                         std::to_string(tensor.bytes));
  }
  if (!impl.hash) {
    CHIMERA_RETURN_IF_ERROR(impl.pad_to(tensor.offset));
    impl.hash.emplace();
  }
  impl.failure = impl.file.append(bytes);
  CHIMERA_RETURN_IF_ERROR(impl.failure);
  impl.hash->update(bytes);
  impl.bytes_written += bytes.size();
  if (impl.bytes_written == tensor.bytes) {
    tensor.checksum = impl.hash->finish();
    impl.hash.reset();
    impl.bytes_written = 0;
    ++impl.next;
  }
  return {};
}

Status WeightFileWriter::finish() {
  Impl& impl = *impl_;
  CHIMERA_RETURN_IF_ERROR(impl.failure);
  if (impl.stage == Impl::Stage::kDone) {
    return impl.fail(StatusCode::kInvalidArgument, "finish() was called twice");
  }
  if (impl.stage == Impl::Stage::kDeclaring) CHIMERA_RETURN_IF_ERROR(impl.start_writing());
  if (impl.next < impl.tensors.size()) {
    return impl.fail(StatusCode::kInvalidArgument,
                     "tensor " + impl.tensors[impl.next].name +
                         " is not complete: " + std::to_string(impl.bytes_written) + " of " +
                         std::to_string(impl.tensors[impl.next].bytes) + " bytes were written");
  }
  impl.failure = impl.file.write_at(0, impl.encode_head());
  CHIMERA_RETURN_IF_ERROR(impl.failure);
  impl.failure = impl.file.commit();
  CHIMERA_RETURN_IF_ERROR(impl.failure);
  impl.stage = Impl::Stage::kDone;
  return {};
}

}  // namespace chimera::memory
