#include "dataplane/cli/usage.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace penstock::cli {
namespace {

// Levenshtein's distance.
size_t Distance(const std::string& left, const std::string& right) {
  std::vector<size_t> row(right.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= left.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= right.size(); ++j) {
      const size_t above = row[j];
      const size_t changed = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
      row[j] = std::min({above + 1, row[j - 1] + 1, changed});
      diagonal = above;
    }
  }
  return row.back();
}

// The innermost command that was understood.
const CLI::App* Deepest(const CLI::App* app, std::string& path) {
  for (;;) {
    const std::vector<CLI::App*> parsed = app->get_subcommands();
    if (parsed.empty()) {
      return app;
    }
    app = parsed.back();
    path += " " + app->get_name();
  }
}

// Option groups are apps without a name.
std::vector<std::string> CommandsOf(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app->get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_name().empty()) {
      names.push_back(command->get_name());
    }
  }
  return names;
}

void AddOptionsOf(const CLI::App* app, std::vector<std::string>& names) {
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_group().empty() && option->nonpositional()) {
      names.push_back(option->get_name(false, false));
    }
  }
  for (const CLI::App* group : app->get_subcommands([](const CLI::App*) { return true; })) {
    if (group->get_name().empty()) {
      AddOptionsOf(group, names);
    }
  }
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

std::string UnknownWord(const CLI::App* root, const CLI::App* command, const std::string& word) {
  const bool option = word.starts_with("-");
  std::vector<std::string> candidates = CommandsOf(command);
  if (option) {
    candidates.clear();
    AddOptionsOf(command, candidates);
    AddOptionsOf(root, candidates);
  }
  const std::string nearest = Nearest(word.substr(0, word.find('=')), candidates);
  const std::string kind = option ? "option" : candidates.empty() ? "argument" : "command";
  std::string text = "unknown " + kind + " '" + word + "'";
  if (!nearest.empty()) {
    text += "; did you mean '" + nearest + "'?";
  } else if (kind == "command") {
    text += "; expected " + Joined(candidates);
  }
  return text;
}

std::string Reason(const CLI::App& app, const CLI::App* command, const CLI::ParseError& error) {
  const std::vector<std::string> extras = app.remaining(true);
  if (!extras.empty()) {
    return UnknownWord(&app, command, extras.front());
  }
  const std::vector<std::string> commands = CommandsOf(command);
  if (error.get_name() == "RequiredError" && !commands.empty()) {
    return "a command is missing; expected " + Joined(commands);
  }
  std::string text = error.what();
  if (text.starts_with(": ")) {
    text.erase(0, 2);  // a hidden option has no name here; its text gives it
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

}  // namespace

std::string HelpOf(const CLI::App& app) { return app.help(); }

std::string Nearest(const std::string& word, const std::vector<std::string>& words) {
  std::string nearest;
  size_t best = std::max<size_t>(word.size() / 2, 1) + 1;
  for (const std::string& candidate : words) {
    const size_t distance = Distance(word, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

Failure UsageFailure(const CLI::App& app, const CLI::ParseError& error) {
  std::string path = "penstockctl";
  const CLI::App* command = Deepest(&app, path);
  return {ExitCode::kUsage, Reason(app, command, error) + " (see " + path + " --help)"};
}

}  // namespace penstock::cli
