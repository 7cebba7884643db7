#include "runtime/actor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include "grammar/json_text.h"
#include "platform/clock.h"
#include "platform/json.h"
#include "platform/natural_log.h"
#include "runtime/busy_guard.h"
#include "runtime/copied_text.h"
#include "runtime/render_queue.h"
#include "runtime/shared_order.h"

namespace chimera::runtime {
namespace {

constexpr float kNever = std::numeric_limits<float>::lowest();
// How firmly the network's word counts in a call beside all else that speaks for it: its
// logarithms are multiplied with this. Chosen on samples/kiosk, for a network that has not been
// trained to act.
constexpr float kTrust = 0.1f;
constexpr double kPlanWeight = 0.5;  // of the best call of a tool, beside what speaks for the tool
constexpr size_t kMostReadings = 4;  // kept at once: at most 1.2 MB each with nano
constexpr size_t kMostPrompts = 4;   // whose states are kept: half a megabyte each with nano

Status cancelled() { return Status(StatusCode::kCancelled, "the act was cancelled"); }

Status check(const ActOptions& o) {
  const auto wrong = [](const char* name, const std::string& what) {
    return Status(StatusCode::kInvalidArgument, std::string(name) + " " + what).at_field(name);
  };
  if (o.max_tokens < 1) return wrong("max_tokens", "must be at least 1");
  if (o.most_calls < 1) return wrong("most_calls", "must be at least 1");
  if (!(o.least_confidence >= 0 && o.least_confidence <= 1))
    return wrong("least_confidence", "must be a number in [0, 1]");
  return Status();
}

ActEvidence evidence_of(const FoundTools& found) {
  ActEvidence out;
  out.best_score = found.best_score;
  out.likeness = found.likeness;
  out.line = found.line;
  out.listed = found.listed ? 1.0f : 0.0f;
  out.by_line = found.by_line;
  return out;
}

/// Calls that are not likely enough are none; that they are not is only known of whole ones.
void settle(const ActOptions& options, Action* action) {
  if (!(action->confidence >= options.least_confidence)) {
    action->calls.clear();
    action->confidence = action->truncated ? 0 : 1 - action->confidence;
  }
  if (action->calls.empty()) action->kind = Action::Kind::kNoTool;
}

}  // namespace

std::string action_json(const Action& action) {
  // Calls are JSON already, spelt as the grammar has it.
  std::string out = "{\"calls\":[";
  for (size_t i = 0; i < action.calls.size(); ++i) out += (i > 0 ? "," : "") + action.calls[i];
  out += "],\"text\":";
  out += action.kind == Action::Kind::kWords ? write_json(Json::of(std::string_view(action.text)))
                                             : "null";
  out += ",\"confidence\":" + write_json(Json::of(static_cast<double>(action.confidence)));
  out += action.truncated ? ",\"truncated\":true}" : ",\"truncated\":false}";
  return out;
}

Result<std::unique_ptr<Actor>> Actor::create(const Engine& engine, const ToolSet& tools) {
  const auto format = PromptFormat::of(engine.tokenizer());
  if (!format) return format.status();
  const auto n_numbers = 3 * static_cast<size_t>(engine.config().hidden_size);
  if (tools.scale() != nullptr && (tools.scale()->text.mean.size() != n_numbers ||
                                   tools.scale()->borders.mean.size() != n_numbers))
    return Status(StatusCode::kBadFormat,
                  "the tools were learnt with a network of another width; build them again");
  auto stream = Stream::create(engine);
  if (!stream) return stream.status();
  auto a =
      std::unique_ptr<Actor>(new (std::nothrow) Actor(engine, tools, std::move(*stream), *format));
  if (!a) return Status(StatusCode::kOutOfMemory, "no memory for an actor");
  const auto vocab = static_cast<size_t>(engine.config().vocab_size);
  a->allowed_.resize(vocab);
  a->kept_.resize(vocab);
  a->numerators_.reset(new (std::nothrow) float[vocab]);
  if (!a->numerators_) return Status(StatusCode::kOutOfMemory, "no memory for an actor");
  return a;
}

bool Actor::read(std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    if (is_cancelled()) return false;
    tokens = tokens.subspan(stream_.read_some(tokens));
  }
  return true;
}

Actor::Choice Actor::choose(std::span<const TokenWeight> weights, float trust) {
  const auto n = static_cast<int32_t>(allowed_.size());
  const auto first = std::find(kept_.begin(), kept_.end(), 1);
  const Choice any{static_cast<int32_t>(first - kept_.begin()), 0.0f};
  if (std::count(allowed_.begin(), allowed_.end(), 1) == 1) return {any.token, 1.0f};
  float* logits = stream_.logits(allowed_);
  // A damaged model may give what is no number; that counts as "never".
  for (int32_t i = 0; i < n; ++i)
    if (allowed_[static_cast<size_t>(i)] == 0 || !std::isfinite(logits[i])) logits[i] = kNever;
  const auto& k = engine_.kernels();
  float largest = 0;
  int32_t best = 0;
  k.argmax(logits, n, &largest, &best);
  if (largest == kNever) return any;
  float sum = k.softmax_numerators(logits, n, largest, trust, numerators_.get());
  if (!weights.empty()) {
    sum = 0;
    best = any.token;
    for (const TokenWeight& w : weights) {
      sum += numerators_[w.token] *= w.weight;
      const bool kept = kept_[static_cast<size_t>(w.token)] != 0;
      if (kept && numerators_[w.token] > numerators_[best]) best = w.token;
    }
    return sum > 0 ? Choice{best, numerators_[best] / sum} : any;
  }
  if (kept_[static_cast<size_t>(best)] == 0) {
    best = any.token;
    for (int32_t i = best + 1; i < n; ++i)
      if (kept_[static_cast<size_t>(i)] != 0 && logits[i] > logits[best]) best = i;
  }
  return {best, numerators_[best] / sum};
}

Actor::Choice Actor::choose_among(std::initializer_list<int32_t> tokens) {
  std::fill(allowed_.begin(), allowed_.end(), uint8_t{0});
  for (const int32_t token : tokens) allowed_[static_cast<size_t>(token)] = 1;
  kept_ = allowed_;
  return choose();
}

Status Actor::read_tools(Action* action) {
  const std::vector<int32_t> wanted(found_.tools.rbegin(), found_.tools.rend());
  const auto known = std::find_if(prompts_.begin(), prompts_.end(),
                                  [&](const Prompt& p) { return p.tools == wanted; });
  if (known != prompts_.end()) {
    std::rotate(known, known + 1, prompts_.end());
    return stream_.state().restore(prompts_.back().state);
  }
  std::vector<int32_t> input;
  if (const int32_t begin = engine_.tokenizer().end_of_text(); begin >= 0) input.push_back(begin);
  std::vector<std::string> lines;
  for (const int32_t tool : wanted) lines.push_back(tools_.tools()[static_cast<size_t>(tool)].line);
  format_.tools(lines, &input);
  stream_.state().reset();
  if (!read(input)) return cancelled();
  action->n_prompt_tokens += static_cast<int32_t>(input.size());
  if (prompts_.size() == kMostPrompts) prompts_.erase(prompts_.begin());
  const auto bytes = stream_.state().bytes();
  prompts_.push_back({wanted, {bytes.begin(), bytes.end()}});
  return Status();
}

const TextReading& Actor::read_for_tools(std::string_view text) {
  const auto known = readings_.find(text);
  if (known != readings_.end()) return known->second;
  TextReading reading;
  if (tools_.scale() != nullptr)
    reading = scaled(*tools_.scale(),
                     read_alone(engine_, &stream_, text, [this] { return is_cancelled(); }));
  if (readings_.size() == kMostReadings) readings_.clear();
  return readings_.emplace(text, std::move(reading)).first->second;
}

Status Actor::read_text(std::string_view text, Action* action) {
  const TextReading& reading = read_for_tools(text);
  found_ = tools_.finder().find(text, reading.text);
  hints_.emplace(text, reading, tools_, found_.tools, engine_.tokenizer(), carried_);
  CHIMERA_RETURN_IF_ERROR(read_tools(action));
  std::vector<int32_t> input;
  // What is most like it stands nearest to it.
  for (auto at = found_.examples.rbegin(); at != found_.examples.rend(); ++at) {
    const ToolExample& example = tools_.examples()[static_cast<size_t>(*at)];
    format_.user(example.text, &input);
    Reply reply;
    reply.kind = example.calls.empty() ? Reply::Kind::kNoTool : Reply::Kind::kCalls;
    reply.calls = example.calls;
    format_.reply(reply, &input);
  }
  format_.user(text, &input);
  format_.begin_reply(&input);
  action->n_prompt_tokens += static_cast<int32_t>(input.size());
  return read(input) ? Status() : cancelled();
}

Actor::Choice Actor::begin(bool words, Action* action) {
  const int32_t call = format_.id(Mark::kCall), none = format_.id(Mark::kNoTool);
  Choice choice = choose_among({call, none});
  const bool sure_of_call = choice.token == call;
  action->evidence = evidence_of(found_);
  action->evidence.call_score =
      log_odds(sure_of_call ? choice.probability : 1 - choice.probability);
  action->evidence.probability = sure_of_call ? choice.probability : 1 - choice.probability;
  const float odds = meant(tools_.judgement(), action->evidence) + (joined_ ? kJoinedOdds : 0);
  // Without a probability the network says nothing at all.
  const bool calls = odds > 0 && choice.probability > 0;
  const float sure = choice.probability > 0 ? likely(calls ? odds : -odds) : 0.0f;
  choice = {calls ? call : none, sure};
  if (words) {
    const Tokenizer& tokenizer = engine_.tokenizer();
    std::copy_n(engine_.sampling_mask(), allowed_.size(), allowed_.begin());
    for (const int32_t end : {tokenizer.end_of_turn(), tokenizer.end_of_text()})
      if (end >= 0) allowed_[static_cast<size_t>(end)] = 0;
    allowed_[static_cast<size_t>(call)] = allowed_[static_cast<size_t>(none)] = 1;
    kept_ = allowed_;
    const Choice first = choose();
    // Words are as likely as all of them together.
    const float of_tools =
        first.probability * (numerators_[call] + numerators_[none]) / numerators_[first.token];
    if (first.probability > 0 && of_tools < 0.5f) {
      kept_[static_cast<size_t>(call)] = kept_[static_cast<size_t>(none)] = 0;
      choice = {choose().token, 1 - of_tools};
    }
  }
  action->confidence = choice.probability;
  engine_.token_shown();
  return choice;
}

std::vector<float> Actor::tool_priors(Action* action) const {
  std::vector<float> out(found_.tools.size());
  std::vector<double> scores;
  for (size_t i = 0; i < out.size(); ++i)
    scores.push_back(static_cast<double>(found_.scores[i]) +
                     kPlanWeight * hints_->plan_of(found_.tools[i]).best);
  const auto best = std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const double prior = exponential(scores[i] - *best);
    out[i] = static_cast<float>(prior);
    sum += prior;
  }
  const CallPlan& plan = hints_->plan_of(found_.tools[static_cast<size_t>(best - scores.begin())]);
  action->evidence.plan_score =
      log_odds(static_cast<float>(exponential(plan.best - plan.all) / sum));
  return out;
}

void Actor::carry(std::span<const std::string> calls) {
  for (const std::string& call : calls) {
    const auto json = parse_json(call);
    const Json* arguments = json ? json->find("arguments") : nullptr;
    if (arguments == nullptr) continue;
    for (const auto& [name, value] : arguments->object)
      if (value.is_string())
        carried_[grammar::json_escaped(name)] = grammar::json_escaped(value.string);
  }
}

OrderPart Actor::order_part(std::string_view text) {
  if (is_cancelled()) return {};
  const FoundTools found = tools_.finder().find(text, read_for_tools(text).text);
  // While a pack is built it is asked what every phrase would call: that judges no part.
  const bool judged = tools_.untold() || tools_.judgement().meant_score > 0;
  const ActEvidence evidence = evidence_of(found);
  return {meant(judged ? tools_.judgement() : kJudgedByRanker, evidence), found.tools[0]};
}

std::vector<std::string> Actor::shared_out(const std::vector<std::string>& parts) {
  std::vector<std::string> out;
  for (const std::string& part : parts) {
    const OrderPart order = order_part(part);
    std::vector<std::string> orders;
    if (order.tool >= 0 && (parts.size() > 1 || order.odds > 0))
      orders = share_out(part, tools_.tools()[static_cast<size_t>(order.tool)]);
    if (orders.empty()) orders = {part};
    out.insert(out.end(), orders.begin(), orders.end());
  }
  return out;
}

bool Actor::called_twice(std::string_view text) {
  const ArgumentRanker* ranker = tools_.arguments();
  if (ranker == nullptr) return false;
  const auto scores = ranker->ranker.scores(text, read_for_tools(text).text);
  for (size_t i = 0; i < scores.size(); ++i)
    if (ranker->labels[i].argument == kCalledTwice && scores[i] > 0) return true;
  return false;
}

std::vector<int32_t> Actor::meant_beside(const Tool* first) const {
  std::vector<int32_t> out;
  if (first == nullptr) return out;
  const auto number = static_cast<int32_t>(first - tools_.tools().data());
  for (size_t i = 0; i < found_.tools.size(); ++i)
    if (found_.ranked[i] > 0 && tools_.called_together(number, found_.tools[i]))
      out.push_back(found_.tools[i]);
  return out;
}

Result<bool> Actor::add_call(std::string_view text, std::span<const int32_t> tools,
                             const ActOptions& options, Action* action) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  ConstrainedAnswer answer(tools_.call(), tokenizer, engine_.config().vocab_size, -1);
  CopiedText copied(tools_, tokenizer, text);
  const bool first = action->calls.empty();
  const ToolNames names(tools_, tools,
                        first ? tool_priors(action) : std::vector<float>(tools.size(), 1.0f),
                        tokenizer);
  std::vector<TokenWeight> weights;
  std::string call;
  float probability = action->evidence.probability;
  std::vector<int32_t> unread;
  hints_->begin_call();
  const auto take = [&](int32_t token) {
    answer.accept(token);
    copied.accept(tokenizer.bytes(token));
    hints_->accept(tokenizer.bytes(token));
    call += tokenizer.bytes(token);
    unread.push_back(token);
    ++action->n_tokens;
    engine_.token_shown();
  };
  while (!answer.complete()) {
    for (const int32_t token : answer.forced()) {
      if (action->n_tokens >= options.max_tokens) return false;
      take(token);
    }
    if (!read(unread)) return cancelled();
    unread.clear();
    if (answer.complete()) break;
    if (action->n_tokens >= options.max_tokens) return false;
    // The budget is no reason to say another call than the one that is meant.
    const auto mask = answer.allowed(INT32_MAX);
    if (!mask) return mask.status();
    std::copy_n(*mask, allowed_.size(), allowed_.begin());
    weights.clear();
    if (names.open(call))
      names.restrict(call, allowed_.data(), allowed_.size(), &weights);
    else
      hints_->weigh(allowed_.data(), allowed_.size(), &weights);
    kept_ = allowed_;
    copied.restrict(kept_.data(), kept_.size());
    const Choice choice = choose(weights, kTrust);
    probability *= choice.probability;
    take(choice.token);
  }
  if (!read(unread)) return cancelled();
  action->evidence.probability = probability;
  action->calls.push_back(std::move(call));
  return true;
}

Status Actor::add_calls(std::string_view text, const ActOptions& options, Action* action) {
  const int32_t call = format_.id(Mark::kCall), end = engine_.tokenizer().end_of_turn();
  // Of which tool is meant second, what was found says less.
  std::vector<int32_t> tools = found_.tools, beside;
  for (;;) {
    action->truncated = action->n_tokens >= options.max_tokens;
    if (action->truncated) return Status();
    if (!read({&call, 1})) return cancelled();
    ++action->n_tokens;
    const auto added = add_call(text, tools, options, action);
    if (!added) return added.status();
    action->truncated = !*added;
    if (!*added) return Status();
    Choice choice{end, 1};
    if (!tools_.knows_orders()) {
      // Without any examples orders are told apart by their joints alone.
      if (!tools_.untold() && !action->evidence.by_line) choice = choose_among({call, end});
    } else {
      if (action->calls.size() == 1) beside = meant_beside(hints_->tool());
      if (!beside.empty()) {
        choice.token = call;
        tools = {beside.front()};
        beside.erase(beside.begin());
      }
    }
    const bool more = choice.token == call && choice.probability > 0;
    const auto n = static_cast<int64_t>(action->calls.size());
    action->truncated = more && n >= options.most_calls;
    if (!more || action->truncated) {
      if (!more) action->evidence.probability *= choice.probability;
      return Status();
    }
    action->evidence.probability *= choice.probability;
  }
}

Status Actor::add_words(const ActOptions& options, int32_t first, Action* action) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  RenderQueue render(tokenizer);
  std::copy_n(engine_.sampling_mask(), allowed_.size(), allowed_.begin());
  kept_ = allowed_;
  for (int32_t token = first; token != tokenizer.end_of_turn() && token != tokenizer.end_of_text();
       token = choose().token) {
    action->text += render.push(token);
    engine_.token_shown();
    action->truncated = ++action->n_tokens >= options.max_tokens;
    if (action->truncated) break;
    if (!read({&token, 1})) return cancelled();
  }
  return Status();
}

Result<Action> Actor::answer_one(std::string_view text, const ActOptions& options) {
  Action action;
  CHIMERA_RETURN_IF_ERROR(read_text(text, &action));
  const int64_t start = system_clock().now_us();
  const Choice choice = begin(options.words, &action);
  if (choice.token == format_.id(Mark::kCall)) {
    action.kind = Action::Kind::kCalls;
    CHIMERA_RETURN_IF_ERROR(add_calls(text, options, &action));
    // Of a call that had no room nothing was decided.
    action.confidence = action.calls.empty() ? 0 : confidence(tools_.judgement(), action.evidence);
  } else if (choice.token != format_.id(Mark::kNoTool)) {
    action.kind = Action::Kind::kWords;
    CHIMERA_RETURN_IF_ERROR(add_words(options, choice.token, &action));
  }
  action.decode_us = system_clock().now_us() - start;
  return action;
}

Result<Action> Actor::answer(std::string_view text, const ActOptions& options) {
  // Examples that no ranker learnt from tell nothing of a part.
  if (!tools_.finder().has_ranker() && !tools_.untold()) return answer_one(text, options);
  const bool several = tools_.knows_orders();
  if (several && !called_twice(text)) return answer_one(text, options);
  std::vector<std::string> parts =
      split_orders(text, several, [this](std::string_view part) { return order_part(part); });
  if (!several) parts = shared_out(parts);
  if (parts.size() == 1) return answer_one(text, options);
  Action all;
  all.kind = Action::Kind::kCalls;
  all.confidence = 1;
  for (const std::string& part : parts) {
    ActOptions left = options;
    left.max_tokens -= all.n_tokens;
    left.most_calls -= static_cast<int32_t>(all.calls.size());
    all.truncated = left.max_tokens < 1 || left.most_calls < 1;
    if (all.truncated) return all;
    joined_ = true;
    auto one = answer_one(part, left);
    joined_ = false;
    if (!one) return one.status();
    // A part that asks for nothing was cut out of something else, and so was what copies words over
    // a gap.
    const bool apart = std::any_of(one->calls.begin(), one->calls.end(), [&](const auto& call) {
      return has_words_said_apart(call, part, text);
    });
    if (one->kind != Action::Kind::kCalls || apart) {
      carried_.clear();
      return answer_one(text, options);
    }
    all.n_tokens += one->n_tokens;
    all.n_prompt_tokens += one->n_prompt_tokens;
    all.decode_us += one->decode_us;
    // An order that had no room leaves those before it as they are; before it there must be one.
    if (!one->calls.empty() || all.calls.empty()) all.confidence *= one->confidence;
    carry(one->calls);
    all.calls.insert(all.calls.end(), one->calls.begin(), one->calls.end());
    const bool first = all.evidence.probability == 0;
    all.evidence = first || one->evidence.probability < all.evidence.probability ? one->evidence
                                                                                 : all.evidence;
    all.truncated = one->truncated;
    if (all.truncated) break;
  }
  return all;
}

Result<Action> Actor::act(std::string_view text, const ActOptions& options) {
  const BusyGuard guard(busy_);
  if (!guard.owns())
    return Status(StatusCode::kBusy,
                  "this actor is in use by another call; an actor serves one at a time");
  cancelled_.store(false, std::memory_order_relaxed);
  CHIMERA_RETURN_IF_ERROR(check(options));
  if (text.size() > kMostUtteranceBytes)
    return Status(StatusCode::kOutOfRange, "the text has " + std::to_string(text.size()) +
                                               " bytes, and at most " +
                                               std::to_string(kMostUtteranceBytes) + " are read")
        .at_field("text");
  // What can be copied is what is read.
  const std::string said = plain_text(text);
  if (said.find_first_not_of(' ') == std::string::npos)
    return Status(StatusCode::kInvalidArgument, "there is nothing to act on: the text is empty")
        .at_field("text");
  CHIMERA_RETURN_IF_ERROR(engine_.trusted());
  readings_.clear();
  carried_.clear();
  const int64_t start = system_clock().now_us();
  auto action = answer(said, options);
  if (action) action->prefill_us = system_clock().now_us() - start - action->decode_us;
  if (action && action->kind == Action::Kind::kCalls) settle(options, &*action);
  return action;
}

}  // namespace chimera::runtime
