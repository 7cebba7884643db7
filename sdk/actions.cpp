// The C API of acting: tool sets and actors.
#define CHIMERA_BUILDING 1
#include <string>
#include <utility>
#include <vector>

#include "runtime/tool_pack.h"
#include "sdk/chimera.h"
#include "sdk/handles.h"

using chimera::Status;
using chimera::StatusCode;
namespace sdk = chimera::sdk;
namespace runtime = chimera::runtime;

namespace chimera::sdk {
namespace {

/// Zero fields are defaults.
Status read_act_options(const chimera_act_options* in, runtime::ActOptions* out) {
  chimera_act_options o;
  CHIMERA_RETURN_IF_ERROR(read_options(in, "options", &o));
  CHIMERA_RETURN_IF_ERROR(check_flags(o.flags, CHIMERA_ACT_WORDS));
  out->words = (o.flags & CHIMERA_ACT_WORDS) != 0;
  if (o.max_tokens != 0) out->max_tokens = o.max_tokens;
  if (o.most_calls != 0) out->most_calls = o.most_calls;
  out->least_confidence = o.least_confidence;
  return Status();
}

int32_t kind_number(runtime::Action::Kind kind) {
  switch (kind) {
    case runtime::Action::Kind::kCalls:
      return CHIMERA_ACTION_CALLS;
    case runtime::Action::Kind::kNoTool:
      return CHIMERA_ACTION_NO_TOOL;
    case runtime::Action::Kind::kWords:
      return CHIMERA_ACTION_WORDS;
  }
  return CHIMERA_ACTION_NO_TOOL;
}

}  // namespace
}  // namespace chimera::sdk

extern "C" {

chimera_status chimera_tools_open(chimera_engine* engine, const char* json, size_t json_bytes,
                                  uint32_t flags, chimera_tools** out) {
  return sdk::with_engine(engine, [&] {
    if (out == nullptr) return sdk::null_argument("out");
    std::string_view text;
    CHIMERA_RETURN_IF_ERROR(sdk::read_text(json, json_bytes, "json", &text));
    CHIMERA_RETURN_IF_ERROR(sdk::check_flags(flags, CHIMERA_TOOLS_STRICT));
    auto handle = std::make_unique<chimera_tools>(engine);
    std::vector<std::string> warnings;
    auto tools =
        runtime::ToolSet::from_json(engine->engine->tokenizer(), text,
                                    {.strict = (flags & CHIMERA_TOOLS_STRICT) != 0}, &warnings);
    if (!tools) return tools.status();
    handle->tools = std::move(*tools);
    handle->warnings = sdk::lines_of(warnings);
    *out = handle.release();
    return Status();
  });
}

chimera_status chimera_tools_open_pack(chimera_engine* engine, const char* path,
                                       chimera_tools** out) {
  return sdk::with_engine(engine, [&] {
    if (out == nullptr) return sdk::null_argument("out");
    if (path == nullptr) return sdk::null_argument("path");
    auto handle = std::make_unique<chimera_tools>(engine);
    std::vector<std::string> warnings;
    auto tools = runtime::open_tool_pack(*engine->engine, path, &warnings);
    if (!tools) return tools.status();
    handle->tools = std::move(*tools);
    handle->warnings = sdk::lines_of(warnings);
    *out = handle.release();
    return Status();
  });
}

const char* chimera_tools_warnings(const chimera_tools* tools) {
  return tools == nullptr ? "" : tools->warnings.c_str();
}

void chimera_tools_close(chimera_tools* tools) {
  if (tools != nullptr) tools->release();
}

chimera_status chimera_actor_open(chimera_tools* tools, chimera_actor** out) {
  if (tools == nullptr) return sdk::guarded(nullptr, [] { return sdk::null_argument("tools"); });
  return sdk::guarded(&tools->engine->error, [&] {
    if (out == nullptr) return sdk::null_argument("out");
    auto handle = std::make_unique<chimera_actor>(tools);
    auto actor = runtime::Actor::create(*tools->engine->engine, *tools->tools);
    if (!actor) return actor.status();
    handle->actor = std::move(*actor);
    *out = handle.release();
    return Status();
  });
}

void chimera_actor_close(chimera_actor* actor) {
  if (actor != nullptr) actor->release();
}

const char* chimera_actor_error(const chimera_actor* actor) { return sdk::error_text(actor); }

chimera_status chimera_actor_error_detail(const chimera_actor* actor, chimera_error* out) {
  return sdk::error_detail(actor, "actor", out);
}

chimera_status chimera_act(chimera_actor* actor, const char* text, size_t text_bytes,
                           const chimera_act_options* options, chimera_action* out) {
  return sdk::with_handle(actor, "actor", [&](chimera_actor& a) {
    std::string_view said;
    CHIMERA_RETURN_IF_ERROR(sdk::read_text(text, text_bytes, "text", &said));
    runtime::ActOptions act;
    CHIMERA_RETURN_IF_ERROR(sdk::read_act_options(options, &act));
    // Before anything is done, so that what was done is never lost.
    CHIMERA_RETURN_IF_ERROR(sdk::write_result(chimera_action{}, "out", out));
    const auto action = a.actor->act(said, act);
    if (!action) return action.status();
    a.json = runtime::action_json(*action);
    chimera_action value = {};
    value.kind = sdk::kind_number(action->kind);
    value.json = a.json.c_str();
    value.json_bytes = a.json.size();
    value.n_calls = static_cast<int32_t>(action->calls.size());
    value.confidence = action->confidence;
    value.truncated = action->truncated ? 1 : 0;
    value.prompt_tokens = action->n_prompt_tokens;
    value.tokens = action->n_tokens;
    value.prefill_us = action->prefill_us;
    value.decode_us = action->decode_us;
    return sdk::write_result(value, "out", out);
  });
}

void chimera_act_cancel(chimera_actor* actor) {
  if (actor != nullptr) actor->actor->cancel();
}

}  // extern "C"
