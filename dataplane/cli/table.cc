#include "dataplane/cli/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "dataplane/base/result.h"

namespace penstock::cli {
namespace {

constexpr std::string_view kGap = "  ";

const char* Escape(Color color) {
  switch (color) {
    case Color::kNone:
      return "";
    case Color::kBold:
      return "\x1b[1m";
    case Color::kDim:
      return "\x1b[2m";
    case Color::kGood:
      return "\x1b[32m";
    case Color::kWarning:
      return "\x1b[33m";
    case Color::kBad:
      return "\x1b[31m";
  }
  return "";
}

std::string Aligned(const std::string& text, Align align, size_t width) {
  return align == Align::kRight ? fmt::format("{:>{}}", text, width)
                                : fmt::format("{:<{}}", text, width);
}

const std::string& Visible(const std::string& text) {
  static const std::string kNothing = "-";
  return text.empty() ? kNothing : text;
}

// Blanks at the end of a line would wrap on a terminal of just that width.
void EndLine(std::string& out, size_t line_start) {
  const size_t last = out.find_last_not_of(' ');
  out.resize(last == std::string::npos || last < line_start ? line_start : last + 1);
  out += '\n';
}

}  // namespace

std::string Paint(std::string_view text, Color color, const Style& style) {
  if (!style.color || color == Color::kNone || text.empty()) {
    return std::string(text);
  }
  return fmt::format("{}{}\x1b[0m", Escape(color), text);
}

void Table::Add(std::vector<Cell> row) {
  PENSTOCK_CHECK(row.size() == columns_.size());
  rows_.push_back(std::move(row));
}

std::vector<size_t> Table::Widths() const {
  std::vector<size_t> widths;
  for (size_t column = 0; column < columns_.size(); ++column) {
    size_t width = columns_[column].title.size();
    for (const std::vector<Cell>& row : rows_) {
      width = std::max(width, Visible(row[column].text).size());
    }
    widths.push_back(width);
  }
  return widths;
}

std::vector<bool> Table::Shown(const std::vector<size_t>& widths, size_t limit) const {
  std::vector<bool> shown(columns_.size(), true);
  size_t total = kGap.size() * (columns_.size() - 1);
  for (const size_t width : widths) {
    total += width;
  }
  int rank = 0;
  for (const Column& column : columns_) {
    rank = std::max(rank, column.rank);
  }
  // Columns of one rank go together: "in" without "out" would mislead.
  for (; limit != 0 && total > limit && rank > 0; --rank) {
    for (size_t column = 0; column < columns_.size(); ++column) {
      if (columns_[column].rank == rank) {
        shown[column] = false;
        total -= widths[column] + kGap.size();
      }
    }
  }
  return shown;
}

std::string Table::Render(const Style& style) const {
  const std::vector<size_t> widths = Widths();
  const std::vector<bool> shown = Shown(widths, style.width);
  std::string out;
  const auto line = [&](const auto& cell_of) {
    const size_t start = out.size();
    for (size_t column = 0; column < columns_.size(); ++column) {
      if (shown[column]) {
        const auto& [text, color] = cell_of(column);
        out += out.size() == start ? "" : kGap;
        out += Paint(Aligned(text, columns_[column].align, widths[column]), color, style);
      }
    }
    EndLine(out, start);
  };
  line([&](size_t column) { return std::pair(columns_[column].title, Color::kBold); });
  for (const std::vector<Cell>& row : rows_) {
    line([&](size_t column) { return std::pair(Visible(row[column].text), row[column].color); });
  }
  if (const auto hidden = std::count(shown.begin(), shown.end(), false); hidden > 0) {
    out +=
        Paint(fmt::format("({} more column{} in a wider window)", hidden, hidden == 1 ? "" : "s"),
              Color::kDim, style) +
        "\n";
  }
  return out;
}

std::string Block::Render(const Style& style) const {
  size_t width = 0;
  for (const auto& [name, value] : lines_) {
    width = std::max(width, name.size());
  }
  std::string out;
  for (const auto& [name, value] : lines_) {
    out += Paint(Aligned(name, Align::kLeft, width), Color::kDim, style);
    out += kGap;
    out += Paint(Visible(value.text), value.color, style);
    out += '\n';
  }
  return out;
}

}  // namespace penstock::cli
