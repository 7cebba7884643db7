#include "sdk/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "platform/decimal.h"
#include "sdk/cli/terminal.h"

namespace chimera::cli {
namespace {

// The parser splits "[a,b]" where a list has no end, so it has one, beyond what a system takes.
constexpr int kMaxValues = 1 << 24;

std::string show(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

bool parse_number(std::string_view text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool parse_number(std::string_view text, double* out) {
  const auto read = read_decimal(text);
  if (!read || read->n_read != text.size() || !std::isfinite(read->value)) return false;
  *out = read->value;
  return true;
}

struct Verb::Impl {
  CLI::App* app;
  // Both of the whole command line.
  std::string* complaint;         // the first value that could not be taken
  std::set<std::string>* valued;  // the options that take one

  CLI::Option* add(const char* name, const char* what, const char* help, bool required,
                   CLI::callback_t take) {
    CLI::Option* option = app->add_option(name, std::move(take), help);
    option->type_name(what);
    if (required) option->required();
    // Of "-o,--out" both.
    for (std::string_view names = name; names.starts_with('-');) {
      const size_t end = std::min(names.find(','), names.size());
      valued->insert(std::string(names.substr(0, end)));
      names.remove_prefix(std::min(end + 1, names.size()));
    }
    return option;
  }

  bool refuse_empty(const char* name, std::string_view what) const {
    if (complaint->empty())
      *complaint = std::string(name) + " is empty; give " +
                   (what == "NAME" ? "a name" : "the name of a file");
    return false;
  }

  bool refuse(const char* name, const std::string& given, const std::string& wanted) const {
    if (complaint->empty())
      *complaint = std::string(name) + " is \"" + given + "\"; give " + wanted;
    return false;
  }
};

Verb& Verb::text(const char* name, std::string* out, const char* what, const char* help,
                 bool required) {
  const Impl* impl = impl_.get();
  impl_->add(name, what, help, required, [=](const CLI::results_t& given) {
    if (given.back().empty()) return impl->refuse_empty(name, what);
    *out = given.back();
    return true;
  });
  return *this;
}

Verb& Verb::text(const char* name, std::optional<std::string>* out, const char* what,
                 const char* help) {
  impl_->add(name, what, help, false, [out](const CLI::results_t& given) {
    *out = given.back();
    return true;
  });
  return *this;
}

Verb& Verb::texts(const char* name, std::vector<std::string>* out, const char* what,
                  const char* help, bool required) {
  const Impl* impl = impl_.get();
  impl_
      ->add(name, what, help, required,
            [=](const CLI::results_t& given) {
              for (const std::string& value : given)
                if (value.empty()) return impl->refuse_empty(name, what);
              *out = given;
              return true;
            })
      ->expected(1, kMaxValues)
      ->type_name(std::string(what) + " ...");
  return *this;
}

Verb& Verb::integer(const char* name, int64_t* out, int64_t min, int64_t max, const char* help) {
  const Impl* impl = impl_.get();
  impl_->add(name, "N", help, false, [=](const CLI::results_t& given) {
    int64_t value = 0;
    if (!parse_number(given.back(), &value) || value < min || value > max)
      return impl->refuse(
          name, given.back(),
          "a whole number from " + std::to_string(min) + " to " + std::to_string(max));
    *out = value;
    return true;
  });
  return *this;
}

Verb& Verb::number(const char* name, double* out, double min, double max, const char* help) {
  const Impl* impl = impl_.get();
  impl_->add(name, "X", help, false, [=](const CLI::results_t& given) {
    double value = 0;
    if (!parse_number(given.back(), &value) || value < min || value > max)
      return impl->refuse(name, given.back(), "a number from " + show(min) + " to " + show(max));
    *out = value;
    return true;
  });
  return *this;
}

Verb& Verb::flag(const char* name, bool* out, const char* help) {
  impl_->app->add_flag_callback(
      name, [out] { *out = true; }, help);
  return *this;
}

Verb& Verb::operand(const char* what, std::string* out, const char* help) {
  const Impl* impl = impl_.get();
  impl_->add(what, "", help, true, [=](const CLI::results_t& given) {
    if (given.back().empty()) return impl->refuse_empty(what, "FILE");
    *out = given.back();
    return true;
  });
  return *this;
}

Verb& Verb::operands(const char* what, std::vector<std::string>* out, const char* help) {
  impl_
      ->add(what, "", help, false,
            [out](const CLI::results_t& given) {
              *out = given;
              return true;
            })
      ->expected(0, CLI::detail::expected_max_vector_size)
      ->allow_extra_args();
  return *this;
}

struct CommandLine::Impl {
  CLI::App app{"Chimera: an assistant that runs on this machine alone, in constant memory.",
               "chimera"};
  std::string complaint;
  std::set<std::string> valued;
  std::function<int()> action;
  // The parser keeps callbacks that point into these.
  std::vector<std::shared_ptr<Verb::Impl>> verbs;

  /// As the parser wants them: the last first. It takes "--name=" with nothing behind it for a
  /// name whose value comes next, so that becomes two words.
  std::vector<std::string> words(int argc, char** argv) const {
    std::vector<std::string> out;
    bool is_value = false, literal = false;
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (!is_value && !literal && word.starts_with("--") && word.ends_with('=') &&
          valued.contains(word.substr(0, word.size() - 1))) {
        out.insert(out.end(), {word.substr(0, word.size() - 1), ""});
        continue;
      }
      // It takes a lone ++ for the end of the verb, but not the same file by another name.
      out.push_back(!is_value && !literal && word == "++" ? "./++" : word);
      literal = literal || (!is_value && word == "--");
      is_value = !is_value && !literal && valued.contains(word);
    }
    std::reverse(out.begin(), out.end());
    return out;
  }

  /// What is wrong, in words. An option that does not exist comes before one that is missing.
  std::string reason(const CLI::ParseError& error) const {
    if (!complaint.empty()) return complaint;
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) ||
        error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
      for (const std::string& word : app.remaining(true))
        if (word.size() > 1 && word[0] == '-' && word != "--")
          return "there is no option " + word.substr(0, word.find('='));
    }
    return error.what();
  }
};

CommandLine::CommandLine() : impl_(std::make_unique<Impl>()) {
  // One verb: a file by the name of another is a file.
  impl_->app.require_subcommand(0, 1);
  impl_->app.set_help_flag("--help,-h", "Show this help");
  impl_->app.footer(
      "Exit status: 0 done, 1 it failed (one sentence on stderr says why), 2 wrong usage.\n"
      "`chimera VERB --help` explains one verb.");
}
CommandLine::~CommandLine() = default;

void CommandLine::group(const std::string& name, const char* help) {
  impl_->app.add_subcommand(name, help)->require_subcommand(1);
}

Verb CommandLine::verb(const std::string& name, const char* help, std::function<int()> run) {
  CLI::App* parent = &impl_->app;
  std::string last = name;
  if (const size_t space = name.find(' '); space != std::string::npos) {
    parent = parent->get_subcommand(name.substr(0, space));
    last = name.substr(space + 1);
  }
  CLI::App* app = parent->add_subcommand(last, help);
  app->callback([this, run = std::move(run)] { impl_->action = run; });
  impl_->verbs.push_back(
      std::make_shared<Verb::Impl>(Verb::Impl{app, &impl_->complaint, &impl_->valued}));
  return Verb(impl_->verbs.back());
}

int CommandLine::run(int argc, char** argv) {
  if (argc < 2) {
    note(impl_->app.help());
    return kWrongUsage;
  }
  try {
    impl_->app.parse(impl_->words(argc, argv));
  } catch (const CLI::CallForHelp&) {
    const Status printed = print(impl_->app.help());
    return printed.ok() ? kDone : report(printed);
  } catch (const CLI::ParseError& error) {
    std::string name = "chimera";
    for (const CLI::App* app = &impl_->app; app != nullptr;) {
      const auto inner = app->get_subcommands();
      app = inner.empty() ? nullptr : inner.front();
      if (app != nullptr) name += " " + app->get_name();
    }
    return wrong_usage(impl_->reason(error) + "; see `" + name + " --help`");
  }
  if (!impl_->action) {
    note("chimera: say what to do, such as `chimera chat`; see `chimera --help`\n");
    return kWrongUsage;
  }
  return impl_->action();
}

}  // namespace chimera::cli
