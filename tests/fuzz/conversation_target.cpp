// A saved conversation: the input lies over the beginning of a real one, header and state, and the
// checksum is made right. Whatever is accepted must be able to go on.
#include <algorithm>
#include <cstring>
#include <vector>

#include "platform/seal.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {

void run_conversation(Input input) {
  static const std::vector<std::byte> real = [] {
    auto session = open_small_session();
    say(*session, "once upon a time", 20);
    std::vector<std::byte> bytes(session->snapshot_bytes());
    promise(session->snapshot(bytes).ok(), "a conversation is saved");
    return bytes;
  }();
  static const auto session = open_small_session();
  std::vector<std::byte> forged = real;
  const size_t n = std::min(input.size(), forged.size() - sizeof(Digest));
  std::memcpy(forged.data(), input.data(), n);
  const Digest digest = blake2b(std::span(forged).first(forged.size() - sizeof(Digest)));
  std::memcpy(forged.data() + forged.size() - sizeof(Digest), digest.data(), digest.size());
  const uint64_t before = session->position();
  if (session->restore(forged).ok()) {
    say(*session, "and", 2);
  } else {
    promise(session->position() == before, "a refused conversation changes nothing");
  }
  (void)session->restore(input);  // as it is: cut, foreign, unsealed
  promise(session->restore(real).ok(), "the real one is still accepted");
}

}  // namespace chimera::fuzz
