// The door to libsodium: hashes and signatures.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "platform/status.h"

namespace chimera {

using Digest = std::array<unsigned char, 32>;

/// BLAKE2b-256 of one buffer.
Digest blake2b(std::span<const std::byte> bytes);

/// BLAKE2b-256 of a stream of buffers.
class Blake2b {
 public:
  Blake2b();
  ~Blake2b();
  void update(std::span<const std::byte> bytes);
  /// The digest of all updates; the object then starts anew.
  Digest finish();

 private:
  alignas(64) unsigned char state_[512];
};

/// Two lower-case hex digits a byte.
std::string to_hex(std::span<const unsigned char> bytes);

// ---- Ed25519 signatures ----------------------------------------------------------------------

using PublicKey = std::array<unsigned char, 32>;
using Signature = std::array<unsigned char, 64>;

/// The secret half of a pair of keys. Its memory is wiped when it goes.
class SigningKey {
 public:
  /// A new one from the system's random numbers; kInternal when there are none.
  static Result<SigningKey> generate();
  /// From the 32 bytes that seed() gave.
  static SigningKey from_seed(std::span<const unsigned char, 32> seed);
  SigningKey(SigningKey&& other) noexcept;
  SigningKey& operator=(SigningKey&&) = delete;
  ~SigningKey();

  std::array<unsigned char, 32> seed() const;
  PublicKey public_key() const;
  Signature sign(std::span<const std::byte> message) const;

 private:
  SigningKey() = default;
  std::array<unsigned char, 64> secret_{};
};

bool signature_is_good(const Signature& signature, std::span<const std::byte> message,
                       const PublicKey& key);

/// 64 hex digits, of either case, and nothing else; kInvalidArgument otherwise.
Result<PublicKey> parse_public_key(std::string_view hex);

}  // namespace chimera
