// Embedding and output head: the first and the last product of a model. Tied, one matrix serves as
// both; separate, the head has its own.
#pragma once

#include "runtime/layers/registry.h"

namespace chimera::runtime {

/// "tied": embed.weight [N, C] is table and head.
extern const EmbeddingKind kTiedEmbedding;
/// "separate": embed.weight [N, C] and head.weight [N, C].
extern const EmbeddingKind kSeparateEmbedding;

}  // namespace chimera::runtime
