#include "dataplane/crypto/engine.h"

#include "dataplane/crypto/imb_engine.h"
#include "dataplane/crypto/openssl_engine.h"

namespace penstock {

Result<EngineChoice> ParseEngineChoice(std::string_view text) {
  if (text == "auto") {
    return EngineChoice::kAuto;
  }
  if (text == "ipsec-mb") {
    return EngineChoice::kIpsecMb;
  }
  if (text == "openssl") {
    return EngineChoice::kOpenssl;
  }
  return Fail(Errc::kInvalidArgument,
              "no crypto engine named \"{}\"; use auto, ipsec-mb or openssl", text.substr(0, 64));
}

// The ipsec-mb engine wants SSE4.2, AES-NI and PCLMULQDQ, which it checks itself.
Result<std::unique_ptr<Engine>> MakeEngine(EngineChoice choice) {
  if (choice == EngineChoice::kOpenssl) {
    return MakeOpensslEngine();
  }
  Result<std::unique_ptr<Engine>> engine = MakeImbEngine();
  if (engine || choice == EngineChoice::kIpsecMb) {
    return engine;
  }
  return MakeOpensslEngine();
}

}  // namespace penstock
