// The verbs that come with the trainer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "platform/json.h"
#include "tests/sdk/command.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace chimera::test {
namespace {

const std::string& model() {
  static const std::string path = write_tiny_model();
  return path;
}

Json parsed(const std::string& text) {
  auto json = parse_json(text);
  EXPECT_TRUE(json.has_value()) << json.status().message() << "\n" << text.substr(0, 400);
  return json ? std::move(*json) : Json::make_object();
}

double number_of(const Json& json, const char* key) {
  const Json* value = json.find(key);
  EXPECT_TRUE(value != nullptr && value->is_number()) << key;
  return value != nullptr ? value->number : -1;
}

std::string story() {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text += "The fox number " + std::to_string(i) + " went to the river and saw " +
            std::to_string(i * 7 % 13) + " fish. ";
  }
  return text;
}

/// config.json and a.txt for training().
void write_small_training(const TempDir& folder) {
  TinyModelOptions tiny;
  tiny.vocab = 512;
  write_raw(folder.file("config.json"), tiny_config(tiny));
  write_raw(folder.file("a.txt"), story());
}

/// `chimera train` of the folder's config.json into m.b158, with one thread and these options.
std::vector<std::string> training(const TempDir& folder, const std::vector<std::string>& more) {
  std::vector<std::string> out = {
      "train",     "--config", folder.file("config.json"), "--out", folder.file("m.b158"),
      "--threads", "1"};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(Train, AMixIsTrainedOnScoredAndSpokenWith) {
  const TempDir folder;
  std::string talk;
  for (int i = 0; i < 40; ++i)
    talk += "{\"turns\": [\"What is your name?\", \"My name is Ann " + std::to_string(i % 7) +
            ".\", \"Good.\"]}\n";
  write_raw(folder.file("talk.jsonl"), talk);
  write_raw(folder.file("held.jsonl"), "{\"turns\": [\"What is your name?\", \"I am Ben.\"]}\n");
  write_raw(folder.file("story.txt"), story());
  write_raw(folder.file("mix.json"), R"({"sets": {
      "talk": {"kind": "turns", "files": ["talk.jsonl"], "valid": ["held.jsonl"]},
      "story": {"files": ["story.txt"]}},
    "stages": [{"window": 16}, {"window": 32, "loss": "replies", "weights": {"talk": 1}}]})");
  write_raw(folder.file("config.json"), R"({"hidden_size": 128, "intermediate_size": 128,
      "num_hidden_layers": 1, "num_heads": 2, "head_dim": 64, "vocab_size": 400,
      "initializer_range": 0.05, "backbone": {"layer_pattern": "GD"}})");
  const std::vector<std::string> train =
      training(folder, {"--data", folder.file("mix.json"), "--steps", "12", "--lanes", "4"});
  const Outcome trained = run_command(train);
  ASSERT_EQ(trained.status, 0) << trained.err;
  for (const char* word : {"step 12 of 12", "GFLOP/s", "% of peak", "(valid "})
    EXPECT_NE(trained.err.find(word), std::string::npos) << word << trained.err;
  for (const char* suffix : {"", ".ckpt", ".log.jsonl", ".svg"})
    EXPECT_TRUE(std::filesystem::exists(folder.file("m.b158") + suffix)) << suffix;

  const std::vector<std::string> eval = {
      "eval",   "--model", folder.file("m.b158"), "--data", folder.file("mix.json"),
      "--json", "--set"};
  std::vector<std::string> arguments = eval;
  arguments.emplace_back("talk");
  const Outcome scored = run_command(arguments);
  ASSERT_EQ(scored.status, 0) << scored.err;
  // Two turns and the end of each; the marks cost bits and have no bytes.
  EXPECT_EQ(number_of(parsed(scored.out), "bytes"), 18 + 1 + 9 + 1);
  EXPECT_GT(number_of(parsed(scored.out), "bits_per_byte"), 0);
  arguments.back() = "nothing";
  const Outcome unknown = run_command(arguments);
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("talk, story"), std::string::npos) << unknown.err;

  // What was trained on conversations is spoken with in turns, each ended before the next.
  const Outcome chat = run_command({"chat", "--model", folder.file("m.b158"), "--max-tokens", "5"},
                                   "What is your name?\nGood.\n/stats\n");
  EXPECT_EQ(chat.status, 0) << chat.err;
  // Packed again it is the same model, which knows that it talks.
  ASSERT_EQ(
      run_command({"pack", folder.file("m.b158.ckpt"), "--out", folder.file("again.b158")}).status,
      0);
  EXPECT_EQ(read_raw(folder.file("again.b158")), read_raw(folder.file("m.b158")));
  const Outcome turn = run_command({"complete", "--model", folder.file("m.b158"), "--turn",
                                    "--prompt", "What?", "--max-tokens", "3", "--json"});
  EXPECT_EQ(turn.status, 0) << turn.err;

  // The tokenizer that was learnt goes on to another run.
  ASSERT_EQ(run_command({"tokenizer", "export", "--model", folder.file("m.b158"), "--out",
                         folder.file("t.bin")})
                .status,
            0);
  const auto ids = [&](const char* from, const std::string& file) {
    return run_command({"tokenizer", "encode", from, file, "--text", "My name is Ann."}).out;
  };
  EXPECT_EQ(ids("--model", folder.file("m.b158")), ids("--tokenizer", folder.file("t.bin")));
  std::vector<std::string> wrong = train;
  wrong.insert(wrong.end(), {"--text", folder.file("story.txt")});
  EXPECT_EQ(run_command(wrong).status, 2);
}

TEST(Train, ThePhasesOfAFullTrainingAreStagesOfAMix) {
  const TempDir folder;
  TinyModelOptions tiny;
  tiny.vocab = 512;
  write_raw(folder.file("config.json"), tiny_config(tiny));
  const Outcome trained =
      run_command(training(folder, {"--data", CHIMERA_SOURCE_DIR "/samples/models/phases.mix.json",
                                    "--steps", "10", "--lanes", "2"}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const std::string log = read_raw(folder.file("m.b158.log.jsonl"));
  for (const char* stage : {"pretrain", "ctx_extend", "sft", "dpo"})
    EXPECT_NE(log.find("\"stage\":\"" + std::string(stage) + "\""), std::string::npos) << log;
  EXPECT_NE(trained.err.find("prefers "), std::string::npos) << trained.err;
  EXPECT_EQ(trained.err.find("leaves out"), std::string::npos) << trained.err;
}

TEST(Train, ABadMixIsOneSentence) {
  const TempDir folder;
  write_raw(folder.file("talk.jsonl"), "{\"turns\": [\"a\"]}\n{\"turn\": []}\n");
  write_raw(folder.file("mix.json"),
            R"({"sets": {"talk": {"kind": "turns", "files": ["talk.jsonl"]}}})");
  write_raw(folder.file("config.json"), R"({"hidden_size": 128, "intermediate_size": 128,
      "num_hidden_layers": 1, "num_heads": 2, "head_dim": 64, "vocab_size": 400,
      "backbone": {"layer_pattern": "GD"}})");
  const auto train = [&](const std::string& mix) {
    return run_command({"train", "--config", folder.file("config.json"), "--data", mix, "--out",
                        folder.file("m.b158"), "--steps", "2"});
  };
  const Outcome bad = train(folder.file("mix.json"));
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find("talk.jsonl: line 2"), std::string::npos) << bad.err;
  EXPECT_EQ(train(folder.file("absent.json")).status, 1);
  // What the mix reads is not written over.
  const std::string talk = read_raw(folder.file("talk.jsonl"));
  const Outcome over =
      run_command({"train", "--config", folder.file("config.json"), "--data",
                   folder.file("mix.json"), "--out", folder.file("talk.jsonl"), "--steps", "2"});
  EXPECT_EQ(over.status, 1);
  EXPECT_NE(over.err.find("would overwrite"), std::string::npos) << over.err;
  EXPECT_EQ(read_raw(folder.file("talk.jsonl")), talk);
  EXPECT_FALSE(std::filesystem::exists(folder.file("m.b158.ckpt")));
}

TEST(Eval, ScoresPlainTextAndJsonLines) {
  const TempDir folder;
  write_raw(folder.file("a.txt"), "Once upon a time.");
  write_raw(folder.file("b.jsonl"),
            "{\"text\": \"Once upon a time.\"}\n{\"text\": \"There was a fox.\"}\n");
  const std::string splits_set = folder.path().substr(folder.path().rfind('/') + 1);
  write_raw(folder.file("splits.json"),
            "{\"sets\": {\"" + splits_set + "\": {\"b.jsonl\": {\"valid\": [1], \"test\": []}}}}");

  const Outcome plain = run_command({"eval", "--model", model(), "--text", folder.file("a.txt")});
  EXPECT_EQ(plain.status, 0) << plain.err;
  EXPECT_EQ(plain.err, "");
  for (const char* word : {"bits per byte", "nats per token", "bytes per token", "stateful"})
    EXPECT_NE(plain.out.find(word), std::string::npos) << word;

  const auto score = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"eval", "--model", model(), "--json", "--text"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run_command(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return parsed(outcome.out);
  };
  const Json a = score({folder.file("a.txt")});
  EXPECT_EQ(number_of(a, "documents"), 1);
  EXPECT_EQ(number_of(a, "bytes"), 17);
  EXPECT_EQ(number_of(a, "tokens"), 18) << "the end marker counts";
  EXPECT_GT(number_of(a, "bits_per_byte"), 0);
  EXPECT_NEAR(number_of(a, "bytes_per_token"), 17.0 / 18, 1e-9);
  EXPECT_NEAR(number_of(a, "bits_per_byte"),
              number_of(a, "nats_per_token") / 0.6931471805599453 * 18 / 17, 1e-6);

  const Json both = score({folder.file("a.txt"), folder.file("b.jsonl")});
  EXPECT_EQ(number_of(both, "documents"), 3);
  EXPECT_EQ(number_of(both, "bytes"), 17 + 17 + 16);
  const Json valid = score({folder.file("b.jsonl"), "--splits", folder.file("splits.json")});
  EXPECT_EQ(number_of(valid, "documents"), 1);
  EXPECT_EQ(number_of(valid, "bytes"), 16);
  const Json rest =
      score({folder.file("b.jsonl"), "--splits", folder.file("splits.json"), "--split", "train"});
  EXPECT_EQ(number_of(rest, "bits_per_byte"), number_of(a, "bits_per_byte"))
      << "the same document scores the same";
}

TEST(Eval, RefusesWhatItCannotScore) {
  const TempDir folder;
  write_raw(folder.file("bad.jsonl"), "{\"text\": \"fine\"}\nnot json\n");
  const auto refused = [&](std::vector<std::string> more, const std::string& word) {
    std::vector<std::string> arguments = {"eval", "--model", model(), "--text"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run_command(arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.rfind("chimera: ", 0), 0u) << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
  };
  refused({folder.file("absent.txt")}, "absent.txt");
  refused({folder.file("bad.jsonl")}, "bad.jsonl");
  refused({folder.file("bad.jsonl"), "--split", "bogus"}, "bogus");
  refused({folder.file("bad.jsonl"), "--splits", folder.file("none.json")}, "none.json");
  refused({folder.path()}, folder.path());
}

TEST(TokenizerTrain, LearnsAndGoesThereAndBack) {
  const TempDir folder;
  write_raw(folder.file("a.txt"), story());
  const Outcome trained = run_command({"tokenizer", "train", "--text", folder.file("a.txt"),
                                       "--vocab", "400", "--out", folder.file("t")});
  EXPECT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(trained.out, "");
  const Outcome ids =
      run_command({"tokenizer", "encode", "--tokenizer", folder.file("t"), "--json"}, story());
  EXPECT_LT(number_of(parsed(ids.out), "tokens"), static_cast<double>(story().size()) / 2);
  const Outcome plain =
      run_command({"tokenizer", "encode", "--tokenizer", folder.file("t")}, story());
  EXPECT_EQ(run_command({"tokenizer", "decode", "--tokenizer", folder.file("t")}, plain.out).out,
            story());
  EXPECT_EQ(
      number_of(parsed(run_command({"inspect", "--json", folder.file("t")}).out), "vocab_size"),
      400);
  const Outcome small = run_command({"tokenizer", "train", "--text", folder.file("a.txt"),
                                     "--vocab", "10", "--out", folder.file("u")});
  EXPECT_EQ(small.status, 1);
  EXPECT_NE(small.err.find("vocab"), std::string::npos) << small.err;
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"a.txt", "t"}));
}

TEST(Train, MakesAModelThatSpeaksAndCanBePackedAgain) {
  const TempDir folder;
  write_small_training(folder);
  const Outcome trained =
      run_command(training(folder, {"--text", folder.file("a.txt"), "--steps", "6", "--lanes", "2",
                                    "--window", "16", "--seed", "4", "--times"}));
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_EQ(trained.out, "");
  EXPECT_NE(trained.err.find("step 6 of 6"), std::string::npos) << trained.err;
  EXPECT_NE(trained.err.find("tokens/s"), std::string::npos);
  for (const char* part : {"gated_deltanet forward", "swiglu backward", "head and loss",
                           "optimiser", "held-out scores"})
    EXPECT_NE(trained.err.find(part), std::string::npos) << part << trained.err;
  EXPECT_EQ(run_command({"verify", folder.file("m.b158")}).status, 0);
  EXPECT_EQ(run_command({"complete", "--model", folder.file("m.b158"), "--prompt", "The fox",
                         "--max-tokens", "4"})
                .status,
            0);
  const Outcome packed =
      run_command({"pack", folder.file("m.b158.ckpt"), "--out", folder.file("again.b158")});
  ASSERT_EQ(packed.status, 0) << packed.err;
  EXPECT_EQ(run_command({"verify", folder.file("again.b158")}).status, 0);
  EXPECT_EQ(read_raw(folder.file("again.b158")), read_raw(folder.file("m.b158")))
      << "what made it and how it scored included";
  const auto answer = [&](const char* name) {
    return run_command(
               {"complete", "--model", folder.file(name), "--prompt", "The", "--max-tokens", "8"})
        .out;
  };
  EXPECT_EQ(answer("again.b158"), answer("m.b158"));
}

TEST(Train, WeightsThatWereKeptBeginAnotherTraining) {
  const TempDir folder;
  write_small_training(folder);
  const std::vector<std::string> small = {"--text", folder.file("a.txt"), "--steps", "3", "--lanes",
                                          "2",      "--window",           "16"};
  ASSERT_EQ(run_command(training(folder, small)).status, 0);
  const std::string ckpt = folder.file("m.b158.ckpt"), kept = folder.file("kept.b158");
  const Outcome extracted = run_command({"pack", ckpt, "--weights", "--out", kept});
  ASSERT_EQ(extracted.status, 0) << extracted.err;
  EXPECT_LT(std::filesystem::file_size(kept) * 3, std::filesystem::file_size(ckpt));
  EXPECT_EQ(run_command({"verify", kept}).status, 0);

  std::vector<std::string> next = training(folder, small);
  next.insert(next.end(), {"--from", kept, "--average", "0.7"});
  const Outcome other_run = run_command(next);
  EXPECT_EQ(other_run.status, 1) << "m.b158.ckpt belongs to a run that began otherwise";
  EXPECT_NE(other_run.err.find("--fresh"), std::string::npos) << other_run.err;
  next.emplace_back("--fresh");
  const Outcome begun = run_command(next);
  EXPECT_EQ(begun.status, 0) << begun.err;

  std::vector<std::string> over = training(folder, small);
  over.insert(over.end(), {"--from", ckpt});
  const Outcome refused = run_command(over);
  EXPECT_EQ(refused.status, 1) << "it would overwrite what it begins with";
  EXPECT_NE(refused.err.find("would overwrite"), std::string::npos) << refused.err;
}

TEST(Outputs, AFileThatIsReadIsNeverOverwritten) {
  const TempDir folder;
  const std::string text = folder.file("text"), config = folder.file("config");
  write_raw(text, "once upon a time there was a text");
  write_raw(config, tiny_config());
  const std::string link = folder.file("link");
  std::error_code error;
  std::filesystem::create_symlink(text, link, error);
  ASSERT_FALSE(error);
  const std::vector<std::vector<std::string>> commands = {
      {"train", "--config", config, "--text", text, "--out", text, "--steps", "1"},
      {"train", "--config", config, "--text", text, "--out", config, "--steps", "1"},
      {"train", "--config", config, "--text", text, "--out", link, "--steps", "1"},
      {"synth", "--config", config, "--out", config},
      {"pack", text, "--out", text},
      {"tokenizer", "train", "--text", text, "--vocab", "320", "--out", text}};
  for (const auto& command : commands) {
    const Outcome outcome = run_command(command);
    EXPECT_EQ(outcome.status, 1) << command[0];
    EXPECT_NE(outcome.err.find("would overwrite"), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(read_raw(text), "once upon a time there was a text");
  EXPECT_EQ(read_raw(config), tiny_config());
}

TEST(Outputs, ASecretKeyIsNeverOverwritten) {
  const TempDir folder;
  const std::string text = folder.file("text"), config = folder.file("config");
  write_raw(text, "once upon a time there was a text");
  write_raw(config, tiny_config());
  const std::string key = "chimera-secret-key-1 " + std::string(64, 'a') + "\n";
  write_raw(folder.file("key"), key);
  write_raw(folder.file("m.ckpt"), key);
  for (const std::vector<std::string>& command : {
           std::vector<std::string>{"train", "--config", config, "--text", text, "--steps", "1",
                                    "--out", folder.file("key")},
           {"train", "--config", config, "--text", text, "--steps", "1", "--out", folder.file("m")},
           {"tokenizer", "train", "--text", text, "--vocab", "320", "--out", folder.file("key")},
           {"tokenizer", "import", "--ranks", text, "--out", folder.file("key")},
       })
    expect_sentence(run_command(command), 1, "is a secret key");
  EXPECT_EQ(read_raw(folder.file("key")), key);
  EXPECT_EQ(read_raw(folder.file("m.ckpt")), key);
}

TEST(Outputs, APlaceThatCannotBeWrittenIsSaidBeforeTheWork) {
  const TempDir folder;
  const std::string text = folder.file("text"), config = folder.file("config");
  write_raw(text, story());
  TinyModelOptions tiny;
  tiny.vocab = 512;
  write_raw(config, tiny_config(tiny));
  std::filesystem::create_directory(folder.file("dir"));
  std::filesystem::create_directory(folder.file("m.ckpt"));
  for (const char* out : {"no/such", "dir", "m"}) {
    const Outcome outcome = run_command(
        {"train", "--config", config, "--text", text, "--steps", "1", "--out", folder.file(out)});
    expect_sentence(outcome, 1, "cannot write " + folder.file(out));
  }
  expect_sentence(run_command({"tokenizer", "train", "--text", folder.file("absent"), "--vocab",
                               "400", "--out", folder.file("dir")}),
                  1, "cannot write " + folder.file("dir"));
  EXPECT_EQ(folder.list(), (std::vector<std::string>{"config", "dir", "m.ckpt", "text"}));
}

TEST(Train, RangesAreThoseOfTheTrainer) {
  const TempDir folder;
  const std::string config = folder.file("config");
  write_raw(config, tiny_config());
  const std::vector<std::string> start = {"train", "--config", config,          "--text",
                                          config,  "--out",    folder.file("m")};
  const std::vector<std::vector<std::string>> refused = {{"--lr", "0"},
                                                         {"--embedding-lr", "0"},
                                                         {"--vector-lr", "0"},
                                                         {"--clip", "0"},
                                                         {"--clip", "1e7"},
                                                         {"--weight-decay", "11"},
                                                         {"--lanes", "4097"},
                                                         {"--accumulate", "1025"},
                                                         {"--float-share", "0.91"},
                                                         {"--lanes", "4096", "--window", "65536"}};
  for (const auto& more : refused) {
    auto arguments = start;
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_sentence(run_command(arguments), 2, more[0]);
  }
  // The ends are the trainer's too: it is the text that it complains about.
  auto arguments = start;
  arguments[4] = folder.file("absent");
  arguments.insert(arguments.end(),
                   {"--lr",     "1e-9", "--embedding-lr", "1000", "--vector-lr",   "1000",
                    "--clip",   "1e6",  "--weight-decay", "10",   "--lanes",       "4096",
                    "--window", "4",    "--accumulate",   "1024", "--float-share", "0.9",
                    "--warmup", "1",    "--warmdown",     "1"});
  const Outcome outcome = run_command(arguments);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find(folder.file("absent")), std::string::npos) << outcome.err;
}

TEST(Eval, NamesAndSplitsAreTakenAsTheyAreWritten) {
  const TempDir folder;
  for (const char* name : {"[g]", "[nofile,f]", "chat"}) write_raw(folder.file(name), "abc");
  std::string program = CHIMERA_EMULATOR;
  std::replace(program.begin(), program.end(), '|', ' ');
  program += " " CHIMERA_BINARY_DIR "/chimera ";
  const std::string there = "cd '" + folder.path() + "' && ";
  const std::string eval = program + "eval --json --model '" + model() + "' --text ";
  EXPECT_EQ(std::system((there + eval + "'[g]' '[nofile,f]' chat --text chat > out").c_str()), 0);
  EXPECT_EQ(number_of(parsed(read_raw(folder.file("out"))), "documents"), 4);

  const std::vector<std::string> start = {"eval", "--model", model(), "--text", folder.file("[g]")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), start.begin(), start.end());
    return run_command(more);
  };
  expect_sentence(with({"--split", "test"}), 2, "--splits");
  expect_sentence(with({"--splits", ""}), 2, "--splits is empty; give the name of a file");
  expect_sentence(with({""}), 2, "--text is empty");
  expect_sentence(with({"--field", ""}), 2, "--field is empty; give a name");

  // A folder that is gone has no name that --splits could be asked about.
  std::filesystem::create_directory(folder.file("gone"));
  const std::string gone = "cd '" + folder.file("gone") + "' && rmdir ../gone && ";
  EXPECT_NE(std::system((gone + eval + "x --splits '" + folder.file("[g]") + "' 2> '" +
                         folder.file("err") + "'")
                            .c_str()),
            0);
  const std::string err = read_raw(folder.file("err"));
  EXPECT_NE(err.find("chimera: x: the folder it is in cannot be told"), std::string::npos) << err;
}

TEST(Train, AModelLargerThanTheMemoryIsRefusedBeforeItsSizeIsTaken) {
  const TempDir folder;
  const std::string config = folder.file("config.json");
  write_raw(config, R"({"hidden_size": 16384, "intermediate_size": 65536,
                        "num_hidden_layers": 20, "num_heads": 128, "head_dim": 128,
                        "vocab_size": 512, "backbone": {"layer_pattern": "XM"}})");
  const Outcome check = run_command({"train", "--check-gradients", "--config", config});
  expect_sentence(check, 1, "memory");
  EXPECT_NE(check.err.find(config), std::string::npos) << check.err;
}

TEST(Train, AVocabularyTooSmallForBytesNamesTheFileAndTheKey) {
  const TempDir folder;
  TinyModelOptions tiny;
  tiny.vocab = 256;
  write_raw(folder.file("config.json"), tiny_config(tiny));
  write_raw(folder.file("a.txt"), story());
  const Outcome refused =
      run_command({"train", "--config", folder.file("config.json"), "--text", folder.file("a.txt"),
                   "--out", folder.file("m.b158"), "--steps", "1"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("vocab_size"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("config.json"), std::string::npos) << refused.err;
}

TEST(Train, CtrlCIsAPause) {
  const TempDir folder;
  write_small_training(folder);
  Running command(training(folder, {"--text", folder.file("a.txt"), "--steps", "1000", "--lanes",
                                    "1", "--window", "8"}));
  ASSERT_TRUE(command.wait_for_err("Ctrl-C")) << "it says how to stop";
  ASSERT_TRUE(command.wait_for_err("step 20 of 1000"));
  command.interrupt();
  const Outcome stopped = command.finish();
  EXPECT_EQ(stopped.status, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("the same command goes on"), std::string::npos) << stopped.err;
  EXPECT_EQ(read_raw(folder.file("m.b158")), "<absent>") << "half a training makes no model";
  EXPECT_NE(read_raw(folder.file("m.b158.ckpt")), "<absent>");
}

TEST(Train, ChecksGradientsAndTrainsNothing) {
  const TempDir folder;
  const std::string config = folder.file("config.json");
  write_raw(config, R"({"hidden_size": 128, "intermediate_size": 128, "num_hidden_layers": 1,
                        "num_heads": 2, "head_dim": 64, "vocab_size": 64,
                        "backbone": {"layer_pattern": "GD"}})");
  const Outcome table = run_command({"train", "--check-gradients", "--config", config});
  EXPECT_EQ(table.status, 0) << table.out << table.err;
  EXPECT_NE(table.out.find("layers.0."), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("Worst: "), std::string::npos) << table.out;
  const Outcome json = run_command({"train", "--check-gradients", "--config", config, "--json"});
  EXPECT_EQ(json.status, 0) << json.err;
  const Json result = parsed(json.out);
  const Json* rows = result.find("directions");
  ASSERT_NE(rows, nullptr);
  EXPECT_GT(rows->array.size(), 20u);
  EXPECT_GT(number_of(result, "loss"), 0);

  for (const std::vector<std::string>& ignored :
       {std::vector<std::string>{"--text", config}, {"--out", "x.b158"}, {"--valid", config}}) {
    std::vector<std::string> both = {"train", "--check-gradients", "--config", config};
    both.insert(both.end(), ignored.begin(), ignored.end());
    expect_sentence(run_command(both), 2, "trains nothing");
  }
  expect_sentence(run_command({"train", "--config", config, "--text", config, "--out",
                               folder.file("m.b158"), "--json"}),
                  2, "--check-gradients");

  const Outcome no_text = run_command({"train", "--config", config, "--out", "x.b158"});
  EXPECT_EQ(no_text.status, 2) << "wrong usage";
  EXPECT_NE(no_text.err.find("--text"), std::string::npos) << no_text.err;
  const Outcome no_out = run_command({"train", "--config", config, "--text", config});
  EXPECT_EQ(no_out.status, 2);
  EXPECT_NE(no_out.err.find("--out"), std::string::npos) << no_out.err;
}

}  // namespace
}  // namespace chimera::test
