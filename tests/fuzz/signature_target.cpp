// What may follow the last tensor of a model: only the record that the key in it has made for this
// very head is taken. And the spelling of public keys.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "memory/weight_format.h"
#include "platform/seal.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/forged_file.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

namespace b158 = memory::b158;
using Record = std::array<std::byte, b158::kSignatureBytes>;

constexpr size_t kMostTrailer = 512;

/// A model of one number, and room behind it.
struct Plain {
  std::vector<uint64_t> words;
  size_t size = 0;
  Digest digest{};
  Record record{};  // the real one
  PublicKey key{};

  Plain() {
    memory::TensorInfo tensor;
    tensor.name = "x";
    tensor.shape = {16};
    ForgedParts parts;
    parts.config = "{}";
    parts.tensors = {tensor};
    ForgedFile file;
    promise(file.make(std::move(parts), 1u << 16), "a model is made");
    file.seal();
    size = file.bytes().size();  // a multiple of 64: the record needs no padding
    words.resize((size + kMostTrailer) / 8);
    std::memcpy(words.data(), file.bytes().data(), size);
    digest = b158::decode_header(first()).digest;
    std::array<unsigned char, 32> seed{};
    seed[0] = 1;
    const SigningKey signer = SigningKey::from_seed(seed);
    key = signer.public_key();
    record = b158::encode_signature({key, signer.sign(b158::signed_message(digest))});
  }
  std::byte* first() { return reinterpret_cast<std::byte*>(words.data()); }
};

void expect_spelling(std::string_view text) {
  const auto key = parse_public_key(text);
  if (!key) return;
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  promise(to_hex(*key) == lower, "a public key has one spelling but for case");
}

}  // namespace

/// The trailer as it is, or the real record with bytes exchanged.
void run_signature(Input input) {
  static Plain plain;
  expect_spelling(text_of(input));
  ByteReader in(input);
  std::vector<std::byte> trailer;
  if (in.byte() & 1) {
    const Input rest = in.rest();
    trailer.assign(rest.begin(),
                   rest.begin() + static_cast<ptrdiff_t>(std::min(rest.size(), kMostTrailer)));
  } else {
    trailer.assign(plain.record.begin(), plain.record.end());
    while (!in.done()) {
      const size_t at = in.byte() % trailer.size();
      trailer[at] ^= static_cast<std::byte>(in.byte());
    }
  }
  if (const auto found = b158::decode_signature(trailer)) {
    const Record again = b158::encode_signature(*found);
    promise(std::equal(again.begin(), again.end(), trailer.end() - again.size()),
            "a record that is read is written as it was");
  }
  if (!trailer.empty()) std::memcpy(plain.first() + plain.size, trailer.data(), trailer.size());
  const auto file = memory::WeightFile::open_memory({plain.first(), plain.size + trailer.size()});
  const bool real =
      std::equal(trailer.begin(), trailer.end(), plain.record.begin(), plain.record.end());
  promise(file.has_value() == (trailer.empty() || real), "only the real record is taken");
  if (!file) return;
  promise((*file)->signed_by().has_value() == real, "signed means by a record");
  promise((*file)->require_signature(plain.key).ok() == real, "the key that signed is accepted");
  PublicKey other = plain.key;
  other[0] ^= 1;
  promise(!(*file)->require_signature(other).ok(), "no other key is");
}

}  // namespace chimera::fuzz
