// The portable engine: OpenSSL's EVP. For processors without AES instructions that ipsec-mb wants,
// and the second opinion in tests. It shares no code with the other engine but the suite table.
#pragma once

#include <memory>

#include "dataplane/crypto/engine.h"

namespace penstock {

Result<std::unique_ptr<Engine>> MakeOpensslEngine();

}  // namespace penstock
