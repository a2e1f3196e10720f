// The fast engine: intel-ipsec-mb, called directly.
#pragma once

#include <memory>

#include "dataplane/crypto/engine.h"
#include "dataplane/crypto/imb_library.h"

namespace penstock {

// Fails where the library is missing or the processor too old; the error says which.
Result<std::unique_ptr<Engine>> MakeImbEngine(ImbSharing sharing = ImbSharing::kAuto);

}  // namespace penstock
