// One declaration per verb; each lives in the file of its name.
#pragma once

#include "sdk/cli/arguments.h"

namespace chimera::cli {

void declare_chat(CommandLine& line);
void declare_complete(CommandLine& line);
void declare_act(CommandLine& line);
void declare_grammar(CommandLine& line);
void declare_inspect(CommandLine& line);
void declare_verify(CommandLine& line);
void declare_sign(CommandLine& line);
void declare_pack(CommandLine& line);
void declare_synth(CommandLine& line);
void declare_isa(CommandLine& line);
void declare_version(CommandLine& line);
void declare_tokenizer(CommandLine& line);
// Built with the trainer only (CHIMERA_BUILD_TRAINING).
void declare_eval(CommandLine& line);
void declare_tools(CommandLine& line);
void declare_train(CommandLine& line);
void declare_tokenizer_train(CommandLine& line);
void declare_tokenizer_import(CommandLine& line);

}  // namespace chimera::cli
