// Aligned text: tables of rows, and blocks of "name  value".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::cli {

enum class Color { kNone, kBold, kDim, kGood, kWarning, kBad };
enum class Align { kLeft, kRight };

// Where text goes to.
struct Style {
  bool color = false;
  size_t width = 0;  // of the terminal; 0: no limit
};

// The text in a colour, if there are colours.
std::string Paint(std::string_view text, Color color, const Style& style);

struct Column {
  std::string title;
  Align align = Align::kLeft;
  // On a terminal that is too narrow the columns of the highest rank are left out first; those of
  // rank 0 stay.
  int rank = 0;
};

struct Cell {
  Cell(std::string content) : text(std::move(content)) {}  // NOLINT: cells are written as text
  Cell(const char* content) : text(content) {}             // NOLINT
  Cell(std::string content, Color in_color) : text(std::move(content)), color(in_color) {}

  std::string text;  // ASCII, no line breaks; empty prints as "-"
  Color color = Color::kNone;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell for each column.
  void Add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  // The title line and the rows, each line ended; a line below counts columns that were left out.
  std::string Render(const Style& style) const;

 private:
  std::vector<size_t> Widths() const;
  std::vector<bool> Shown(const std::vector<size_t>& widths, size_t limit) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Lines of a dim name and a value, values aligned.
class Block {
 public:
  void Add(std::string name, Cell value) { lines_.emplace_back(std::move(name), std::move(value)); }
  std::string Render(const Style& style) const;

 private:
  std::vector<std::pair<std::string, Cell>> lines_;
};

}  // namespace penstock::cli
