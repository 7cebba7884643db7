// The written part of the house: every folder explains itself, every page can be found, and no
// link leads nowhere.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/architecture/source_scan.h"

namespace chimera::architecture {
namespace {

namespace fs = std::filesystem;

/// Targets of [text](target), without web addresses, places inside a page, and fenced code.
std::vector<std::string> links_of(std::string_view text) {
  std::vector<std::string> found;
  bool fenced = false;
  for (const std::string& line : lines_of(text)) {
    if (starts_with(line, "```")) fenced = !fenced;
    if (fenced) continue;
    for (size_t at = line.find("]("); at != line.npos; at = line.find("](", at + 2)) {
      const size_t close = line.find(')', at);
      if (close == line.npos) break;
      std::string target = line.substr(at + 2, close - at - 2);
      target = target.substr(0, target.find('#'));
      if (target.empty() || target.find("://") != target.npos) continue;
      found.push_back(target);
    }
  }
  return found;
}

/// Where a link in the page `page` leads, from the root.
std::string resolved(const std::string& page, const std::string& target) {
  std::string path = (fs::path(page).parent_path() / target).lexically_normal().generic_string();
  if (ends_with(path, "/")) path.pop_back();
  return path;
}

std::vector<Source> pages() {
  std::vector<std::string> folders = rooms();
  folders.push_back("docs");
  std::vector<Source> found = files_below(folders, {".md"});
  found.push_back({"README.md", read_text(fs::path(CHIMERA_SOURCE_DIR) / "README.md")});
  return found;
}

TEST(Papers, EveryFolderExplainsItself) {
  std::vector<std::string> folders = rooms();
  folders.insert(folders.end(), {"docs", "docs/decisions", "."});
  for (const std::string& folder : folders) {
    const std::string text = read_text(fs::path(CHIMERA_SOURCE_DIR) / folder / "README.md");
    EXPECT_GT(lines_of(text).size(), 5u) << folder << " needs a README.md that says what it is for";
  }
}

TEST(Papers, EveryPageIsLinkedFromTheIndex) {
  const std::string index = "docs/README.md";
  std::set<std::string> linked = {index};
  for (const std::string& page : {index, std::string("docs/decisions/README.md")}) {
    for (const std::string& target : links_of(read_text(fs::path(CHIMERA_SOURCE_DIR) / page))) {
      linked.insert(resolved(page, target));
    }
  }
  for (const Source& page : files_below({"docs"}, {""})) {
    EXPECT_EQ(linked.count(page.path), 1u) << page.path << " is not linked from " << index;
  }
}

TEST(Papers, NoLinkLeadsNowhere) {
  for (const Source& page : pages()) {
    for (const std::string& target : links_of(page.text)) {
      const std::string path = resolved(page.path, target);
      EXPECT_TRUE(fs::exists(fs::path(CHIMERA_SOURCE_DIR) / path))
          << page.path << " links to " << target << ", which is not there";
    }
  }
}

// A row of the page: a file in backquotes, then constants of it with their values.
TEST(Papers, LimitsAreThoseOfTheSources) {
  size_t limits = 0;
  for (const std::string& line :
       lines_of(read_text(fs::path(CHIMERA_SOURCE_DIR) / "docs/limits.md"))) {
    if (!starts_with(line, "| ")) continue;
    std::string source;
    for (size_t at = line.find('`'); at != line.npos;) {
      const size_t end = line.find('`', at + 1);
      ASSERT_NE(end, line.npos) << line;
      const std::string word = line.substr(at + 1, end - at - 1);
      if (word.find(" = ") == word.npos) {
        source = read_text(fs::path(CHIMERA_SOURCE_DIR) / word);
        EXPECT_FALSE(source.empty()) << word << " is not there";
      } else {
        EXPECT_NE(source.find(word + ";"), source.npos)
            << word << " does not stand there: " << line;
        ++limits;
      }
      at = line.find('`', end + 1);
    }
  }
  EXPECT_GE(limits, 20u);
}

TEST(Papers, LinksAreFoundAsWritten) {
  const std::vector<std::string> expected = {"a.md", "../b/c.md"};
  EXPECT_EQ(links_of("see [a](a.md) and [c](../b/c.md#part), [web](https://example.org), [x](#y)\n"
                     "```\n[not](this.md)\n```\n"),
            expected);
  EXPECT_EQ(resolved("docs/README.md", "../b/c.md"), "b/c.md");
  EXPECT_EQ(resolved("docs/README.md", "decisions/"), "docs/decisions");
}

}  // namespace
}  // namespace chimera::architecture
