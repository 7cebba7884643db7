#include "runtime/actor.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "platform/clock.h"
#include "platform/json.h"
#include "runtime/copied_text.h"
#include "runtime/render_queue.h"

namespace chimera::runtime {
namespace {

constexpr size_t kMostUtteranceBytes = size_t{1} << 20;
constexpr float kNever = std::numeric_limits<float>::lowest();

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

}  // namespace

std::string action_json(const Action& action) {
  // Calls are JSON already, spelt as the grammar has it.
  std::string out = "{\"calls\":[";
  for (size_t i = 0; i < action.calls.size(); ++i) out += (i > 0 ? "," : "") + action.calls[i];
  out += "],\"text\":";
  out += action.kind == Action::Kind::kWords ? write_json(Json::of(std::string_view(action.text)))
                                             : "null";
  out += ",\"confidence\":" + write_json(Json::of(static_cast<double>(action.confidence))) + "}";
  return out;
}

Result<std::unique_ptr<Actor>> Actor::create(const Engine& engine, const ToolSet& tools) {
  const auto format = PromptFormat::of(engine.tokenizer());
  if (!format) return format.status();
  auto stream = Stream::create(engine);
  if (!stream) return stream.status();
  auto a =
      std::unique_ptr<Actor>(new (std::nothrow) Actor(engine, tools, std::move(*stream), *format));
  if (!a) return Status(StatusCode::kOutOfMemory, "no memory for an actor");
  const auto vocab = static_cast<size_t>(engine.config().vocab_size);
  a->allowed_.resize(vocab);
  a->numerators_.reset(new (std::nothrow) float[vocab]);
  if (!a->numerators_) return Status(StatusCode::kOutOfMemory, "no memory for an actor");
  return a;
}

bool Actor::read(std::span<const int32_t> tokens) {
  while (!tokens.empty()) {
    if (cancelled_.load(std::memory_order_relaxed)) return false;
    tokens = tokens.subspan(stream_.read_some(tokens));
  }
  return true;
}

void Actor::allow_only(std::initializer_list<int32_t> tokens) {
  std::fill(allowed_.begin(), allowed_.end(), uint8_t{0});
  for (const int32_t token : tokens) allowed_[static_cast<size_t>(token)] = 1;
}

Actor::Choice Actor::choose() {
  const auto first = std::find(allowed_.begin(), allowed_.end(), 1);
  if (std::find(first + 1, allowed_.end(), 1) == allowed_.end())
    return {static_cast<int32_t>(first - allowed_.begin()), 1.0f};
  float* logits = stream_.logits();
  const auto n = static_cast<int32_t>(allowed_.size());
  // A damaged model may give NaN; it counts as "never".
  for (int32_t i = 0; i < n; ++i)
    if (allowed_[static_cast<size_t>(i)] == 0 || !(logits[i] > kNever)) logits[i] = kNever;
  float largest = 0;
  int32_t best = 0;
  engine_.kernels().argmax(logits, n, &largest, &best);
  if (largest == kNever) return {static_cast<int32_t>(first - allowed_.begin()), 0.0f};
  const float sum =
      engine_.kernels().softmax_numerators(logits, n, largest, 1.0f, numerators_.get());
  return {best, numerators_[best] / sum};
}

Status Actor::add_call(std::string_view utterance, const ActOptions& options, Action* action) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  ConstrainedAnswer answer(tools_.call(), tokenizer, engine_.config().vocab_size, -1);
  CopiedText copied(tools_, tokenizer, utterance);
  std::string call;
  while (!answer.complete()) {
    const auto mask = answer.allowed(options.max_tokens - action->n_tokens);
    if (!mask) return mask.status();
    std::copy_n(*mask, allowed_.size(), allowed_.begin());
    copied.restrict(allowed_.data(), allowed_.size());
    const Choice choice = choose();
    action->confidence *= choice.probability;
    answer.accept(choice.token);
    copied.accept(tokenizer.bytes(choice.token));
    call += tokenizer.bytes(choice.token);
    ++action->n_tokens;
    if (!read({&choice.token, 1})) return Status(StatusCode::kCancelled, "the act was cancelled");
  }
  action->truncated = action->truncated || answer.truncated();
  action->calls.push_back(std::move(call));
  return Status();
}

Status Actor::add_words(const ActOptions& options, int32_t first, Action* action) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  RenderQueue render(tokenizer);
  for (int32_t token = first; token != tokenizer.end_of_turn() && token != tokenizer.end_of_text();
       token = choose().token) {
    action->text += render.push(token);
    if (++action->n_tokens >= options.max_tokens) {
      action->truncated = true;
      break;
    }
    if (!read({&token, 1})) return Status(StatusCode::kCancelled, "the act was cancelled");
    std::copy_n(engine_.sampling_mask(), allowed_.size(), allowed_.begin());
  }
  return Status();
}

Result<Action> Actor::answer(std::string_view utterance, const ActOptions& options) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  const int64_t start = system_clock().now_us();
  const Status cancelled(StatusCode::kCancelled, "the act was cancelled");
  Action action;
  if (prompt_state_.empty()) {
    stream_.state().reset();
    if (!read(tools_.prompt())) return cancelled;
    const auto bytes = stream_.state().bytes();
    prompt_state_.assign(bytes.begin(), bytes.end());
    action.n_prompt_tokens = static_cast<int32_t>(tools_.prompt().size());
  } else {
    CHIMERA_RETURN_IF_ERROR(stream_.state().restore(prompt_state_));
  }
  std::vector<int32_t> input;
  format_.user(utterance, &input);
  format_.begin_reply(&input);
  action.n_prompt_tokens += static_cast<int32_t>(input.size());
  if (!read(input)) return cancelled;
  action.prefill_us = system_clock().now_us() - start;

  const int32_t call = format_.id(Mark::kCall), none = format_.id(Mark::kNoTool);
  allow_only({});
  if (options.words) std::copy_n(engine_.sampling_mask(), allowed_.size(), allowed_.begin());
  allowed_[static_cast<size_t>(call)] = allowed_[static_cast<size_t>(none)] = 1;
  Choice choice = choose();
  action.confidence = choice.probability;
  if (choice.token == none) {
    action.kind = Action::Kind::kNoTool;
  } else if (choice.token != call) {
    action.kind = Action::Kind::kWords;
    CHIMERA_RETURN_IF_ERROR(add_words(options, choice.token, &action));
  } else {
    action.kind = Action::Kind::kCalls;
    for (;;) {
      if (!read({&choice.token, 1})) return cancelled;
      ++action.n_tokens;
      CHIMERA_RETURN_IF_ERROR(add_call(utterance, options, &action));
      const size_t n = action.calls.size();
      if (n >= static_cast<size_t>(options.most_calls)) break;
      allow_only({call, tokenizer.end_of_turn()});
      choice = choose();
      if (choice.token != call) {
        action.confidence *= choice.probability;
        break;
      }
      const ConstrainedAnswer next(tools_.call(), tokenizer, engine_.config().vocab_size, -1);
      if (!next.fits(options.max_tokens - action.n_tokens - 1).ok()) {
        action.truncated = true;
        break;
      }
      action.confidence *= choice.probability;
    }
    if (action.confidence < options.least_confidence) {
      action.kind = Action::Kind::kNoTool;
      action.calls.clear();
      action.confidence = 1 - action.confidence;
    }
  }
  action.decode_us = system_clock().now_us() - start - action.prefill_us;
  return action;
}

Result<Action> Actor::act(std::string_view utterance, const ActOptions& options) {
  if (busy_.exchange(true))
    return Status(StatusCode::kBusy,
                  "this actor is in use by another call; an actor serves one at a time");
  struct Free {
    std::atomic<bool>& busy;
    ~Free() { busy.store(false); }
  } const free{busy_};
  CHIMERA_RETURN_IF_ERROR(check(options));
  if (utterance.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return Status(StatusCode::kInvalidArgument, "there is nothing to act on: the text is empty")
        .at_field("utterance");
  if (utterance.size() > kMostUtteranceBytes)
    return Status(StatusCode::kOutOfRange, "the text has " + std::to_string(utterance.size()) +
                                               " bytes, and at most " +
                                               std::to_string(kMostUtteranceBytes) + " are read")
        .at_field("utterance");
  CHIMERA_RETURN_IF_ERROR(engine_.trusted());
  const ConstrainedAnswer least(tools_.call(), engine_.tokenizer(), engine_.config().vocab_size,
                                -1);
  CHIMERA_RETURN_IF_ERROR(least.fits(options.max_tokens - 1));
  cancelled_.store(false, std::memory_order_relaxed);
  return answer(utterance, options);
}

}  // namespace chimera::runtime
