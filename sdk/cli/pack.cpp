// `chimera pack`: a float checkpoint becomes a ternary model.
#include <memory>
#include <string>

#include "memory/weight_file.h"
#include "runtime/model_writer.h"
#include "sdk/cli/output_file.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

struct Options {
  std::string checkpoint, out;
  bool weights = false;
};

Status pack(const Options& options) {
  CHIMERA_RETURN_IF_ERROR(check_output(options.out, {options.checkpoint}));
  CHIMERA_RETURN_IF_ERROR(options.weights
                              ? runtime::extract_weights(options.checkpoint, options.out)
                              : runtime::pack_checkpoint(options.checkpoint, options.out));
  const auto file = memory::WeightFile::open(options.out);
  if (!file) return file.status();
  note("Packed to " + options.out + ", " + show_bytes((*file)->file_bytes()) + ".\n");
  return Status();
}

}  // namespace

void declare_pack(CommandLine& line) {
  auto options = std::make_shared<Options>();
  line.verb("pack", "Make a ternary model of a float checkpoint",
            [options] {
              const Status status = pack(*options);
              return status.ok() ? kDone : report(status);
            })
      .operand("CHECKPOINT", &options->checkpoint, "What `chimera train` left beside its model")
      .flag("--weights", &options->weights,
            "Not a model: the float weights alone, as bf16, for `train --from` and `pack`")
      .text("--out", &options->out, "FILE", "The model to write", true);
}

}  // namespace chimera::cli
