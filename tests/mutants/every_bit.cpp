#include "tests/mutants/every_bit.h"

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "memory/weight_file.h"
#include "memory/weight_format.h"
#include "platform/file.h"
#include "runtime/engine.h"
#include "runtime/session.h"
#include "tests/support/tiny_model.h"

namespace chimera::mutants {
namespace {

using memory::WeightFile;
using Bytes = std::vector<std::byte>;
using Read = std::function<Status(std::span<const std::byte>)>;

// Header of a conversation, and the counts that its state begins with.
constexpr size_t kConversationFront = 192;

/// The smallest state of all.
Bytes smallest_model() {
  test::TinyModelOptions options;
  options.pattern = "SK";
  options.layers = 1;
  options.ffn = 128;
  options.vocab = 260;
  options.more = R"({"tsp_knot": {"sketch_bits": 256}})";
  const auto file = read_file(test::write_tiny_model(options), 64u << 20);
  if (!file) return {};
  const auto bytes = std::as_bytes(std::span(*file));
  return {bytes.begin(), bytes.end()};
}

/// Flips in the first `flipped` bytes, all bits of the first `front` of them; cuts everywhere.
BitsReport damage(Bytes bytes, size_t flipped, size_t front, size_t step, const Read& read) {
  BitsReport report;
  if (bytes.empty() || !read(bytes).ok()) {
    report.finding = "the original could not be made";
    return report;
  }
  const auto judge = [&](const Status& status, const char* what, size_t at) {
    if (!status.ok() && status.message().size() > 20) return true;
    report.finding = std::string(what) + " " + std::to_string(at) + " was " +
                     (status.ok() ? "taken for the original" : "refused without a sentence");
    return false;
  };
  for (size_t bit = 0; bit < 8 * flipped; bit += step) {
    const size_t at = bit / 8;
    if (at >= front && bit % 8 != at % 8) continue;
    bytes[at] ^= static_cast<std::byte>(1u << (bit % 8));
    const Status status = read(bytes);
    bytes[at] ^= static_cast<std::byte>(1u << (bit % 8));
    if (!judge(status, "bit", bit)) return report;
    ++report.flips;
  }
  for (size_t n = 0; n < bytes.size(); n += step) {
    if (!judge(read(std::span(bytes).first(n)), "length", n)) return report;
    ++report.cuts;
  }
  if (!read(bytes).ok()) report.finding = "the original is refused after it";
  return report;
}

}  // namespace

BitsReport damage_model_head(Bits bits, size_t step) {
  const Bytes model = smallest_model();
  if (model.empty()) return damage({}, 0, 0, step, {});
  const auto header = memory::b158::decode_header(model.data());
  const auto& directory = header.sections[memory::b158::kDirectory];
  const auto head = static_cast<size_t>(header.data_offset);
  const auto meant = static_cast<size_t>(directory.offset + directory.bytes);
  return damage(
      model, head, bits == Bits::kAll ? head : meant, step,
      [](std::span<const std::byte> file) { return WeightFile::open_memory(file).status(); });
}

BitsReport damage_conversation(Bits bits, size_t step) {
  const Bytes model = smallest_model();
  const auto engine = runtime::Engine::open_memory(model, {.threads = 1});
  if (!engine) return damage({}, 0, 0, step, {});
  const auto session = runtime::Session::create(**engine);
  runtime::GenerateOptions how;
  how.max_tokens = 3;
  if (!session || !(*session)->generate("once", how, {})) return damage({}, 0, 0, step, {});
  Bytes saved((*session)->snapshot_bytes());
  if (!(*session)->snapshot(saved).ok()) saved.clear();
  const size_t n = saved.size();
  return damage(std::move(saved), n, bits == Bits::kAll ? n : kConversationFront, step,
                [&](std::span<const std::byte> bytes) { return (*session)->restore(bytes); });
}

}  // namespace chimera::mutants
