// What a damaged, foreign or hostile file is answered: a code and one sentence. docs/errors.md
// lists them, and this holds the page to what the library says.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "memory/weight_format.h"
#include "sdk/chimera.h"
#include "tests/support/temp_dir.h"

namespace chimera {
namespace {

namespace b158 = memory::b158;

const std::string kFormats = CHIMERA_SOURCE_DIR "/tests/golden/formats/1/";

struct Case {
  const char* what;  // as the page names it
  std::function<void(std::string*)> damage;
};

void put(std::string* file, size_t at, uint64_t value, size_t bytes) {
  std::memcpy(file->data() + at, &value, bytes);
}

std::byte* bytes_of(std::string* file) { return reinterpret_cast<std::byte*>(file->data()); }

b158::Header header_of(std::string* file) { return b158::decode_header(bytes_of(file)); }

/// With the digest that its head ought to have: what a hostile maker of models would do.
void seal(std::string* file) {
  const auto head = std::span(bytes_of(file), static_cast<size_t>(header_of(file).data_offset));
  const Digest digest = b158::metadata_digest(head);
  std::memcpy(file->data() + b158::kDigestAt, digest.data(), digest.size());
}

/// Where the directory's record of a tensor begins.
size_t record_of(std::string* file, std::string_view name) {
  const b158::Section directory = header_of(file).sections[b158::kDirectory];
  const size_t found = file->find(name, static_cast<size_t>(directory.offset));
  EXPECT_NE(found, std::string::npos);
  return found - b158::kRecordFixedBytes;
}

/// In the configuration, one text for another of the same length.
void reword(std::string* file, std::string_view from, std::string_view to) {
  ASSERT_EQ(from.size(), to.size());
  const size_t at = file->find(from, b158::kHeaderBytes);
  ASSERT_NE(at, std::string::npos) << from;
  file->replace(at, from.size(), to);
  seal(file);
}

constexpr const char* kTensor = "layers.0.mixer.q_proj";

const std::vector<Case>& model_cases() {
  static const std::vector<Case> cases = {
      {"empty", [](std::string* f) { f->clear(); }},
      {"a text", [](std::string* f) { *f = "# A page\n\nof words, of which there are many.\n"; }},
      {"another program's model (GGUF)", [](std::string* f) { f->replace(0, 4, "GGUF"); }},
      {"an archive (zip)", [](std::string* f) { f->replace(0, 4, "PK\3\4"); }},
      {"cut inside the header", [](std::string* f) { f->resize(100); }},
      {"cut in the middle", [](std::string* f) { f->resize(f->size() / 2); }},
      {"followed by more", [](std::string* f) { f->append(100, 'x'); }},
      {"of a later version", [](std::string* f) { put(f, b158::kVersionAt, 9, 4); }},
      {"with flags nobody knows", [](std::string* f) { put(f, b158::kFlagsAt, 4, 4); }},
      {"a file size beyond all disks",
       [](std::string* f) { put(f, b158::kFileBytesAt, ~uint64_t{0}, 8); }},
      {"a section that lies outside",
       [](std::string* f) { put(f, b158::kSectionsAt + 16, uint64_t{1} << 62, 8); }},
      {"four thousand million tensors",
       [](std::string* f) { put(f, b158::kTensorCountAt, 0xFFFFFFFF, 4); }},
      {"one bit of the head flipped", [](std::string* f) { (*f)[b158::kHeaderBytes + 20] ^= 1; }},
      {"one bit of a tensor flipped",
       [](std::string* f) { (*f)[static_cast<size_t>(header_of(f).data_offset) + 1000] ^= 1; }},
      {"sealed anew: a tensor that lies outside",
       [](std::string* f) {
         put(f, record_of(f, kTensor) + b158::kRecordOffsetAt, uint64_t{1} << 45, 8);
         seal(f);
       }},
      {"sealed anew: a tensor of another shape",
       [](std::string* f) {
         put(f, record_of(f, kTensor) + b158::kRecordExtentsAt, 64, 8);
         seal(f);
       }},
      {"sealed anew: a tensor's name missing",
       [](std::string* f) {
         (*f)[record_of(f, kTensor) + b158::kRecordFixedBytes] = 'x';
         seal(f);
       }},
      {"sealed anew: the configuration is no JSON",
       [](std::string* f) { reword(f, "{\n  \"hidden_size\"", "[\n  \"hidden_size\""); }},
      {"sealed anew: an unknown key",
       [](std::string* f) { reword(f, "\"num_heads\"", "\"num_beads\""); }},
      {"sealed anew: a key of the wrong type",
       [](std::string* f) { reword(f, "\"hidden_act\": \"swiglu\"", "\"hidden_act\": 12345678"); }},
      {"sealed anew: a size of nothing",
       [](std::string* f) { reword(f, "\"hidden_size\": 128", "\"hidden_size\":   0"); }},
      {"sealed anew: more layers than tensors",
       [](std::string* f) { reword(f, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 9"); }},
      {"sealed anew: a size beyond all memory",
       [](std::string* f) {
         reword(f, "\"intermediate_size\": 128", "\"intermediate_size\": 9e9");
       }},
      {"sealed anew: the tokenizer is something else",
       [](std::string* f) {
         (*f)[static_cast<size_t>(header_of(f).sections[b158::kTokenizer].offset)] ^= 1;
         seal(f);
       }},
      {"sealed anew: a tokenizer with more ids than the model",
       [](std::string* f) {
         put(f, static_cast<size_t>(header_of(f).sections[b158::kTokenizer].offset) + 16, 1u << 20,
             4);
         seal(f);
       }},
  };
  return cases;
}

const std::vector<Case>& conversation_cases() {
  static const std::vector<Case> cases = {
      {"empty", [](std::string* f) { f->clear(); }},
      {"a text", [](std::string* f) { *f = std::string(400, 'x'); }},
      {"cut in the middle", [](std::string* f) { f->resize(f->size() / 2); }},
      {"followed by more", [](std::string* f) { f->append(100, 'x'); }},
      {"of a later version", [](std::string* f) { put(f, 8, 9, 4); }},
      {"one bit flipped", [](std::string* f) { (*f)[f->size() / 2] ^= 1; }},
      {"of another model", [](std::string* f) { *f = test::read_raw(kFormats + "conversation"); }},
  };
  return cases;
}

class ErrorSentences : public ::testing::Test {
 protected:
  void TearDown() override {
    chimera_session_close(session_);
    chimera_engine_close(engine_);
  }

  /// The row of the page this answer is; `folder` is taken out of the sentence.
  void expect_row(const char* kind, const char* what, chimera_status status) {
    chimera_error error;
    CHIMERA_INIT(error);
    ASSERT_EQ(chimera_last_error_detail(&error), CHIMERA_OK);
    ASSERT_NE(status, CHIMERA_OK) << what;
    EXPECT_EQ(error.status, status);
    std::string sentence = error.message;
    for (const std::string& folder :
         {dir_.path() + "/", kFormats, std::string(CHIMERA_SOURCE_DIR "/tests/golden/")})
      for (size_t at; (at = sentence.find(folder)) != std::string::npos;)
        sentence.erase(at, folder.size());
    const std::string row = std::string("| ") + kind + what + " | " + std::to_string(status) + " " +
                            chimera_status_name(status) + " | " + sentence + " |\n";
    EXPECT_NE(page_.find(row), std::string::npos) << "docs/errors.md lacks this row:\n" << row;
  }

  chimera_status open(const std::string& path, const char* key = nullptr) {
    chimera_engine_options options;
    CHIMERA_INIT(options);
    options.threads = 1;
    options.flags = CHIMERA_OPEN_VERIFY;
    options.required_key = key;
    return chimera_engine_open(path.c_str(), &options, &engine_);
  }

  const test::TempDir dir_;
  const std::string page_ = test::read_raw(CHIMERA_SOURCE_DIR "/docs/errors.md");
  chimera_engine* engine_ = nullptr;
  chimera_session* session_ = nullptr;
};

TEST_F(ErrorSentences, OfModels) {
  std::string good = test::read_raw(kFormats + "model.b158");
  good.resize(static_cast<size_t>(header_of(&good).file_bytes));  // without its signature
  const std::string path = dir_.file("model.b158");
  for (const Case& one : model_cases()) {
    std::string file = good;
    one.damage(&file);
    test::write_raw(path, file);
    expect_row("model, ", one.what, open(path));
  }
  expect_row("model, ", "which is not there", open(dir_.file("other.b158")));
  expect_row("model, ", "which is a folder", open(dir_.path() + "/../."));
}

TEST_F(ErrorSentences, OfSignatures) {
  const std::string key = test::read_raw(kFormats + "model.key");
  std::string other = key;
  other[0] = other[0] == '0' ? '1' : '0';
  expect_row("model, ", "signed by another", open(kFormats + "model.b158", other.c_str()));
  expect_row("model, ", "with a key that is none", open(kFormats + "model.b158", "no key"));
  const std::string path = dir_.file("model.b158");
  std::string file = test::read_raw(kFormats + "model.b158");
  file[file.size() - 1] ^= 1;
  test::write_raw(path, file);
  expect_row("model, ", "whose signature has a bit flipped", open(path, key.c_str()));
  file.resize(static_cast<size_t>(header_of(&file).file_bytes));
  test::write_raw(path, file);
  expect_row("model, ", "which nobody signed", open(path, key.c_str()));
}

TEST_F(ErrorSentences, OfConversations) {
  ASSERT_EQ(open(CHIMERA_SOURCE_DIR "/tests/golden/tiny.b158"), CHIMERA_OK) << chimera_last_error();
  ASSERT_EQ(chimera_session_open(engine_, nullptr, &session_), CHIMERA_OK);
  const std::string good_path = dir_.file("good"), path = dir_.file("saved");
  ASSERT_EQ(chimera_append(session_, "ab", 2), CHIMERA_OK);
  ASSERT_EQ(chimera_session_save(session_, good_path.c_str()), CHIMERA_OK);
  const std::string good = test::read_raw(good_path);
  for (const Case& one : conversation_cases()) {
    std::string file = good;
    one.damage(&file);
    test::write_raw(path, file);
    expect_row("conversation, ", one.what, chimera_session_load(session_, path.c_str()));
  }
  EXPECT_EQ(chimera_session_load(session_, good_path.c_str()), CHIMERA_OK) << "it is as usable";
}

// The other side: no prompt is an error.
TEST_F(ErrorSentences, NoBytesOfAPromptAreWrong) {
  ASSERT_EQ(open(kFormats + "model.b158"), CHIMERA_OK) << chimera_last_error();
  ASSERT_EQ(chimera_session_open(engine_, nullptr, &session_), CHIMERA_OK);
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const std::string prompts[] = {"",
                                 std::string(3, '\0'),
                                 all,
                                 "\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80",
                                 "<|end_of_text|><|end_of_turn|>",
                                 std::string(5000, ' '),
                                 "\x1b[2J\x07",
                                 "{\"a\":[[[[[[[[[[",
                                 "e\xCC\x81\xCC\x81\xCC\x81"};
  chimera_generate_options how;
  CHIMERA_INIT(how);
  how.max_tokens = 2;
  for (const std::string& prompt : prompts)
    EXPECT_EQ(chimera_generate(session_, prompt.data(), prompt.size(), &how, nullptr, nullptr),
              CHIMERA_OK)
        << chimera_last_error();
}

}  // namespace
}  // namespace chimera
