// Engines, keys and packets for the crypto tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/crypto/engine.h"

namespace penstock {

using Bytes = std::vector<uint8_t>;

// Null where the machine cannot run the engine; OpenSSL always runs.
inline std::unique_ptr<Engine> EngineOrSkip(EngineChoice choice) {
  Result<std::unique_ptr<Engine>> engine = MakeEngine(choice);
  EXPECT_TRUE(engine || choice == EngineChoice::kIpsecMb) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

inline std::string EngineTestName(EngineChoice choice) {
  return choice == EngineChoice::kIpsecMb ? "IpsecMb" : "Openssl";
}

// A small, fast, repeatable generator (xorshift64*): tests must fail the same way twice.
class Noise {
 public:
  explicit Noise(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }
  Bytes Take(size_t length) {
    Bytes bytes(length);
    for (uint8_t& byte : bytes) {
      byte = static_cast<uint8_t>(Next() >> 56);
    }
    return bytes;
  }

 private:
  uint64_t state_;
};

// One suite with keys of both engines for the same key bytes.
struct KeyPair {
  const Suite* suite = nullptr;
  CryptoKeyPtr first;
  CryptoKeyPtr second;
};

inline KeyPair MakeKeyPair(const Suite& suite, Engine& first, Engine& second, uint64_t seed = 1) {
  Noise noise(seed);
  const Bytes cipher_key = noise.Take(suite.key_length());
  const Bytes integrity_key = noise.Take(suite.integrity_key_length);
  KeyPair pair;
  pair.suite = &suite;
  pair.first = *first.MakeKey(suite, cipher_key, integrity_key);
  pair.second = *second.MakeKey(suite, cipher_key, integrity_key);
  return pair;
}

// A packet that owns exactly its bytes, so that AddressSanitizer sees an overrun by one.
struct TestPacket {
  TestPacket(const Suite& suite, size_t text_length, uint64_t seed)
      : head(8u + suite.iv_length), length(text_length) {
    bytes = Noise(seed).Take(head + text_length + suite.icv_length);
    text.assign(bytes.begin() + static_cast<ptrdiff_t>(head),
                bytes.begin() + static_cast<ptrdiff_t>(head + text_length));
  }
  Job MakeJob(const CryptoKey& key, bool esn) {
    Job job{};
    job.key = &key;
    job.esp = bytes.data();
    job.text_length = static_cast<uint32_t>(length);
    job.sequence_high = 0x89abcdef;
    job.esn = esn;
    job.index = 77;
    job.user = this;
    return job;
  }
  bool HoldsText() const {
    return std::equal(text.begin(), text.end(), bytes.begin() + static_cast<ptrdiff_t>(head));
  }

  size_t head;
  size_t length;
  Bytes bytes;
  Bytes text;  // in clear
};

}  // namespace penstock
