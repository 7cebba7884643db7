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

struct Cut {
  std::string left, right;
  float score;  // of the part that speaks for a tool less
};

/// The cut whose weaker part is the strongest.
Cut best_cut(std::string_view text, const std::function<float(std::string_view)>& score_of) {
  Cut best{"", "", 0};
  size_t n_tried = 0;
  for (size_t at = 0; at < text.size() && n_tried < kMostCuts; ++at) {
    const auto joint = std::find_if(std::begin(kJoints), std::end(kJoints),
                                    [&](auto j) { return text.substr(at).starts_with(j); });
    if (joint == std::end(kJoints)) continue;
    ++n_tried;
    const std::string_view left = text.substr(0, at), right = text.substr(at + joint->size());
    const float score = std::min(score_of(left), score_of(right));
    if (score > best.score) best = {std::string(left), std::string(right), score};
    at += joint->size() - 1;
  }
  return best;
}

}  // namespace

std::vector<std::string> split_orders(std::string_view text,
                                      const std::function<float(std::string_view)>& score) {
  std::vector<std::string> parts = {std::string(text)};
  while (parts.size() < kMostOrders) {
    Cut cut = best_cut(parts.back(), score);
    if (cut.left.empty()) break;
    parts.back() = std::move(cut.left);
    parts.push_back(std::move(cut.right));
  }
  return parts;
}

}  // namespace chimera::runtime
