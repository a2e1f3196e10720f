#include "dataplane/crypto/known_answers.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "dataplane/crypto/crypto_util.h"

namespace penstock {
namespace {

using Bytes = std::vector<uint8_t>;

uint8_t Nibble(char digit) {
  return static_cast<uint8_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

Bytes FromHex(std::string_view text) {
  Bytes bytes(text.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(Nibble(text[2 * i]) << 4 | Nibble(text[2 * i + 1]));
  }
  return bytes;
}

// Key bytes that are all different, so that a swapped or repeated word shows.
Bytes CountingBytes(size_t length, uint8_t first) {
  Bytes bytes(length);
  for (size_t i = 0; i < length; ++i) {
    bytes[i] = static_cast<uint8_t>(first + i);
  }
  return bytes;
}

Job JobFor(const CryptoKey& key, Bytes& packet, bool esn, uint32_t sequence_high) {
  const Suite& suite = *key.suite;
  Job job{};
  job.key = &key;
  job.esp = packet.data();
  job.text_length =
      static_cast<uint32_t>(packet.size() - kEspHeaderLength - suite.iv_length - suite.icv_length);
  job.esn = esn;
  job.sequence_high = sequence_high;
  return job;
}

tl::unexpected<Error> Wrong(Engine& engine, std::string_view suite, std::string_view source,
                            const char* what) {
  return Fail(Errc::kInternal, "crypto engine {} fails its self-test: {}, {}: {}", engine.name(),
              suite, source, what);
}

struct RoundTrip {
  std::vector<Bytes> packets;
  std::vector<Bytes> texts;
  std::vector<Job> jobs;
};

RoundTrip MakeRoundTrip(const CryptoKey& key) {
  constexpr std::array<size_t, 8> kLengths = {16, 32, 64, 128, 256, 1024, 1408, 8192};
  const Suite& suite = *key.suite;
  RoundTrip trip;
  for (size_t length : kLengths) {
    const size_t head = kEspHeaderLength + suite.iv_length;
    Bytes packet = CountingBytes(head + length + suite.icv_length, static_cast<uint8_t>(length));
    trip.texts.emplace_back(packet.begin() + static_cast<ptrdiff_t>(head),
                            packet.begin() + static_cast<ptrdiff_t>(head + length));
    trip.packets.push_back(std::move(packet));
  }
  for (size_t i = 0; i < trip.packets.size(); ++i) {
    trip.jobs.push_back(JobFor(key, trip.packets[i], i % 2 == 1, 0x01020304));
  }
  return trip;
}

bool TextIs(const Job& job, const Bytes& text) {
  return std::equal(text.begin(), text.end(), TextOf(job, *job.key->suite));
}

}  // namespace

Status CheckKnownAnswer(Engine& engine, const KnownAnswer& vector) {
  Result<const Suite*> suite = FindSuite(vector.suite);
  if (!suite) {
    return tl::make_unexpected(suite.error());
  }
  Result<CryptoKeyPtr> key =
      engine.MakeKey(**suite, FromHex(vector.key), FromHex(vector.integrity_key));
  if (!key) {
    return Prefixed(std::string(vector.source), key.error());
  }
  const Bytes sealed = FromHex(vector.packet);
  const Bytes text = FromHex(vector.text);
  Bytes packet = sealed;
  Job job = JobFor(**key, packet, vector.esn, vector.sequence_high);
  engine.Decrypt({&job, 1});
  if (!job.ok) {
    return Wrong(engine, vector.suite, vector.source, "a valid packet was refused");
  }
  if (!TextIs(job, text)) {
    return Wrong(engine, vector.suite, vector.source, "the decrypted text is wrong");
  }
  if ((*suite)->cipher == Cipher::kAesCbc) {
    return {};  // the engine chooses the IV: no other answer to compare with
  }
  engine.Encrypt({&job, 1});
  // The ICV's bytes may have been changed by decryption; encryption has to bring them back.
  if (!job.ok || packet != sealed) {
    return Wrong(engine, vector.suite, vector.source, "the encrypted packet is wrong");
  }
  return {};
}

Status CheckRoundTrip(Engine& engine, const Suite& suite) {
  constexpr size_t kForged = 3;
  Result<CryptoKeyPtr> key = engine.MakeKey(suite, CountingBytes(suite.key_length(), 1),
                                            CountingBytes(suite.integrity_key_length, 101));
  if (!key) {
    return Prefixed(std::string(suite.name), key.error());
  }
  RoundTrip trip = MakeRoundTrip(**key);
  engine.Encrypt(trip.jobs);
  for (size_t i = 0; i < trip.jobs.size(); ++i) {
    const bool changed = !TextIs(trip.jobs[i], trip.texts[i]);
    const bool hides = suite.cipher != Cipher::kNull && suite.cipher != Cipher::kAesGmac;
    if (!trip.jobs[i].ok || changed != hides) {
      return Wrong(engine, suite.name, "round trip", "a text was not encrypted");
    }
  }
  trip.packets[kForged].back() ^= 1;
  engine.Decrypt(trip.jobs);
  for (size_t i = 0; i < trip.jobs.size(); ++i) {
    if (trip.jobs[i].ok != (i != kForged)) {
      return Wrong(engine, suite.name, "round trip",
                   i == kForged ? "a forged packet was accepted" : "a valid packet was refused");
    }
    if (i != kForged && !TextIs(trip.jobs[i], trip.texts[i])) {
      return Wrong(engine, suite.name, "round trip", "the decrypted text is wrong");
    }
  }
  return {};
}

Status CheckKnownAnswers(Engine& engine) {
  for (const KnownAnswer& vector : PublishedVectors()) {
    if (Status right = CheckKnownAnswer(engine, vector); !right) {
      return right;
    }
  }
  for (const Suite& suite : AllSuites()) {
    if (!engine.Supports(suite)) {
      continue;
    }
    if (Status right = CheckRoundTrip(engine, suite); !right) {
      return right;
    }
  }
  return {};
}

}  // namespace penstock
