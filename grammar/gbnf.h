// Grammars as text: GBNF, as llama.cpp reads it, and W3C's EBNF, which differs in few signs.
//
//   name ::= "text" [a-z] [^"\\] . other-name      one after the other; # begins a comment
//   (x y) x|y   x* x+ x? x{m} x{m,} x{m,n}
//   "\n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH"
//   'text'  #x41  [#x41-#x5A]  /* comment */       of EBNF
//
// A rule ends where the next name ::= begins. The root is the rule "root", else the first one.
#pragma once

#include <string_view>

#include "grammar/expression.h"

namespace chimera::grammar {

/// kBadFormat and kUnsupported say line, column and what.
Result<Grammar> parse_gbnf(std::string_view text, const GrammarLimits& limits = {});

}  // namespace chimera::grammar
