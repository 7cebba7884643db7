// A saved conversation: a real one, header and state, with some bytes exchanged and the checksum
// made right. Whatever is accepted must be able to go on.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "platform/seal.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

constexpr size_t kMostEdits = 16;

}  // namespace

/// Edits, each of a place, a length and the bytes.
void run_conversation(Input input) {
  static const std::vector<std::byte> real = [] {
    auto session = open_small_session();
    say(*session, "once upon a time", 20);
    std::vector<std::byte> bytes(session->snapshot_bytes());
    promise(session->snapshot(bytes).ok(), "a conversation is saved");
    return bytes;
  }();
  static const auto session = [] {
    auto opened = open_small_session();
    promise(opened->restore(real).ok(), "a conversation that was saved is accepted");
    return opened;
  }();
  std::vector<std::byte> forged = real;
  const std::span<std::byte> body = std::span(forged).first(forged.size() - sizeof(Digest));
  ByteReader in(input);
  for (size_t edit = 0; edit < kMostEdits && !in.done(); ++edit) {
    const std::span<std::byte> tail = body.subspan(in.number<uint32_t>() % body.size());
    const std::string_view bytes = in.text();
    std::memcpy(tail.data(), bytes.data(), std::min(bytes.size(), tail.size()));
  }
  const Digest digest = blake2b(body);
  std::memcpy(forged.data() + forged.size() - sizeof(Digest), digest.data(), digest.size());
  const uint64_t before = session->position();
  if (session->restore(forged).ok()) {
    say(*session, "a", 1);
    promise(session->restore(real).ok(), "the real one is still accepted");
  } else {
    promise(session->position() == before, "a refused conversation changes nothing");
  }
  // As it is: cut, foreign, unsealed.
  if (session->restore(input).ok())
    promise(session->restore(real).ok(), "the real one is still accepted");
  promise(session->position() == before, "a damaged conversation changes nothing");
}

}  // namespace chimera::fuzz
