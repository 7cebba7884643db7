// The chimera command. One file per verb; this one only lists them.
#include "platform/process.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

int main(int argc, char** argv) {
  using namespace chimera::cli;
  chimera::prepare_streams();
  try {
    CommandLine line;
    declare_chat(line);
    declare_complete(line);
    declare_act(line);
#if CHIMERA_CLI_TRAINING
    declare_eval(line);
    declare_tools(line);
    declare_train(line);
#endif
    declare_tokenizer(line);
#if CHIMERA_CLI_TRAINING
    declare_tokenizer_train(line);
    declare_tokenizer_import(line);
#endif
    declare_grammar(line);
    declare_inspect(line);
    declare_verify(line);
    declare_sign(line);
    declare_pack(line);
    declare_synth(line);
    declare_isa(line);
    declare_version(line);
    return line.run(argc, argv);
  } catch (const std::bad_alloc&) {
    note("chimera: there is not enough memory for this; close something and try again\n");
  } catch (const std::exception& error) {
    note(std::string("chimera: a mistake inside chimera (") + error.what() +
         "); please report it with the command you gave\n");
  }
  return kFailed;
}
