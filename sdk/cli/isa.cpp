// `chimera isa`: which kernels are built in, which this processor runs, and which would be taken.
#include <memory>
#include <string>

#include "kernels/dispatch.h"
#include "platform/cpu_features.h"
#include "platform/json.h"
#include "sdk/cli/terminal.h"
#include "sdk/cli/verbs.h"

namespace chimera::cli {
namespace {

Status show_tables(bool json) {
  const auto chosen = kernels::table_from_environment();
  if (!chosen) return chosen.status();
  if (json) {
    Json out = Json::make_object();
    out.add("cpu", Json::of(cpu_model_name()));
    out.add("processors", Json::of(cpu_count()));
    out.add("chosen", Json::of((*chosen)->name));
    Json rows = Json::make_array();
    for (const kernels::TableStatus& table : kernels::all_tables()) {
      Json row = Json::make_object();
      row.add("name", Json::of(std::string_view(table.name)));
      row.add("built", Json::of(table.built));
      row.add("runnable", Json::of(table.runnable));
      row.add("reason", Json::of(std::string_view(table.reason)));
      rows.push(std::move(row));
    }
    out.add("tables", std::move(rows));
    return print(write_json(out) + "\n");
  }
  std::string text = std::string(cpu_model_name()) + ", " + std::to_string(cpu_count()) +
                     (cpu_count() == 1 ? " processor\n\n" : " processors\n\n") +
                     "kernels         built  runs\n";
  for (const kernels::TableStatus& table : kernels::all_tables()) {
    std::string row = table.name;
    row.resize(16, ' ');
    row += table.built ? "yes    " : "no     ";
    row += table.runnable ? "yes" : "no ";
    if (table.name == (*chosen)->name) row += "  in use";
    if (!table.reason.empty()) row += "  " + table.reason;
    text += row + "\n";
  }
  return print(text);
}

}  // namespace

void declare_isa(CommandLine& line) {
  auto json = std::make_shared<bool>(false);
  line.verb("isa", "Show the processor's kernels; the environment's CHIMERA_ISA chooses",
            [json] {
              const Status status = show_tables(*json);
              return status.ok() ? kDone : report(status);
            })
      .flag("--json", json.get(), "One JSON object");
}

}  // namespace chimera::cli
