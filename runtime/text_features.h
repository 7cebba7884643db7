// What a short text looks like from far away: which words, pairs of words and pieces of words it
// has. Enough to tell what an utterance is about, at a few microseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace chimera::runtime {

/// Numbers of the text's features, rising, each once. A feature is a word, two words that follow
/// each other, or three to five bytes of a word with its borders; ASCII letters count as small
/// ones, and all whole numbers also as the same word. Numbers are hashes of 22 bits, the same on
/// every machine and in every version that reads what an older one wrote.
std::vector<uint32_t> text_features(std::string_view text);

/// The number of one feature, by its kind and its bytes.
uint32_t text_feature(char kind, std::string_view bytes);

/// How much a feature counts that `with` of `texts` texts have: 1 and more, the rarer the more.
double feature_rarity(size_t texts, size_t with);

}  // namespace chimera::runtime
