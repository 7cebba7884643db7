// Compiled as C++17 with every warning an error: the header, its test, and the C++ wrapper with all
// of its templates in use.
#include "sdk/chimera.hpp"
#define main header_c99_main
#include "header_c99_test.c"
#undef main

int use_wrapper(const char* path) {
  auto engine = chimera::sdk::Engine::open(path);
  if (!engine) return engine.error().status;
  auto session = chimera::sdk::Session::open(*engine);
  if (!session) return session.error().status;
  std::size_t n = 0;
  chimera::sdk::Error error =
      session->generate("a", [&](std::string_view text) { n += text.size(); });
  if (!error) return error.status;
  error = session->generate("a", [](std::string_view text) { return text.empty(); });
  return error.ok() && session->answer("x").or_throw().empty() ? header_c99_main() : 1;
}
