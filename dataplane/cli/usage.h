// What is said to somebody who asks for help, or whose command line is not understood.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "dataplane/cli/failure.h"

namespace penstock::cli {

// The help of the command that was asked about, after parsing was ended by --help.
std::string HelpOf(const CLI::App& app);

// One sentence on what is wrong, with the likely word where one was mistyped, and where help is.
Failure UsageFailure(const CLI::App& app, const CLI::ParseError& error);

// The word of `words` with the fewest changes from `word`; empty if none is near.
std::string Nearest(const std::string& word, const std::vector<std::string>& words);

}  // namespace penstock::cli
