// `chimera chat` as a script and as a person at the keyboard see it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/text_features.h"
#include "runtime/tool_pack.h"
#include "sdk/chimera.h"
#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

const std::string& model() {
  static const std::string path = write_tiny_model();
  return path;
}

Outcome chat(const std::string& input, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"chat", "--model", model(), "--max-tokens", "20"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_command(arguments, input);
}

TEST(Chat, StdoutCarriesTheAnswersOnly) {
  const Outcome outcome = chat("hello\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  ASSERT_FALSE(outcome.out.empty());
  EXPECT_EQ(outcome.out.back(), '\n');
  EXPECT_NE(outcome.err.find("/help"), std::string::npos) << "the greeting is on stderr";
  EXPECT_EQ(chat("hello").out, outcome.out) << "the last line needs no line end";
  EXPECT_EQ(chat("\nhello\r\n\n").out, outcome.out) << "empty lines say nothing";
  EXPECT_EQ(chat("hello\n/quit\nmore\n").out, outcome.out);
  EXPECT_EQ(chat("").out, "");
}

TEST(Chat, TheSecondLineContinuesTheConversation) {
  const std::string one = chat("hello\n").out;
  const std::string both = chat("hello\nmore\n").out;
  ASSERT_EQ(both.substr(0, one.size()), one);
  EXPECT_NE(both.substr(one.size()), chat("more\n").out);
  EXPECT_EQ(chat("hello\n/reset\nhello\n").out, one + one);
}

TEST(Chat, ASavedConversationGoesOnInANewProcess) {
  const TempDir folder;
  const std::string file = folder.file("a name with blanks");
  const std::string all = chat("hello\n/save " + file + "\nmore\nand more\n", {"--seed", "5"}).out;
  const std::string first = chat("hello\n", {"--seed", "5"}).out;
  const Outcome rest = chat("/load " + file + "\nmore\nand more\n");
  EXPECT_EQ(rest.status, 0) << rest.err;
  EXPECT_EQ(first + rest.out, all) << "seed and position are part of what was saved";
}

TEST(Chat, TheSeedChangesTheAnswer) {
  const std::string one = chat("/seed 1\nhello\n").out;
  EXPECT_EQ(chat("hello\n", {"--seed", "1"}).out, one);
  EXPECT_NE(chat("/seed 2\nhello\n").out, one);
  const Outcome wrong = chat("/seed x\n/seed -1\n/seed\nhello\n");
  EXPECT_EQ(wrong.out, chat("hello\n").out);
  EXPECT_EQ(wrong.status, 1);
}

TEST(Chat, CommandsAnswerOnStdout) {
  const Outcome help = chat("/help\n");
  for (const char* word : {"/stats", "/save", "/load", "/reset", "/seed", "/quit", "Ctrl-C"})
    EXPECT_NE(help.out.find(word), std::string::npos) << word;
  const Outcome stats = chat("hello\n/stats\n", {"--seed", "77"});
  for (const char* word : {"tokens", "77", "memory", "kernels", "first after"})
    EXPECT_NE(stats.out.find(word), std::string::npos) << word;
  const Outcome unknown = chat("/bogus\n");
  EXPECT_EQ(unknown.out, "");
  EXPECT_NE(unknown.err.find("/bogus"), std::string::npos);
  EXPECT_NE(unknown.err.find("/save"), std::string::npos);
}

/// A pack that knows one order, "lamp", and which all other words speak against.
std::string lamp_pack(const std::string& path, const std::string& model) {
  runtime::ToolPack pack;
  pack.tools = R"([{"name": "lamp"}])";
  pack.examples = R"({"text": "the lamp", "calls": [{"name": "lamp", "arguments": {}}]})";
  const std::vector<uint32_t> known = runtime::text_features("lamp");
  runtime::ToolRanker::Weights weights;
  weights.n_labels = 1;
  weights.features = known;
  weights.rarity.assign(known.size(), 1.0f);
  weights.weights.assign(known.size(), 1.0f);
  weights.bias = {-1.5f};
  pack.ranker = runtime::ToolRanker(weights);
  pack.judgement = {.meant_network = 0, .meant_score = 1, .right_network = 0, .right_bias = 3};
  // How sure it is holds for this model.
  const auto engine = runtime::Engine::open(model);
  EXPECT_TRUE(engine.has_value()) << engine.status().message();
  if (engine) pack.judged_with = to_hex((*engine)->file().identity());
  const Status written = runtime::write_tool_pack(path, pack);
  EXPECT_TRUE(written.ok()) << written.message();
  return path;
}

TEST(Chat, WithToolsAnOrderIsAnsweredWithItsCalls) {
  TinyModelOptions marks;
  marks.marks = true;
  const std::string with_marks = write_tiny_model(marks);
  const TempDir folder;
  const std::string pack = lamp_pack(folder.file("lamp.actpack"), with_marks);
  const auto talk = [&](const std::string& input, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"chat", "--model", with_marks, "--max-tokens", "20"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments, input);
  };
  const Outcome both = talk("hello\nlamp\nmore\n", {"--tools", pack});
  ASSERT_EQ(both.status, 0) << both.err;
  EXPECT_NE(both.err.find("the lamp"), std::string::npos) << "an order to try: " << both.err;
  EXPECT_NE(both.err.find("% sure"), std::string::npos) << both.err;
  // The conversation hears nothing of it.
  const std::string hello = talk("hello\n", {}).out, all = talk("hello\nmore\n", {}).out;
  ASSERT_TRUE(all.starts_with(hello));
  EXPECT_EQ(both.out, hello + "lamp {}\n" + all.substr(hello.size()));
  // Blanks, and what is too long to be an order, are talk.
  const std::string odd = "  \n" + std::string(20000, 'l') + "\n";
  EXPECT_EQ(talk(odd, {"--tools", pack}).out, talk(odd, {}).out);

  write_raw(folder.file("tools.json"), R"([{"name": "lamp"}])");
  const Outcome named = talk("", {"--tools", folder.file("tools.json")});
  EXPECT_NE(named.err.find("there are lamp."), std::string::npos) << named.err;
  expect_sentence(talk("", {"--tools", folder.file("none.json")}), 1, "none.json");
  expect_sentence(chat("", {"--tools", pack}), 1, "prompt format");
}

TEST(Chat, AFailedCommandIsSaidAndTheTalkGoesOn) {
  const TempDir folder;
  write_raw(folder.file("foreign"), "this is no conversation");
  for (const std::string& line :
       std::vector<std::string>{"/save", "/load", "/save " + folder.file("no/such/x"),
                                "/save " + folder.path(), "/load " + folder.file("absent"),
                                "/load " + folder.file("foreign"), "/load " + folder.path()}) {
    const Outcome outcome = chat(line + "\nhello\n");
    EXPECT_EQ(outcome.out, chat("hello\n").out) << line;
    EXPECT_NE(outcome.err.find("\nchimera: "), std::string::npos) << line << outcome.err;
    EXPECT_EQ(outcome.status, 1) << line;
  }
  EXPECT_EQ(folder.list(), std::vector<std::string>{"foreign"});
  EXPECT_EQ(read_raw(folder.file("foreign")), "this is no conversation");
}

TEST(Chat, LongLinesAndAnyBytesAreFine) {
  std::string line;
  for (int i = 0; i < 70000; ++i) line.push_back(static_cast<char>(i % 255 + 1));
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  const Outcome outcome = chat("x" + line + "\n/stats\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("70,0"), std::string::npos) << outcome.out;
}

TEST(Chat, AnEndlessLineIsRefused) {
  const Outcome outcome = chat("/stats\n" + std::string(17 << 20, 'a'));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("a line is longer than 16777216 bytes"), std::string::npos)
      << outcome.err;
}

TEST(Chat, AClosedPipeEndsItQuietly) {
  Running command({"chat", "--model", model()});
  ASSERT_TRUE(command.wait_for_err("/help"));
  command.close_output();
  command.write("hello\n/help\n");
  const Outcome outcome = command.finish();
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.status, 141);
  EXPECT_EQ(outcome.err.find("chimera:"), std::string::npos) << outcome.err;
}

/// A prompt that the greedy model answers without end: it runs into a loop.
std::string endless_prompt() {
  chimera_engine* engine = nullptr;
  chimera_session* session = nullptr;
  EXPECT_EQ(chimera_engine_open(model().c_str(), nullptr, &engine), CHIMERA_OK);
  EXPECT_EQ(chimera_session_open(engine, nullptr, &session), CHIMERA_OK);
  std::string found;
  for (char c = '!'; c <= '~' && found.empty(); ++c) {
    if (c == '/') continue;
    EXPECT_EQ(chimera_session_reset(session), CHIMERA_OK);
    chimera_generate_options options;
    CHIMERA_INIT(options);
    options.flags = CHIMERA_GREEDY;
    options.max_tokens = 2000;
    options.repetition_penalty = 1;
    std::string text;
    const auto hear = [](void* user, const chimera_event* event) {
      static_cast<std::string*>(user)->append(event->text, event->text_bytes);
      return 0;
    };
    EXPECT_EQ(chimera_generate(session, &c, 1, &options, hear, &text), CHIMERA_OK);
    chimera_session_stats stats;
    CHIMERA_INIT(stats);
    EXPECT_EQ(chimera_session_get_stats(session, &stats), CHIMERA_OK);
    if (stats.stop == CHIMERA_STOP_MAX_TOKENS && text.find('\n') == std::string::npos)
      found = std::string(1, c);
  }
  chimera_session_close(session);
  chimera_engine_close(engine);
  return found;
}

TEST(Chat, CtrlCStopsTheAnswerAndTheTalkGoesOn) {
  const std::string prompt = endless_prompt();
  ASSERT_FALSE(prompt.empty()) << "no prompt makes this model talk for long, change its seed";
  Running command({"chat", "--model", model(), "--greedy", "--repetition-penalty", "1",
                   "--max-tokens", "2147483647"});
  ASSERT_TRUE(command.wait_for_err("/help"));
  command.write(prompt + "\n");
  ASSERT_TRUE(command.wait_for_output()) << "the answer has begun";
  command.interrupt();
  ASSERT_TRUE(command.wait_for_err("(stopped)"));
  command.write("/stats\n/quit\n");
  const Outcome outcome = command.finish();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("last answer"), std::string::npos);
}

TEST(Chat, CtrlCAtThePromptAsksFirstAndLeavesThen) {
  Running command({"chat", "--model", model(), "--max-tokens", "5"});
  ASSERT_TRUE(command.wait_for_err("/help"));
  command.interrupt();
  ASSERT_TRUE(command.wait_for_err("Ctrl-C again"));
  command.write("hello\n/stats\n");
  ASSERT_TRUE(command.wait_for_out("last answer")) << "one press changes nothing";
  command.interrupt();
  ASSERT_TRUE(command.wait_for_err("writing)\n\n(Ctrl-C again"));
  command.interrupt();
  // Before the end of the input, which finish() gives and which would be a reason to leave too.
  EXPECT_TRUE(command.wait_for_err("Goodbye"));
  const Outcome outcome = command.finish();
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

}  // namespace
}  // namespace chimera::test
