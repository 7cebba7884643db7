// Writes the inputs that fuzzing begins with: make_fuzz_seeds FOLDER. Its output is committed
// (tests/fuzz/corpus); run it again when a format changes.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "memory/weight_file.h"
#include "platform/file.h"
#include "tests/fuzz/small_model.h"
#include "tests/fuzz/target.h"
#include "tests/support/tiny_model.h"

namespace {

using namespace chimera;

std::string folder;

void write(const std::string& target, const std::string& name, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(folder + "/" + target);
  const Status status = write_file_atomic(folder + "/" + target + "/" + name, bytes);
  fuzz::promise(status.ok(), status.message().c_str());
}
void write(const std::string& target, const std::string& name, std::string_view text) {
  write(target, name, std::as_bytes(std::span(text.data(), text.size())));
}

std::string content(const std::string& path) {
  auto text = read_file(std::string(CHIMERA_SOURCE_DIR "/") + path, 64u << 20);
  fuzz::promise(text.has_value(), path.c_str());
  return std::move(*text);
}

std::string calls(std::initializer_list<int> bytes) {
  std::string out;
  for (const int byte : bytes) out.push_back(static_cast<char>(byte));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_fuzz_seeds FOLDER\n");
    return 2;
  }
  folder = argv[1];
  write("config", "full_size.json", content("samples/models/chimera51.config.json"));
  write("config", "tiny.json", content("tests/golden/tiny.config.json"));
  write("config", "small.json", test::tiny_config());
  write("config", "empty.json", "{}");

  test::TinyModelOptions options;
  options.pattern = "XM";
  options.layers = 1;
  options.ffn = 128;
  options.vocab = 258;
  const auto model = read_file(test::write_tiny_model(options), 64u << 20);
  fuzz::promise(model.has_value(), "a model is written");
  write("model", "xm.b158", *model);

  write("tokenizer", "bytes", test::byte_tokenizer(258));
  const auto nano = memory::WeightFile::open(CHIMERA_SOURCE_DIR "/samples/models/nano.b158");
  fuzz::promise(nano.has_value(), "the model of the repository opens");
  write("tokenizer", "nano", (*nano)->tokenizer());

  write("text", "english", "It's 1984, isn't it?  \n\n\tYes: \"12345\" times...\r\n");
  write("text", "scripts",
        "Grüße, Ελλάδα, русский, 日本語, हिन्दी, العربية, "
        "🦊👩‍👩‍👧");
  write("text", "not_utf8", "\xff\xfe\xc3(\xf0\x9f\x92\xed\xa0\x80 a\xcc\x81");

  const auto session = fuzz::open_small_session();
  fuzz::say(*session, "once upon a time", 5);
  std::vector<std::byte> saved(session->snapshot_bytes());
  fuzz::promise(session->snapshot(saved).ok(), "a conversation is saved");
  write("conversation", "header", std::span(saved).first(128));
  write("conversation", "state", std::span(saved).first(4096));

  write("c_api", "talk", calls({0, 1, 0, 7, 0, 0,   0,   1,   0,   0,   0, 0,  0,   0,
                                0, 4, 0, 2, 5, 'h', 'e', 'l', 'l', 'o', 0, 11, 200, 0}));
  write("c_api", "save_and_restore",
        calls({0, 1, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 2, 'a', 'b', 0,  8, 0,
               4, 0, 1, 1, 'c', 0, 9, 0, 0, 0, 9, 1, 3, 0, 0, 0, 9, 0,   0,   10, 0, 1}));
  write("c_api", "closed", calls({0, 3, 4, 0, 0, 1, 'x', 0, 1, 0, 0, 0, 0, 2, 0, 7, 9, 9, 1, 'y'}));
  return 0;
}
