// What encrypts and decrypts: a burst of jobs, one per packet, each in place.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/base/secret.h"
#include "dataplane/crypto/suite.h"

namespace penstock {

// An expanded key, made once per SA by the control thread, read by all workers. The engine defines
// what follows; its memory comes from AllocateSecretMemory and is wiped when it goes.
struct CryptoKey {
  virtual ~CryptoKey() = default;
  const Suite* suite = nullptr;
  uint8_t salt[4] = {};
  // Which inner loop handles it; engines sort and group jobs by it.
  uint8_t kind = 0;
};
using CryptoKeyPtr = std::unique_ptr<CryptoKey>;

// One packet's crypto. `esp` points to the ESP header; behind it stand IV, text and ICV as on the
// wire:   SPI(4) sequence(4) IV(suite) text(text_length) ICV(suite)
//
// Encrypt: the caller has written SPI, sequence, padding and trailer, and for AEAD suites the 8
// bytes
//   of IV; for AES-CBC the engine writes an unpredictable IV (RFC 3602 3). The engine writes the
//   ICV behind the text; these bytes must be writable.
// Decrypt: the engine compares the ICV in constant time before anyone may look at the text, and
// sets
//   ok. The ICV's bytes may be overwritten.
// Authenticated data: AEAD: SPI, [high sequence], sequence (RFC 4106 5; RFC 7634 2.1). HMAC: ESP
//   header to the end of the text, then the high sequence if ESN (RFC 4303 3.3.2.1). GMAC: RFC
//   4543.
struct alignas(64) Job {
  const CryptoKey* key;
  uint8_t* esp;
  uint32_t text_length;    // bytes between IV and ICV; a whole number of blocks
  uint32_t sequence_high;  // host order; used if esn
  bool esn;
  bool ok;         // set by the engine
  uint16_t index;  // the caller's; the engine leaves jobs where they are
  void* user;      // the caller's
};
static_assert(sizeof(Job) == 64);

// One instance per worker: not thread safe, but for MakeKey, which the control thread calls on an
// instance of its own; keys made by any instance of an engine serve all of them.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::string_view name() const = 0;    // "ipsec-mb", "openssl"
  virtual std::string description() const = 0;  // with version and instruction set, for humans
  virtual bool Supports(const Suite& suite) const = 0;
  // `cipher_key` includes the salt for AEAD suites. Wrong lengths are errors that say what is
  // needed: "key has 5 bytes, aes-gcm-16-128 needs 20 (16 key + 4 salt)".
  virtual Result<CryptoKeyPtr> MakeKey(const Suite& suite, std::span<const uint8_t> cipher_key,
                                       std::span<const uint8_t> integrity_key) = 0;
  virtual void Encrypt(std::span<Job> jobs) = 0;
  virtual void Decrypt(std::span<Job> jobs) = 0;
};

enum class EngineChoice : uint8_t { kAuto, kIpsecMb, kOpenssl };
Result<EngineChoice> ParseEngineChoice(std::string_view text);  // "auto", "ipsec-mb", "openssl"

// `kAuto` takes ipsec-mb where the processor has what it needs (see the engine's .cc), else
// OpenSSL.
Result<std::unique_ptr<Engine>> MakeEngine(EngineChoice choice);

// Runs published vectors and a round trip of every suite through the engine; the error names suite
// and vector. The daemon refuses to start on a wrong answer.
Status CheckKnownAnswers(Engine& engine);

}  // namespace penstock
