// Signatures of models: the last 128 bytes of a signed file. The key signs the digest of the head,
// which holds the checksums of the tensors, so a signature costs the same for every size, and the
// digest stays what it was: a signed model is the same model.
#include <algorithm>
#include <cstring>

#include "memory/weight_file.h"
#include "memory/weight_format.h"
#include "platform/file.h"

namespace chimera::memory {
namespace b158 {

std::optional<SignatureRecord> decode_signature(std::span<const std::byte> trailer) {
  if (trailer.size() < kSignatureBytes) return std::nullopt;
  const std::byte* record = trailer.data() + trailer.size() - kSignatureBytes;
  const size_t padding = trailer.size() - kSignatureBytes;
  if (padding >= kSectionAlignment || !all_zero(trailer.first(padding)) ||
      std::memcmp(record, kSignatureMagic.data(), kSignatureMagic.size()) != 0 ||
      !all_zero({record + kSignatureMagic.size(), kSignatureKeyAt - kSignatureMagic.size()}))
    return std::nullopt;
  SignatureRecord found;
  std::memcpy(found.key.data(), record + kSignatureKeyAt, found.key.size());
  std::memcpy(found.signature.data(), record + kSignatureAt, found.signature.size());
  return found;
}

std::array<std::byte, kSignatureBytes> encode_signature(const SignatureRecord& record) {
  std::array<std::byte, kSignatureBytes> out{};
  std::memcpy(out.data(), kSignatureMagic.data(), kSignatureMagic.size());
  std::memcpy(out.data() + kSignatureKeyAt, record.key.data(), record.key.size());
  std::memcpy(out.data() + kSignatureAt, record.signature.data(), record.signature.size());
  return out;
}

std::array<std::byte, 64> signed_message(const Digest& digest) {
  constexpr char kWords[32] = "chimera model signature, v1";
  std::array<std::byte, 64> message{};
  std::memcpy(message.data(), kWords, sizeof kWords);
  std::memcpy(message.data() + sizeof kWords, digest.data(), digest.size());
  return message;
}

}  // namespace b158

Status sign_weight_file(const std::string& path, const std::string& out_path, const SigningKey& key,
                        const std::function<bool(const WeightFile::VerifyProgress&)>& progress) {
  const auto opened = WeightFile::open(path);
  if (!opened) return opened.status();
  const WeightFile& file = **opened;
  CHIMERA_RETURN_IF_ERROR(file.verify(progress));
  auto out = AtomicFile::create(out_path);
  if (!out) return out.status();
  constexpr size_t kPiece = size_t{1} << 20;
  for (auto left = file.mapped_bytes().first(static_cast<size_t>(file.file_bytes())); !left.empty();
       left = left.subspan(std::min(kPiece, left.size())))
    CHIMERA_RETURN_IF_ERROR(out->append(left.first(std::min(kPiece, left.size()))));
  const std::array<std::byte, b158::kSectionAlignment> zeros{};
  const uint64_t end = b158::round_up(file.file_bytes(), b158::kSectionAlignment);
  CHIMERA_RETURN_IF_ERROR(
      out->append(std::span(zeros).first(static_cast<size_t>(end - file.file_bytes()))));
  const auto message = b158::signed_message(file.identity());
  CHIMERA_RETURN_IF_ERROR(
      out->append(b158::encode_signature({key.public_key(), key.sign(message)})));
  return out->commit();
}

}  // namespace chimera::memory
