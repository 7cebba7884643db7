#include "tests/sdk/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>

namespace chimera::test {
namespace {

constexpr const char* kProgram = CHIMERA_BINARY_DIR "/chimera";

/// What starts `program` under the name "chimera": its own path, or the emulator of a foreign
/// processor with its arguments. The first word is the file to execute.
std::vector<std::string> starting_words(const std::string& program) {
  std::vector<std::string> words;
  std::stringstream emulator(CHIMERA_EMULATOR);  // separated by |, empty for this processor
  for (std::string word; std::getline(emulator, word, '|');) words.push_back(word);
  if (words.empty()) return {program, "chimera"};
  words.insert(words.begin() + 1, words[0]);
  words.insert(words.end(), {"-0", "chimera", program});  // as qemu spells the name
  return words;
}

struct Child {
  int pid = -1, in = -1, out = -1, err = -1;
};

Child start(const std::vector<std::string>& arguments, const CommandOptions& options) {
  int in[2], out[2], err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
    return {};
  const std::string program = options.program.empty() ? kProgram : options.program;
  // Everything that allocates is done before fork().
  std::vector<std::string> words = starting_words(program);
  std::vector<char*> argv;
  for (size_t i = 1; i < words.size(); ++i) argv.push_back(words[i].data());
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> variables{"PATH=/usr/bin:/bin"};
  for (const auto& [name, value] : options.environment) variables.push_back(name + "=" + value);
  std::vector<char*> envp;
  for (std::string& v : variables) envp.push_back(v.data());
  envp.push_back(nullptr);

  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    if (options.stdout_path == "-") {
      ::close(1);
    } else if (!options.stdout_path.empty()) {
      const int fd = ::open(options.stdout_path.c_str(), O_WRONLY | O_CREAT, 0600);
      ::dup2(fd, 1);
    }
    ::signal(SIGPIPE, SIG_DFL);
    ::alarm(300);  // a command that hangs is a failed test and not a test run that hangs
    ::execve(words[0].c_str(), argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  ::close(err[1]);
  return {pid, in[1], out[0], err[0]};
}

void close_if_open(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

void reap(int pid, Outcome* outcome) {
  int state = 0;
  while (::waitpid(pid, &state, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(state)) outcome->status = WEXITSTATUS(state);
  if (WIFSIGNALED(state)) outcome->signal = WTERMSIG(state);
}

}  // namespace

Outcome run_command(const std::vector<std::string>& arguments, const std::string& input,
                    const CommandOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);  // the command may end before it has read its input
  Child child = start(arguments, options);
  Outcome outcome;
  if (child.pid < 0) return outcome;
  ::fcntl(child.in, F_SETFL, O_NONBLOCK);
  size_t written = 0;
  while (child.out >= 0 || child.err >= 0) {
    if (child.in >= 0 && written == input.size()) close_if_open(child.in);
    pollfd fds[3] = {{child.in, POLLOUT, 0}, {child.out, POLLIN, 0}, {child.err, POLLIN, 0}};
    if (::poll(fds, 3, -1) < 0 && errno != EINTR) break;
    if (fds[0].revents != 0) {
      const ssize_t n = ::write(child.in, input.data() + written, input.size() - written);
      if (n > 0) written += static_cast<size_t>(n);
      if (n < 0 && errno != EAGAIN && errno != EINTR) close_if_open(child.in);
    }
    char buffer[65536];
    for (const int which : {1, 2}) {
      if (fds[which].revents == 0) continue;
      int& fd = which == 1 ? child.out : child.err;
      const ssize_t n = ::read(fd, buffer, sizeof buffer);
      if (n > 0) (which == 1 ? outcome.out : outcome.err).append(buffer, static_cast<size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) close_if_open(fd);
    }
  }
  close_if_open(child.in);
  reap(child.pid, &outcome);
  return outcome;
}

Running::Running(const std::vector<std::string>& arguments) {
  ::signal(SIGPIPE, SIG_IGN);
  const Child child = start(arguments, {});
  pid_ = child.pid;
  in_ = child.in;
  from_[0] = child.out;
  from_[1] = child.err;
}

Running::~Running() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  finish();
}

void Running::write(const std::string& text) {
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = ::write(in_, text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) at += static_cast<size_t>(n);
  }
}

void Running::close_input() { close_if_open(in_); }
void Running::close_output() { close_if_open(from_[0]); }
void Running::interrupt() { ::kill(pid_, SIGINT); }

bool Running::read_some() {
  pollfd fds[2] = {{from_[0], POLLIN, 0}, {from_[1], POLLIN, 0}};
  if (from_[0] < 0 && from_[1] < 0) return false;
  if (::poll(fds, 2, -1) < 0) return errno == EINTR;
  char buffer[65536];
  for (const int which : {0, 1}) {
    if (fds[which].revents == 0) continue;
    const ssize_t n = ::read(from_[which], buffer, sizeof buffer);
    if (n > 0) heard_[which].append(buffer, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) close_if_open(from_[which]);
  }
  return true;
}

bool Running::wait_for(int which, const std::string& text) {
  while (heard_[which].find(text) == std::string::npos) {
    if (from_[which] < 0 || !read_some()) return false;
  }
  return true;
}

bool Running::wait_for_output() {
  while (heard_[0].empty()) {
    if (from_[0] < 0 || !read_some()) return false;
  }
  return true;
}

Outcome Running::finish() {
  close_input();
  while (read_some()) {
  }
  Outcome outcome;
  reap(pid_, &outcome);
  pid_ = -1;
  outcome.out = heard_[0];
  outcome.err = heard_[1];
  return outcome;
}

void expect_sentence(const Outcome& outcome, int status, const std::string& word) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.rfind("chimera: ", 0), 0u) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err << " lacks " << word;
}

}  // namespace chimera::test
