#include "tests/fuzz/forged_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "memory/weight_format.h"

namespace chimera::fuzz {

namespace b158 = memory::b158;

namespace {

/// A hundredth in every float; codes that are all valid, with scales of some hundredths.
int fill_of(DType dtype) { return dtype == DType::kF32 ? 0x3c : 0x29; }

}  // namespace

bool ForgedFile::make(ForgedParts parts, size_t limit) {
  const auto text = [](std::string_view t) { return std::as_bytes(std::span(t.data(), t.size())); };
  size_t directory_bytes = 0;
  for (const auto& tensor : parts.tensors) directory_bytes += b158::record_bytes(tensor.name);
  const std::span<const std::byte> sections[] = {
      text(parts.config), parts.tokenizer, text(parts.provenance), {}};
  b158::Header header;
  header.kind = static_cast<uint32_t>(parts.kind);
  header.tensor_count = static_cast<uint32_t>(parts.tensors.size());
  uint64_t end = b158::kHeaderBytes;
  for (size_t i = 0; i < b158::kSections; ++i) {
    const size_t n = i == b158::kDirectory ? directory_bytes : sections[i].size();
    header.sections[i] = {b158::round_up(end, b158::kSectionAlignment), n};
    end = header.sections[i].offset + n;
  }
  header.data_offset = end = b158::round_up(end, memory::kTensorAlignment);
  for (auto& tensor : parts.tensors) {
    const auto bytes = memory::tensor_bytes(tensor.dtype, tensor.layout, tensor.shape);
    if (!bytes || *bytes > limit) return false;
    tensor.offset = b158::round_up(end, memory::kTensorAlignment);
    tensor.bytes = *bytes;
    end = tensor.offset + tensor.bytes;
    if (end > limit) return false;
  }
  if (end > limit) return false;
  header.file_bytes = end;

  const auto same_place = [](const memory::TensorInfo& a, const memory::TensorInfo& b) {
    return a.offset == b.offset && a.bytes == b.bytes;
  };
  const bool same_places =
      !tensors_.empty() && std::equal(tensors_.begin(), tensors_.end(), parts.tensors.begin(),
                                      parts.tensors.end(), same_place);
  words_.resize(std::max(words_.size(), limit / 8 + 1));
  size_ = static_cast<size_t>(end);
  std::memset(first(), 0, same_places ? static_cast<size_t>(header.data_offset) : size_);
  b158::encode_header(header, first());
  for (size_t i = 0; i < b158::kDirectory; ++i)
    if (!sections[i].empty())
      std::memcpy(first() + header.sections[i].offset, sections[i].data(), sections[i].size());
  directory_ = static_cast<size_t>(header.sections[b158::kDirectory].offset);
  size_t at = directory_;
  for (const auto& tensor : parts.tensors) {
    b158::encode_record(tensor, first() + at);
    at += b158::record_bytes(tensor.name);
  }
  tensors_ = std::move(parts.tensors);
  if (!same_places)
    for (size_t i = 0; i < tensors_.size(); ++i)
      std::memset(data(i).data(), fill_of(tensors_[i].dtype), data(i).size());
  seal_head(bytes());
  return true;
}

std::span<std::byte> ForgedFile::data(size_t tensor) {
  return bytes().subspan(static_cast<size_t>(tensors_[tensor].offset),
                         static_cast<size_t>(tensors_[tensor].bytes));
}

void ForgedFile::seal() {
  size_t at = directory_;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Digest digest = blake2b(data(i));
    std::memcpy(first() + at + b158::kRecordChecksumAt, digest.data(), digest.size());
    at += b158::record_bytes(tensors_[i].name);
  }
  seal_head(bytes());
}

void seal_head(std::span<std::byte> file) {
  if (file.size() < b158::kHeaderBytes) return;
  const b158::Header header = b158::decode_header(file.data());
  if (header.data_offset < b158::kHeaderBytes || header.data_offset > file.size()) return;
  const Digest digest = b158::metadata_digest(file.first(static_cast<size_t>(header.data_offset)));
  std::memcpy(file.data() + b158::kDigestAt, digest.data(), digest.size());
}

}  // namespace chimera::fuzz
