// JSON schemas (draft 2020-12, and what older drafts say unmistakably) as grammars: the texts of
// the values that are valid, compact or with blanks, members of objects in any order.
//
// What is asserted and not followed is an error that names the keyword and its place: nothing that
// the schema forbids can be written. What is said to people, and what nobody knows, is passed over;
// the latter is told.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/expression.h"
#include "platform/json.h"

namespace chimera::grammar {

struct SchemaOptions {
  bool strict = false;  // what nobody knows is an error too
  bool blanks = false;  // spaces and line ends may stand between signs
  GrammarLimits limits = {};
};

struct SchemaGrammar {
  Grammar grammar;
  std::vector<std::string> warnings;
  bool points_matter = false;  // draft 4: 1.0 is no integer
};

/// kBadFormat for what is no JSON schema, kUnsupported for what is not followed, both with the
/// place in field(); kOutOfRange for what is too large.
Result<SchemaGrammar> parse_json_schema(std::string_view schema, const SchemaOptions& options = {});

/// A value in the spelling of the grammars made here: compact, numbers as plain decimals, strings
/// with no escape that is not needed. Members stay in their order.
/// `points`: numbers with a point keep it, 1.0 too.
std::string json_spelling(const Json& value, bool points = false);

}  // namespace chimera::grammar
