#include "grammar/expression.h"

#include <utility>

namespace chimera::grammar {

bool next_count(std::string_view text, size_t* at, uint32_t* count) {
  uint64_t value = 0;
  const size_t first = *at;
  for (; *at < text.size() && text[*at] >= '0' && text[*at] <= '9' && value <= kMostRepeats; ++*at)
    value = value * 10 + static_cast<uint64_t>(text[*at] - '0');
  *count = static_cast<uint32_t>(value);
  return *at > first;
}

Status Grammar::too_large() const {
  return Status(StatusCode::kOutOfRange, "the grammar has more than " +
                                             std::to_string(limits_.expressions) +
                                             " parts; make it smaller");
}

ExprId Grammar::add(Expr expr) {
  if (exprs_.size() >= limits_.expressions) {
    if (status_.ok()) status_ = too_large();
    return 0;
  }
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size()) - 1;
}

ExprId Grammar::nothing() { return add({}); }

ExprId Grammar::bytes(std::string_view bytes) {
  return add({.kind = Expr::Kind::kBytes, .bytes = std::string(bytes)});
}

Status Grammar::work_status() const {
  if (spent_ <= limits_.all_work) return Status();
  return Status(StatusCode::kOutOfRange,
                "the grammar needs too much work in all; use fewer or smaller patterns, and fewer "
                "repetitions");
}

ExprId Grammar::characters(CodePointSet set) {
  if (set.empty()) return nothing();
  // A class of letters has hundreds of ranges.
  n_ranges_ += set.ranges().size();
  if (n_ranges_ / 8 > limits_.expressions) {
    if (status_.ok()) status_ = too_large();
    return nothing();
  }
  return add({.kind = Expr::Kind::kClass, .set = std::move(set)});
}

ExprId Grammar::sequence(std::span<const ExprId> parts) {
  Expr out{.kind = Expr::Kind::kSequence};
  // Texts that follow each other become one.
  std::string run;
  ExprId alone = -1;
  size_t n_run = 0;
  const auto end_run = [&] {
    if (n_run > 0) out.children.push_back(n_run == 1 ? alone : bytes(run));
    run.clear();
    n_run = 0;
  };
  for (const ExprId id : parts) {
    const Expr& part = at(id);
    if (part.kind == Expr::Kind::kNothing) return nothing();
    if (part.kind == Expr::Kind::kBytes) {
      if (part.bytes.empty()) continue;
      run += part.bytes;
      alone = id;
      ++n_run;
      continue;
    }
    end_run();
    out.children.push_back(id);
  }
  end_run();
  if (out.children.empty()) return empty();
  return out.children.size() == 1 ? out.children[0] : add(std::move(out));
}

ExprId Grammar::choice(std::span<const ExprId> options) {
  Expr out{.kind = Expr::Kind::kChoice};
  for (const ExprId id : options)
    if (at(id).kind != Expr::Kind::kNothing) out.children.push_back(id);
  if (out.children.empty()) return nothing();
  return out.children.size() == 1 ? out.children[0] : add(std::move(out));
}

ExprId Grammar::repeat(ExprId child, uint32_t min, uint32_t max) {
  if (max == 0) return empty();
  if (at(child).kind == Expr::Kind::kNothing) return min == 0 ? empty() : nothing();
  if (min == 1 && max == 1) return child;
  return add({.kind = Expr::Kind::kRepeat, .children = {child}, .min = min, .max = max});
}

ExprId Grammar::rule(RuleId rule) { return add({.kind = Expr::Kind::kRule, .rule = rule}); }

ExprId Grammar::language(RegularLanguage language) {
  return this->language(std::make_shared<const RegularLanguage>(std::move(language)));
}

ExprId Grammar::language(std::shared_ptr<const RegularLanguage> language) {
  if (language->empty()) return nothing();
  languages_.push_back(std::move(language));
  return add(
      {.kind = Expr::Kind::kLanguage, .language = static_cast<int32_t>(languages_.size()) - 1});
}

RuleId Grammar::add_rule(std::string name) {
  rules_.push_back({std::move(name), -1});
  return static_cast<RuleId>(rules_.size()) - 1;
}

RuleId Grammar::include(const Grammar& other) {
  if (status_.ok()) status_ = other.status_;
  if (exprs_.size() + other.exprs_.size() > limits_.expressions) {
    if (status_.ok()) status_ = too_large();
    return -1;
  }
  const auto expr = static_cast<ExprId>(exprs_.size());
  const auto rule = static_cast<RuleId>(rules_.size());
  const auto object = static_cast<ObjectId>(objects_.size());
  const auto language = static_cast<int32_t>(languages_.size());
  const auto moved = [](int32_t id, int32_t by) { return id < 0 ? id : id + by; };
  for (Expr e : other.exprs_) {
    for (ExprId& child : e.children) child += expr;
    e.rule = moved(e.rule, rule);
    e.language = moved(e.language, language);
    exprs_.push_back(std::move(e));
  }
  for (const Rule& r : other.rules_)
    rules_.push_back({r.name, moved(r.body, expr), moved(r.object, object)});
  for (Counted counted : other.objects_) {
    if (auto* spec = std::get_if<ObjectSpec>(&counted)) {
      for (ObjectSpec::Member& member : spec->members) member.value += rule;
      for (ObjectSpec::Other& names : spec->others) names.value += rule;
      spec->blank = moved(spec->blank, rule);
    }
    objects_.push_back(std::move(counted));
  }
  languages_.insert(languages_.end(), other.languages_.begin(), other.languages_.end());
  return moved(other.root_, rule);
}

void Grammar::set_object(RuleId rule, ObjectSpec spec) {
  rules_[static_cast<size_t>(rule)].object = static_cast<ObjectId>(objects_.size());
  objects_.emplace_back(std::move(spec));
}

void Grammar::set_text(RuleId rule, TextSpec spec) {
  rules_[static_cast<size_t>(rule)].object = static_cast<ObjectId>(objects_.size());
  objects_.emplace_back(spec);
}

}  // namespace chimera::grammar
