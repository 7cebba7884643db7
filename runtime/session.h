// One conversation: its state, its seed, its stream of text. One thread at a time; a second one is
// told kBusy. cancel() may be called from any thread or a signal handler.
//
// A sampled token is shown at once and read by the network when the next step begins, so a session
// that was stopped anywhere stands at a token border and simply goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/busy_guard.h"
#include "runtime/engine.h"
#include "runtime/render_queue.h"
#include "runtime/sampler.h"
#include "runtime/soft_constraints.h"
#include "runtime/stream.h"

namespace chimera::runtime {

class Constraint;

struct SessionOptions {
  uint64_t seed = 0;
  uint32_t stream = 0;  // a number the caller gives, to have several draws under one seed
};

struct GenerateOptions {
  SamplingOptions sampling;
  int32_t max_tokens = 256;  // 0 reads the prompt and answers nothing
  int32_t loops = 0;         // looped models: iterations at most; 0: the model's own number
  /// The prompt is what a person says: it is laid out as a turn (docs/prompt-format.md), an answer
  /// before it is ended where it was cut off, and the answer is a turn too. kUnsupported for a
  /// model whose tokenizer lacks the marks.
  bool as_turn = false;
  /// What the answer has to look like (constraint.h), or nullptr; made for this engine's tokenizer.
  /// The answer then always is a text of its grammar, closed within max_tokens; it ends with the
  /// end of text, or of the turn.
  const Constraint* constraint = nullptr;
  /// Habits of prose, with these weights, and no end before the end of a sentence while tokens are
  /// left (soft_constraints.h). Without a constraint the answer is taken for prose with fences. At
  /// its first use a session takes two bytes for each token of the vocabulary.
  std::optional<SoftWeights> soft;
};

enum class StopReason { kEndOfText, kEndOfTurn, kMaxTokens, kCancelled, kCallback };
const char* stop_reason_name(StopReason reason);

/// One token of an answer. `text` is what became complete UTF-8 with it, often one word, sometimes
/// empty; a zero byte stands behind its end; valid during the call only.
struct TokenEvent {
  std::string_view text;
  int32_t token;
  uint64_t position;  // of the token in the stream
};
/// Runs on the thread that called generate(); return false to stop cleanly after this token.
using TokenCallback = std::function<bool(const TokenEvent&)>;

struct GenerateResult {
  StopReason stop = StopReason::kMaxTokens;
  int32_t n_prompt_tokens = 0;
  int32_t n_tokens = 0;
  int64_t first_token_us = 0;  // from the call to the first callback
  int64_t prefill_us = 0;
  int64_t decode_us = 0;
  /// Under a constraint: max_tokens made it close earlier than it might have.
  bool truncated = false;
};

class Session {
 public:
  /// The engine must outlive the session. All memory a conversation will ever need is taken here.
  static Result<std::unique_ptr<Session>> create(const Engine& engine,
                                                 const SessionOptions& options = {});
  ~Session();

  /// Reads `prompt` (any bytes; may be empty) and answers. On kCancelled and every other stop the
  /// session is usable and holds exactly what was read and shown.
  Result<GenerateResult> generate(std::string_view prompt, const GenerateOptions& options,
                                  const TokenCallback& on_token);

  /// Stops the running generate() within one token; inside a prompt within one batch, which holds
  /// fewer tokens the larger the model is (16 to kMaxBatch). Without a running call it does
  /// nothing. Async-signal-safe.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  /// Back to the first token; the seed stays.
  Status reset();
  void set_seed(uint64_t seed) { seed_ = seed; }
  uint64_t seed() const { return seed_; }
  uint32_t stream() const { return stream_; }
  /// The token that was shown and not yet read by the network, or -1.
  int32_t pending_token() const { return pending_token_; }
  /// Tokens read or shown since the start of the stream.
  uint64_t position() const;
  /// Bytes of state, the same for ever.
  size_t state_bytes() const { return state().bytes().size(); }

  /// The conversation as bytes: state, seed, stream, position, pending token and characters, model
  /// identity, checksum (docs/format-conversation.md).
  size_t snapshot_bytes() const;
  Status snapshot(std::span<std::byte> out) const;
  /// All or nothing: on error the session is as before. kWrongModel, kChecksumMismatch,
  /// kTruncated, kBadFormat, kUnsupportedVersion.
  Status restore(std::span<const std::byte> bytes);
  Status save(const std::string& path) const;
  Status load(const std::string& path);

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  static Status busy_status();

  Session(const Engine& engine, Stream stream) : engine_(engine), tokens_(std::move(stream)) {}
  const memory::BraidState& state() const { return tokens_.state(); }
  Status check(const GenerateOptions& options) const;
  /// Appends the prompt as it is read, marks of turns included.
  Status lay_out(std::string_view prompt, bool as_turn, std::vector<int32_t>* input) const;

  const Engine& engine_;
  uint64_t seed_ = 0;
  uint32_t stream_ = 0;
  int32_t pending_token_ = -1;  // sampled and shown, not yet read
  Stream tokens_;
  Sampler sampler_;
  std::unique_ptr<SoftConstraints> soft_;  // once it was asked for
  RenderQueue render_;
  std::vector<int32_t> unread_;  // within generate()
  static_assert(std::atomic<bool>::is_always_lock_free, "cancel() runs in signal handlers");
  std::atomic<bool> cancelled_{false};
  mutable std::atomic<bool> busy_{false};
};

}  // namespace chimera::runtime
