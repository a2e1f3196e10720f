// What the schema cannot say: ranges, names, references, addresses. And the defaults.
#pragma once

#include "config/problems.h"

namespace penstock::config {

// Fills in every default that gateway.proto's comments name.
void FillDefaults(Gateway& gateway);

// Checks a gateway whose defaults are filled in; adds one problem for each thing that is wrong.
void Validate(const Gateway& gateway, Problems& problems);

}  // namespace penstock::config
