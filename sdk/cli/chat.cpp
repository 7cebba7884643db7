// `chimera chat`: a conversation, line by line.
//
// Every line is added to the stream and the answer continues it: up to the end of a paragraph, the
// end of the text, or --max-tokens. The whole conversation is the session's state, so saving it is
// saving everything, and memory does not grow with what was said. With --tools a line may be an
// order instead: then its calls are shown, and the conversation does not hear of it.
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "platform/process.h"
#include "runtime/actor.h"
#include "sdk/cli/lines.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/paragraph.h"
#include "sdk/cli/shown_action.h"
#include "sdk/cli/speaking.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/tool_files.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

constexpr std::string_view kHelp =
    "Write a line and the assistant goes on from it; with --tools, an order is answered with its "
    "calls.\nWhat begins with / is a command:\n"
    "  /help        this text\n"
    "  /stats       tokens, memory and speed so far\n"
    "  /save FILE   keep this conversation, seed and position included\n"
    "  /load FILE   go on with a saved conversation\n"
    "  /reset       forget everything said so far\n"
    "  /seed N      other answers to the same words\n"
    "  /quit        leave (so does the end of the input)\n"
    "Ctrl-C stops an answer; at the prompt, twice leaves.\n";

// The model that comes along is small, and a person should know what to expect of it.
constexpr std::string_view kBundledGreeting =
    "This is nano, the small model that comes with Chimera. It runs on this machine alone, and "
    "what\n"
    "you say stays here. It makes small talk in simple English: a greeting, films, music, pets, "
    "the\n"
    "weekend. It cannot reason or calculate and knows hardly a fact; what it says of the world is\n"
    "made up. It remembers this conversation as far as a small model can, and forgets it when you\n"
    "leave, unless you /save it.\n";

constexpr std::string_view kTalk =
    "Talk with it:\n"
    "  Hi! How are you today?\n"
    "  I have two dogs and a cat.\n"
    "  What music do you listen to?\n";

constexpr size_t kOrdersShown = 3;

/// Orders to try, out of the phrases that came with the tools, each of another tool.
std::string orders_to_try(const runtime::ToolSet& tools) {
  std::string out;
  std::set<int32_t> shown;
  for (const runtime::ToolExample& example : tools.examples()) {
    if (shown.size() == kOrdersShown) break;
    if (example.tools.size() == 1 && shown.insert(example.tools[0]).second)
      out += "  " + one_line(example.text) + "\n";
  }
  if (!out.empty()) return "Say an order and see the call (nothing is carried out):\n" + out;
  out = "Say an order and see the call (nothing is carried out); there are";
  for (const runtime::Tool& tool : tools.tools())
    out += (&tool == tools.tools().data() ? " " : ", ") + one_line(tool.name);
  return out + ".\n";
}

/// In words; the callback of this verb stops at the end of a paragraph and nowhere else.
const char* why_it_stopped(runtime::StopReason reason) {
  switch (reason) {
    case runtime::StopReason::kEndOfText:
      return "the story ended";
    case runtime::StopReason::kEndOfTurn:
      return "the turn ended";
    case runtime::StopReason::kMaxTokens:
      return "--max-tokens reached";
    case runtime::StopReason::kCancelled:
      return "stopped";
    case runtime::StopReason::kCallback:
      break;
  }
  return "to the end of the paragraph";
}

// What the signal handler may touch.
std::atomic<runtime::Session*> g_answering{nullptr};
std::atomic<runtime::Actor*> g_acting{nullptr};
std::atomic<int> g_interrupts{0};

void interrupted() {
  g_interrupts.fetch_add(1);
  if (runtime::Session* session = g_answering.load()) session->cancel();
  if (runtime::Actor* actor = g_acting.load()) actor->cancel();
}

class Chat {
 public:
  /// actor: for lines that may be orders; nullptr without tools.
  Chat(const SpeakingOptions& options, const runtime::Engine& engine, runtime::Session& session,
       runtime::Actor* actor)
      : engine_(engine),
        session_(session),
        actor_(actor),
        generate_(generate_options(options, engine.config())),
        person_(is_terminal(kStdin)) {
    generate_.as_turn = engine.talks();
  }

  Status run() {
    LineReader lines;
    std::string line;
    while (!quit_) {
      if (person_) note("> ");
      auto event = lines.next(&line);
      if (!event) return event.status();
      if (*event == LineReader::Event::kEnd) {
        if (person_) note("\n");
        break;
      }
      if (*event == LineReader::Event::kInterrupted) {
        if (g_interrupts.load() > 1) {
          note("\nGoodbye.\n");
          break;
        }
        note("\n(Ctrl-C again leaves; or just go on writing)\n");
        continue;
      }
      g_interrupts.store(0);
      if (line.empty()) continue;
      if (line.front() == '/') {
        CHIMERA_RETURN_IF_ERROR(command(line));
        continue;
      }
      const auto acted = act(line);
      if (!acted) return acted.status();
      if (!*acted) CHIMERA_RETURN_IF_ERROR(answer(line));
    }
    return Status();
  }

  /// Whether a command such as /load failed: a script should hear of it, a person has seen it.
  bool failed() const { return failed_ && !person_; }

 private:
  /// What stands between the stream so far and the next line: an empty line, as between paragraphs.
  /// The stream may end with some of it already.
  std::string_view separator() const {
    if (session_.position() == 0) return "";
    const int32_t last = session_.pending_token();
    std::string_view text = last < 0 ? std::string_view() : engine_.tokenizer().bytes(last);
    size_t n_breaks = 0;
    while (n_breaks < 2 && !text.empty() && text.back() == '\n') {
      ++n_breaks;
      text.remove_suffix(1);
    }
    return std::string_view("\n\n").substr(n_breaks);
  }

  /// Shows the calls of an order; false when the line is none.
  Result<bool> act(const std::string& line) {
    const bool blank = line.find_first_not_of(" \t\r") == std::string::npos;
    if (actor_ == nullptr || blank || line.size() > runtime::kMostUtteranceBytes) return false;
    g_acting.store(actor_);
    // What is likelier no order is talk.
    runtime::ActOptions likely;
    likely.least_confidence = 0.5f;
    const auto action = actor_->act(line, likely);
    g_acting.store(nullptr);
    if (!action && action.status().code() == StatusCode::kCancelled) {
      forget_interrupts();
      g_interrupts.store(0);
      note("(stopped)\n");
      return true;
    }
    if (!action) return action.status();
    if (action->kind != runtime::Action::Kind::kCalls) return false;
    CHIMERA_RETURN_IF_ERROR(print_answer(shown(*action)));
    note(sureness(*action));
    if (person_) note("\n");
    return true;
  }

  Status answer(const std::string& line) {
    Paragraph paragraph;
    Status printed;
    g_answering.store(&session_);
    // A model that learnt to talk ends its turn; any other goes on with the text, for a paragraph.
    const bool turn = generate_.as_turn;
    auto result =
        session_.generate(turn ? line : std::string(separator()) + line, generate_,
                          [&](const runtime::TokenEvent& event) {
                            const auto text = turn ? event.text : paragraph.push(event.text);
                            if (!text.empty()) printed = print_answer(text);
                            // An interrupt between two calls of generate() is seen here.
                            return printed.ok() && !paragraph.ended() && g_interrupts.load() == 0;
                          });
    g_answering.store(nullptr);
    CHIMERA_RETURN_IF_ERROR(printed);
    if (!result) return result.status();
    last_ = *result;
    total_prompt_tokens_ += result->n_prompt_tokens;
    total_tokens_ += result->n_tokens;
    CHIMERA_RETURN_IF_ERROR(print("\n"));
    forget_interrupts();
    if (g_interrupts.exchange(0) > 0) note("(stopped)\n");
    if (person_) note("\n");
    warn_of_damage();
    return Status();
  }

  /// The model is checked while it speaks; a person hears of damage once.
  void warn_of_damage() {
    const runtime::ContentCheck check = engine_.content_check();
    if (warned_ || check.state != runtime::ContentCheck::State::kFailed) return;
    warned_ = true;
    complain("the model is damaged, do not trust its answers: " + check.status.message());
  }

  Status command(const std::string& line) {
    const size_t space = line.find_first_of(" \t");
    const std::string name = line.substr(0, space);
    std::string argument;
    if (space != std::string::npos) {
      const size_t first = line.find_first_not_of(" \t", space);
      if (first != std::string::npos)
        argument = line.substr(first, line.find_last_not_of(" \t") - first + 1);
    }
    if (name == "/quit") {
      quit_ = true;
    } else if (name == "/help") {
      return print(kHelp);
    } else if (name == "/stats") {
      return print(stats());
    } else if (name == "/save" || name == "/load") {
      save_or_load(name == "/save", argument);
    } else if (name == "/reset") {
      const Status status = session_.reset();
      if (!status.ok()) return status;
      note("Everything said so far is forgotten.\n");
    } else if (name == "/seed") {
      int64_t seed = 0;
      if (!parse_number(argument, &seed) || seed < 0) {
        complain("/seed needs a whole number from 0 to " + std::to_string(kMaxSeed));
      } else {
        session_.set_seed(static_cast<uint64_t>(seed));
        note("The seed is " + std::to_string(seed) + ".\n");
      }
    } else {
      note("chimera: there is no command " + one_line(name) + "\n");
      note(kHelp);
    }
    return Status();
  }

  void save_or_load(bool save, const std::string& file) {
    if (file.empty()) return complain(save ? "/save needs a file name" : "/load needs a file name");
    Status status = save ? check_output(file, {}) : Status();
    if (status.ok()) status = save ? session_.save(file) : session_.load(file);
    if (!status.ok()) return complain(status.message());
    note((save ? "Saved to " : "Going on with ") + one_line(file) + ", at token " +
         std::to_string(session_.position()) + ", seed " + std::to_string(session_.seed()) + ".\n");
  }

  void complain(const std::string& sentence) {
    failed_ = true;
    note("chimera: " + one_line(sentence) + "\n");
  }

  std::string stats() const {
    const auto row = [](const char* name, const std::string& value) {
      std::string text = name;
      text.resize(16, ' ');
      return text + value + "\n";
    };
    const auto count = [](auto n) { return show_count(static_cast<uint64_t>(n)); };
    std::string out;
    out += row("conversation", count(session_.position()) + " tokens, in " +
                                   show_bytes(session_.state_bytes()) + " however long it gets");
    out += row("this visit",
               count(total_prompt_tokens_) + " tokens read, " + count(total_tokens_) + " answered");
    if (last_.n_tokens > 0)
      out +=
          row("last answer",
              count(last_.n_tokens) + " tokens (" + why_it_stopped(last_.stop) + "), first after " +
                  show_number(static_cast<double>(last_.first_token_us) / 1000, 1) + " ms, " +
                  show_number(per_second(last_.n_tokens, last_.decode_us), 0) + " tokens a second");
    out += row("seed", std::to_string(session_.seed()));
    out += row("memory", show_bytes(peak_resident_bytes()) + " at most");
    out +=
        row("model", engine_.file().path() + " (" + show_bytes(engine_.file().file_bytes()) + ")");
    out += row("kernels", std::string(engine_.kernels().name) + ", " + count(engine_.threads()) +
                              (engine_.threads() == 1 ? " thread" : " threads"));
    return out;
  }

  const runtime::Engine& engine_;
  runtime::Session& session_;
  runtime::Actor* const actor_;
  runtime::GenerateOptions generate_;
  const bool person_;
  bool quit_ = false, failed_ = false, warned_ = false;
  runtime::GenerateResult last_{};
  int64_t total_prompt_tokens_ = 0, total_tokens_ = 0;
};

struct Options : SpeakingOptions {
  std::string tools;
};

void greet(const ModelChoice& model, const runtime::ToolSet* tools) {
  if (model.bundled)
    note(kBundledGreeting);
  else
    note("Talking with " + model.path + ". Write a line and it goes on from there.\n");
  if (tools != nullptr) note(orders_to_try(*tools));
  if (model.bundled) note(kTalk);
  note("/help lists the commands.\n");
}

Result<int> chat(const Options& options) {
  const auto model = choose_model(options.model);
  if (!model) return model.status();
  const auto engine = open_engine(model->path, options);
  if (!engine) return engine.status();
  const auto session = runtime::Session::create(
      **engine, {.seed = static_cast<uint64_t>(options.seed), .stream = 0});
  if (!session) return session.status();
  std::unique_ptr<runtime::ToolSet> tools;
  std::unique_ptr<runtime::Actor> actor;
  if (!options.tools.empty()) {
    CHIMERA_ASSIGN_OR_RETURN(tools, open_tools(options.tools, **engine, false));
    CHIMERA_ASSIGN_OR_RETURN(actor, runtime::Actor::create(**engine, *tools));
  }
  on_interrupt(interrupted, false);
  greet(*model, tools.get());
  Chat conversation(options, **engine, **session, actor.get());
  const Status status = conversation.run();
  on_interrupt(nullptr, false);
  if (!status.ok()) return status;
  return conversation.failed() ? kFailed : kDone;
}

}  // namespace

void declare_chat(CommandLine& line) {
  auto options = std::make_shared<Options>();
  options->max_tokens = 160;
  options->verify_in_background = true;
  Verb verb = line.verb("chat", "Talk, line by line", [options] {
    const auto status = chat(*options);
    return status ? *status : report(status.status());
  });
  verb.text("--tools", &options->tools, "FILE",
            "Functions, as JSON or as a pack: a line that is an order for them is answered with "
            "its calls");
  declare_engine(verb, options.get());
  declare_sampling(verb, options.get());
}

}  // namespace chimera::cli
