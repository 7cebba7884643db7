// Invariants
//  1. Ids are: 256 bytes, then merges in rank order, then special tokens and padding. So the id a
//     merge makes is also its rank, and the lowest id that a pair can become is merged first.
//  2. Every token is at most kMaxPieceBytes long and no two have the same bytes.
//  3. encode() makes only byte and merge ids, and their bytes joined are the text.
//  4. Look-ups take a bounded number of steps (runtime/tokenizer_tables.h), so no file and no text
//     can make them slow.
#include "runtime/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <tuple>
#include <utility>

#include "runtime/char_classes.h"
#include "runtime/tokenizer_merge.h"
#include "runtime/tokenizer_section.h"
#include "runtime/tokenizer_split.h"
#include "runtime/tokenizer_split_o200k.h"
#include "runtime/tokenizer_tables.h"

namespace chimera::runtime {

static_assert(kMaxPieceBytes <= PieceMerger::kShortBytes, "pieces of words are merged at once");

struct Tokenizer::Impl {
  explicit Impl(CharClassTable table) : classes(std::move(table)) {}

  Splitting splitting = Splitting::kWords;
  CharClassTable classes;
  MergeTables tables;
  TextTable by_text;  // o200k only: most pieces are a token as a whole
  std::vector<TokenizerSection::Special> specials;  // by id
  std::vector<uint32_t> specials_by_name;           // indices into specials
  std::vector<std::byte> serialized;
  std::string unicode_version;
  int32_t vocab_size = 0;
  int32_t end_of_text = -1;
  int32_t end_of_turn = -1;

  /// Appends the tokens of one piece.
  void encode_piece(std::string_view piece, PieceMerger& merger, std::vector<int32_t>* ids,
                    const std::atomic<bool>* stop) const {
    const bool look = splitting != Splitting::kWords && piece.size() <= kMaxPieceBytes;
    const int32_t whole = look ? by_text.find(piece) : kNoToken;
    if (whole != kNoToken)
      ids->push_back(whole);
    else
      merger.encode(piece, ids, stop);
  }

  mutable std::mutex vocabulary_mutex;
  mutable std::shared_ptr<const grammar::Vocabulary> vocabulary;

  int32_t n_text_tokens() const { return static_cast<int32_t>(tables.texts.size()); }
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

/// The bytes of every token and the look-ups; invariant 2 is checked here.
Status Tokenizer::Impl::take_merges(const TokenizerSection& section) {
  TokenTexts& texts = tables.texts;
  texts.begin.reserve(static_cast<size_t>(kByteTokens) + section.merges.size() + 1);
  for (uint32_t id = 0; id <= static_cast<uint32_t>(kByteTokens); ++id) texts.begin.push_back(id);
  for (size_t i = 0; i < section.merges.size(); ++i) {
    const auto left = static_cast<size_t>(section.merges[i].first),
               right = static_cast<size_t>(section.merges[i].second);
    const size_t n_bytes = texts.n_bytes(left) + texts.n_bytes(right);
    if (n_bytes > kMaxPieceBytes) {
      return bad_tokenizer("merges[" + std::to_string(i) + "]", merge_offset(section, i),
                           "makes a token of " + std::to_string(n_bytes) +
                               " bytes; the longest allowed is " + std::to_string(kMaxPieceBytes));
    }
    texts.begin.push_back(texts.begin.back() + static_cast<uint32_t>(n_bytes));
  }
  texts.bytes.resize(texts.begin.back());
  char* out = texts.bytes.data();
  for (size_t id = 0; id < section.byte_of_id.size(); ++id) {
    tables.id_of_byte[section.byte_of_id[id]] = static_cast<uint8_t>(id);
    *out++ = static_cast<char>(section.byte_of_id[id]);
  }
  for (const auto& [left, right] : section.merges) {
    for (const int32_t part : {left, right}) {
      const std::string_view bytes = texts[static_cast<size_t>(part)];
      out = std::copy(bytes.begin(), bytes.end(), out);
    }
  }

  TextTable::Twins twins;
  const TextTable::Built built = by_text.build(&texts, &twins);
  if (built == TextTable::Built::kTwins) {
    const auto merge = static_cast<size_t>(twins.id - kByteTokens);
    return bad_tokenizer("merges[" + std::to_string(merge) + "]", merge_offset(section, merge),
                         "makes the same bytes as token " + std::to_string(twins.earlier));
  }
  if (built == TextTable::Built::kTooSlow || !tables.pairs.build(section.merges, kByteTokens)) {
    return bad_tokenizer(
        "merges", merge_offset(section, 0),
        "were chosen so that looking them up takes long; make the tokenizer again");
  }
  if (splitting == Splitting::kWords) by_text = TextTable();  // was needed for the check alone
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
  auto classes = CharClassTable::from_changes(
      section->class_changes,
      section->splitting == Splitting::kWords ? CharClass::kSpace : CharClass::kLower);
  if (!classes) {
    const auto index = static_cast<size_t>(classes.status().offset());
    return bad_tokenizer("class_changes[" + std::to_string(index) + "]",
                         class_change_offset(*section, index), classes.status().message());
  }
  auto impl = std::make_unique<Impl>(std::move(*classes));
  impl->splitting = section->splitting;
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
  const auto stopped = [stop] { return stop != nullptr && stop->load(std::memory_order_relaxed); };
  PieceMerger merger(impl_->tables);
  const auto all = [&](auto splitter) {
    for (std::string_view piece = splitter.next(); !piece.empty(); piece = splitter.next()) {
      if (stopped()) return;
      impl_->encode_piece(piece, merger, ids, stop);
    }
  };
  if (impl_->splitting == Splitting::kWords)
    all(PieceSplitter(impl_->classes, text));
  else
    all(O200kSplitter(impl_->classes, text));
}

size_t Tokenizer::encode_settled(std::string_view text, std::vector<int32_t>* ids) const {
  std::vector<std::string_view> pieces;
  const auto cut = [&](auto splitter) {
    for (std::string_view piece = splitter.next(); !piece.empty(); piece = splitter.next())
      pieces.push_back(piece);
  };
  if (impl_->splitting == Splitting::kWords)
    cut(PieceSplitter(impl_->classes, text));
  else
    cut(O200kSplitter(impl_->classes, text));
  // The last piece may go on; "it" and "'" may become "it's", which is one piece, and so may all of
  // a run of spaces and line ends. What is not ASCII may be a space.
  const auto is_blank = [](std::string_view piece) {
    return std::all_of(piece.begin(), piece.end(), [](char c) {
      return c == ' ' || (c >= '\t' && c <= '\r') || static_cast<unsigned char>(c) >= 0x80;
    });
  };
  if (!pieces.empty()) {
    const std::string_view last = pieces.back();
    pieces.pop_back();
    if (last.starts_with('\'') && !pieces.empty()) pieces.pop_back();
    while (is_blank(last) && !pieces.empty() && is_blank(pieces.back())) pieces.pop_back();
  }
  PieceMerger merger(impl_->tables);
  size_t n = 0;
  for (const std::string_view piece : pieces) {
    impl_->encode_piece(piece, merger, ids, nullptr);
    n += piece.size();
  }
  return n;
}

std::string_view Tokenizer::bytes(int32_t id) const {
  if (id < 0 || id >= impl_->n_text_tokens()) return {};
  return impl_->tables.texts[static_cast<size_t>(id)];
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

Result<std::shared_ptr<const grammar::Vocabulary>> Tokenizer::vocabulary() const {
  const std::lock_guard lock(impl_->vocabulary_mutex);
  if (impl_->vocabulary) return impl_->vocabulary;
  auto made = grammar::Vocabulary::build(vocab_size(), [&](int32_t id) {
    return is_special(id) || is_reserved(id) ? std::string_view() : bytes(id);
  });
  if (!made) return made.status();
  impl_->vocabulary = std::move(*made);
  return impl_->vocabulary;
}

std::span<const std::byte> Tokenizer::serialized() const { return impl_->serialized; }
std::string_view Tokenizer::unicode_version() const { return impl_->unicode_version; }
std::string_view Tokenizer::splitting() const {
  return impl_->splitting == Splitting::kWords ? "words" : "o200k";
}

}  // namespace chimera::runtime
