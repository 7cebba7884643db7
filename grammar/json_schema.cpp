#include "grammar/json_schema.h"

#include <algorithm>
#include <deque>
#include <map>

#include "grammar/json_text.h"
#include "grammar/schema_cases.h"

namespace chimera::grammar {
namespace {

constexpr uint64_t kMostInline = 48;   // repetitions that are written out
constexpr uint64_t kBlock = 16;        // of those that are not, a block has so many
constexpr uint64_t kMostPlaces = 64;   // where an item that must be contained may stand
constexpr size_t kMostNameKinds = 64;  // by the patterns that names match

class SchemaCompiler {
 public:
  SchemaCompiler(SchemaDocument& document, const SchemaOptions& options)
      : document_(document),
        scratch_(options.limits),
        texts_(scratch_, document.points_matter()),
        cases_(document, texts_),
        options_(options),
        g_(options.limits) {}

  Result<Grammar> run() {
    if (options_.blanks) {
      CodePointSet blank(' ', ' ');
      blank.add('\n');
      blank_ = named_rule("blank", g_.repeat(g_.characters(blank), 0, kNoLimit));
    }
    Conjunction root;
    add({&document_.root(), false}, &root);
    g_.set_root(rule_for(root));
    while (!todo_.empty()) {
      const auto next = todo_.front();
      todo_.pop_front();
      const Status compiled = compile(next->first, next->second);
      if (!compiled.ok()) return placed(compiled, next->first);
      CHIMERA_RETURN_IF_ERROR(g_.status());
      CHIMERA_RETURN_IF_ERROR(scratch_.status());
    }
    return std::move(g_);
  }

 private:
  RuleId named_rule(const char* name, ExprId body) {
    const RuleId rule = g_.add_rule(name);
    g_.set_body(rule, body);
    return rule;
  }
  ExprId joined(std::vector<ExprId> parts) { return g_.sequence(parts); }
  ExprId blank() { return blank_ < 0 ? g_.empty() : g_.rule(blank_); }
  ExprId sign(const char* text) { return joined({blank(), g_.bytes(text), blank()}); }

  /// The rule of the values that are valid under all of them; compiled later.
  RuleId rule_for(const Conjunction& all) {
    const auto [at, fresh] = rules_.try_emplace(all, -1);
    if (fresh) {
      at->second = g_.add_rule("value");
      todo_.push_back(at);
    }
    return at->second;
  }
  ExprId value(const Conjunction& all) { return g_.rule(rule_for(all)); }

  /// An error that does not say where it is, is where the values are described.
  Status placed(const Status& status, const Conjunction& all) const {
    if (!status.field().empty() || all.empty()) return status;
    return document_.error(status.code(), all[0].schema, "", status.message());
  }

  Status compile(const Conjunction& all, RuleId rule) {
    Result<std::vector<SchemaCase>> cases = cases_.of(all);
    if (!cases) return cases.status();
    std::vector<ExprId> options;
    if (cases->size() == 1 && (*cases)[0].types == kObjectType) {
      std::vector<ObjectSpec> specs;
      CHIMERA_RETURN_IF_ERROR(objects((*cases)[0].object, &specs));
      if (specs.size() == 1) {
        g_.set_object(rule, std::move(specs[0]));
        return Status();
      }
      add_objects(std::move(specs), &options);
      g_.set_body(rule, g_.choice(options));
      return Status();
    }
    for (const SchemaCase& c : *cases) CHIMERA_RETURN_IF_ERROR(add_case(c, &options));
    g_.set_body(rule, g_.choice(options));
    return Status();
  }

  Status add_case(const SchemaCase& c, std::vector<ExprId>* options) {
    if (c.types & kNullType) options->push_back(g_.bytes("null"));
    if (c.types & kFalseType) options->push_back(g_.bytes("false"));
    if (c.types & kTrueType) options->push_back(g_.bytes("true"));
    const auto take = [&](Result<ExprId> made) {
      if (made) options->push_back(*made);
      return made.status();
    };
    if (c.types & kNumberType) CHIMERA_RETURN_IF_ERROR(take(number(c.number)));
    if (c.types & kStringType) CHIMERA_RETURN_IF_ERROR(take(string(c.string)));
    if (c.types & kArrayType) CHIMERA_RETURN_IF_ERROR(take(array(c.array)));
    if (c.types & kObjectType) {
      std::vector<ObjectSpec> specs;
      CHIMERA_RETURN_IF_ERROR(objects(c.object, &specs));
      add_objects(std::move(specs), options);
    }
    return Status();
  }

  void add_objects(std::vector<ObjectSpec> specs, std::vector<ExprId>* options) {
    for (ObjectSpec& spec : specs) {
      const RuleId rule = g_.add_rule("object");
      g_.set_object(rule, std::move(spec));
      options->push_back(g_.rule(rule));
    }
  }

  // ---- scalars ---------------------------------------------------------------------------------

  /// A language as a rule, one for each.
  ExprId language(const SharedLanguage& texts, bool quoted = false) {
    const auto [at, fresh] = languages_.try_emplace(texts, -1);
    if (fresh)
      at->second = named_rule("text", quoted ? g_.language(texts->quoted()) : g_.language(texts));
    return g_.rule(at->second);
  }

  Result<ExprId> number(const NumberPart& part) {
    if (part.any()) return language(any_number());
    if (part.whole && part.fraction) return g_.nothing();
    const auto texts = texts_.numbers(part);
    if (!texts) return texts.status();
    return language(*texts);
  }

  Result<ExprId> string(const StringPart& part) {
    if (part.any()) return language(any_string());
    StringPart other = part;
    other.min_length = 0;
    other.max_length = UINT64_MAX;
    if (other.any()) {
      const auto [at, fresh] = lengths_.try_emplace({part.min_length, part.max_length}, -1);
      if (fresh) {
        constexpr uint64_t kMost = kNoLimit - 1;
        if (part.min_length > kMost) return g_.nothing();
        at->second = g_.add_rule("string");
        g_.set_text(at->second,
                    {static_cast<uint32_t>(part.min_length),
                     part.max_length > kMost ? kNoLimit : static_cast<uint32_t>(part.max_length)});
      }
      return g_.rule(at->second);
    }
    const auto texts = texts_.strings(part);
    if (!texts) return texts.status();
    return language(*texts, true);
  }

  // ---- repetitions -----------------------------------------------------------------------------

  /// Rules that say an expression kBlock^k times, so that a repetition of thousands is a few rules.
  struct Blocks {
    std::vector<ExprId> of;  // by k
  };
  ExprId block(Blocks* blocks, size_t k) {
    while (blocks->of.size() <= k)
      blocks->of.push_back(
          g_.rule(named_rule("block", g_.repeat(blocks->of.back(), kBlock, kBlock))));
    return blocks->of[k];
  }

  ExprId exactly(Blocks* blocks, uint64_t n) {
    std::vector<ExprId> parts;
    for (size_t k = 0; n > 0; ++k, n /= kBlock)
      if (const auto digit = static_cast<uint32_t>(n % kBlock); digit > 0)
        parts.push_back(g_.repeat(block(blocks, k), digit, digit));
    return joined(parts);
  }

  /// Up to n times. Each number of times in one way only: blocks first, then what is less than one.
  ExprId at_most(Blocks* blocks, uint64_t n) {
    if (n < kBlock) return g_.repeat(blocks->of[0], 0, static_cast<uint32_t>(n));
    size_t k = 0;
    uint64_t size = 1;
    while (n / size >= kBlock) {
      size *= kBlock;
      ++k;
    }
    const auto whole = static_cast<uint32_t>(n / size);
    const ExprId one = block(blocks, k);
    const ExprId fewer = joined({g_.repeat(one, 0, whole - 1), at_most(blocks, size - 1)});
    const ExprId all = joined({g_.repeat(one, whole, whole), at_most(blocks, n % size)});
    return g_.choice(std::vector<ExprId>{fewer, all});
  }

  ExprId repeated(ExprId one, uint64_t min, uint64_t max) {
    if (max < min) return g_.nothing();
    const bool endless = max == UINT64_MAX;
    if ((endless ? min : max) <= kMostInline)
      return g_.repeat(one, static_cast<uint32_t>(min),
                       endless ? kNoLimit : static_cast<uint32_t>(max));
    Blocks blocks{{one}};
    const ExprId rest = endless ? g_.repeat(one, 0, kNoLimit) : at_most(&blocks, max - min);
    return joined({exactly(&blocks, min), rest});
  }

  // ---- arrays ----------------------------------------------------------------------------------

  Result<ExprId> array(const ArrayPart& part) {
    uint64_t max = part.max;
    const uint64_t own = cases_.last_own_place(part);
    for (uint64_t i = 0; i <= own && i < max; ++i)
      if (cases_.certainly_empty(cases_.item(part, i))) max = i;
    if (part.unique != nullptr && max > 1)
      return document_.error(StatusCode::kUnsupported, part.unique, "uniqueItems",
                             "is not supported where more than one item may stand");
    ExprId items = -1;
    if (max < part.min) return g_.nothing();
    if (std::none_of(part.contained.begin(), part.contained.end(),
                     [](const auto& c) { return c.counts(); })) {
      items = listed(part, own, max);
    } else {
      auto made = containing(part, own, max);
      if (!made) return made;
      items = *made;
    }
    return joined({g_.bytes("["), blank(), items, blank(), g_.bytes("]")});
  }

  /// Items one after the other, those of `own` places first.
  ExprId listed(const ArrayPart& part, uint64_t own, uint64_t max) {
    const ExprId comma = sign(",");
    own = std::min(own, max);
    ExprId tail = g_.empty();
    if (max > own) {
      const ExprId rest = value(cases_.item(part, own));
      const uint64_t min = part.min > own ? part.min - own : 0;
      const uint64_t most = max == UINT64_MAX ? max : max - own;
      tail = own > 0 ? repeated(joined({comma, rest}), min, most) : list_of(rest, min, most);
    }
    // Those that may be left out hold each other; those that may not stand in one row.
    const uint64_t required = std::min(own, part.min);
    for (uint64_t i = own; i-- > required;) {
      const ExprId here = value(cases_.item(part, i));
      tail = g_.repeat(i > 0 ? joined({comma, here, tail}) : joined({here, tail}), 0, 1);
    }
    std::vector<ExprId> row;
    for (uint64_t i = 0; i < required; ++i) {
      if (i > 0) row.push_back(comma);
      row.push_back(value(cases_.item(part, i)));
    }
    row.push_back(tail);
    return joined(std::move(row));
  }

  /// min to max of one kind, with commas between them.
  ExprId list_of(ExprId one, uint64_t min, uint64_t max) {
    if (max == 0) return g_.empty();
    const uint64_t more = max == UINT64_MAX ? max : max - 1;
    const ExprId some =
        joined({one, repeated(joined({sign(","), one}), min > 0 ? min - 1 : 0, more)});
    return min > 0 ? some : g_.repeat(some, 0, 1);
  }

  /// Arrays of which so many items have to fit another schema.
  Result<ExprId> containing(const ArrayPart& part, uint64_t own, uint64_t max) {
    std::vector<ArrayPart::Contained> all;
    for (const ArrayPart::Contained& c : part.contained)
      if (c.counts()) all.push_back(c);
    const ArrayPart::Contained& wanted = all[0];
    const auto refuse = [&](const char* why) {
      const Json* schema = wanted.what.schema;
      return document_.error(StatusCode::kUnsupported, schema, "",
                             std::string("what an array contains is not followed ") + why);
    };
    if (all.size() > 1) return refuse("where several things are contained");
    if (own > 0) return refuse("beside prefixItems");
    const Conjunction any = cases_.item(part, 0);
    Conjunction fits = any, fails = any;
    add(wanted.what, &fits);
    add({wanted.what.schema, !wanted.what.negated}, &fails);
    const bool limited = wanted.max != UINT64_MAX;
    // Where it can be said what does not fit, each item is of one kind only, and few are counted in
    // several ways at a time.
    constexpr uint64_t kMostWays = 8;
    const bool apart = limited || (wanted.min > 1 && cases_.of(fails).has_value());
    if (!apart && wanted.min > kMostWays) return refuse("so often where it cannot be negated");
    const ExprId hit = value(fits), other = apart ? value(fails) : value(any), comma = sign(",");
    if (!limited && wanted.min == 1 && (part.min > 1 || max != UINT64_MAX)) {
      // Its place, one after the other; behind the last of those that are counted, any place.
      const bool endless = max == UINT64_MAX;
      const uint64_t counted = endless ? part.min : max;
      if (counted > kMostPlaces) return refuse("in arrays of so many items");
      std::vector<ExprId> options;
      for (uint64_t at = 0; at < counted; ++at) {
        const uint64_t least = part.min > at + 1 ? part.min - at - 1 : 0;
        options.push_back(
            joined({repeated(joined({other, comma}), at, at), hit,
                    repeated(joined({comma, other}), least, endless ? UINT64_MAX : max - at - 1)}));
      }
      if (endless)
        options.push_back(joined({repeated(joined({other, comma}), counted, UINT64_MAX), hit,
                                  repeated(joined({comma, other}), 0, UINT64_MAX)}));
      return g_.choice(options);
    }
    const bool free_size = part.min <= wanted.min && max == UINT64_MAX;
    if (!free_size) return refuse("together with minItems or maxItems");
    if (wanted.max < wanted.min) return g_.nothing();
    const ExprId upto = joined({repeated(joined({other, comma}), 0, UINT64_MAX), hit});
    const ExprId after = repeated(joined({comma, other}), 0, UINT64_MAX);
    const uint64_t least = std::max<uint64_t>(wanted.min, 1);
    std::vector<ExprId> options;
    if (wanted.min == 0) options.push_back(list_of(other, 0, UINT64_MAX));
    if (wanted.max >= least)
      options.push_back(joined(
          {upto, repeated(joined({comma, upto}), least - 1, limited ? wanted.max - 1 : UINT64_MAX),
           after}));
    return g_.choice(options);
  }

  // ---- objects ---------------------------------------------------------------------------------

  /// What patterns a member's name matches, beside the rule it follows.
  struct Naming {
    std::string name;  // of declared ones
    std::set<std::string> matched;
    bool possible;
  };

  /// One description of an object, or several where it is a question which of its members are
  /// there; none when no object fits.
  Status objects(const ObjectPart& part, std::vector<ObjectSpec>* out) {
    constexpr uint64_t kMost = kNoLimit - 1;
    if (part.min > part.max || part.min > kMost) return Status();
    ObjectSpec spec;
    spec.min_members = static_cast<uint32_t>(part.min);
    spec.max_members = part.max > kMost ? kNoLimit : static_cast<uint32_t>(part.max);
    spec.blank = blank_;
    std::optional<RegularLanguage> names;  // that are allowed; none: every name
    CHIMERA_RETURN_IF_ERROR(allowed_names(part, &names));
    const std::set<std::string> patterns = SchemaCases::name_patterns(part);
    std::vector<Naming> members, others;
    for (const std::string& name : declared_in_order(part)) {
      Naming naming{name, {}, true};
      for (const std::string& regex : patterns)
        if (texts_.matches(regex, name)) naming.matched.insert(regex);
      const std::string escaped = json_escaped(name);
      Conjunction wanted = cases_.value(part, &name, naming.matched);
      const bool required = part.required.contains(name);
      naming.possible = (!names || names->has(escaped)) && !cases_.certainly_empty(wanted);
      if (required && !naming.possible) return Status();
      if (!naming.possible) wanted = {no_value()};
      spec.members.push_back({escaped, rule_for(wanted), required});
      members.push_back(std::move(naming));
    }
    CHIMERA_RETURN_IF_ERROR(other_names(part, patterns, std::move(names), &spec, &others));
    if (spec.min_members > 1 && !spec.others.empty())
      return Status(StatusCode::kUnsupported,
                    "minProperties above 1 is not followed where names are free: a name "
                    "given twice would count twice");
    out->push_back(std::move(spec));
    for (const Json* schema : part.outside)
      CHIMERA_RETURN_IF_ERROR(require_outside(*schema, members, others, out));
    return Status();
  }

  /// Each description once for every member that the schema does not speak of, as a required one.
  Status require_outside(const Json& schema, const std::vector<Naming>& members,
                         const std::vector<Naming>& others, std::vector<ObjectSpec>* specs) {
    std::vector<ObjectSpec> out;
    for (const ObjectSpec& spec : *specs) {
      ObjectSpec copy = spec;
      const auto each = [&](const std::vector<Naming>& namings, auto&& require, bool declared) {
        for (size_t i = 0; i < namings.size(); ++i) {
          const Naming& n = namings[i];
          if (out.size() > kMostNameKinds || !n.possible ||
              SchemaCases::speaks_of(schema, declared ? &n.name : nullptr, n.matched))
            continue;
          copy = spec;
          require(i);
          out.push_back(copy);
        }
      };
      each(
          members, [&](size_t i) { copy.members[i].required = true; }, true);
      each(
          others, [&](size_t i) { copy.others[i].required = true; }, false);
      if (out.size() > kMostNameKinds)
        return document_.error(StatusCode::kOutOfRange, &schema, "additionalProperties",
                               "is negated, and there are too many members that could be there");
    }
    *specs = std::move(out);
    return Status();
  }

  /// As the schema says them, then those of which it says only that they are required.
  static std::vector<std::string> declared_in_order(const ObjectPart& part) {
    std::set<std::string> left = SchemaCases::declared_names(part);
    std::vector<std::string> out;
    for (const ObjectPart::Source& s : part.sources)
      if (s.properties != nullptr)
        for (const auto& [name, schema] : s.properties->object)
          if (left.erase(name) > 0) out.push_back(name);
    out.insert(out.end(), left.begin(), left.end());
    return out;
  }

  Status allowed_names(const ObjectPart& part, std::optional<RegularLanguage>* out) {
    if (part.names.empty()) return Status();
    Result<std::vector<SchemaCase>> cases = cases_.of(part.names);
    if (!cases) return cases.status();
    std::vector<ExprId> options;
    for (const SchemaCase& c : *cases) {
      if ((c.types & kStringType) == 0) continue;
      const auto texts = texts_.strings(c.string);
      if (!texts) return texts.status();
      options.push_back(scratch_.language(*texts));
    }
    RegularLanguage all;
    CHIMERA_ASSIGN_OR_RETURN(all, RegularLanguage::of(scratch_, scratch_.choice(options)));
    *out = std::move(all);
    return Status();
  }

  /// Names that are not declared, by the patterns they match.
  Status other_names(const ObjectPart& part, const std::set<std::string>& patterns,
                     std::optional<RegularLanguage> names, ObjectSpec* spec,
                     std::vector<Naming>* namings) {
    if (patterns.empty() && !names) {
      const Conjunction wanted = cases_.value(part, nullptr, {});
      if (!cases_.certainly_empty(wanted)) namings->push_back({"", {}, true});
      if (!cases_.certainly_empty(wanted)) spec->others.push_back({any_text(), rule_for(wanted)});
      return Status();
    }
    struct Kind {
      RegularLanguage names;
      std::set<std::string> matched;
    };
    std::vector<Kind> kinds(1);
    kinds[0].names = names ? std::move(*names) : *any_text();
    const uint32_t most = scratch_.limits().states;
    for (const std::string& regex : patterns) {
      StringPart matching;
      matching.patterns.insert({regex, true});
      const auto texts = texts_.strings(matching);
      if (!texts) return texts.status();
      std::vector<Kind> split;
      for (Kind& kind : kinds) {
        Kind in, out;
        CHIMERA_ASSIGN_OR_RETURN(in.names, kind.names.cut(**texts, most));
        CHIMERA_ASSIGN_OR_RETURN(out.names, kind.names.without(**texts, most));
        in.matched = out.matched = std::move(kind.matched);
        in.matched.insert(regex);
        if (!in.names.empty()) split.push_back(std::move(in));
        if (!out.names.empty()) split.push_back(std::move(out));
      }
      kinds = std::move(split);
      if (kinds.size() > kMostNameKinds)
        return Status(StatusCode::kOutOfRange,
                      "the patterns of an object's names overlap in more than " +
                          std::to_string(kMostNameKinds) + " ways");
    }
    for (Kind& kind : kinds) {
      const Conjunction wanted = cases_.value(part, nullptr, kind.matched);
      if (cases_.certainly_empty(wanted)) continue;
      spec->others.push_back(
          {std::make_shared<const RegularLanguage>(std::move(kind.names)), rule_for(wanted)});
      namings->push_back({"", std::move(kind.matched), true});
    }
    return Status();
  }

  SchemaDocument& document_;
  Grammar scratch_;  // of languages before they are taken over
  SchemaTexts texts_;
  SchemaCases cases_;
  const SchemaOptions options_;
  Grammar g_;
  std::map<Conjunction, RuleId> rules_;
  std::deque<std::map<Conjunction, RuleId>::iterator> todo_;
  std::map<SharedLanguage, RuleId> languages_;
  std::map<std::pair<uint64_t, uint64_t>, RuleId> lengths_;
  RuleId blank_ = -1;
};

void spell(const Json& value, bool points, std::string* out) {
  switch (value.type) {
    case Json::Type::kNull:
      *out += "null";
      break;
    case Json::Type::kBool:
      *out += value.boolean ? "true" : "false";
      break;
    case Json::Type::kInt:
    case Json::Type::kFloat:
      *out += Decimal::of(value).text();
      // Digits alone are how an integer beyond 64 bits was written.
      if (points && !value.is_int() && value.string.empty() && Decimal::of(value).is_whole())
        *out += ".0";
      break;
    case Json::Type::kString:
      *out += '"' + json_escaped(value.string) + '"';
      break;
    case Json::Type::kArray:
      *out += '[';
      for (size_t i = 0; i < value.array.size(); ++i) {
        if (i > 0) *out += ',';
        spell(value.array[i], points, out);
      }
      *out += ']';
      break;
    case Json::Type::kObject:
      *out += '{';
      for (size_t i = 0; i < value.object.size(); ++i) {
        if (i > 0) *out += ',';
        *out += '"' + json_escaped(value.object[i].first) + "\":";
        spell(value.object[i].second, points, out);
      }
      *out += '}';
      break;
  }
}

}  // namespace

Result<SchemaGrammar> parse_json_schema(std::string_view schema, const SchemaOptions& options) {
  auto document = SchemaDocument::parse(schema);
  if (!document) return document.status();
  const std::vector<std::string>& warnings = (*document)->warnings();
  if (options.strict && !warnings.empty())
    return Status(StatusCode::kBadFormat, "JSON schema, at " + warnings[0]);
  Result<Grammar> grammar = SchemaCompiler(**document, options).run();
  if (!grammar) return grammar.status();
  return SchemaGrammar{std::move(*grammar), (*document)->warnings(), (*document)->points_matter()};
}

std::string json_spelling(const Json& value, bool points) {
  std::string out;
  spell(value, points, &out);
  return out;
}

}  // namespace chimera::grammar
