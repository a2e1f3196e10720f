// The fast engine: intel-ipsec-mb, called directly.
#pragma once

#include <memory>

#include "dataplane/crypto/engine.h"
#include "dataplane/crypto/imb_library.h"

namespace penstock {

// Whose loops work: the fastest for this processor, which are ours for AES-GCM, AES-CBC and
// HMAC-SHA1 where there is AVX-512 with VAES and VPCLMULQDQ; or the library's alone, to compare
// with and for older processors.
enum class ImbLoops : uint8_t { kFastest, kLibrary };

// Fails where the library is missing or the processor too old; the error says which.
Result<std::unique_ptr<Engine>> MakeImbEngine(ImbSharing sharing = ImbSharing::kAuto,
                                              ImbLoops loops = ImbLoops::kFastest);

}  // namespace penstock
