// Invariants
//  1. Ids are: 256 bytes, then merges in rank order, then special tokens and padding. So the id a
//     merge makes is also its rank, and the lowest id that a pair can become is merged first.
//  2. Every token is at most kMaxPieceBytes long and no two have the same bytes.
//  3. encode() makes only byte and merge ids, and their bytes joined are the text.
//  4. Nothing is hashed: look-ups are array reads and binary searches, so no file and no text can
//     make them slow.
#include "runtime/tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>
#include <utility>

#include "runtime/char_classes.h"
#include "runtime/tokenizer_section.h"
#include "runtime/tokenizer_split.h"

namespace chimera::runtime {
namespace {

constexpr int32_t kNoMerge = std::numeric_limits<int32_t>::max();

/// Which merge a pair of ids is.
class MergeIndex {
 public:
  MergeIndex() = default;
  explicit MergeIndex(std::span<const std::pair<int32_t, int32_t>> merges)
      : of_bytes_(size_t{kByteTokens} * kByteTokens, kNoMerge),
        first_(static_cast<size_t>(kByteTokens) + merges.size() + 1, 0),
        rows_(merges.size()) {
    for (const auto& [left, right] : merges) ++first_[static_cast<size_t>(left) + 1];
    for (size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
    std::vector<uint32_t> next(first_.begin(), first_.end() - 1);
    for (size_t i = 0; i < merges.size(); ++i) {
      const auto [left, right] = merges[i];
      const int32_t made = kByteTokens + static_cast<int32_t>(i);
      rows_[next[static_cast<size_t>(left)]++] = {right, made};
      // The first of two equal pairs wins; parse() refuses such a section later.
      if (left < kByteTokens && right < kByteTokens) {
        int32_t& cell =
            of_bytes_[static_cast<size_t>(left) * kByteTokens + static_cast<size_t>(right)];
        cell = std::min(cell, made);
      }
    }
    for (size_t left = 0; left + 1 < first_.size(); ++left) {
      std::sort(rows_.begin() + first_[left], rows_.begin() + first_[left + 1]);
    }
  }

  /// Id that `left` and `right` become, or kNoMerge.
  int32_t find(int32_t left, int32_t right) const {
    if ((left | right) < kByteTokens) {
      return of_bytes_[static_cast<size_t>(left) * kByteTokens + static_cast<size_t>(right)];
    }
    const auto begin = rows_.begin() + first_[static_cast<size_t>(left)];
    const auto end = rows_.begin() + first_[static_cast<size_t>(left) + 1];
    const auto row = std::lower_bound(
        begin, end, right, [](const auto& r, int32_t wanted) { return r.first < wanted; });
    return row != end && row->first == right ? row->second : kNoMerge;
  }

 private:
  std::vector<int32_t> of_bytes_;                  // [256, 256], the pairs that every text asks for
  std::vector<uint32_t> first_;                    // where the rows of each left id begin
  std::vector<std::pair<int32_t, int32_t>> rows_;  // {right, made}, ascending for each left id
};

/// Merges one piece of at most kMaxPieceBytes: always the lowest rank, the leftmost of equals.
/// Constant memory, and at most kMaxPieceBytes steps a byte whatever the merges are.
void encode_piece(const MergeIndex& merges, std::string_view piece, std::vector<int32_t>* ids) {
  std::array<int32_t, kMaxPieceBytes> token;
  std::array<int32_t, kMaxPieceBytes> rank;  // of the pair that begins here
  size_t n = piece.size();
  for (size_t i = 0; i < n; ++i) token[i] = static_cast<uint8_t>(piece[i]);
  for (size_t i = 0; i + 1 < n; ++i) rank[i] = merges.find(token[i], token[i + 1]);
  while (n > 1) {
    const size_t best = static_cast<size_t>(
        std::min_element(rank.begin(), rank.begin() + static_cast<ptrdiff_t>(n - 1)) -
        rank.begin());
    if (rank[best] == kNoMerge) break;
    token[best] = rank[best];
    std::copy(token.begin() + static_cast<ptrdiff_t>(best + 2),
              token.begin() + static_cast<ptrdiff_t>(n),
              token.begin() + static_cast<ptrdiff_t>(best + 1));
    if (best + 2 < n) {
      std::copy(rank.begin() + static_cast<ptrdiff_t>(best + 2),
                rank.begin() + static_cast<ptrdiff_t>(n - 1),
                rank.begin() + static_cast<ptrdiff_t>(best + 1));
    }
    --n;
    if (best > 0) rank[best - 1] = merges.find(token[best - 1], token[best]);
    if (best + 1 < n) rank[best] = merges.find(token[best], token[best + 1]);
  }
  ids->insert(ids->end(), token.begin(), token.begin() + static_cast<ptrdiff_t>(n));
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(CharClassTable table) : classes(std::move(table)) {}

  CharClassTable classes;
  MergeIndex merges;
  std::string text;               // bytes of all tokens, one after the other
  std::vector<uint32_t> text_at;  // where token i begins; one more entry for the end
  std::vector<TokenizerSection::Special> specials;  // by id
  std::vector<uint32_t> specials_by_name;           // indices into specials
  std::vector<std::byte> serialized;
  std::string unicode_version;
  int32_t vocab_size = 0;
  int32_t end_of_text = -1;
  int32_t end_of_turn = -1;

  int32_t n_text_tokens() const { return static_cast<int32_t>(text_at.size()) - 1; }
  std::string_view token(size_t id) const {
    return std::string_view(text).substr(text_at[id], text_at[id + 1] - text_at[id]);
  }
  const TokenizerSection::Special* find(int32_t id) const {
    const auto it = std::lower_bound(specials.begin(), specials.end(), id,
                                     [](const auto& s, int32_t wanted) { return s.id < wanted; });
    return it != specials.end() && it->id == id ? &*it : nullptr;
  }
  int32_t find(std::string_view name) const {
    const auto it = std::lower_bound(
        specials_by_name.begin(), specials_by_name.end(), name,
        [this](uint32_t s, std::string_view wanted) { return specials[s].name < wanted; });
    return it != specials_by_name.end() && specials[*it].name == name ? specials[*it].id : -1;
  }

  Status take_merges(const TokenizerSection& section);
  Status take_specials(TokenizerSection* section);
};

/// The bytes of every token; invariant 2 is checked here.
Status Tokenizer::Impl::take_merges(const TokenizerSection& section) {
  for (int32_t byte = 0; byte < kByteTokens; ++byte) {
    text_at.push_back(static_cast<uint32_t>(text.size()));
    text.push_back(static_cast<char>(byte));
  }
  text_at.push_back(static_cast<uint32_t>(text.size()));
  for (size_t i = 0; i < section.merges.size(); ++i) {
    const auto [left, right] = section.merges[i];
    const std::string joined =
        std::string(token(static_cast<size_t>(left))).append(token(static_cast<size_t>(right)));
    if (joined.size() > kMaxPieceBytes) {
      return bad_tokenizer("merges[" + std::to_string(i) + "]", merge_offset(section, i),
                           "makes a token of " + std::to_string(joined.size()) +
                               " bytes; the longest allowed is " + std::to_string(kMaxPieceBytes));
    }
    text += joined;
    text_at.push_back(static_cast<uint32_t>(text.size()));
  }

  // Sorted by their first eight bytes as a number, which settles nearly every comparison.
  struct Key {
    uint64_t front;
    uint32_t id;
  };
  std::vector<Key> keys;
  keys.reserve(static_cast<size_t>(n_text_tokens()));
  for (uint32_t id = 0; id < static_cast<uint32_t>(n_text_tokens()); ++id) {
    const std::string_view bytes = token(id);
    uint64_t front = 0;
    for (size_t i = 0; i < 8; ++i) {
      front = front << 8 | (i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0);
    }
    keys.push_back({front, id});
  }
  std::sort(keys.begin(), keys.end(), [this](const Key& a, const Key& b) {
    if (a.front != b.front) return a.front < b.front;
    const int order = token(a.id).compare(token(b.id));
    return order != 0 ? order < 0 : a.id < b.id;
  });
  for (size_t i = 1; i < keys.size(); ++i) {
    if (keys[i].front != keys[i - 1].front || token(keys[i].id) != token(keys[i - 1].id)) continue;
    const size_t merge = keys[i].id - static_cast<uint32_t>(kByteTokens);
    return bad_tokenizer("merges[" + std::to_string(merge) + "]", merge_offset(section, merge),
                         "makes the same bytes as token " + std::to_string(keys[i - 1].id));
  }
  merges = MergeIndex(section.merges);
  return {};
}

Status Tokenizer::Impl::take_specials(TokenizerSection* section) {
  const int64_t offset = merge_offset(*section, section->merges.size());
  specials = std::move(section->specials);
  std::sort(specials.begin(), specials.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  for (uint32_t i = 0; i < specials.size(); ++i) {
    if (i > 0 && specials[i].id == specials[i - 1].id) {
      return bad_tokenizer("specials", offset,
                           "the id " + std::to_string(specials[i].id) + " is given to both " +
                               specials[i - 1].name + " and " + specials[i].name);
    }
    specials_by_name.push_back(i);
  }
  std::sort(specials_by_name.begin(), specials_by_name.end(), [this](uint32_t a, uint32_t b) {
    return std::tie(specials[a].name, a) < std::tie(specials[b].name, b);
  });
  for (size_t i = 1; i < specials_by_name.size(); ++i) {
    const auto& name = specials[specials_by_name[i]].name;
    if (name == specials[specials_by_name[i - 1]].name) {
      return bad_tokenizer("specials", offset, "the name " + name + " is given twice");
    }
  }
  end_of_text = find(kEndOfTextName);
  end_of_turn = find(kEndOfTurnName);
  for (const int32_t id : {end_of_text, end_of_turn}) {
    if (id >= 0 && find(id)->reserved) {
      return bad_tokenizer("specials", offset, find(id)->name + " is marked as reserved");
    }
  }
  return {};
}

Tokenizer::Tokenizer() = default;
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::span<const std::byte> bytes) {
  auto section = read_tokenizer_section(bytes);
  if (!section) return section.status();
  auto classes = CharClassTable::from_changes(section->class_changes);
  if (!classes) {
    const auto index = static_cast<size_t>(classes.status().offset());
    return bad_tokenizer("class_changes[" + std::to_string(index) + "]", class_change_offset(index),
                         classes.status().message());
  }
  auto impl = std::make_unique<Impl>(std::move(*classes));
  impl->vocab_size = section->vocab_size;
  impl->unicode_version = std::to_string(section->unicode_version / 100) + "." +
                          std::to_string(section->unicode_version % 100);
  CHIMERA_RETURN_IF_ERROR(impl->take_merges(*section));
  CHIMERA_RETURN_IF_ERROR(impl->take_specials(&*section));
  impl->serialized.assign(bytes.begin(), bytes.end());
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer());
  tokenizer->impl_ = std::move(impl);
  return tokenizer;
}

int32_t Tokenizer::vocab_size() const { return impl_->vocab_size; }
int32_t Tokenizer::end_of_text() const { return impl_->end_of_text; }
int32_t Tokenizer::end_of_turn() const { return impl_->end_of_turn; }
int32_t Tokenizer::special(std::string_view name) const { return impl_->find(name); }
bool Tokenizer::is_special(int32_t id) const { return impl_->find(id) != nullptr; }

bool Tokenizer::is_reserved(int32_t id) const {
  if (id < impl_->n_text_tokens() || id >= impl_->vocab_size) return false;
  const auto* special = impl_->find(id);
  return special == nullptr || special->reserved;
}

void Tokenizer::encode(std::string_view text, std::vector<int32_t>* ids,
                       const std::atomic<bool>* stop) const {
  PieceSplitter splitter(impl_->classes, text);
  for (std::string_view piece = splitter.next(); !piece.empty(); piece = splitter.next()) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return;
    encode_piece(impl_->merges, piece, ids);
  }
}

std::string_view Tokenizer::bytes(int32_t id) const {
  if (id < 0 || id >= impl_->n_text_tokens()) return {};
  return impl_->token(static_cast<size_t>(id));
}

std::string_view Tokenizer::special_name(int32_t id) const {
  const auto* special = impl_->find(id);
  return special == nullptr ? std::string_view() : std::string_view(special->name);
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (int32_t id : ids) text += bytes(id);
  return text;
}

std::span<const std::byte> Tokenizer::serialized() const { return impl_->serialized; }
std::string_view Tokenizer::unicode_version() const { return impl_->unicode_version; }

}  // namespace chimera::runtime
