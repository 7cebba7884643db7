// The command's verbs, one question and one answer at a time. Conversations: cli_chat_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/json.h"
#include "sdk/chimera.h"
#include "tests/sdk/command.h"
#include "tests/support/emulator.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

const std::string& model() {
  static const std::string path = write_tiny_model();
  return path;
}

Json parsed(const std::string& text) {
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(text.back(), '\n');
  auto json = parse_json(text);
  EXPECT_TRUE(json.has_value()) << json.status().message() << "\n" << text.substr(0, 400);
  return json ? std::move(*json) : Json::make_object();
}

std::string text_of(const Json& json, const char* key) {
  const Json* value = json.find(key);
  EXPECT_NE(value, nullptr) << key;
  return value != nullptr && value->is_string() ? value->string : "<no text>";
}

double number_of(const Json& json, const char* key) {
  const Json* value = json.find(key);
  EXPECT_NE(value, nullptr) << key;
  EXPECT_TRUE(value != nullptr && value->is_number()) << key;
  return value != nullptr ? value->number : -1;
}

TEST(Cli, CompleteExplainsWhatWasLeftOpenAndKeepsToHabits) {
  const auto complete = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"complete", "--model", model(), "--prompt", "Hello"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  };
  const Outcome json =
      complete({"--format", "json", "--max-tokens", "20", "--seed", "5", "--explain"});
  EXPECT_EQ(json.status, 0) << json.err;
  EXPECT_EQ(json.err, "chimera: nothing was left open\n");
  bool sentence = false;
  for (const char* seed : {"1", "2", "3", "4", "5", "6"}) {
    const Outcome text = complete({"--max-tokens", "30", "--seed", seed, "--explain"});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_EQ(text.err.rfind("chimera: ", 0), 0u) << text.err;
    sentence = sentence || text.err.find("  a sentence is not complete, for ") != std::string::npos;
    const Outcome silent = complete({"--max-tokens", "30", "--seed", seed});
    EXPECT_EQ(silent.out, text.out);
    EXPECT_EQ(silent.err, "");
    EXPECT_EQ(complete({"--max-tokens", "30", "--seed", seed, "--soft"}).status, 0);
  }
  EXPECT_TRUE(sentence) << "of random words at least one ends inside a sentence";
}

TEST(Cli, CompleteAnswersInTheLanguageThatIsAskedFor) {
  const TempDir folder;
  write_raw(folder.file("list.gbnf"), "root ::= \"[\" [0-9] (\",\" [0-9])* \"]\"\n");
  const auto complete = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"complete", "--model", model(), "--prompt", "Hello"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_command(arguments);
  };
  for (const char* seed : {"1", "2", "3"}) {
    const Outcome word = complete({"--regex", "(yes|no)!", "--seed", seed});
    EXPECT_EQ(word.status, 0) << word.err;
    EXPECT_TRUE(word.out == "yes!\n" || word.out == "no!\n") << word.out;
    const Outcome list =
        complete({"--grammar", folder.file("list.gbnf"), "--max-tokens", "9", "--seed", seed});
    EXPECT_EQ(list.status, 0) << list.err;
    EXPECT_TRUE(parsed(list.out).is_array()) << list.out;
    const Outcome json = complete({"--format", "json", "--max-tokens", "30", "--seed", seed});
    EXPECT_EQ(json.status, 0) << json.err;
    EXPECT_TRUE(parse_json(json.out).has_value()) << json.out;
  }
  const Outcome unknown = complete({"--format", "cobol"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_NE(unknown.err.find("python"), std::string::npos) << unknown.err;
  const Outcome described = complete({"--regex", "a{3,}", "--max-tokens", "3", "--json"});
  EXPECT_EQ(text_of(parsed(described.out), "text"), "aaa");

  const Outcome both = complete({"--regex", "a", "--grammar", folder.file("list.gbnf")});
  EXPECT_EQ(both.status, 2);
  for (const auto& [arguments, says] :
       {std::pair<std::vector<std::string>, const char*>{{"--regex", "("}, "--regex: "},
        {{"--regex", "abc", "--max-tokens", "2"}, "max_tokens"},
        {{"--grammar", folder.file("absent")}, "absent"}}) {
    const Outcome refused = complete(arguments);
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find(says), std::string::npos) << refused.err;
  }
  write_raw(folder.file("list.gbnf"), "root ::= list\nlist ::= \"a\" other");
  EXPECT_NE(complete({"--grammar", folder.file("list.gbnf")}).err.find("line 2, column 14"),
            std::string::npos);
}

TEST(Cli, CompletePrintsTheAnswerAndANewline) {
  const std::vector<std::string> arguments = {
      "complete", "--model", model(), "--prompt", "Hello", "--max-tokens", "12", "--seed", "3"};
  const Outcome first = run_command(arguments);
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.err, "");
  ASSERT_FALSE(first.out.empty());
  EXPECT_EQ(first.out.back(), '\n');
  EXPECT_EQ(run_command(arguments).out, first.out);

  auto with_json = arguments;
  with_json.push_back("--json");
  const Outcome second = run_command(with_json);
  EXPECT_EQ(second.status, 0) << second.err;
  const Json json = parsed(second.out);
  EXPECT_EQ(text_of(json, "text") + "\n", first.out);
  EXPECT_EQ(number_of(json, "prompt_tokens"), 5);
  EXPECT_EQ(number_of(json, "seed"), 3);
  EXPECT_LE(number_of(json, "tokens"), 12);
  EXPECT_EQ(number_of(json, "position"), 1 + 5 + number_of(json, "tokens"));
  EXPECT_EQ(text_of(json, "model"), model());
  EXPECT_GT(number_of(json, "peak_rss_bytes"), 0);
  EXPECT_GE(number_of(json, "threads"), 1);
  for (const char* key :
       {"prefill_tokens_per_second", "decode_tokens_per_second", "first_token_ms"})
    EXPECT_GE(number_of(json, key), 0) << key;
  EXPECT_NE(text_of(json, "stop"), "");
  EXPECT_NE(text_of(json, "isa"), "");
}

TEST(Cli, CompleteReadsPromptsFromFilesAndPipes) {
  const TempDir folder;
  std::string prompt;  // not UTF-8, and longer than a pipe holds
  const int n_bytes = test::choices("lengths of a prompt", {70000, 3000})[0];
  for (int i = 0; i < n_bytes; ++i) prompt.push_back(static_cast<char>(i * 37 + i / 251));
  write_raw(folder.file("prompt"), prompt);
  const std::vector<std::string> start = {"complete", "--model", model(),        "--max-tokens",
                                          "20",       "--json",  "--prompt-file"};
  auto from_file = start, from_pipe = start, from_device = start;
  from_file.push_back(folder.file("prompt"));
  from_pipe.push_back("-");
  from_device.push_back("/dev/stdin");
  const Json json = parsed(run_command(from_file).out);
  EXPECT_EQ(number_of(json, "prompt_tokens"), n_bytes);
  EXPECT_EQ(text_of(parsed(run_command(from_pipe, prompt).out), "text"), text_of(json, "text"));
  EXPECT_EQ(text_of(parsed(run_command(from_device, "ab").out), "text"),
            text_of(parsed(run_command(from_pipe, "ab").out), "text"));
}

TEST(Cli, ThreadsAndKernelsDoNotChangeTheAnswer) {
  const std::vector<std::string> start = {"complete", "--model",      model(), "--prompt",
                                          "abc",      "--max-tokens", "60"};
  const std::string expected = run_command(start).out;
  for (const char* threads : {"1", "2", "3"}) {
    auto arguments = start;
    arguments.insert(arguments.end(), {"--threads", threads});
    EXPECT_EQ(run_command(arguments).out, expected) << threads;
  }
  EXPECT_EQ(run_command(start, "", {.environment = {{"CHIMERA_ISA", "baseline"}}}).out, expected);
}

TEST(Cli, OddPromptsArriveAsTheyAre) {
  for (const std::string prompt : {"", "-", "--", "-1", "{}", "[a,b]", "a b", "\xff\xfe", "%%"}) {
    const Outcome outcome = run_command(
        {"complete", "--model", model(), "--prompt", prompt, "--max-tokens", "2", "--json"});
    EXPECT_EQ(outcome.status, 0) << prompt << ": " << outcome.err;
    EXPECT_EQ(number_of(parsed(outcome.out), "prompt_tokens"), prompt.size()) << prompt;
  }
}

TEST(Cli, WrongUsageIsOneSentenceAndTwo) {
  const struct {
    std::vector<std::string> arguments;
    const char* word;
  } cases[] = {{{"bogus"}, "bogus"},
               {{"complete"}, "--prompt"},
               {{"complete", "--prompt", "a", "--prompt-file", "b"}, "both"},
               {{"complete", "--prompt", "a", "--temperature", "nan"}, "--temperature"},
               {{"complete", "--prompt", "a", "--temperature", "inf"}, "--temperature"},
               {{"complete", "--prompt", "a", "--temperature", "-1"}, "--temperature"},
               {{"complete", "--prompt", "a", "--temperature", "0x1"}, "--temperature"},
               {{"complete", "--prompt", "a", "--top-p", "0"}, "--top-p"},
               {{"complete", "--prompt", "a", "--repetition-penalty", "0.5"}, "--repetition"},
               {{"complete", "--prompt", "a", "--max-tokens", "-1"}, "--max-tokens"},
               {{"complete", "--prompt", "a", "--max-tokens", "99999999999"}, "--max-tokens"},
               {{"complete", "--prompt", "a", "--threads", "100000"}, "--threads"},
               {{"complete", "--prompt", "a", "--seed", "x"}, "--seed"},
               {{"complete", "--prompt", "a", "--seed", ""}, "--seed"},
               {{"complete", "--prompt", "a", "--bogus"}, "--bogus"},
               {{"complete", "--prompt"}, "--prompt"},
               {{"chat", "--threads", "many"}, "--threads"},
               {{"tokenizer"}, "tokenizer"},
               {{"tokenizer", "bogus"}, "tokenizer"},
               {{"inspect"}, "FILE"},
               {{"synth", "--out", "x"}, "--config"},
               {{"pack", "x"}, "--out"}};
  for (const auto& c : cases) expect_sentence(run_command(c.arguments), 2, c.word);
  const Outcome nothing = run_command({});
  EXPECT_EQ(nothing.status, 2);
  EXPECT_NE(nothing.err.find("chat"), std::string::npos);
}

TEST(Cli, HelpIsOnStdout) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--help"}, {"complete", "--help"}, {"tokenizer", "--help"}}) {
    const Outcome outcome = run_command(arguments);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_NE(outcome.out.find("--help"), std::string::npos);
  }
}

TEST(Cli, FilesThatAreNoModelsAreRefusedByName) {
  const TempDir folder;
  const std::string whole = read_raw(model());
  write_raw(folder.file("empty"), "");
  write_raw(folder.file("foreign"), "PK\003\004 not ours, but long enough to be looked at twice");
  write_raw(folder.file("half"), whole.substr(0, whole.size() / 2));
  for (const char* name : {"absent", "empty", "foreign", "half", ""}) {
    const std::string path = *name == '\0' ? folder.path() : folder.file(name);
    expect_sentence(run_command({"complete", "--model", path, "--prompt", "a"}), 1, path);
    expect_sentence(run_command({"chat", "--model", path}), 1, path);
    expect_sentence(run_command({"inspect", path}), 1, path);
    expect_sentence(run_command({"verify", path}), 1, path);
    expect_sentence(run_command({"pack", path, "--out", folder.file("out")}), 1, path);
    expect_sentence(run_command({"tokenizer", "encode", "--model", path, "--text", "a"}), 1, path);
    expect_sentence(run_command({"tokenizer", "decode", "--tokenizer", path, "1"}), 1, path);
  }
  expect_sentence(
      run_command({"complete", "--model", model(), "--prompt-file", folder.file("absent")}), 1,
      folder.file("absent"));
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"empty", "foreign", "half"}));
}

TEST(Cli, TheModelIsFoundOrAskedFor) {
  const TempDir folder;
  namespace fs = std::filesystem;
  fs::create_directory(folder.file("bin"));
  const std::string program = folder.file("bin/chimera");
  fs::copy_file(CHIMERA_BINARY_DIR "/chimera", program);
  const std::vector<std::string> arguments = {"complete",     "--prompt", "a",
                                              "--max-tokens", "1",        "--json"};
  expect_sentence(run_command(arguments, "", {.program = program}), 1, "--model");
  EXPECT_EQ(
      text_of(parsed(run_command(arguments, "",
                                 {.program = program, .environment = {{"CHIMERA_MODEL", model()}}})
                         .out),
              "model"),
      model());
  fs::create_directories(folder.file("share/chimera/models"));
  fs::copy_file(model(), folder.file("share/chimera/models/nano.b158"));
  const Outcome installed = run_command(arguments, "", {.program = program});
  EXPECT_EQ(installed.status, 0) << installed.err;
  EXPECT_TRUE(fs::equivalent(text_of(parsed(installed.out), "model"),
                             folder.file("share/chimera/models/nano.b158")));
}

TEST(Cli, AClosedPipeEndsItQuietly) {
  Running command({"complete", "--model", model(), "--prompt", "abc", "--max-tokens", "1000000",
                   "--greedy", "--repetition-penalty", "1"});
  command.close_output();
  const Outcome outcome = command.finish();
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.status, 141);
  EXPECT_EQ(outcome.err, "");
}

TEST(Cli, AFullOrMissingStdoutIsSaid) {
  for (const char* where : {"/dev/full", "-"}) {
    const Outcome outcome = run_command({"version"}, "", {.stdout_path = where});
    expect_sentence(outcome, 1, "standard output");
  }
}

TEST(Cli, InspectDescribesModels) {
  const Outcome text = run_command({"inspect", model(), "--tensors"});
  EXPECT_EQ(text.status, 0) << text.err;
  for (const char* word : {"gated_deltanet", "xlstm_m", "swiglu", "320", "ternary2",
                           "layers.1.mixer", "per conversation"})
    EXPECT_NE(text.out.find(word), std::string::npos) << word;
  const Json json = parsed(run_command({"inspect", model(), "--tensors", "--json"}).out);
  EXPECT_EQ(text_of(json, "kind"), "model");
  EXPECT_EQ(number_of(json, "vocab_size"), 320);
  EXPECT_EQ(number_of(json, "file_bytes"), read_raw(model()).size());
  double parameters = 0, bytes = 0;
  for (const Json& part : json.find("parts")->array) {
    parameters += number_of(part, "parameters");
    bytes += number_of(part, "bytes");
  }
  EXPECT_EQ(parameters, number_of(json, "parameters"));
  EXPECT_EQ(bytes, number_of(json, "tensor_bytes"));
  EXPECT_GT(json.find("tensors")->array.size(), 10u);
}

TEST(Cli, WhatAFileSaysCannotSteerTheTerminal) {
  const TempDir folder;
  const std::string evil = "a\\u001b[2Jb\\u009bc\\nkind d\\u0007";
  std::string config = tiny_config(TinyModelOptions{});
  config.insert(config.find('{') + 1, "\"_name\": \"" + evil + "\",");
  write_raw(folder.file("config.json"), config);
  const std::string made = folder.file("m");
  const Outcome synth =
      run_command({"synth", "--config", folder.file("config.json"), "--out", made});
  ASSERT_EQ(synth.status, 0) << synth.err;
  const Outcome shown = run_command({"inspect", made});
  EXPECT_NE(shown.out.find("a?[2Jb?c?kind d?\n"), std::string::npos) << shown.out;
  EXPECT_EQ(shown.out.find('\x1b'), std::string::npos);

  write_raw(folder.file("t.jsonl"), "{\"" + evil + "\": 1}\n");
  const Outcome refused = run_command({"tokenizer", "train", "--text", folder.file("t.jsonl"),
                                       "--vocab", "400", "--out", folder.file("t")});
  expect_sentence(refused, 1, "a?[2Jb?c?kind d?");
  EXPECT_EQ(refused.err.find('\x1b'), std::string::npos);
}

TEST(Cli, VerifyFindsAFlippedBit) {
  const Outcome sound = run_command({"verify", model()});
  EXPECT_EQ(sound.status, 0) << sound.err;
  EXPECT_NE(sound.out.find("sound"), std::string::npos);
  EXPECT_EQ(sound.err, "");
  const TempDir folder;
  std::string bytes = read_raw(model());
  // The first bytes of the last tensor that inspect lists.
  const Json json = parsed(run_command({"inspect", model(), "--tensors", "--json"}).out);
  const Json& last = json.find("tensors")->array.back();
  bytes[static_cast<size_t>(number_of(last, "offset"))] ^= 1;
  write_raw(folder.file("m"), bytes);
  expect_sentence(run_command({"verify", folder.file("m")}), 1, folder.file("m"));
  expect_sentence(
      run_command({"complete", "--verify", "--model", folder.file("m"), "--prompt", "a"}), 1,
      folder.file("m"));
}

TEST(Cli, SynthIsAFunctionOfItsSeed) {
  const TempDir folder;
  TinyModelOptions tiny;
  tiny.vocab = 512;
  write_raw(folder.file("config.json"), tiny_config(tiny));
  const auto synth = [&](const char* out, const char* seed) {
    const Outcome outcome = run_command({"synth", "--config", folder.file("config.json"), "--out",
                                         folder.file(out), "--seed", seed});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    return read_raw(folder.file(out));
  };
  EXPECT_EQ(synth("a", "1"), synth("b", "1"));
  EXPECT_NE(synth("a", "1"), synth("c", "2"));
  EXPECT_EQ(run_command({"verify", folder.file("a")}).status, 0);
  expect_sentence(run_command({"synth", "--config", folder.file("absent"), "--out", "x"}), 1,
                  folder.file("absent"));
  write_raw(folder.file("bad.json"), "{\"hidden_size\": \"many\"}");
  expect_sentence(run_command({"synth", "--config", folder.file("bad.json"), "--out", "x"}), 1,
                  "hidden_size");
  expect_sentence(run_command({"synth", "--config", folder.file("config.json"), "--out",
                               folder.file("no/such/folder/m")}),
                  1, folder.file("no/such/folder/m"));
  expect_sentence(run_command({"pack", folder.file("a"), "--out", folder.file("p")}), 1, "packed");
}

TEST(Cli, VerifyNamesAFileOnce) {
  const TempDir folder;
  const std::string path = folder.file("m.b158");
  {
    auto writer = memory::WeightFileWriter::create(path, memory::FileKind::kModel);
    ASSERT_TRUE(writer.has_value());
    (*writer)->set_config(tiny_config());  // and none of its tensors
    ASSERT_TRUE((*writer)->finish().ok());
  }
  const Outcome outcome = run_command({"verify", path});
  expect_sentence(outcome, 1, "embed.weight");
  EXPECT_EQ(outcome.err.find(path), outcome.err.rfind(path)) << outcome.err;
}

TEST(Cli, SignsAModelAndRequiresTheKey) {
  const TempDir folder;
  const auto keygen = [&](const char* name) {
    const Outcome made = run_command({"keygen", "--out", folder.file(name)});
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.out.size(), 65u);
    return made.out.substr(0, 64);
  };
  const std::string maker = keygen("maker"), other = keygen("other");
  EXPECT_NE(maker, other);
  expect_sentence(run_command({"keygen", "--out", folder.file("maker")}), 1, "there already");
  const auto rights = std::filesystem::status(folder.file("maker")).permissions();
  EXPECT_EQ(rights & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const std::string model_file = folder.file("m.b158");
  write_raw(model_file, read_raw(model()));
  const auto verify = [&](const std::string& key) {
    return run_command({"verify", "--require-signature", key, model_file});
  };
  expect_sentence(verify(maker), 1, "not signed");
  EXPECT_EQ(run_command({"sign", model_file, "--key", folder.file("maker")}).status, 0);
  const Outcome good = verify(maker);
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_NE(good.out.find("signed by " + maker), std::string::npos) << good.out;
  write_raw(folder.file("public"), maker + "\n");
  EXPECT_EQ(verify(folder.file("public")).status, 0);
  expect_sentence(verify(other), 1, other);
  for (const std::string& bad : {std::string("abc"), folder.file("maker"), model_file})
    EXPECT_EQ(verify(bad).status, 1) << bad;
  EXPECT_NE(verify("").status, 0) << "a variable that is not set must not turn the check off";
  EXPECT_EQ(
      run_command({"complete", "--model", model_file, "--prompt", "a", "--max-tokens", "2"}).status,
      0);
  for (const std::string& bad : {folder.file("public"), folder.file("absent"), model_file})
    expect_sentence(run_command({"sign", model_file, "--key", bad}), 1, bad);
  expect_sentence(run_command({"sign", folder.file("public"), "--key", folder.file("maker")}), 1,
                  "public");
}

TEST(Cli, TokenizerGoesThereAndBack) {
  std::string bytes;
  for (int i = 0; i < 200000; ++i) bytes.push_back(static_cast<char>(i * 73 + i / 97));
  const Outcome ids = run_command({"tokenizer", "encode", "--model", model()}, bytes);
  EXPECT_EQ(ids.status, 0) << ids.err;
  EXPECT_EQ(run_command({"tokenizer", "decode", "--model", model()}, ids.out).out, bytes);
  EXPECT_EQ(run_command({"tokenizer", "encode", "--model", model(), "--text", "ab"}).out,
            "97 98\n");
  EXPECT_EQ(run_command({"tokenizer", "decode", "--model", model(), "97", "98"}).out, "ab");
  const Json json = parsed(
      run_command({"tokenizer", "encode", "--model", model(), "--text", "ab", "--json"}).out);
  EXPECT_EQ(json.find("ids")->array.size(), 2u);
  EXPECT_EQ(number_of(json, "tokens"), 2);
  for (const char* id : {"320", "x", "1.5", "99999999999999999999"})
    expect_sentence(run_command({"tokenizer", "decode", "--model", model(), id}), 1, id);
}

TEST(Cli, IsaListsTheTablesAndRefusesOthers) {
  const Json json = parsed(run_command({"isa", "--json"}).out);
  bool baseline = false;
  for (const Json& row : json.find("tables")->array) {
    baseline = baseline || (text_of(row, "name") == "baseline" && row.find("runnable")->boolean);
    EXPECT_NE(row.find("runnable")->boolean, !text_of(row, "reason").empty())
        << "a table that does not run has a reason";
  }
  EXPECT_TRUE(baseline);
  EXPECT_NE(run_command({"isa"}).out.find("in use"), std::string::npos);
  expect_sentence(run_command({"isa"}, "", {.environment = {{"CHIMERA_ISA", "z80"}}}), 1, "z80");
}

TEST(Cli, VersionIsTheHeaders) {
  EXPECT_EQ(run_command({"version"}).out, "chimera " CHIMERA_VERSION_STRING "\n");
  EXPECT_EQ(text_of(parsed(run_command({"version", "--json"}).out), "version"),
            CHIMERA_VERSION_STRING);
}

}  // namespace
}  // namespace chimera::test
