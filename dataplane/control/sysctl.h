// What Linux may do with our devices: nothing but be a host on them.
#pragma once

#include <string>

namespace penstock {

// Linux must not forward on the device (the gateway does), and must take packets whatever way Linux
// itself would answer them by. Failures are logged: the device works without.
void GuardDevice(const std::string& device);

}  // namespace penstock
