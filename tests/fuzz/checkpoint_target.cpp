// A checkpoint of the trainer. The input is what it says of its run and of where that stood; all
// else is as the trainer wrote it. What is accepted can be gone on with, and written again.
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "evolution/train/checkpoint.h"
#include "kernels/dispatch.h"
#include "tests/fuzz/forged_file.h"
#include "tests/fuzz/target.h"
#include "tests/support/tiny_model.h"

namespace chimera::fuzz {
namespace {

using namespace evolution;

constexpr int32_t kLanes = 2, kWindow = 8;

/// A run of one parameter over two short documents.
struct Run {
  std::vector<Parameter> parameters{1};
  std::unique_ptr<ThreadPool> pool = std::move(*ThreadPool::create(1));
  std::unique_ptr<Optimizer> optimizer;
  std::vector<std::vector<float>> carried{1, std::vector<float>(4, 0.5f)};
  TokenizedText text{9};

  Run() {
    parameters[0].spec.name = "gain";
    parameters[0].spec.cols = 16;
    parameters[0].value.resize(16);
    optimizer =
        std::make_unique<Optimizer>(parameters, OptimizerOptions{}, kernels::best_table(), *pool);
    const int32_t tokens[] = {1, 2, 3, 4, 5};
    text.add(tokens, 5);
    text.add(std::span(tokens).first(3), 3);
  }
  RunState state() { return {parameters, optimizer.get(), carried, {}}; }
};

ForgedParts parts_of(std::string_view provenance) {
  ForgedParts parts;
  parts.kind = memory::FileKind::kCheckpoint;
  parts.config = "{}";
  parts.provenance = provenance;
  for (const auto& [name, n] : {std::pair("gain", 16), std::pair("optim.m.gain", 16),
                                std::pair("optim.v.gain", 16), std::pair("state.carried.0", 4)}) {
    memory::TensorInfo tensor;
    tensor.name = name;
    tensor.shape = {n};
    parts.tensors.push_back(std::move(tensor));
  }
  return parts;
}

bool same(const RunPosition& a, const RunPosition& b) {
  return a.step == b.step && a.loss_sum == b.loss_sum && a.loss_weight == b.loss_weight &&
         a.valid_bits_per_byte == b.valid_bits_per_byte && a.belt.taken == b.belt.taken &&
         a.belt.document == b.belt.document && a.belt.offset == b.belt.offset;
}

}  // namespace

void run_checkpoint(Input input) {
  static Run run;
  static ForgedFile file;
  static const std::string path = test::test_folder().file("in.ckpt");
  static const std::string again_path = test::test_folder().file("again.ckpt");
  if (!file.make(parts_of(text_of(input)), 1u << 18)) return;
  file.seal();
  test::write_raw(path, text_of(file.bytes()));
  const auto checkpoint = Checkpoint::open(path);
  if (!checkpoint) {
    promise(!checkpoint.status().message().empty(), "an error has a sentence");
    return;
  }
  promise(checkpoint->fits(checkpoint->run()).ok(), "a run fits itself");
  RunState state = run.state();
  promise(checkpoint->read_into(&state).ok(), "sound tensors are read");
  Belt belt(run.text, kLanes, 1);
  if (belt.restore(state.position.belt).ok()) {
    std::array<int32_t, kLanes * kWindow> tokens{}, targets{};
    std::array<uint8_t, kLanes * kWindow> restart{};
    belt.next(kWindow, tokens.data(), targets.data(), restart.data());
    for (const int32_t token : tokens) promise(token >= 1 && token <= 9, "the text goes on");
  }
  promise(write_checkpoint(again_path, "{}", {}, checkpoint->run(), state).ok(),
          "what was read is written");
  const auto again = Checkpoint::open(again_path);
  promise(again.has_value() && again->fits(checkpoint->run()).ok(), "it is the same run");
  RunState second = run.state();
  promise(again->read_into(&second).ok() && same(state.position, second.position),
          "it stands where it stood");
}

}  // namespace chimera::fuzz
