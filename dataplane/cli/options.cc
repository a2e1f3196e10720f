#include "dataplane/cli/options.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::cli {

CLI::Option* AddChoice(CLI::App* app, const std::string& name, const std::string& type,
                       const std::string& help, const std::vector<std::string>& words,
                       std::function<void(const std::string&)> set) {
  const auto parse = [words](const std::string& text) -> Result<std::string> {
    if (std::find(words.begin(), words.end(), text) == words.end()) {
      return Fail(Errc::kInvalidArgument, "\"{}\" is unknown; expected {}", text,
                  fmt::join(words, ", "));
    }
    return text;
  };
  return AddParsed(app, name, type, fmt::format("{}: {}", help, fmt::join(words, ", ")), parse,
                   std::move(set));
}

void AddExamples(CLI::App* app, const std::vector<std::string>& examples) {
  std::string text = examples.size() == 1 ? "Example:" : "Examples:";
  for (const std::string& example : examples) {
    text += "\n  penstockctl " + example;
  }
  app->footer(text + "\n");
}

}  // namespace penstock::cli
