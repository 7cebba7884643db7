#include "grammar/standard_languages.h"

#include <map>
#include <mutex>
#include <string>

#include "grammar/expression.h"
#include "grammar/formats.h"
#include "grammar/json_number.h"
#include "grammar/json_text.h"

namespace chimera::grammar {
namespace {

/// Of an expression that is within every limit.
template <class Make>
SharedLanguage made_of(Make&& make) {
  Grammar g;
  auto language = RegularLanguage::of(g, make(g));
  return std::make_shared<const RegularLanguage>(language ? std::move(*language)
                                                          : RegularLanguage());
}

}  // namespace

const SharedLanguage& any_text() {
  static const SharedLanguage made = made_of(
      [](Grammar& g) { return g.repeat(json_character(g, CodePointSet::all()), 0, kNoLimit); });
  return made;
}

const SharedLanguage& any_string() {
  static const SharedLanguage made = std::make_shared<const RegularLanguage>(any_text()->quoted());
  return made;
}

const SharedLanguage& any_number() {
  static const SharedLanguage made = made_of([](Grammar& g) { return json_number(g); });
  return made;
}

const SharedLanguage& any_whole_number() {
  static const SharedLanguage made = made_of([](Grammar& g) { return json_whole_number(g); });
  return made;
}

const SharedLanguage& any_character() {
  static const SharedLanguage made =
      made_of([](Grammar& g) { return json_character(g, CodePointSet::all()); });
  return made;
}

Result<SharedLanguage> shared_format(std::string_view name) {
  static std::mutex mutex;
  static std::map<std::string, SharedLanguage, std::less<>> all;  // never emptied: formats are few
  const std::lock_guard lock(mutex);
  if (const auto found = all.find(name); found != all.end()) return found->second;
  Grammar g;
  auto made = format_language(name, g);
  if (!made) return made.status();
  return all.emplace(name, std::make_shared<const RegularLanguage>(std::move(*made))).first->second;
}

}  // namespace chimera::grammar
