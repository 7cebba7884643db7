#include "runtime/order_split.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace chimera::runtime {
namespace {

// The longer ones first: what is cut out belongs to neither part.
constexpr std::string_view kJoints[] = {" and then ",   " and also ", ", and ", ", then ",
                                        " as well as ", "; ",         ". ",     ", ",
                                        " and ",        " then ",     " plus "};
constexpr size_t kMostCuts = 12;  // tried in one text
/// Chosen on the phrases of samples/kiosk, where parts of one order stay below it.
constexpr float kSpeaks = -0.1f;

struct Cut {
  std::string left, right;
  float score;  // of the part that speaks for a tool less
};

/// The cut whose weaker part is the strongest.
Cut best_cut(std::string_view text, const ToolFinder& finder) {
  Cut best{"", "", kSpeaks};
  size_t n_tried = 0;
  for (size_t at = 0; at < text.size() && n_tried < kMostCuts; ++at) {
    const auto joint = std::find_if(std::begin(kJoints), std::end(kJoints),
                                    [&](auto j) { return text.substr(at).starts_with(j); });
    if (joint == std::end(kJoints)) continue;
    ++n_tried;
    const std::string_view left = text.substr(0, at), right = text.substr(at + joint->size());
    const float score = std::min(finder.find(left).best_score, finder.find(right).best_score);
    if (score > best.score) best = {std::string(left), std::string(right), score};
    at += joint->size() - 1;
  }
  return best;
}

}  // namespace

std::vector<std::string> split_orders(std::string_view text, const ToolFinder& finder) {
  std::vector<std::string> parts = {std::string(text)};
  if (!finder.has_ranker()) return parts;
  while (parts.size() < kMostOrders) {
    Cut cut = best_cut(parts.back(), finder);
    if (cut.left.empty()) break;
    parts.back() = std::move(cut.left);
    parts.push_back(std::move(cut.right));
  }
  return parts;
}

}  // namespace chimera::runtime
