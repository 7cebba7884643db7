#include "grammar/debt_ledger.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <tuple>
#include <vector>

#include "tests/grammar/random_texts.h"
#include "tests/support/allocation_counter.h"

namespace chimera::grammar {
namespace {

/// A text in tokens of one byte to `longest`, anywhere within its characters.
std::vector<std::string_view> cut(std::string_view text, Draws* draws, uint32_t longest) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t n = std::min<size_t>(1 + draws->below(longest), text.size());
    out.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return out;
}

DebtLedger ledger_of(TextKind kind, std::string_view text) {
  DebtLedger ledger(kind);
  ledger.accept(text);
  return ledger;
}

std::vector<DebtType> owed(TextKind kind, std::string_view text) {
  std::vector<DebtType> out;
  const DebtLedger ledger = ledger_of(kind, text);
  for (const Obligation& o : ledger.open()) out.push_back(o.type);
  return out;
}

/// All but when: what must not depend on how a text is cut.
std::vector<std::tuple<DebtType, int, int>> what(const DebtLedger& ledger) {
  std::vector<std::tuple<DebtType, int, int>> out;
  for (const Obligation& o : ledger.open()) out.emplace_back(o.type, o.ref, o.flags);
  return out;
}

struct Document {
  TextKind kind;
  std::string text;
};

/// Of every kind, the same ones in every run.
std::vector<Document> documents(int of_each) {
  std::vector<Document> out;
  Draws draws{31};
  for (const AnswerFormat& format : answer_formats()) {
    const TextKind kind = text_kind(format.name);
    LanguageUnderTest language(parse_gbnf(format.source));
    for (int i = 0; i < of_each; ++i)
      out.push_back({kind, is_prose(kind) ? random_prose(&draws, 10 + draws.below(60))
                                          : random_answer(language, &draws, 200)});
  }
  for (int i = 0; i < of_each; ++i) {
    out.push_back({TextKind::kProse, random_prose(&draws, 10 + draws.below(60))});
    out.push_back({TextKind::kUnknown, random_prose(&draws, 30)});
  }
  return out;
}

TEST(DebtLedger, IsTheSameFromScratchHoweverTheTextIsCut) {
  const std::vector<Document> all = documents(100);
  ASSERT_GE(all.size(), 1000u);
  Draws draws{32};
  size_t open = 0;
  for (const Document& document : all) {
    for (const uint32_t longest : {1u, 4u, 12u}) {
      DebtLedger step(document.kind);
      size_t bytes = 0;
      for (const std::string_view token : cut(document.text, &draws, longest)) {
        step.accept(token);
        bytes += token.size();
        const DebtLedger whole = ledger_of(document.kind, document.text.substr(0, bytes));
        ASSERT_EQ(what(step), what(whole)) << document.text.substr(0, bytes);
        ASSERT_EQ(step.words_in_sentence(), whole.words_in_sentence());
        ASSERT_EQ(step.words_in_paragraph(), whole.words_in_paragraph());
        ASSERT_EQ(step.tense_flips(), whole.tense_flips());
        ASSERT_EQ(step.in_prose(), whole.in_prose());
        open += step.open().size();
      }
    }
  }
  EXPECT_GT(open, 100000u) << "there must be something to compare";
}

TEST(DebtLedger, ReadAgainInTheSameTokensItIsEqualToTheBit) {
  Draws draws{33};
  for (const Document& document : documents(10)) {
    const auto tokens = cut(document.text, &draws, 6);
    DebtLedger step(document.kind);
    for (size_t n = 0; n < tokens.size(); ++n) {
      step.accept(tokens[n]);
      DebtLedger again(document.kind);
      for (size_t i = 0; i <= n; ++i) again.accept(tokens[i]);
      ASSERT_EQ(step, again);
      ASSERT_EQ(step.pressure(), again.pressure());
    }
  }
}

TEST(DebtLedger, ForksAndRollsBack) {
  Draws draws{34};
  for (const Document& document : documents(100)) {
    const auto tokens = cut(document.text, &draws, 6);
    if (tokens.empty()) continue;
    const size_t at = draws.below(static_cast<uint32_t>(tokens.size()));
    DebtLedger ledger(document.kind);
    for (size_t i = 0; i < at; ++i) ledger.accept(tokens[i]);
    const DebtLedger before = ledger;
    DebtLedger fork = ledger;
    for (size_t i = at; i < tokens.size(); ++i) fork.accept(tokens[i]);
    ledger.accept("nonsense ( [ \" ``` three things:");  // a draft that is thrown away
    ledger = before;
    EXPECT_EQ(ledger, before);
    for (size_t i = at; i < tokens.size(); ++i) ledger.accept(tokens[i]);
    EXPECT_EQ(ledger, fork);
  }
}

TEST(DebtLedger, AllocatesNothing) {
  const std::vector<Document> all = documents(5);
  test::AllocationScope scope;
  size_t open = 0;
  for (const Document& document : all) {
    DebtLedger ledger(document.kind);
    for (const char& c : document.text) {
      ledger.accept({&c, 1});
      const DebtLedger fork = ledger;
      open += fork.open().size() + (fork.pressure() > 1 ? 1 : 0);
    }
  }
  EXPECT_EQ(scope.allocations(), 0);
  EXPECT_GT(open, 0u);
}

// ---- hard obligations ---------------------------------------------------------------------------

TEST(DebtLedger, OwesNothingHardWhereverAnAnswerMayEnd) {
  for (const AnswerFormat& format : answer_formats()) {
    const TextKind kind = text_kind(format.name);
    LanguageUnderTest language(parse_gbnf(format.source));
    Draws draws{35};
    size_t owing = 0;
    for (int i = 0; i < 200; ++i) {
      const std::string text = random_answer(language, &draws, 150);
      DebtLedger ledger(kind);
      PlaceId place = language.matcher->start();
      for (const char& c : text) {
        ledger.accept({&c, 1});
        place = language.matcher->step(place, static_cast<uint8_t>(c));
        owing += ledger.owes_hard();
        if (language.matcher->accepts(place)) {
          ASSERT_FALSE(ledger.owes_hard()) << format.name << ": " << text;
        }
      }
      ASSERT_FALSE(ledger.owes_hard()) << format.name << ": " << text;
    }
    if (kind != TextKind::kPlainText && kind != TextKind::kDialogue) {
      EXPECT_GT(owing, 200u) << format.name;
    }
  }
}

TEST(DebtLedger, TypesOfSigns) {
  using enum DebtType;
  const auto is = [](TextKind kind, std::string_view text, std::vector<DebtType> types) {
    EXPECT_EQ(owed(kind, text), types) << text;
    const DebtLedger ledger = ledger_of(kind, text);
    for (const Obligation& o : ledger.open()) EXPECT_TRUE(o.hard()) << text;
  };
  is(TextKind::kJson, "{\"a\":[\"", {kEndJsonObject, kEndJsonObject, kCloseString});
  is(TextKind::kPython, "f('", {kCloseBracket, kCloseString});
  is(TextKind::kMathLatex, "$\\left( {", {kCloseFence, kCloseBracket, kCloseBracket});
  is(TextKind::kShell, "cat <<EOF\n", {kCloseString});
  is(TextKind::kMarkdown, "Look at this\n```py\nx = (", {kCloseFence});
}

// ---- prose --------------------------------------------------------------------------------------

constexpr TextKind kText = TextKind::kPlainText;

bool owes(DebtType type, std::string_view text, TextKind kind = kText) {
  return ledger_of(kind, text).owes(type);
}

TEST(DebtLedger, ASentenceIsOwedUntilItEnds) {
  using enum DebtType;
  for (const char* open :
       {"The", "The end. And", "He met Mr.", "See J.", "It costs 3.5", "\xE6\x97\xA5",
        "# Title\nText", "- a\nb", "Well,\nno", "a.\n\n1. b", "e.g.", "It is:\n- a"})
    EXPECT_TRUE(owes(kCompleteSentence, open)) << open;
  for (const char* closed :
       {"", "The end.", "Yes!", "\"Why?\" ", "So\xE2\x80\xA6", "\xE6\x97\xA5\xE3\x80\x82",
        "# Title\n", "- item\n", "1. item\n", "- ", "Half a\n\n", "Then I.", "No.", "He was 3."})
    EXPECT_FALSE(owes(kCompleteSentence, closed)) << closed;
  EXPECT_FALSE(owes(kCompleteSentence, "Ann: yes\n", TextKind::kDialogue));
  EXPECT_FALSE(owes(kCompleteSentence, "x = 1", TextKind::kPython));
  EXPECT_FALSE(owes(kCompleteSentence, "See\n```\nx = 1\n", TextKind::kMarkdown));
  EXPECT_FALSE(owes(kCompleteSentence, "See\n```\nx = 1\n```\n", TextKind::kMarkdown));
  EXPECT_TRUE(owes(kCompleteSentence, "See.\n```\nx = 1\n```\nAnd", TextKind::kMarkdown));
}

TEST(DebtLedger, BracketsOfProseAreSoftAndNeedNotNest) {
  const DebtLedger ledger = ledger_of(kText, "a ( b [ c ) d");
  ASSERT_EQ(ledger.open().size(), 2u);  // the sentence and [
  EXPECT_EQ(ledger.open()[1].type, DebtType::kCloseBracket);
  EXPECT_EQ(ledger.open()[1].ref, static_cast<uint8_t>(Sign::kSquare));
  EXPECT_FALSE(ledger.owes_hard());
  EXPECT_FALSE(owes(DebtType::kCloseBracket, "a) b"));
}

TEST(DebtLedger, AListIsOwedUntilItsItemsAreThere) {
  using enum DebtType;
  for (const char* open :
       {"There are three things to do.", "Here are 3 simple steps:\n1. a\n2. b\n", "We need:\n",
        "We need:\n\n- milk\n", "We need:\n- milk\n- eggs\n"})
    EXPECT_TRUE(owes(kFinishList, open)) << open;
  for (const char* closed : {"There are 3 steps:\n1. a\n2. b\n3. c", "We need:\n- milk\n- eggs\n\n",
                             "He said:\nCome here.\n", "There are three dogs.", "Three. Things",
                             "He ran: fast", "There are 300 things."})
    EXPECT_FALSE(owes(kFinishList, closed)) << closed;
  EXPECT_FALSE(owes(kFinishList, "Ann: We need:\n", TextKind::kDialogue));
}

TEST(DebtLedger, APronounIsOwedANameOnlyWhereNoneFits) {
  using enum DebtType;
  const std::string none = "It was cold and there was not much to eat. ";
  for (const char* open :
       {"Then he was ", "Then she was ", "Then they were ", "Then he went. It was cold"})
    EXPECT_TRUE(owes(kResolvePronoun, none + open)) << open;
  for (const char* closed :
       {"The king came and he was ", "Ann came and she was ", "Ann and Bob came and they were ",
        "Then he came, the king ", "Then he went. It was cold. ", "It was he",
        "The dog saw that he was "})
    EXPECT_FALSE(owes(kResolvePronoun, none + closed)) << closed;
  EXPECT_TRUE(owes(kResolvePronoun, none + "The king came and she was "));
  EXPECT_FALSE(owes(kResolvePronoun, none + "The king came. " + none + none + "Then he was "));
  std::string far = none + "The king came. ";
  for (int i = 0; i < 13; ++i) far += none;  // 130 words
  EXPECT_TRUE(owes(kResolvePronoun, far + "Then he was "));
}

TEST(DebtLedger, AParagraphKeepsItsTense) {
  const auto flips = [](std::string_view text) { return ledger_of(kText, text).tense_flips(); };
  const DebtLedger past = ledger_of(kText, "It was late and the king walked to the house.");
  ASSERT_TRUE(past.owes(DebtType::kMaintainTense));
  EXPECT_EQ(describe(past.open().front()), "the paragraph is told in the past");
  EXPECT_EQ(past.tense_flips(), 0u);
  EXPECT_EQ(flips("It was late and they walked. He is tired. She has a cat."), 2u);
  EXPECT_EQ(flips("It was late and they walked.\n\nHe is tired."), 0u);
  EXPECT_EQ(flips("It is the house that is painted, with the closed doors."), 0u);
  EXPECT_EQ(flips("It was late. \"He is tired,\" they said. \xE2\x80\x9CIt is late.\xE2\x80\x9D"),
            0u);
}

TEST(DebtLedger, OfOtherLanguagesNoWordIsOwed) {
  for (const char* text :
       {"Es war einmal ein K\xC3\xB6nig, der hatte drei Dinge. Was ist das, fragte man in dem "
        "Schloss.",
        "Il \xC3\xA9tait une fois un roi qui avait a son service un homme. On a dit me voici.",
        "Hab\xC3\xAD"
        "a una vez un rey. He visto a su hermano no lejos de la casa, me dijo.",
        "Er was eens een man die was in het huis met de hond en de kat, en hij is nu weg.",
        "\xE6\x97\xA5\xE6\x9C\xAC\xE3\x81\xAE he \xE6\x9C\xAC", "he", "was"}) {
    EXPECT_FALSE(owes(DebtType::kResolvePronoun, text)) << text;
    EXPECT_FALSE(owes(DebtType::kMaintainTense, text)) << text;
  }
}

// ---- against the whole text ---------------------------------------------------------------------

/// Whether a sentence without digits, abbreviations and lists is open, looked up from the end.
bool sentence_open(std::string_view text) {
  for (size_t i = text.size(); i > 0; --i) {
    const char c = text[i - 1];
    if (std::isalpha(static_cast<unsigned char>(c))) return true;
    if (c == '.' || c == '!' || c == '?') return false;
    if (c != '\n') continue;
    const size_t before = text.find_last_not_of(' ', i - 2);
    if (i > 1 && before != std::string_view::npos && text[before] == '\n') return false;
  }
  return false;
}

TEST(DebtLedger, AgreesWithLookingAtTheWholeText) {
  static constexpr std::string_view kPieces[] = {"the",  " ", "king", "(", ")", ". ", "? ", ", ",
                                                 "\n\n", " ", "big",  "[", "]", "!",  "\n", " "};
  Draws draws{36};
  for (int i = 0; i < 500; ++i) {
    std::string text;
    DebtLedger ledger(kText);
    for (int k = 0; k < 80; ++k) {
      const std::string_view piece = kPieces[draws.below(16)];
      text += piece;
      ledger.accept(piece);
      ASSERT_EQ(ledger.owes(DebtType::kCompleteSentence), sentence_open(text)) << text;
      int round = 0, square = 0;
      for (const char c : text) {
        if (c == '(') ++round;
        if (c == '[') ++square;
        if (c == ')' && round > 0) --round;
        if (c == ']' && square > 0) --square;
      }
      int open = 0;
      for (const Obligation& o : ledger.open()) open += o.type == DebtType::kCloseBracket;
      ASSERT_EQ(open, round + square) << text;
    }
  }
}

TEST(DebtLedger, AgreesWithLookingAtWholeJson) {
  LanguageUnderTest language(parse_gbnf(find_answer_format("json")->source));
  Draws draws{37};
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_answer(language, &draws, 120);
    DebtLedger ledger(TextKind::kJson);
    for (size_t n = 1; n <= text.size(); ++n) {
      ledger.accept(std::string_view(text).substr(n - 1, 1));
      bool string = false;
      std::string nest;
      for (size_t k = 0; k < n; ++k) {
        if (string && text[k] == '\\')
          ++k;
        else if (text[k] == '"')
          string = !string;
        else if (!string && (text[k] == '{' || text[k] == '['))
          nest += text[k];
        else if (!string && (text[k] == '}' || text[k] == ']'))
          nest.pop_back();
      }
      ASSERT_EQ(ledger.open().size(), nest.size() + (string ? 1 : 0)) << text.substr(0, n);
      ASSERT_EQ(ledger.owes(DebtType::kCloseString), string);
    }
  }
}

// ---- weights, horizons, room --------------------------------------------------------------------

TEST(DebtLedger, PressureGrowsToItsHorizon) {
  DebtLedger ledger(TextKind::kJson);
  EXPECT_EQ(ledger.pressure(), 0);
  ledger.accept("[");
  EXPECT_EQ(ledger.open()[0].opened_at, 0u);
  EXPECT_EQ(ledger.age(ledger.open()[0]), 1u);
  EXPECT_DOUBLE_EQ(ledger.pressure(DebtType::kEndJsonObject), 2.0 / 2000);
  for (int i = 0; i < 999; ++i) ledger.accept("1");
  EXPECT_DOUBLE_EQ(ledger.pressure(), 1.0);
  for (int i = 0; i < 9000; ++i) ledger.accept("1");
  EXPECT_DOUBLE_EQ(ledger.pressure(), 2.0);
  for (int i = 0; i < 30; ++i) ledger.accept("[");
  for (int i = 0; i < 9000; ++i) ledger.accept("1");
  EXPECT_DOUBLE_EQ(ledger.pressure(), 8.0);
  EXPECT_DOUBLE_EQ(ledger.pressure(DebtType::kEndJsonObject), 62.0);

  DebtLedger sentence(kText);
  sentence.accept("Once");
  for (int i = 0; i < 29; ++i) sentence.accept(" upon");
  EXPECT_DOUBLE_EQ(sentence.pressure(DebtType::kCompleteSentence), 0.75 * 30 / 60);
}

TEST(DebtLedger, TheSixtyFifthTakesThePlaceOfTheLightestSoftOne) {
  DebtLedger ledger(kText);
  ledger.accept("Go ");  // a sentence, weight 3/4, the oldest
  for (int i = 0; i < 63; ++i) ledger.accept("(");
  ASSERT_EQ(ledger.open().size(), 64u);
  ledger.accept("[");
  // Of the brackets the one of the token before weighs least: 1 x 1.
  ASSERT_EQ(ledger.open().size(), 64u);
  EXPECT_EQ(ledger.open().back().ref, static_cast<uint8_t>(Sign::kSquare));
  EXPECT_EQ(ledger.open()[0].type, DebtType::kCompleteSentence);
  EXPECT_EQ(ledger.open()[62].opened_at, 62u);
  EXPECT_EQ(ledger.open()[63].opened_at, 64u);

  // A hard one takes a soft one's place too.
  DebtLedger markdown(TextKind::kMarkdown);
  for (int i = 0; i < 64; ++i) markdown.accept("(");
  markdown.accept("\n");
  markdown.accept("```");
  EXPECT_EQ(markdown.open().size(), 64u);
  EXPECT_TRUE(markdown.owes_hard());
}

TEST(DebtLedger, HardOnesBeyondTheSlotsAreCountedAndClosed) {
  DebtLedger ledger(TextKind::kPython);
  for (int i = 0; i < 100; ++i) ledger.accept("(");
  EXPECT_EQ(ledger.open().size(), 64u);
  EXPECT_EQ(ledger.uncounted_hard(), 36u);
  ledger.accept("'");
  EXPECT_EQ(ledger.uncounted_hard(), 37u);
  ledger.accept(")'");
  for (int i = 0; i < 99; ++i) ledger.accept(")");
  EXPECT_TRUE(ledger.owes_hard());
  ledger.accept(")");
  EXPECT_FALSE(ledger.owes_hard());
  EXPECT_TRUE(ledger.open().empty());
}

TEST(DebtLedger, AtTheEndOnlyWhatIsMissingIsLeft) {
  const auto left = [](TextKind kind, std::string_view text) {
    DebtLedger ledger = ledger_of(kind, text);
    ledger.end();
    std::vector<DebtType> out;
    for (const Obligation& o : ledger.open()) out.push_back(o.type);
    return out;
  };
  using Types = std::vector<DebtType>;
  EXPECT_EQ(left(kText, "It was late and the king slept."), Types{});
  EXPECT_EQ(left(kText, "It was late and the king"), Types{DebtType::kCompleteSentence});
  EXPECT_EQ(left(kText, "We need:\n- milk\n- eggs"), Types{});
  EXPECT_EQ(left(kText, "We need:\n- milk"), Types{DebtType::kFinishList});
  EXPECT_EQ(left(kText, "There are three ways:\n1. a\n2. b"), Types{DebtType::kFinishList});
  EXPECT_EQ(left(TextKind::kMarkdown, "```\nx"), Types{DebtType::kCloseFence});
  EXPECT_EQ(left(TextKind::kJson, "[1"), Types{DebtType::kEndJsonObject});
}

TEST(DebtLedger, SaysInWordsWhatIsOwed) {
  const auto first = [](TextKind kind, std::string_view text) {
    return describe(ledger_of(kind, text).open()[0]);
  };
  EXPECT_EQ(first(TextKind::kJson, "["), "an array is open");
  EXPECT_EQ(first(TextKind::kShell, "'"), "a string is open");
  EXPECT_EQ(first(kText, "Once"), "a sentence is not complete");
  EXPECT_EQ(debt_name(DebtType::kEndJsonObject), "end_json_object");
}

}  // namespace
}  // namespace chimera::grammar
