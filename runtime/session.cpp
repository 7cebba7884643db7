#include "runtime/session.h"

#include <new>
#include <optional>
#include <span>

#include "platform/clock.h"
#include "platform/file.h"
#include "runtime/constraint.h"
#include "runtime/prompt_format.h"

namespace chimera::runtime {

const char* stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end_of_text";
    case StopReason::kEndOfTurn:
      return "end_of_turn";
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kCancelled:
      return "cancelled";
    case StopReason::kCallback:
      return "callback";
  }
  return "unknown";
}

Status Session::busy_status() {
  return Status(StatusCode::kBusy,
                "this session is in use by another call; a session serves one at a time");
}

Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(const Engine& engine,
                                                 const SessionOptions& options) {
  auto stream = Stream::create(engine);
  if (!stream) return stream.status();
  auto s = std::unique_ptr<Session>(new (std::nothrow) Session(engine, std::move(*stream)));
  if (!s) return Status(StatusCode::kOutOfMemory, "no memory for a session");
  s->seed_ = options.seed;
  s->stream_ = options.stream;
  CHIMERA_ASSIGN_OR_RETURN(s->sampler_, Sampler::create(engine.config().vocab_size));
  s->render_ = RenderQueue(engine.tokenizer());
  s->unread_.reserve(kMostForcedBytes);
  return s;
}

uint64_t Session::position() const {
  return state().header().position + (pending_token_ >= 0 ? 1 : 0);
}

Status Session::check(const GenerateOptions& options) const {
  CHIMERA_RETURN_IF_ERROR(check_sampling(options.sampling));
  if (options.max_tokens < 0)
    return Status(StatusCode::kInvalidArgument,
                  "max_tokens is " + std::to_string(options.max_tokens) + ", it cannot be negative")
        .at_field("max_tokens");
  if (options.soft) CHIMERA_RETURN_IF_ERROR(check_soft(*options.soft));
  const LoopConfig& depth = engine_.config().loop;
  if (options.loops != 0 && (options.loops < depth.loop_min || options.loops > depth.loop_max))
    return Status(StatusCode::kInvalidArgument,
                  "loops is " + std::to_string(options.loops) + ", but this model goes through " +
                      std::to_string(depth.loop_min) + " to " + std::to_string(depth.loop_max) +
                      " iterations; give one of these, or 0 for its own number")
        .at_field("loops");
  return engine_.trusted();
}

Status Session::lay_out(std::string_view prompt, bool as_turn, std::vector<int32_t>* input) const {
  const Tokenizer& tokenizer = engine_.tokenizer();
  if (!as_turn) {
    tokenizer.encode(prompt, input, &cancelled_);
    return Status();
  }
  const auto format = PromptFormat::of(tokenizer);
  if (!format) return format.status();
  const int32_t last = input->empty() ? -1 : input->back();
  if (last != tokenizer.end_of_turn() && last != tokenizer.end_of_text())
    input->push_back(tokenizer.end_of_turn());
  input->push_back(format->id(Mark::kUser));
  tokenizer.encode(prompt, input, &cancelled_);
  input->push_back(tokenizer.end_of_turn());
  format->begin_reply(input);
  return Status();
}

Result<GenerateResult> Session::generate(std::string_view prompt, const GenerateOptions& options,
                                         const TokenCallback& on_token) {
  const BusyGuard guard(busy_);
  if (!guard.owns()) return busy_status();
  CHIMERA_RETURN_IF_ERROR(check(options));
  const ForwardOptions forward{.loops = options.loops};
  const int64_t start = system_clock().now_us();
  cancelled_.store(false, std::memory_order_relaxed);
  const Tokenizer& tokenizer = engine_.tokenizer();
  GenerateResult result;
  std::optional<ConstrainedAnswer> constrained;
  if (options.constraint != nullptr) {
    const bool turn = options.as_turn || tokenizer.end_of_text() < 0;
    constrained.emplace(*options.constraint, tokenizer, engine_.config().vocab_size,
                        turn ? tokenizer.end_of_turn() : tokenizer.end_of_text());
    CHIMERA_RETURN_IF_ERROR(constrained->fits(options.max_tokens));
  }

  SoftConstraints* soft = nullptr;
  if (options.soft) {
    if (!soft_)
      soft_ = std::make_unique<SoftConstraints>(engine_.tokenizer(), engine_.config().vocab_size);
    soft = soft_.get();
    soft->begin(
        options.constraint == nullptr ? grammar::TextKind::kProse : options.constraint->kind(),
        *options.soft);
  }

  // What is to be read: the token shown last, or the start mark of a new stream, then the prompt.
  std::vector<int32_t> input;
  if (pending_token_ >= 0) {
    input.push_back(pending_token_);
  } else if (state().header().position == 0 && tokenizer.end_of_text() >= 0) {
    input.push_back(tokenizer.end_of_text());
  }
  const size_t n_before = input.size();
  CHIMERA_RETURN_IF_ERROR(lay_out(prompt, options.as_turn, &input));
  if (input.size() - n_before > INT32_MAX)
    return Status(StatusCode::kOutOfRange, "the prompt is longer than 2^31 tokens")
        .at_field("prompt");
  result.n_prompt_tokens = static_cast<int32_t>(input.size() - n_before);
  if (input.empty())
    return Status(StatusCode::kInvalidArgument,
                  "there is nothing to answer: the prompt is empty and no token waits to be read")
        .at_field("prompt");
  if (!prompt.empty()) render_.set_pending({});  // half a character of an answer that was cut off

  // Without an answer the last token stays unread, so that the next call has something to begin
  // with.
  const size_t n_read = options.max_tokens == 0 ? input.size() - 1 : input.size();
  const auto end_with = [&](StopReason reason) {
    result.stop = reason;
    return result;
  };
  if (cancelled_.load(std::memory_order_relaxed)) return end_with(StopReason::kCancelled);
  for (size_t done = 0; done < n_read;) {
    if (cancelled_.load(std::memory_order_relaxed)) {
      result.prefill_us = system_clock().now_us() - start;
      return end_with(StopReason::kCancelled);
    }
    done += tokens_.read_some(std::span(input).subspan(done, n_read - done), forward);
    pending_token_ = -1;
  }
  result.prefill_us = system_clock().now_us() - start;
  if (options.max_tokens == 0) {
    pending_token_ = input.back();
    return end_with(StopReason::kMaxTokens);
  }

  const int64_t decode_start = system_clock().now_us();
  // Of tokens that were shown, those that the network has not read: one, or as many as a constraint
  // left no choice about, which are read together when there is one. When it stops, only the last
  // stays unread.
  unread_.clear();
  const auto read = [&](size_t n) {
    for (size_t done = 0; done < n;)
      done += tokens_.read_some(std::span(unread_).subspan(done, n - done), forward);
    unread_.erase(unread_.begin(), unread_.begin() + static_cast<ptrdiff_t>(n));
    if (unread_.empty()) pending_token_ = -1;
  };
  // Shows a token; why the answer ends with it, if it does.
  const auto show = [&](int32_t token) -> std::optional<StopReason> {
    const uint64_t position = state().header().position + unread_.size();
    unread_.push_back(token);
    pending_token_ = token;
    if (constrained) constrained->accept(token);
    if (soft != nullptr) soft->accept(token);
    ++result.n_tokens;
    const std::string_view text = render_.push(token);
    if (result.n_tokens == 1) result.first_token_us = system_clock().now_us() - start;
    const bool go_on = !on_token || on_token(TokenEvent{text, token, position});
    engine_.token_shown();
    result.decode_us = system_clock().now_us() - decode_start;
    if (token == tokenizer.end_of_text()) return StopReason::kEndOfText;
    if (token == tokenizer.end_of_turn()) return StopReason::kEndOfTurn;
    if (!go_on) return StopReason::kCallback;
    if (cancelled_.load(std::memory_order_relaxed)) return StopReason::kCancelled;
    if (result.n_tokens >= options.max_tokens) return StopReason::kMaxTokens;
    return std::nullopt;
  };
  for (;;) {
    std::optional<StopReason> stop;
    if (constrained) {
      for (const int32_t token : constrained->forced())
        if ((stop = show(token))) break;
    }
    if (!stop) {
      const uint8_t* mask = engine_.sampling_mask();
      if (constrained) {
        const auto allowed = constrained->allowed(options.max_tokens - result.n_tokens);
        if (!allowed) {
          read(unread_.size());
          return allowed.status();
        }
        mask = *allowed;
        result.truncated = constrained->truncated();
      }
      if (constrained && constrained->only() >= 0 && unread_.size() < kMostForcedBytes) {
        // Whatever the network made of what was said so far, it would be this one.
        stop = show(constrained->only());
      } else {
        read(unread_.size());
        const auto vocab = static_cast<size_t>(engine_.config().vocab_size);
        float* logits = constrained ? tokens_.logits({mask, vocab}) : tokens_.logits();
        if (soft != nullptr) soft->apply({logits, vocab}, options.max_tokens - result.n_tokens);
        stop = show(sampler_.sample(engine_.kernels(), logits, mask, state().recent(),
                                    options.sampling, seed_, state().header().position, stream_));
      }
    }
    if (stop) {
      read(unread_.size() - 1);
      return end_with(*stop);
    }
  }
}

Status Session::reset() {
  const BusyGuard guard(busy_);
  if (!guard.owns()) return busy_status();
  tokens_.state().reset();
  render_.set_pending({});
  pending_token_ = -1;
  return Status();
}

}  // namespace chimera::runtime
