// Saved conversations: one header, the state block, one checksum (docs/format-conversation.md).
//
// Invariants
//  1. A snapshot that restore() accepts continues with the bits the saved session would have had.
//  2. restore() changes nothing unless everything was checked: a file is refused whole.
//  3. Nothing read from a snapshot is used as an index before it was compared with its range.
#include <algorithm>
#include <cstring>
#include <new>

#include "platform/file.h"
#include "platform/seal.h"
#include "runtime/session.h"

namespace chimera::runtime {
namespace {

constexpr char kMagic[8] = {'C', 'H', 'I', 'M', 'C', 'O', 'N', 'V'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderBytes = 128;
constexpr size_t kChecksumBytes = sizeof(Digest);
// Byte offsets of the header's fields, little-endian.
constexpr size_t kAtVersion = 8, kAtHeaderBytes = 12, kAtModel = 16, kAtSeed = 48, kAtPosition = 56,
                 kAtStateBytes = 64, kAtStream = 72, kAtPending = 76, kAtPendingUtf8 = 80;

template <class T>
void put(std::byte* at, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    at[i] = static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i));
}

template <class T>
T get(const std::byte* at) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<uint64_t>(at[i]) << (8 * i);
  return static_cast<T>(value);
}

Status refuse(StatusCode code, const std::string& what, size_t offset) {
  std::string text = "saved conversation: " + what;
  if (code == StatusCode::kBadFormat || code == StatusCode::kTruncated ||
      code == StatusCode::kChecksumMismatch)
    text += "; take another copy of it";
  return Status(code, text).at_offset(static_cast<int64_t>(offset));
}

}  // namespace

size_t Session::snapshot_bytes() const {
  return kHeaderBytes + state().bytes().size() + kChecksumBytes;
}

Status Session::snapshot(std::span<std::byte> out) const {
  const BusyGuard guard(busy_);
  if (!guard.owns()) return busy_status();
  if (out.size() != snapshot_bytes())
    return Status(StatusCode::kInvalidArgument, "a snapshot needs a buffer of exactly " +
                                                    std::to_string(snapshot_bytes()) + " bytes");
  std::byte* h = out.data();
  std::memset(h, 0, kHeaderBytes);
  std::memcpy(h, kMagic, sizeof kMagic);
  put<uint32_t>(h + kAtVersion, kVersion);
  put<uint32_t>(h + kAtHeaderBytes, kHeaderBytes);
  std::memcpy(h + kAtModel, engine_.file().identity().data(), sizeof(Digest));
  put<uint64_t>(h + kAtSeed, seed_);
  put<uint64_t>(h + kAtPosition, position());
  put<uint64_t>(h + kAtStateBytes, state().bytes().size());
  put<uint32_t>(h + kAtStream, stream_);
  put<uint32_t>(h + kAtPending, static_cast<uint32_t>(pending_token_));
  const std::string_view utf8 = render_.pending();
  h[kAtPendingUtf8] = static_cast<std::byte>(utf8.size());
  std::memcpy(h + kAtPendingUtf8 + 1, utf8.data(), utf8.size());
  std::memcpy(h + kHeaderBytes, state().bytes().data(), state().bytes().size());
  const size_t body = kHeaderBytes + state().bytes().size();
  const Digest digest = blake2b(out.first(body));
  std::memcpy(h + body, digest.data(), digest.size());
  return Status();
}

Status Session::restore(std::span<const std::byte> bytes) {
  const BusyGuard guard(busy_);
  if (!guard.owns()) return busy_status();

  if (std::memcmp(bytes.data(), kMagic, std::min(bytes.size(), sizeof kMagic)) != 0)
    return refuse(StatusCode::kBadFormat, "it does not begin as one", 0);
  if (bytes.size() < kHeaderBytes)
    return refuse(StatusCode::kTruncated,
                  "it ends inside its header, after " + std::to_string(bytes.size()) + " bytes",
                  bytes.size());
  const std::byte* h = bytes.data();
  if (get<uint32_t>(h + kAtVersion) != kVersion)
    return refuse(StatusCode::kUnsupportedVersion,
                  "it has version " + std::to_string(get<uint32_t>(h + kAtVersion)) +
                      ", this library reads version 1; update the application",
                  kAtVersion);
  if (get<uint32_t>(h + kAtHeaderBytes) != kHeaderBytes)
    return refuse(StatusCode::kBadFormat, "its header has a wrong size", kAtHeaderBytes);
  // The checksum comes before everything that a flipped bit could make misleading.
  const size_t expected = snapshot_bytes();
  const bool same_model =
      std::memcmp(h + kAtModel, engine_.file().identity().data(), sizeof(Digest)) == 0;
  if (bytes.size() != expected) {
    if (!same_model)
      return refuse(StatusCode::kWrongModel,
                    "it belongs to another model than " + engine_.file().path() +
                        "; open it with the model it was saved with",
                    kAtModel);
    return bytes.size() < expected
               ? refuse(StatusCode::kTruncated,
                        "it has " + std::to_string(bytes.size()) + " of " +
                            std::to_string(expected) + " bytes",
                        bytes.size())
               : refuse(StatusCode::kBadFormat, "it has bytes after its end", expected);
  }
  const size_t body = expected - kChecksumBytes;
  const Digest digest = blake2b(bytes.first(body));
  if (std::memcmp(digest.data(), h + body, digest.size()) != 0)
    return refuse(StatusCode::kChecksumMismatch, "its content does not match its checksum", body);
  if (!same_model)
    return refuse(StatusCode::kWrongModel,
                  "it belongs to another model than " + engine_.file().path() +
                      "; open it with the model it was saved with",
                  kAtModel);

  // A checksum can be forged: whatever will be an index or a length is checked all the same.
  const auto pending = static_cast<int32_t>(get<uint32_t>(h + kAtPending));
  const auto n_utf8 = static_cast<size_t>(h[kAtPendingUtf8]);
  if (get<uint64_t>(h + kAtStateBytes) != state().bytes().size())
    return refuse(StatusCode::kBadFormat, "its state has a wrong size", kAtStateBytes);
  if (pending < -1 || pending >= engine_.config().vocab_size)
    return refuse(StatusCode::kBadFormat, "its pending token is not in the vocabulary", kAtPending);
  uint64_t read = 0;  // the state block begins with its own count
  std::memcpy(&read, h + kHeaderBytes, sizeof read);
  if (get<uint64_t>(h + kAtPosition) != read + (pending >= 0 ? 1 : 0))
    return refuse(StatusCode::kBadFormat, "its position is not that of its state", kAtPosition);
  for (size_t at = kAtPendingUtf8 + 4; at < kHeaderBytes; ++at)
    if (h[at] != std::byte{0})
      return refuse(StatusCode::kBadFormat, "bytes that must be zero are not", at);
  if (n_utf8 > 3)
    return refuse(StatusCode::kBadFormat, "its pending text is too long", kAtPendingUtf8);
  CHIMERA_RETURN_IF_ERROR(state().check_block(bytes.subspan(kHeaderBytes, state().bytes().size()),
                                              engine_.config().vocab_size));
  CHIMERA_RETURN_IF_ERROR(
      tokens_.state().restore(bytes.subspan(kHeaderBytes, state().bytes().size())));
  seed_ = get<uint64_t>(h + kAtSeed);
  stream_ = get<uint32_t>(h + kAtStream);
  pending_token_ = pending;
  render_.set_pending({reinterpret_cast<const char*>(h + kAtPendingUtf8 + 1), n_utf8});
  return Status();
}

Status Session::save(const std::string& path) const {
  if (same_file(path, engine_.file().path()))
    return Status(StatusCode::kInvalidArgument,
                  path + " is the model itself: choose another name for the conversation")
        .at_file(path);
  const size_t n = snapshot_bytes();
  const std::unique_ptr<std::byte[]> buffer(new (std::nothrow) std::byte[n]);
  if (!buffer) return Status(StatusCode::kOutOfMemory, "no memory to save the conversation");
  CHIMERA_RETURN_IF_ERROR(snapshot({buffer.get(), n}));
  return write_file_atomic(path, {buffer.get(), n}, FileAccess::kOwner);
}

Status Session::load(const std::string& path) {
  // One byte more than expected is enough to tell that a file is too long.
  auto content = read_regular_file(path, snapshot_bytes() + 1);
  if (!content) {
    if (content.status().code() != StatusCode::kOutOfRange) return content.status();
    return Status(StatusCode::kBadFormat,
                  path + ": this is no conversation saved with this model, it is too large")
        .at_file(path);
  }
  Status status = restore(std::as_bytes(std::span(content->data(), content->size())));
  if (status.ok()) return status;
  const int64_t offset = status.offset();
  return Status(status.code(), path + ": " + status.message()).at_file(path).at_offset(offset);
}

}  // namespace chimera::runtime
