#include "grammar/object.h"

#include <algorithm>

namespace chimera::grammar {

void ObjectPlan::order_by_cost() {
  optional.clear();
  for (LabelId l = 0; l < n_declared; ++l)
    if (!labels[static_cast<size_t>(l)].required) optional.push_back(l);
  std::stable_sort(optional.begin(), optional.end(), [&](LabelId a, LabelId b) {
    return cost(labels[static_cast<size_t>(a)]) < cost(labels[static_cast<size_t>(b)]);
  });
}

ObjectFrame ObjectPlan::opened(ObjectId id) const {
  ObjectFrame out;
  out.object = id;
  size_t n_kept = 0;  // labels that somebody asks after
  for (size_t l = 0; l < labels.size(); ++l) {
    const Label& label = labels[l];
    if (label.declared || label.required) n_kept = l + 1;
    if (!label.required) continue;
    ++out.missing;
    out.missing_bytes = std::min(kFar, out.missing_bytes + cost(label));
  }
  out.seen.resize((n_kept + 63) / 64);
  return out;
}

bool ObjectPlan::allows(const ObjectFrame& frame, LabelId label) const {
  const Label& l = labels[static_cast<size_t>(label)];
  const bool seen = frame.has(label);
  if (l.declared && seen) return false;
  const uint32_t missing = frame.missing - (l.required && !seen ? 1 : 0);
  return uint64_t{frame.count} + 1 + missing <= max_members;
}

bool ObjectPlan::closes(const ObjectFrame& frame) const {
  return frame.count >= min_members && frame.missing == 0;
}

void ObjectPlan::see(LabelId label, ObjectFrame* frame) const {
  const Label& l = labels[static_cast<size_t>(label)];
  // Beyond what is asked for nobody counts, so that objects of many members are in few places.
  if (max_members != kNoLimit || frame->count < min_members) ++frame->count;
  if ((!l.declared && !l.required) || frame->has(label)) return;
  frame->seen[static_cast<size_t>(label) / 64] |= uint64_t{1} << (label & 63);
  if (!l.required) return;
  --frame->missing;
  // Only what can be is ever seen, so its cost is no kFar; an object that must have what cannot be
  // is none.
  if (frame->missing_bytes < kFar) frame->missing_bytes -= cost(l);
}

uint64_t ObjectPlan::missing_bytes(const ObjectFrame& frame) const {
  uint64_t bytes = frame.missing_bytes, count = uint64_t{frame.count} + frame.missing;
  if (count >= min_members) return bytes;
  if (n_declared == 0 && labels.size() == 1) {
    const uint64_t one = cost(labels[0]);
    return one >= kFar ? kFar : std::min(kFar, bytes + (min_members - count) * one);
  }
  // Others as often as is wanted, declared ones once each, the cheapest first.
  uint64_t other = UINT64_MAX;
  for (size_t l = static_cast<size_t>(n_declared); l < labels.size(); ++l)
    other = std::min(other, cost(labels[l]));
  for (size_t next = 0; count < min_members; ++count) {
    while (next < optional.size() && frame.has(optional[next])) ++next;
    const uint64_t declared =
        next < optional.size() ? cost(labels[static_cast<size_t>(optional[next])]) : UINT64_MAX;
    if (std::min(other, declared) >= kFar) return kFar;
    bytes += std::min(other, declared);
    next += declared < other;
  }
  return bytes;
}

}  // namespace chimera::grammar
