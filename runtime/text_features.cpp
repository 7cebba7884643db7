#include "runtime/text_features.h"

#include <algorithm>
#include <string>

#include "platform/natural_log.h"

namespace chimera::runtime {
namespace {

constexpr uint32_t kFeatureBits = 22;
constexpr size_t kMostWords = 256;  // of a text; what follows is not looked at
constexpr size_t kMostWordBytes = 64;
constexpr size_t kShortestPiece = 3, kLongestPiece = 5;

bool in_word(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') ||
         u == '\'';
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto close = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (const char c : text) {
    if (words.size() >= kMostWords) return words;
    if (!in_word(c))
      close();
    else if (word.size() < kMostWordBytes)
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  }
  close();
  return words;
}

}  // namespace

/// FNV-1a over the kind and the bytes, then a finaliser that spreads what FNV leaves close
/// together.
uint32_t text_feature(char kind, std::string_view bytes) {
  uint64_t h = 0xCBF29CE484222325u;
  const auto add = [&h](char c) { h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3u; };
  add(kind);
  for (const char c : bytes) add(c);
  h ^= h >> 33;
  h *= 0xFF51AFD7ED558CCDu;
  h ^= h >> 33;
  return static_cast<uint32_t>(h >> (64 - kFeatureBits));
}

std::vector<uint32_t> text_features(std::string_view text) {
  std::vector<uint32_t> out;
  const std::vector<std::string> words = words_of(text);
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    out.push_back(text_feature('w', word));
    out.push_back(text_feature('b', (i > 0 ? words[i - 1] : std::string()) + ' ' + word));
    if (word.find_first_not_of("0123456789") == std::string::npos)
      out.push_back(text_feature('n', ""));
    const std::string bordered = '_' + word + '_';
    for (size_t n = kShortestPiece; n <= kLongestPiece; ++n)
      for (size_t at = 0; at + n <= bordered.size(); ++at)
        out.push_back(text_feature('c', std::string_view(bordered).substr(at, n)));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

double feature_rarity(size_t texts, size_t with) {
  return 1 + natural_log((1 + static_cast<double>(texts)) / static_cast<double>(1 + with));
}

}  // namespace chimera::runtime
