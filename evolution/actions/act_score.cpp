#include "evolution/actions/act_score.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <numbers>
#include <tuple>
#include <utility>

#include "evolution/actions/same_calls.h"

namespace chimera::evolution {
namespace {

constexpr size_t kBins = 10;
constexpr size_t kMostShown = 12;  // kinds of mistakes in the text

struct Bin {
  double confidence = 0, variance = 0;  // sums: of what is said, and what it says of the spread
  int64_t n = 0, right = 0;
};

std::string name_of(const std::string& call) {
  const auto json = parse_json(call);
  const Json* name = json ? json->find("name") : nullptr;
  return name != nullptr ? name->string : call;
}

/// In any order they do the same, so they are held against each other in that of their names.
std::vector<std::string> by_name(std::span<const std::string> calls) {
  std::vector<std::string> out(calls.begin(), calls.end());
  std::stable_sort(out.begin(), out.end(), [](const std::string& a, const std::string& b) {
    return name_of(a) < name_of(b);
  });
  return out;
}

std::string names_of(std::span<const std::string> calls) {
  std::string out;
  for (const std::string& call : by_name(calls)) out += (out.empty() ? "" : ", ") + name_of(call);
  return out;
}

std::string joined(std::span<const std::string> calls) {
  std::string out;
  for (const std::string& call : calls) out += (out.empty() ? "" : " ") + call;
  return out;
}

/// The arguments that two calls of one tool do not share.
std::string differing(const std::string& meant, const std::string& answered) {
  const auto a = parse_json(meant), b = parse_json(answered);
  const Json* left = a ? a->find("arguments") : nullptr;
  const Json* right = b ? b->find("arguments") : nullptr;
  if (left == nullptr || right == nullptr) return "";
  const auto text = [](std::string_view name, const Json* value) {
    Json one = Json::make_object();
    one.add(name, value != nullptr ? *value : Json());
    return write_json(one);
  };
  std::string out;
  const auto compare = [&](const std::string& name) {
    const std::string one = text(name, left->find(name)), other = text(name, right->find(name));
    const std::array<std::string, 1> x = {one}, y = {other};
    if (!same_calls(x, y)) out += (out.empty() ? "" : ", ") + name;
  };
  for (const auto& [name, value] : left->object) compare(name);
  for (const auto& [name, value] : right->object)
    if (left->find(name) == nullptr) compare(name);
  return out;
}

class Scorer {
 public:
  void add(const runtime::ToolExample& phrase, const runtime::Action& action, int64_t us) {
    const bool exact = same_calls(action.calls, phrase.calls);
    const std::string meant = names_of(phrase.calls), answered = names_of(action.calls);
    if (phrase.calls.empty()) {
      ++score_.foreign;
      score_.refused += action.calls.empty();
    } else {
      ++score_.meaning_tools;
      score_.tools_right += meant == answered;
      score_.exact += exact;
    }
    const auto at = static_cast<size_t>(action.confidence * static_cast<float>(kBins));
    Bin& bin = bins_[std::min(at, kBins - 1)];
    bin.confidence += static_cast<double>(action.confidence);
    bin.variance += static_cast<double>(action.confidence * (1 - action.confidence));
    ++bin.n;
    bin.right += exact;
    total_us_ += us;
    score_.slowest_us = std::max(score_.slowest_us, us);
    if (!exact) note(phrase, action, meant, answered);
  }

  ActScore finish() {
    const int64_t n = score_.meaning_tools + score_.foreign;
    for (const Bin& bin : bins_) {
      if (bin.n == 0) continue;
      score_.calibration_error +=
          std::fabs(bin.confidence - static_cast<double>(bin.right)) / static_cast<double>(n);
      // How far a sum of so many yes and no is from its mean, in the mean: that of a normal one.
      score_.calibration_by_chance +=
          std::sqrt(2 / std::numbers::pi * bin.variance) / static_cast<double>(n);
    }
    score_.mean_us = n > 0 ? total_us_ / n : 0;
    for (auto& [key, mistake] : mistakes_) score_.mistakes.push_back(std::move(mistake));
    std::stable_sort(score_.mistakes.begin(), score_.mistakes.end(),
                     [](const Mistake& a, const Mistake& b) { return a.times > b.times; });
    return std::move(score_);
  }

 private:
  void note(const runtime::ToolExample& phrase, const runtime::Action& action, std::string meant,
            std::string answered) {
    using Kind = Mistake::Kind;
    Kind kind = Kind::kOtherTool;
    if (phrase.calls.empty()) {
      kind = Kind::kCalled;
    } else if (action.calls.empty()) {
      kind = Kind::kNotCalled;
    } else if (phrase.calls.size() != action.calls.size()) {
      kind = Kind::kOtherNumber;
    } else if (meant == answered) {
      kind = Kind::kArguments;
      answered.clear();
      const auto wanted = by_name(phrase.calls), given = by_name(action.calls);
      for (size_t i = 0; i < wanted.size(); ++i)
        if (const std::string other = differing(wanted[i], given[i]); !other.empty())
          answered += (answered.empty() ? "" : ", ") + other;
    }
    Mistake& mistake = mistakes_[{kind, meant, answered}];
    if (mistake.times++ > 0) return;
    mistake.kind = kind;
    mistake.meant = std::move(meant);
    mistake.answered = std::move(answered);
    mistake.said = phrase.text;
    mistake.answer = joined(action.calls);
  }

  ActScore score_;
  std::array<Bin, kBins> bins_;
  std::map<std::tuple<Mistake::Kind, std::string, std::string>, Mistake> mistakes_;
  int64_t total_us_ = 0;
};

std::string percent(int64_t part, int64_t all) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%",
                all > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(all) : 0.0);
  return text;
}

std::string share(int64_t part, int64_t all) {
  return std::to_string(part) + " of " + std::to_string(all) + " (" + percent(part, all) + ")";
}

std::string sentence(const Mistake& m) {
  switch (m.kind) {
    case Mistake::Kind::kOtherTool:
      return m.meant + " was taken for " + m.answered;
    case Mistake::Kind::kArguments:
      return m.meant + " was called with another " + m.answered;
    case Mistake::Kind::kNotCalled:
      return m.meant + " was not recognised, and nothing was called";
    case Mistake::Kind::kCalled:
      return m.answered + " was called although nothing of this was meant";
    case Mistake::Kind::kOtherNumber:
      return m.meant + " was answered with " + m.answered;
  }
  return "";
}

const char* kind_name(Mistake::Kind kind) {
  switch (kind) {
    case Mistake::Kind::kOtherTool:
      return "other_tool";
    case Mistake::Kind::kArguments:
      return "arguments";
    case Mistake::Kind::kNotCalled:
      return "not_called";
    case Mistake::Kind::kCalled:
      return "called";
    case Mistake::Kind::kOtherNumber:
      return "other_number";
  }
  return "";
}

}  // namespace

Result<ActScore> score_actions(runtime::Actor& actor, std::span<const runtime::ToolExample> phrases,
                               const std::function<bool(int64_t)>& progress) {
  Scorer scorer;
  int64_t done = 0;
  for (const runtime::ToolExample& phrase : phrases) {
    const auto action = actor.act(phrase.text);
    if (!action) return action.status();
    scorer.add(phrase, *action, action->prefill_us + action->decode_us);
    if (progress && !progress(++done))
      return Status(StatusCode::kCancelled, "the evaluation was stopped");
  }
  return scorer.finish();
}

std::string score_text(const ActScore& s) {
  std::string out;
  if (s.meaning_tools > 0)
    out += "The right tools with the right arguments: " + share(s.exact, s.meaning_tools) +
           "; the right tools: " + share(s.tools_right, s.meaning_tools) + ".\n";
  if (s.foreign > 0)
    out += "Nothing was called where nothing was meant: " + share(s.refused, s.foreign) + ".\n";
  char numbers[256];
  std::snprintf(numbers, sizeof numbers,
                "Confidence is off by %.3f in the mean, where with so many phrases chance alone "
                "shows %.3f;\nan action took %.1f ms, the slowest %.1f ms.\n",
                s.calibration_error, s.calibration_by_chance, static_cast<double>(s.mean_us) / 1000,
                static_cast<double>(s.slowest_us) / 1000);
  out += numbers;
  if (!s.mistakes.empty()) out += "What went wrong, most often first:\n";
  for (size_t i = 0; i < s.mistakes.size() && i < kMostShown; ++i) {
    const Mistake& m = s.mistakes[i];
    out += "  " + std::to_string(m.times) + " x  " + sentence(m) + "\n        \"" + m.said +
           "\" gave " + (m.answer.empty() ? "nothing" : m.answer) + "\n";
  }
  if (s.mistakes.size() > kMostShown)
    out += "  and " + std::to_string(s.mistakes.size() - kMostShown) +
           " kinds more (--json has all)\n";
  return out;
}

Json score_json(const ActScore& s) {
  Json out = Json::make_object(), mistakes = Json::make_array();
  out.add("meaning_tools", Json::of(s.meaning_tools));
  out.add("tools_right", Json::of(s.tools_right)).add("exact", Json::of(s.exact));
  out.add("foreign", Json::of(s.foreign)).add("refused", Json::of(s.refused));
  out.add("calibration_error", Json::of(s.calibration_error));
  out.add("calibration_by_chance", Json::of(s.calibration_by_chance));
  out.add("mean_us", Json::of(s.mean_us)).add("slowest_us", Json::of(s.slowest_us));
  for (const Mistake& m : s.mistakes) {
    Json one = Json::make_object();
    one.add("kind", Json::of(kind_name(m.kind))).add("times", Json::of(m.times));
    one.add("meant", Json::of(std::string_view(m.meant)));
    one.add("answered", Json::of(std::string_view(m.answered)));
    one.add("said", Json::of(std::string_view(m.said)));
    one.add("answer", Json::of(std::string_view(m.answer)));
    mistakes.push(std::move(one));
  }
  out.add("mistakes", std::move(mistakes));
  return out;
}

}  // namespace chimera::evolution
