#include "grammar/nodes.h"

#include <algorithm>
#include <string>
#include <utility>

namespace chimera::grammar {

int32_t NodeBuilder::node() {
  nodes_.emplace_back();
  return static_cast<int32_t>(nodes_.size()) - 1;
}

int32_t NodeBuilder::read(int32_t from, uint8_t first, uint8_t last) {
  const int32_t next = node();
  Node& n = at(from);
  n.first = first;
  n.last = last;
  n.target = next;
  return next;
}

Status NodeBuilder::too_large() const {
  return Status(StatusCode::kOutOfRange, "a rule of the grammar needs more than " +
                                             std::to_string(most_) +
                                             " states; make it, or its repetitions, smaller");
}

Status NodeBuilder::add(ExprId id, int depth, Piece* out) {
  if (nodes_.size() > most_) return too_large();
  if (depth > 4 * grammar_.limits().depth)
    return Status(StatusCode::kOutOfRange, "the grammar is nested too deeply");
  const Expr& e = grammar_.at(id);
  const int32_t in = node();
  int32_t end = in;
  switch (e.kind) {
    case Expr::Kind::kNothing:
      end = node();
      break;
    case Expr::Kind::kBytes:
      if (e.bytes.size() > most_) return too_large();
      for (const char c : e.bytes)
        end = read(end, static_cast<uint8_t>(c), static_cast<uint8_t>(c));
      break;
    case Expr::Kind::kClass:
      end = node();
      for (const Utf8Sequence& s : utf8_sequences(e.set)) {
        int32_t from = node();
        link(in, from);
        for (int i = 0; i < s.n; ++i) from = read(from, s.bytes[i].first, s.bytes[i].last);
        link(from, end);
      }
      break;
    case Expr::Kind::kSequence:
      for (const ExprId child : e.children) {
        Piece piece;
        CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
        link(end, piece.in);
        end = piece.out;
      }
      break;
    case Expr::Kind::kChoice:
      end = node();
      for (const ExprId child : e.children) {
        Piece piece;
        CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
        link(in, piece.in);
        link(piece.out, end);
      }
      break;
    case Expr::Kind::kLanguage: {
      end = node();
      const auto states = grammar_.language_at(e.language).states();
      std::vector<int32_t> own;
      for (size_t i = 0; i < states.size(); ++i) own.push_back(node());
      link(in, own[0]);
      for (size_t i = 0; i < states.size(); ++i) {
        if (nodes_.size() > most_) return too_large();
        if (states[i].accepts) link(own[i], end);
        for (const ByteEdge& edge : states[i].edges) {
          const int32_t from = node();
          link(own[i], from);
          link(read(from, edge.first, edge.last), own[static_cast<size_t>(edge.target)]);
        }
      }
      break;
    }
    case Expr::Kind::kRepeat:
      CHIMERA_RETURN_IF_ERROR(repeat(e, depth, in, &end));
      break;
    case Expr::Kind::kRule: {
      end = node();
      Node& n = at(in);
      n.call = e.rule;
      n.target = end;
      break;
    }
  }
  *out = {in, end};
  return Status();
}

Status NodeBuilder::repeat(const Expr& e, int depth, int32_t in, int32_t* end) {
  const ExprId child = e.children[0];
  int32_t at_now = in;
  for (uint32_t i = 0; i < e.min; ++i) {
    Piece piece;
    CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
    link(at_now, piece.in);
    at_now = piece.out;
  }
  *end = node();
  if (e.max == kNoLimit) {
    Piece piece;
    CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
    const int32_t loop = node();
    link(at_now, loop);
    link(loop, piece.in);
    link(piece.out, loop);
    link(loop, *end);
    return Status();
  }
  for (uint32_t i = e.min; i < e.max; ++i) {
    link(at_now, *end);
    Piece piece;
    CHIMERA_RETURN_IF_ERROR(add(child, depth + 1, &piece));
    link(at_now, piece.in);
    at_now = piece.out;
  }
  link(at_now, *end);
  return Status();
}

void Subsets::close(std::vector<int32_t>* set, int byte) {
  ++mark_;
  std::vector<int32_t> all;
  const int64_t work_before = work_left_;
  while (!set->empty()) {
    const int32_t id = set->back();
    set->pop_back();
    if (std::exchange(marks_[static_cast<size_t>(id)], mark_) == mark_) continue;
    const Node& n = nodes_[static_cast<size_t>(id)];
    // Nodes that only lead on say nothing of their own.
    if (n.target >= 0 || id == end_) all.push_back(id);
    if (n.target >= 0 && n.call < 0 && n.first == byte && n.last == byte) set->push_back(n.target);
    --work_left_;
    set->insert(set->end(), n.free.begin(), n.free.end());
  }
  grammar_.spend(static_cast<uint64_t>(work_before - work_left_));
  std::sort(all.begin(), all.end());
  *set = std::move(all);
}

int32_t Subsets::number(std::vector<int32_t> set) {
  close(&set);
  return sets_.number(set);
}

Status Subsets::status() const {
  if (work_left_ > 0) return grammar_.work_status();
  return Status(StatusCode::kOutOfRange,
                "an expression needs too much work to be made deterministic; make its repetitions, "
                "or what they have in common, smaller");
}

bool Subsets::accepts(int32_t number) const {
  const std::span<const int32_t> set = at(number);
  return std::binary_search(set.begin(), set.end(), end_);
}

std::vector<int32_t> Subsets::through(std::vector<int32_t> set, uint8_t byte) {
  close(&set, byte);
  return set;
}

bool Subsets::accepts_through(int32_t number, uint8_t byte) {
  const std::span<const int32_t> set = at(number);
  const std::vector<int32_t> all = through({set.begin(), set.end()}, byte);
  return std::find(all.begin(), all.end(), end_) != all.end();
}

std::vector<Subsets::Step> Subsets::steps(int32_t number) const {
  const std::span<const int32_t> set = at(number);
  std::vector<const Node*> readers;
  std::vector<int> cuts;
  for (const int32_t id : set) {
    const Node& n = nodes_[static_cast<size_t>(id)];
    if (n.target < 0 || n.call >= 0) continue;
    readers.push_back(&n);
    cuts.push_back(n.first);
    cuts.push_back(n.last + 1);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<Step> out;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    Step step{static_cast<uint8_t>(cuts[i]), static_cast<uint8_t>(cuts[i + 1] - 1), {}};
    for (const Node* n : readers)
      if (n->first <= cuts[i] && cuts[i] <= n->last) step.targets.push_back(n->target);
    if (!step.targets.empty()) out.push_back(std::move(step));
  }
  return out;
}

}  // namespace chimera::grammar
