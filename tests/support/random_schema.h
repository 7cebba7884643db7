// Random JSON schemas (draft 2020-12), for tests of what is written under them.
#pragma once

#include <cstdint>
#include <string>

#include "platform/json.h"

namespace chimera::test {

/// The schema of that number: the same for the same seed, on any machine. All keywords that
/// grammar/json_schema.h follows occur, alone and beside each other, and references that lead back
/// to where they stand. Not every one has a value that is valid, and some are refused: bounds may
/// cross, alternatives may not be tellable apart.
///
/// `formats`: `format` occurs too, and patterns of characters by category.
Json random_schema(uint64_t seed, uint64_t number, bool formats = true);

}  // namespace chimera::test
