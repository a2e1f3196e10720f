// What the daemon gives up before it opens anything to the world.
#pragma once

#include "dataplane/base/result.h"

namespace penstock {

// Keeps only the capabilities that ports, devices and memory need (`physical`: PCI and AF_XDP ports
// need more), forbids core dumps and tracing by others, since keys are in memory. Before threads
// start: they inherit it. Without root nothing is given up and nothing fails.
Status LowerPrivileges(bool physical);

}  // namespace penstock
