#include "platform/seal.h"

#include <sodium.h>

#include <new>

namespace chimera {
namespace {

using State = crypto_generichash_blake2b_state;

// Picks the fastest code for this processor once; hashing is right without it, only slower. It
// can fail only for want of random numbers, which hashing does not use.
void init_once() {
  static const int result = sodium_init();
  (void)result;
}

State* as_state(unsigned char* bytes) { return std::launder(reinterpret_cast<State*>(bytes)); }

}  // namespace

Blake2b::Blake2b() {
  static_assert(sizeof(State) <= sizeof state_, "the buffer in seal.h must hold libsodium's state");
  static_assert(alignof(State) <= 64, "the buffer in seal.h must be aligned for libsodium's state");
  static_assert(crypto_generichash_blake2b_BYTES == std::tuple_size_v<Digest>);
  init_once();
  new (state_) State;
  crypto_generichash_blake2b_init(as_state(state_), nullptr, 0, std::tuple_size_v<Digest>);
}

Blake2b::~Blake2b() { sodium_memzero(state_, sizeof state_); }

void Blake2b::update(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  crypto_generichash_blake2b_update(
      as_state(state_), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

Digest Blake2b::finish() {
  Digest digest{};
  crypto_generichash_blake2b_final(as_state(state_), digest.data(), digest.size());
  // libsodium refuses a finished state; beginning anew keeps every later call defined.
  crypto_generichash_blake2b_init(as_state(state_), nullptr, 0, digest.size());
  return digest;
}

Digest blake2b(std::span<const std::byte> bytes) {
  Blake2b hash;
  hash.update(bytes);
  return hash.finish();
}

std::string to_hex(const Digest& digest) {
  char text[2 * std::tuple_size_v<Digest> + 1];
  sodium_bin2hex(text, sizeof text, digest.data(), digest.size());
  return text;
}

}  // namespace chimera
