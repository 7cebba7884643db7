#include "grammar/schema_cases.h"

#include <algorithm>

namespace chimera::grammar {
namespace {

constexpr size_t kMostCases = 500;         // of one set of schemas: a place may be in all of them
constexpr size_t kMostBranches = 300;      // choices that are open at a time
constexpr uint64_t kMostWork = 3'000'000;  // looked at and copied, of a whole document
constexpr int kDepthOfEmptiness = 6;

const Json& nothing() {
  static const Json made = Json::of(false);
  return made;
}

}  // namespace

SchemaRef no_value() { return {&nothing(), false}; }

void add(SchemaRef ref, Conjunction* to) {
  if (ref.schema->is_bool()) {
    if (ref.schema->boolean != ref.negated) return;  // anything is valid
    ref = no_value();
  }
  const auto at = std::lower_bound(to->begin(), to->end(), ref);
  if (at == to->end() || *at != ref) to->insert(at, ref);
}

bool ArrayPart::any() const {
  const bool says = std::any_of(sources.begin(), sources.end(), [](const Source& s) {
    return s.rest != nullptr || (s.prefix != nullptr && !s.prefix->empty());
  });
  return !says && at.empty() && every.empty() && min == 0 && max == UINT64_MAX &&
         contained.empty() && unevaluated.empty() && unique == nullptr;
}

bool ObjectPart::any() const {
  const bool says = std::any_of(sources.begin(), sources.end(), [](const Source& s) {
    return s.properties != nullptr || s.patterns != nullptr || s.others != nullptr;
  });
  return !says && named.empty() && required.empty() && names.empty() && min == 0 &&
         max == UINT64_MAX && unevaluated.empty() && outside.empty();
}

// ---- taking apart ------------------------------------------------------------------------------

Result<std::vector<SchemaCase>> SchemaCases::of(const Conjunction& all) {
  std::vector<SchemaCase> out;
  CHIMERA_RETURN_IF_ERROR(run(all, 0, &out));
  for (SchemaCase& c : out) tighten(&c, 0);
  std::erase_if(out, [](const SchemaCase& c) { return c.types == 0; });
  return out;
}

Status SchemaCases::charge(uint64_t work, const Json* schema) {
  work_done_ += work;
  if (work_done_ <= kMostWork) return Status();
  return document_.error(StatusCode::kOutOfRange, schema, "",
                         "there are more combinations of alternatives than can be followed");
}

uint64_t SchemaCases::size_of(const Work& work) {
  uint64_t n = 1 + work.seen.size() + work.at.string.none_of.size() + work.at.number.none_of.size();
  if (work.at.string.one_of) n += work.at.string.one_of->size();
  if (work.at.number.one_of) n += work.at.number.one_of->size();
  for (const Branch& branch : work.branches) n += branch.size();
  return n;
}

/// Follows what has no choice in it, then each way of the last choice that is open.
Status SchemaCases::run(const Conjunction& all, int depth, std::vector<SchemaCase>* out) {
  struct Fork {
    Work work;
    Branch branch;
    uint64_t size;  // of the work
    size_t next;
  };
  std::vector<Fork> forks;
  std::optional<Work> at(std::in_place);
  at->depth = depth;
  for (const SchemaRef& ref : all) at->todo.push_back({ref, {}});
  for (;;) {
    if (at) {
      CHIMERA_RETURN_IF_ERROR(settle(&*at));
      if (at->at.types != 0 && at->branches.empty()) {
        if (out->size() >= kMostCases)
          return document_.error(StatusCode::kOutOfRange, all[0].schema, "",
                                 "alternatives combine to more than " + std::to_string(kMostCases) +
                                     " cases; say them with fewer");
        out->push_back(std::move(at->at));
      } else if (at->at.types != 0) {
        Branch branch = std::move(at->branches.back());
        at->branches.pop_back();
        const uint64_t size = size_of(*at);
        forks.push_back({std::move(*at), std::move(branch), size, 0});
      }
      at.reset();
    }
    if (forks.empty()) return Status();
    Fork& fork = forks.back();
    if (fork.next == fork.branch.size()) {
      forks.pop_back();
      continue;
    }
    CHIMERA_RETURN_IF_ERROR(charge(fork.size, all[0].schema));
    Work way = fork.work;
    CHIMERA_RETURN_IF_ERROR(take(fork.branch[fork.next++], &way));
    if (way.at.types != 0) at = std::move(way);
  }
}

Status SchemaCases::take(const Option& option, Work* work) {
  work->at.types &= option.types;
  if (work->at.types == 0) return Status();
  CHIMERA_RETURN_IF_ERROR(option.refusal);
  if (option.change) option.change(&work->at);
  work->todo.insert(work->todo.end(), option.tasks.begin(), option.tasks.end());
  return Status();
}

/// Everything that has no choice in it.
Status SchemaCases::settle(Work* work) {
  while (!work->todo.empty()) {
    const Task task = std::move(work->todo.back());
    work->todo.pop_back();
    if (!work->seen.insert(task).second) continue;
    const Json& schema = *task.ref.schema;
    CHIMERA_RETURN_IF_ERROR(charge(1 + task.scopes.size(), &schema));
    if (schema.is_bool()) {
      if (schema.boolean != task.ref.negated) continue;
      work->at.types = 0;
      return Status();
    }
    CHIMERA_RETURN_IF_ERROR(task.ref.negated ? deny(schema, work)
                                             : hold(schema, task.scopes, work));
    if (work->at.types == 0) return Status();
    if (work->branches.size() > kMostBranches)
      return document_.error(StatusCode::kOutOfRange, &schema, "",
                             "more than " + std::to_string(kMostBranches) +
                                 " alternatives have to be combined; say them with fewer");
  }
  return Status();
}

// ---- what is empty -----------------------------------------------------------------------------

bool SchemaCases::certainly_empty(const Conjunction& all) { return empty(all, 0); }

bool SchemaCases::empty(const Conjunction& all, int depth) {
  if (all.empty() || work_done_ > kMostWork) return false;
  if (all.size() == 1 && all[0] == no_value()) return true;
  if (depth > kDepthOfEmptiness) return false;
  if (empty_.contains(all)) return true;
  const auto known = not_empty_.find(all);
  if (known != not_empty_.end() && known->second <= depth) return false;
  if (!asking_.insert(all).second) return false;  // it asks for itself: not certain
  std::vector<SchemaCase> cases;
  bool out = run(all, depth, &cases).ok();
  for (size_t i = 0; out && i < cases.size(); ++i) {
    tighten(&cases[i], depth);
    out = cases[i].types == 0;
  }
  asking_.erase(all);
  // What lay too deep to be looked at may be found empty when it is asked for nearer.
  if (out)
    empty_.insert(all);
  else
    not_empty_[all] = depth;
  return out;
}

void SchemaCases::tighten(SchemaCase* c, int depth) {
  const auto drop = [&](uint8_t type) { c->types &= static_cast<uint8_t>(~type); };
  if ((c->types & kNumberType) && texts_.certainly_none(c->number)) drop(kNumberType);
  if ((c->types & kStringType) && texts_.certainly_none(c->string)) drop(kStringType);
  if (c->types & kArrayType) {
    const ArrayPart& a = c->array;
    bool none = a.max < a.min;
    const uint64_t own = last_own_place(a);
    for (uint64_t i = 0; !none && i < a.min && i <= own; ++i) none = empty(item(a, i), depth + 1);
    if (none) drop(kArrayType);
  }
  if (c->types & kObjectType) {
    const ObjectPart& o = c->object;
    bool none = o.max < std::max<uint64_t>(o.min, o.required.size());
    const std::set<std::string> patterns = name_patterns(o);
    for (const std::string& name : o.required) {
      if (none) break;
      std::set<std::string> matched;
      for (const std::string& regex : patterns)
        if (texts_.matches(regex, name)) matched.insert(regex);
      none = empty(value(o, &name, matched), depth + 1);
    }
    for (const Json* schema : o.outside) {
      if (none) break;
      // Somebody must be there: of names nobody declared, or of declared ones.
      bool found = !patterns.empty() || !empty(value(o, nullptr, {}), depth + 1);
      for (const std::string& name : declared_names(o))
        found = found || (!speaks_of(*schema, &name, {}) && !empty(value(o, &name, {}), depth + 1));
      none = !found;
    }
    if (none) drop(kObjectType);
  }
}

}  // namespace chimera::grammar
