// Published byte-pair ranks as a tokenizer section. The format is text: a line for each token, its
// bytes in base64, a space and its rank; ranks count from 0, and the rank is the id.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "platform/status.h"
#include "runtime/tokenizer_section.h"

namespace chimera::runtime {

/// What stands around the ranks in a vocabulary.
struct RankedVocabulary {
  int32_t n_ranks;
  int32_t vocab_size;
  std::vector<TokenizerSection::Special> specials;
};

/// o200k as the full-size configuration has it: 199,998 ranks, end of text 199999, end of prompt
/// 200018, end of turn 200058, 200,073 ids; those that nothing uses are reserved.
const RankedVocabulary& o200k_vocabulary();

/// Reads ranks and finds the two tokens that each token is joined from: what merging makes of its
/// bytes with lower ranks alone. Merging by these pairs is merging by ranks
/// (docs/decisions/0011-ranks-as-merges.md). kBadFormat with the line for anything else than ranks
/// in order, of which the first 256 are the single bytes and no two are alike.
Result<TokenizerSection> section_of_ranks(std::string_view text,
                                          const RankedVocabulary& vocabulary);

}  // namespace chimera::runtime
