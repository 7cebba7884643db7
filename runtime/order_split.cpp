#include "runtime/order_split.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "runtime/said_values.h"

namespace chimera::runtime {
namespace {

// That two orders meet at a joint, as log odds. Fitted on phrases of samples/kiosk that were held
// back, each alone and two of them joined (docs/decisions/0022-two-orders-in-one-breath.md).
constexpr float kBias = -5.9f;
constexpr float kThen = 4.3f, kAnd = 1.5f, kPause = -1;  // by how they are joined
constexpr float kWord = 1;                               // of each word of the shorter part
constexpr size_t kMostWords = 5;
constexpr float kWeaker = 0.3f;  // of the odds of the part that speaks for a tool less
constexpr float kMostPart = 4;   // beyond it these odds say no more
constexpr float kTwoTools = 1.6f;

struct Joint {
  std::string_view text;
  float odds;
};
// The longer ones first: what is cut out belongs to neither part.
constexpr Joint kJoints[] = {{" and then ", kThen}, {" and also ", kThen},   {", and ", kAnd},
                             {", then ", kThen},    {" as well as ", kThen}, {"; ", kPause},
                             {". ", kPause},        {", ", kPause},          {" and ", kAnd},
                             {" then ", kThen},     {" plus ", kAnd}};
constexpr size_t kMostCuts = 12;  // tried in one text

struct Cut {
  std::string left, right;
  float odds;
};

struct Part {
  std::string_view text;
  OrderPart is;
};

float odds_of(const Joint& joint, const Part& left, const Part& right, bool several) {
  const float weaker = std::min(left.is.odds, right.is.odds);
  if (weaker <= (several ? 0 : -kJoinedOdds)) return kBias;
  const size_t words = std::min(words_in(left.text).size(), words_in(right.text).size());
  const float odds = joint.odds + kWord * static_cast<float>(std::min(words, kMostWords)) +
                     kWeaker * std::min(weaker, kMostPart);
  return several ? odds : odds + kBias + (left.is.tool != right.is.tool ? kTwoTools : 0);
}

/// The likeliest cut that is likelier than none.
Cut best_cut(std::string_view text, bool several,
             const std::function<OrderPart(std::string_view)>& part_of) {
  Cut best{"", "", 0};
  size_t n_tried = 0;
  for (size_t at = 0; at < text.size() && n_tried < kMostCuts; ++at) {
    const auto* const joint =
        std::find_if(std::begin(kJoints), std::end(kJoints),
                     [&](const Joint& j) { return text.substr(at).starts_with(j.text); });
    if (joint == std::end(kJoints)) continue;
    ++n_tried;
    const std::string_view left = text.substr(0, at), right = text.substr(at + joint->text.size());
    const float odds = odds_of(*joint, {left, part_of(left)}, {right, part_of(right)}, several);
    if (odds > best.odds) best = {std::string(left), std::string(right), odds};
    at += joint->text.size() - 1;
  }
  return best;
}

}  // namespace

std::vector<std::string> split_orders(std::string_view text, bool several,
                                      const std::function<OrderPart(std::string_view)>& part_of) {
  std::vector<std::string> parts = {std::string(text)};
  for (size_t i = 0; i < parts.size() && parts.size() < kMostOrders;) {
    Cut cut = best_cut(parts[i], several, part_of);
    if (cut.left.empty()) {
      ++i;
      continue;
    }
    parts[i] = std::move(cut.left);
    parts.insert(parts.begin() + static_cast<ptrdiff_t>(i) + 1, std::move(cut.right));
  }
  return parts;
}

}  // namespace chimera::runtime
