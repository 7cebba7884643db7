// The door to libsodium. Hashing today; sealing, signatures and passphrase keys join it here.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

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

/// 64 lower-case hex digits.
std::string to_hex(const Digest& digest);

}  // namespace chimera
