#include "config/problems.h"

#include <algorithm>

namespace penstock::config {

Problems::Place Problems::FindPlace(std::string field) const {
  while (!field.empty()) {
    if (const auto found = places_.find(field); found != places_.end()) {
      return found->second;
    }
    const size_t cut = field.find_last_of(".[");
    field.resize(cut == std::string::npos ? 0 : cut);
  }
  return {};
}

std::vector<Problem> Problems::Take() {
  std::stable_sort(list_.begin(), list_.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return std::move(list_);
}

std::string FormatProblems(const std::string& file, const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) {
    if (!text.empty()) {
      text += '\n';
    }
    text += file;
    if (problem.line > 0) {
      text += fmt::format(":{}:{}", problem.line, problem.column);
    }
    text += ": ";
    if (!problem.field.empty()) {
      text += problem.field + ": ";
    }
    text += problem.message;
  }
  return text;
}

}  // namespace penstock::config
