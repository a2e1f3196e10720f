// Rates from two answers to the same question.
#pragma once

#include <string>

#include "config/control.pb.h"
#include "dataplane/cli/tables.h"

namespace penstock::cli {

// A table of rates per second between two replies with the same kind of body: ports, tunnels,
// workers or drops. What appeared in between counts from zero.
std::string RatesText(const control::Reply& before, const control::Reply& now, const View& view);

}  // namespace penstock::cli
