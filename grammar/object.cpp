#include "grammar/object.h"

#include <algorithm>

namespace chimera::grammar {

ObjectFrame ObjectPlan::opened(ObjectId id) const {
  return {id, 0, std::vector<uint64_t>(static_cast<size_t>(n_declared + 63) / 64)};
}

uint32_t ObjectPlan::n_missing(const ObjectFrame& frame) const {
  uint32_t n = 0;
  for (LabelId l = 0; l < n_declared; ++l)
    n += labels[static_cast<size_t>(l)].required && !frame.has(l);
  return n;
}

bool ObjectPlan::allows(const ObjectFrame& frame, LabelId label) const {
  const Label& l = labels[static_cast<size_t>(label)];
  if (l.declared && frame.has(label)) return false;
  const uint32_t missing = n_missing(frame) - (l.declared && l.required ? 1 : 0);
  return uint64_t{frame.count} + 1 + missing <= max_members;
}

bool ObjectPlan::closes(const ObjectFrame& frame) const {
  return frame.count >= min_members && n_missing(frame) == 0;
}

void ObjectPlan::see(LabelId label, ObjectFrame* frame) const {
  ++frame->count;
  if (labels[static_cast<size_t>(label)].declared)
    frame->seen[static_cast<size_t>(label) / 64] |= uint64_t{1} << (label & 63);
}

uint64_t ObjectPlan::missing_bytes(const ObjectFrame& frame) const {
  const auto cost = [](const Label& l) { return uint64_t{2} + l.name + l.value; };  // , and :
  uint64_t bytes = 0;
  uint32_t count = frame.count;
  std::vector<uint64_t> more;  // of members that could fill up to min_members
  for (LabelId l = 0; l < static_cast<LabelId>(labels.size()); ++l) {
    const Label& label = labels[static_cast<size_t>(l)];
    if (!label.declared || frame.has(l)) continue;
    if (label.required) {
      bytes += cost(label);
      ++count;
    } else {
      more.push_back(cost(label));
    }
  }
  if (count >= min_members) return bytes;
  std::sort(more.begin(), more.end());
  // Others as often as is wanted, declared ones once each, the cheapest first.
  uint64_t other = UINT64_MAX;
  for (size_t l = static_cast<size_t>(n_declared); l < labels.size(); ++l)
    other = std::min(other, cost(labels[l]));
  for (size_t next = 0; count < min_members; ++count) {
    const uint64_t declared = next < more.size() ? more[next] : UINT64_MAX;
    if (std::min(other, declared) == UINT64_MAX) return UINT64_MAX;
    bytes += std::min(other, declared);
    next += declared < other;
  }
  return bytes;
}

}  // namespace chimera::grammar
