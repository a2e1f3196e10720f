// Writing to a descriptor that may be a terminal, a file or a pipe whose reader leaves.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/cli/table.h"

namespace penstock::cli {

class Output {
 public:
  // The descriptor stays the caller's. `color` is auto, always or never; auto means: on a terminal,
  // unless NO_COLOR is set to something (https://no-color.org) or TERM is "dumb".
  Output(int descriptor, const std::string& color);

  // False once nobody reads any more (the disk is full, the pipe is closed): then stop.
  bool Write(std::string_view text);
  bool good() const { return error_ == 0; }
  int error() const { return error_; }  // errno of the failed write; EPIPE is no failure of ours
  bool terminal() const { return terminal_; }
  const Style& style() const { return style_; }
  // The terminal may be resized between two looks. Without a terminal COLUMNS tells the width.
  void MeasureAgain();

 private:
  int descriptor_;
  bool terminal_;
  int error_ = 0;
  Style style_;
};

}  // namespace penstock::cli
