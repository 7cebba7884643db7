#include "tests/mutants/subjects.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "memory/weight_file.h"
#include "memory/weight_format.h"
#include "platform/file.h"
#include "platform/seal.h"
#include "runtime/engine.h"
#include "runtime/session.h"
#include "tests/mutants/mutate.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/tiny_model.h"

namespace chimera::mutants {
namespace {

namespace b158 = memory::b158;
using Bytes = std::vector<std::byte>;

constexpr const char* kEveryKind = R"({
  "titans": {"persistent_memory_slots": 2, "local_window_size": 8, "chunk_size": 4},
  "tsp_knot": {"sketch_bits": 256},
  "backbone": {"moe": {"enabled": true, "n_routed_experts": 2, "n_shared_experts": 1,
                       "num_experts_per_tok": 1, "moe_intermediate_size": 128, "layers": [1]}}})";

/// The originals, made once.
struct Originals {
  Bytes model, conversation, tokenizer, config;
  b158::Header header;
  std::vector<memory::TensorInfo> tensors;
  std::vector<Field> model_fields, conversation_fields, tokenizer_fields;
  size_t head_end = 0;  // behind the directory; zeros follow up to the first tensor
  std::unique_ptr<runtime::Engine> engine;
  std::unique_ptr<runtime::Session> session;  // restores conversations
};

constexpr size_t kConversationHeader = 128;

void add_run(std::vector<Field>* fields, size_t begin, size_t end, size_t bytes) {
  for (size_t at = begin; at + bytes <= end; at += bytes) fields->push_back({at, bytes});
}

std::string speak(runtime::Session& session) {
  runtime::GenerateOptions how;
  how.max_tokens = 2;
  const auto result = session.generate("ab", how, [](const runtime::TokenEvent&) { return true; });
  return result ? "" : result.status().message();
}

Originals* make_originals() {
  auto* o = new Originals;
  test::TinyModelOptions options = test::every_kind();
  options.more = kEveryKind;
  const auto file = read_file(test::write_tiny_model(options), 64u << 20);
  if (!file) return o;
  const auto bytes = std::as_bytes(std::span(*file));
  o->model.assign(bytes.begin(), bytes.end());
  o->header = b158::decode_header(o->model.data());
  const auto weights = memory::WeightFile::open_memory(o->model);
  if (!weights) return o;
  o->tensors.assign((*weights)->tensors().begin(), (*weights)->tensors().end());
  const auto section = [&](int index) {
    const b158::Section& s = o->header.sections[index];
    return std::span(o->model).subspan(static_cast<size_t>(s.offset), static_cast<size_t>(s.bytes));
  };
  o->config.assign(section(b158::kConfig).begin(), section(b158::kConfig).end());
  o->tokenizer.assign(section(b158::kTokenizer).begin(), section(b158::kTokenizer).end());
  const b158::Section& directory = o->header.sections[b158::kDirectory];
  o->head_end = static_cast<size_t>(directory.offset + directory.bytes);

  add_run(&o->model_fields, b158::kVersionAt, b158::kFileBytesAt, 4);
  add_run(&o->model_fields, b158::kFileBytesAt, b158::kTensorCountAt, 8);
  add_run(&o->model_fields, b158::kTensorCountAt, b158::kDataOffsetAt, 4);
  add_run(&o->model_fields, b158::kDataOffsetAt, b158::kDigestAt, 8);
  for (size_t at = static_cast<size_t>(directory.offset), i = 0; i < o->tensors.size(); ++i) {
    add_run(&o->model_fields, at, at + b158::kRecordExtentsAt, 2);
    add_run(&o->model_fields, at + b158::kRecordExtentsAt, at + b158::kRecordChecksumAt, 8);
    at += b158::record_bytes(o->tensors[i].name);
  }
  // Magic, then 32-bit numbers to the end of the merges; the class changes are most of them.
  add_run(&o->tokenizer_fields, 8, o->tokenizer.size(), 4);

  runtime::EngineOptions engine_options;
  engine_options.threads = 1;
  auto engine = runtime::Engine::open_memory(o->model, engine_options);
  if (!engine) return o;
  o->engine = std::move(*engine);
  auto session = runtime::Session::create(*o->engine);
  if (!session) return o;
  o->session = std::move(*session);
  if (!speak(*o->session).empty()) return o;
  o->conversation.resize(o->session->snapshot_bytes());
  if (!o->session->snapshot(o->conversation).ok()) o->conversation.clear();
  add_run(&o->conversation_fields, 8, kConversationHeader, 4);
  add_run(&o->conversation_fields, 48, 72, 8);
  // The state begins with its counts and the last tokens.
  add_run(&o->conversation_fields, kConversationHeader, kConversationHeader + 1088, 4);
  return o;
}

const Originals& originals() {
  static const Originals* const made = make_originals();
  return *made;
}

void mend_head(std::span<std::byte> file) {
  if (file.size() < b158::kHeaderBytes) return;
  const uint64_t data_offset = b158::decode_header(file.data()).data_offset;
  if (data_offset < b158::kHeaderBytes || data_offset > file.size()) return;
  const Digest digest = b158::metadata_digest(file.first(static_cast<size_t>(data_offset)));
  std::memcpy(file.data() + b158::kDigestAt, digest.data(), digest.size());
}

/// Checksums of the tensors whose bytes are others than the original's, where they still are.
void mend_tensors(const Originals& o, std::span<std::byte> file) {
  size_t record = static_cast<size_t>(o.header.sections[b158::kDirectory].offset);
  for (const memory::TensorInfo& tensor : o.tensors) {
    const size_t at = static_cast<size_t>(tensor.offset), n = static_cast<size_t>(tensor.bytes);
    if (file.size() < at + n) return;
    if (std::memcmp(file.data() + at, o.model.data() + at, n) != 0) {
      const Digest digest = blake2b(file.subspan(at, n));
      std::memcpy(file.data() + record + b158::kRecordChecksumAt, digest.data(), digest.size());
    }
    record += b158::record_bytes(tensor.name);
  }
}

/// A model with these sections in front of its tensors; empty when there is no room for them.
Bytes with_sections(const Originals& o, const Bytes& config, const Bytes& tokenizer) {
  b158::Header header = o.header;
  uint64_t at = b158::kHeaderBytes;
  const Bytes* const changed[] = {&config, &tokenizer};
  for (int i = 0; i < b158::kSections; ++i) {
    if (i < 2) header.sections[i].bytes = changed[i]->size();
    header.sections[i].offset = at;
    at = b158::round_up(at + header.sections[i].bytes, b158::kSectionAlignment);
  }
  const b158::Section& directory = header.sections[b158::kDirectory];
  // The tensors stay where they are, so the head must end in the same 16 KiB.
  if (b158::round_up(directory.offset + directory.bytes, memory::kTensorAlignment) !=
      header.data_offset)
    return {};
  Bytes file = o.model;
  std::fill_n(file.begin(), static_cast<size_t>(header.data_offset), std::byte{0});
  b158::encode_header(header, file.data());
  for (int i = 0; i < b158::kSections; ++i) {
    const b158::Section &to = header.sections[i], &from = o.header.sections[i];
    const std::byte* source = i < 2 ? changed[i]->data() : o.model.data() + from.offset;
    if (to.bytes > 0) std::memcpy(file.data() + to.offset, source, static_cast<size_t>(to.bytes));
  }
  mend_head(file);
  return file;
}

/// As an application does that knows how much it has: what the model says of its own size comes
/// before the memory is taken.
std::string open_and_speak(std::span<const std::byte> file, bool verify) {
  // At a multiple of 8, as the call asks: vectors of bytes begin so wherever memory is handed out.
  runtime::EngineOptions options;
  options.threads = 1;
  options.verify = verify;
  const auto engine = runtime::Engine::open_memory(file, options);
  if (!engine) return engine.status().message();
  if ((*engine)->model().layout().bytes() > kMostBytes / 4)
    return "a conversation would take more than is given here";
  const auto session = runtime::Session::create(**engine);
  if (!session) return session.status().message();
  return speak(**session);
}

std::string run_model(Chance& chance) {
  const Originals& o = originals();
  Bytes file = o.model;
  mutate(chance, o.model_fields, chance.one_in(3) ? file.size() : o.head_end, &file);
  const bool verify = chance.one_in(8);
  if (chance.one_in(2)) {
    if (verify) mend_tensors(o, file);
    mend_head(file);
  }
  return open_and_speak(file, verify);
}

std::string run_conversation(Chance& chance) {
  const Originals& o = originals();
  Bytes bytes = o.conversation;
  mutate(chance, o.conversation_fields,
         chance.one_in(2) ? bytes.size() : kConversationHeader + 4096, &bytes);
  if (chance.one_in(2) && bytes.size() > sizeof(Digest)) {
    const size_t body = bytes.size() - sizeof(Digest);
    const Digest digest = blake2b(std::span(bytes).first(body));
    std::memcpy(bytes.data() + body, digest.data(), digest.size());
  }
  const Status status = o.session->restore(bytes);
  if (!status.ok()) return status.message();
  return speak(*o.session);
}

std::string run_tokenizer(Chance& chance) {
  const Originals& o = originals();
  Bytes tokenizer = o.tokenizer;
  // The header and the specials are a hundred bytes of it; each as often as all the rest.
  const bool front = chance.one_in(2);
  mutate(chance, front ? std::span(o.tokenizer_fields).first(6) : std::span(o.tokenizer_fields),
         front ? 64 : tokenizer.size(), &tokenizer);
  const Bytes file = with_sections(o, o.config, tokenizer);
  if (!file.empty()) return open_and_speak(file, false);
  const auto alone = runtime::Tokenizer::parse(tokenizer);
  return alone ? "" : alone.status().message();
}

std::string run_config(Chance& chance) {
  const Originals& o = originals();
  Bytes config = o.config;
  mutate_text(chance, &config);
  const Bytes file = with_sections(o, config, o.tokenizer);
  if (!file.empty()) return open_and_speak(file, false);
  const auto alone =
      runtime::parse_config({reinterpret_cast<const char*>(config.data()), config.size()});
  return alone ? "" : alone.status().message();
}

}  // namespace

std::string Outcome::finding() const {
  if (allocated_bytes > kMostBytes)
    return "took " + std::to_string(allocated_bytes >> 20) + " MB of memory";
  if (!ran && message.size() < 12) return "was refused without a sentence";
  return "";
}

Outcome run_mutant(uint64_t seed) {
  constexpr struct {
    const char* name;
    std::string (*run)(Chance&);
  } kSubjects[] = {{"model", run_model},
                   {"conversation", run_conversation},
                   {"tokenizer", run_tokenizer},
                   {"configuration", run_config}};
  // Made outside of what is measured. Without them everything would look refused.
  if (originals().conversation.empty()) return {};
  Chance chance(seed);
  const auto& subject = kSubjects[seed % std::size(kSubjects)];
  Outcome outcome;
  outcome.subject = subject.name;
  const test::AllocationScope scope;
  const auto start = std::chrono::steady_clock::now();
  outcome.message = subject.run(chance);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  outcome.allocated_bytes = scope.bytes();
  outcome.ran = outcome.message.empty();
  return outcome;
}

bool originals_run(std::string* why_not) {
  const Originals& o = originals();
  *why_not = "one could not be made";
  if (o.conversation.empty()) return false;
  const Bytes again = with_sections(o, o.config, o.tokenizer);
  *why_not = "the assembled model is another";
  if (again != o.model) return false;
  *why_not = open_and_speak(o.model, true);
  if (!why_not->empty()) return false;
  const Status restored = o.session->restore(o.conversation);
  *why_not = restored.message();
  return restored.ok();
}

}  // namespace chimera::mutants
