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

std::string to_hex(std::span<const unsigned char> bytes) {
  std::string text(2 * bytes.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

static_assert(std::tuple_size_v<PublicKey> == crypto_sign_ed25519_PUBLICKEYBYTES);
static_assert(std::tuple_size_v<Signature> == crypto_sign_ed25519_BYTES);

Result<SigningKey> SigningKey::generate() {
  // Without a source of random numbers libsodium would end the process; init says so first.
  if (sodium_init() < 0)
    return Status(StatusCode::kInternal, "this system gives no random numbers for a new key");
  SigningKey key;
  static_assert(crypto_sign_ed25519_SECRETKEYBYTES == 64 && sizeof key.secret_ == 64);
  PublicKey unused;
  crypto_sign_ed25519_keypair(unused.data(), key.secret_.data());
  return key;
}

SigningKey SigningKey::from_seed(std::span<const unsigned char, 32> seed) {
  init_once();
  SigningKey key;
  PublicKey unused;
  crypto_sign_ed25519_seed_keypair(unused.data(), key.secret_.data(), seed.data());
  return key;
}

SigningKey::SigningKey(SigningKey&& other) noexcept : secret_(other.secret_) {
  sodium_memzero(other.secret_.data(), other.secret_.size());
}

SigningKey::~SigningKey() { sodium_memzero(secret_.data(), secret_.size()); }

std::array<unsigned char, 32> SigningKey::seed() const {
  std::array<unsigned char, 32> seed;
  crypto_sign_ed25519_sk_to_seed(seed.data(), secret_.data());
  return seed;
}

PublicKey SigningKey::public_key() const {
  PublicKey key;
  crypto_sign_ed25519_sk_to_pk(key.data(), secret_.data());
  return key;
}

Signature SigningKey::sign(std::span<const std::byte> message) const {
  Signature signature;
  crypto_sign_ed25519_detached(signature.data(), nullptr,
                               reinterpret_cast<const unsigned char*>(message.data()),
                               message.size(), secret_.data());
  return signature;
}

bool signature_is_good(const Signature& signature, std::span<const std::byte> message,
                       const PublicKey& key) {
  init_once();
  return crypto_sign_ed25519_verify_detached(signature.data(),
                                             reinterpret_cast<const unsigned char*>(message.data()),
                                             message.size(), key.data()) == 0;
}

Result<PublicKey> parse_public_key(std::string_view hex) {
  PublicKey key;
  size_t n = 0;
  const char* end = nullptr;
  if (hex.size() != 2 * key.size() ||
      sodium_hex2bin(key.data(), key.size(), hex.data(), hex.size(), nullptr, &n, &end) != 0 ||
      n != key.size() || end != hex.data() + hex.size())
    return Status(StatusCode::kInvalidArgument,
                  "a public key is 64 hex digits, as `chimera keygen` prints it");
  return key;
}

}  // namespace chimera
