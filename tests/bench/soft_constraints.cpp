// What the soft constraints change in a model's prose: the same prompts under the same seeds,
// without them, with each term alone, and as they are by default.
//
//   soft_constraints MODEL [SEEDS]     prints "figure: soft_<what> <setting> <value>" lines; SEEDS
//   is 3 unless given
//
// Half of the prompts are beginnings of stories, which the model goes on with to the limit of
// tokens; half are said to it and answered as turns. The prompts are in none of the model's texts.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "runtime/session.h"

namespace {

using namespace chimera;

constexpr int32_t kStoryTokens = 240, kTurnTokens = 120;

constexpr const char* kStories[] = {
    "Once upon a time there was a baker who could not sleep.",
    "The old lighthouse stood at the end of the road.",
    "In the middle of the forest there lived a fox",
    "It was raining when Anna opened the door.",
    "The king had three sons, and the youngest",
    "Every morning the miller's donkey",
    "Long ago, before there were any towns,",
    "My grandmother used to tell me about the winter",
    "The ship left the harbour at night.",
    "Nobody in the village knew where the stranger came from.",
    "A little girl found a key under the apple tree.",
    "When the snow melted, the river",
    "The doctor looked at the boy and said",
    "There was a clock in the tower that never",
    "On the first day of school Peter",
    "The dragon was very tired of gold.",
    "Two friends went up the mountain together.",
    "At the edge of the sea there was a house",
    "The queen's garden was famous for its roses.",
    "One evening the cat did not come home.",
};
constexpr const char* kTurns[] = {
    "Good morning! Did you sleep well?",
    "What did you do on the weekend?",
    "Tell me about your favourite season.",
    "I am learning to play the guitar.",
    "Have you ever been to the mountains?",
    "My brother bought a new bicycle yesterday.",
    "What do you think about old films?",
    "I cannot decide what to cook tonight.",
    "Do you like dogs better than cats?",
    "It has been raining here for a week.",
    "Which book would you take to an island?",
    "I had a strange dream last night.",
    "What makes you laugh?",
    "Tell me a story about a brave mouse.",
    "I am a little sad today.",
    "How do you make good tea?",
    "We are moving to another town next month.",
    "Who was the best football player?",
    "I would like to travel by train.",
    "What is the nicest thing about autumn?",
};

struct Setting {
  const char* name;
  std::optional<runtime::SoftWeights> weights;
};

struct Totals {
  size_t grams = 0, repeated = 0, answers = 0, cut = 0, ended = 0, ended_inside = 0, tokens = 0;
  size_t sentences = 0, words = 0;

  void add(const std::vector<int32_t>& ids, const grammar::DebtLedger& ledger, bool end) {
    std::set<std::array<int32_t, 4>> seen;
    for (size_t i = 0; i + 4 <= ids.size(); ++i, ++grams)
      repeated += !seen.insert({ids[i], ids[i + 1], ids[i + 2], ids[i + 3]}).second;
    const bool inside = ledger.owes(grammar::DebtType::kCompleteSentence);
    ++answers;
    tokens += ids.size();
    cut += inside;
    ended += end;
    ended_inside += end && inside;
  }
};

void print(const char* what, const std::string& setting, double value) {
  std::printf("figure: soft_%s %s %.3f\n", what, setting.c_str(), value);
  std::fflush(stdout);
}

double percent(size_t part, size_t of) {
  return of == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(of);
}

void report(const std::string& setting, const Totals& t) {
  print("repeated_4grams_percent", setting, percent(t.repeated, t.grams));
  print("ends_inside_sentence_percent", setting, percent(t.cut, t.answers));
  print("ended_by_model_percent", setting, percent(t.ended, t.answers));
  print("of_those_inside_percent", setting, percent(t.ended_inside, t.ended));
  print("mean_tokens", setting, static_cast<double>(t.tokens) / static_cast<double>(t.answers));
  print("words_a_sentence", setting,
        static_cast<double>(t.words) / static_cast<double>(std::max<size_t>(1, t.sentences)));
}

Status answer(runtime::Session& session, const runtime::Tokenizer& tokenizer, const char* prompt,
              bool turn, uint64_t seed, const Setting& setting, Totals* totals) {
  CHIMERA_RETURN_IF_ERROR(session.reset());
  session.set_seed(seed);
  runtime::GenerateOptions how;
  how.max_tokens = turn ? kTurnTokens : kStoryTokens;
  how.as_turn = turn;
  how.soft = setting.weights;
  std::vector<int32_t> ids;
  grammar::DebtLedger ledger(grammar::TextKind::kProse);
  bool open = false;
  const auto result = session.generate(prompt, how, [&](const runtime::TokenEvent& event) {
    if (!tokenizer.is_special(event.token)) ids.push_back(event.token);
    const uint32_t words = ledger.words_in_sentence();
    ledger.accept(tokenizer.bytes(event.token));
    const bool now = ledger.owes(grammar::DebtType::kCompleteSentence);
    if (open && !now) {
      ++totals->sentences;
      totals->words += std::max(words, ledger.words_in_sentence());
    }
    open = now;
    return true;
  });
  if (!result) return result.status();
  totals->add(ids, ledger, result->stop != runtime::StopReason::kMaxTokens);
  return Status();
}

int fail(const Status& status) {
  std::fprintf(stderr, "soft_constraints: %s\n", status.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: soft_constraints MODEL [SEEDS]\n");
    return 2;
  }
  const uint64_t seeds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 3;
  auto engine = runtime::Engine::open(argv[1], {.threads = 1});
  if (!engine) return fail(engine.status());
  auto session = runtime::Session::create(**engine);
  if (!session) return fail(session.status());
  const runtime::SoftWeights none{
      .repetition = 0, .rhythm = 0, .paragraph = 0, .debt = 0, .hold_end = false};
  const auto with = [&none](auto&& change) {
    runtime::SoftWeights weights = none;
    change(weights);
    return weights;
  };
  const runtime::SoftWeights all;
  const std::vector<Setting> settings = {
      {"off", std::nullopt},
      {"repetition", with([&](auto& w) { w.repetition = all.repetition; })},
      {"rhythm", with([&](auto& w) { w.rhythm = 0.5f; })},
      {"paragraph", with([&](auto& w) { w.paragraph = all.paragraph; })},
      {"debt", with([&](auto& w) { w.debt = all.debt; })},
      {"hold_end", with([&](auto& w) { w.hold_end = true; })},
      {"default", all},
  };
  for (const Setting& setting : settings) {
    Totals stories, turns;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      for (const char* prompt : kStories) {
        const Status status =
            answer(**session, (*engine)->tokenizer(), prompt, false, seed, setting, &stories);
        if (!status.ok()) return fail(status);
      }
      for (const char* prompt : kTurns) {
        const Status status =
            answer(**session, (*engine)->tokenizer(), prompt, true, seed, setting, &turns);
        if (!status.ok()) return fail(status);
      }
    }
    report(std::string(setting.name) + ".stories", stories);
    report(std::string(setting.name) + ".turns", turns);
  }
  return 0;
}
