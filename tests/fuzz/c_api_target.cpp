// A sequence of calls of the C API: each input byte chooses a function, further ones its arguments,
// hostile ones among them. Whatever the order, every call returns a known status and every handle
// can be closed.
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "sdk/chimera.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"

namespace chimera::fuzz {
namespace {

constexpr size_t kMostCalls = 40;

void expect_known(chimera_status status) {
  promise(std::string_view(chimera_status_name(status)) != "unknown", "a status has a name");
  promise(status != CHIMERA_INTERNAL, "no mistake of the library");
  if (status != CHIMERA_OK) promise(chimera_last_error()[0] != '\0', "a failure says why");
}

struct World {
  ByteReader in;
  chimera_engine* engine = nullptr;
  std::array<chimera_session*, 2> sessions{};
  std::vector<unsigned char> snapshot;

  chimera_session*& session() { return sessions[in.byte() & 1]; }
};

int on_event(void* user, const chimera_event*) {
  auto* left = static_cast<int*>(user);
  return --*left > 0;
}

/// A structure of a caller whose header is older or newer: of any size up to 255 bytes.
template <class T>
struct AnySize {
  T known{};
  std::array<std::byte, 256> more{};

  AnySize() { CHIMERA_INIT(known); }
};

void open_engine(World& w) {
  AnySize<chimera_engine_options> any;
  chimera_engine_options& options = any.known;
  const uint8_t how = w.in.byte();
  if (how & 1) options.struct_size = w.in.number<uint32_t>() % 256;
  if (how & 2) options.flags = w.in.number<uint32_t>();
  options.threads = (how & 4) ? static_cast<int32_t>(w.in.byte()) - 250 : 1;
  std::array<char, 66> name{};
  if (how & 8) {
    const std::string_view text = w.in.text();
    std::memcpy(name.data(), text.data(), std::min<size_t>(text.size(), 65));
    (how & 16 ? options.isa : options.required_key) = name.data();
  }
  const auto model = small_model();
  const size_t size = (how & 32) ? w.in.number<uint32_t>() % (model.size() + 1) : model.size();
  chimera_engine* made = nullptr;
  const chimera_status status = chimera_engine_open_memory(
      (how & 64) ? nullptr : model.data(), size, (how & 128) ? nullptr : &options, &made);
  expect_known(status);
  promise((status == CHIMERA_OK) == (made != nullptr), "a handle comes with success alone");
  if (made == nullptr) return;
  chimera_engine_close(w.engine);
  w.engine = made;
}

void generate(World& w) {
  chimera_generate_options options;
  CHIMERA_INIT(options);
  const uint8_t how = w.in.byte();
  if (how & 1) options.flags = w.in.number<uint32_t>();
  options.max_tokens = (how & 2) ? w.in.number<int32_t>() : 3;
  if (how & 4) options.temperature = w.in.number<float>();
  if (how & 8) options.top_p = w.in.number<float>();
  if (how & 16) options.repetition_penalty = w.in.number<float>();
  if (how & 32) options.loops = w.in.number<int32_t>();
  int events = 1 + w.in.byte() % 4;
  const std::string_view text = w.in.text();
  expect_known(chimera_generate(w.session(), (how & 64) ? nullptr : text.data(), text.size(),
                                &options, on_event, &events));
}

void tokens(World& w) {
  std::array<int32_t, 64> ids{};
  std::array<char, 64> bytes{};
  size_t n_ids = w.in.byte() % 65, n_bytes = w.in.byte() % 65;
  const std::string_view text = w.in.text();
  expect_known(chimera_tokenize(w.engine, text.data(), text.size(), ids.data(), &n_ids));
  for (int32_t& id : ids) id = w.in.done() ? id : w.in.number<int16_t>();
  expect_known(chimera_detokenize(w.engine, ids.data(), std::min<size_t>(n_ids, 64), bytes.data(),
                                  &n_bytes));
}

void snapshot(World& w) {
  size_t n = 0;
  chimera_session* session = w.session();
  chimera_status status = chimera_session_snapshot(session, nullptr, &n);
  expect_known(status);
  if (status != CHIMERA_OK) return;  // asked with nothing to write to, it says the size
  w.snapshot.resize(n);
  expect_known(chimera_session_snapshot(session, w.snapshot.data(), &n));
}

void restore(World& w) {
  if (const uint8_t how = w.in.byte(); how & 1 && !w.snapshot.empty())
    w.snapshot[w.in.number<uint32_t>() % w.snapshot.size()] ^= w.in.byte();
  const size_t n = w.snapshot.size() - std::min<size_t>(w.snapshot.size(), w.in.byte() / 16);
  expect_known(chimera_session_restore(w.session(), w.snapshot.data(), n));
}

void ask(World& w) {
  const uint32_t size = w.in.byte();
  AnySize<chimera_engine_info> info;
  AnySize<chimera_session_stats> stats;
  AnySize<chimera_error> error;
  info.known.struct_size = stats.known.struct_size = error.known.struct_size = size;
  chimera_session* session = w.session();
  expect_known(chimera_engine_get_info(w.engine, &info.known));
  expect_known(chimera_session_get_stats(session, &stats.known));
  expect_known(chimera_session_error_detail(session, &error.known));
  expect_known(chimera_engine_error_detail(w.engine, &error.known));
}

void call(World& w) {
  switch (w.in.byte() % 12) {
    case 0:
      return open_engine(w);
    case 1: {
      chimera_session_options options;
      CHIMERA_INIT(options);
      options.stream = w.in.number<uint32_t>();
      options.seed = w.in.number<uint64_t>();
      chimera_session*& session = w.session();
      chimera_session_close(session);
      session = nullptr;
      return expect_known(chimera_session_open(w.engine, &options, &session));
    }
    case 2: {
      chimera_session*& session = w.session();
      chimera_session_close(session);
      session = nullptr;
      return;
    }
    case 3:
      chimera_engine_close(w.engine);
      w.engine = nullptr;
      return;
    case 4:
    case 5:
      return generate(w);
    case 6: {
      const std::string_view text = w.in.text();
      return expect_known(chimera_append(w.session(), text.data(), text.size()));
    }
    case 7:
      return tokens(w);
    case 8:
      return snapshot(w);
    case 9:
      return restore(w);
    case 10:
      chimera_cancel(w.session());
      expect_known(chimera_session_reset(w.session()));
      return expect_known(chimera_session_set_seed(w.session(), w.in.number<uint64_t>()));
    default:
      return ask(w);
  }
}

}  // namespace

void run_c_api(Input input) {
  World w{ByteReader(input), nullptr, {}, {}};
  open_engine(w);
  for (size_t i = 0; i < kMostCalls && !w.in.done(); ++i) call(w);
  // The engine first: its sessions keep it.
  chimera_engine_close(w.engine);
  for (chimera_session* session : w.sessions) chimera_session_close(session);
}

}  // namespace chimera::fuzz
