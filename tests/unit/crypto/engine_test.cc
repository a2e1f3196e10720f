// What every engine promises: refusal of forgeries, IVs, keys, and no allocation per packet.
#include "dataplane/crypto/engine.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <atomic>
#include <bit>
#include <cstdlib>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "dataplane/crypto/imb_library.h"
#include "tests/unit/crypto/crypto_fixture.h"

namespace penstock {
namespace {

// Counts OpenSSL's allocations. It takes these functions only before its first allocation.
std::atomic<size_t> openssl_allocations{0};
void* CountedMalloc(size_t size, const char*, int) {
  ++openssl_allocations;
  return malloc(size);
}
void* CountedRealloc(void* data, size_t size, const char*, int) {
  ++openssl_allocations;
  return realloc(data, size);
}
void CountedFree(void* data, const char*, int) { free(data); }
const bool counting = CRYPTO_set_mem_functions(CountedMalloc, CountedRealloc, CountedFree) == 1;

class EngineTest : public ::testing::TestWithParam<EngineChoice> {
 protected:
  void SetUp() override {
    engine_ = EngineOrSkip(GetParam());
    if (engine_ == nullptr) {
      GTEST_SKIP() << "this machine cannot run it";
    }
  }

  CryptoKeyPtr MakeKey(const Suite& suite) {
    Noise noise(3);
    const Bytes cipher_key = noise.Take(suite.key_length());
    return *engine_->MakeKey(suite, cipher_key, noise.Take(suite.integrity_key_length));
  }

  std::unique_ptr<Engine> engine_;
};

// Seals nine packets, changes one bit of the fifth, and expects that packet alone to be refused.
void ExpectRefusal(Engine& engine, const CryptoKey& key, bool esn, size_t byte,
                   const std::string& what) {
  constexpr size_t kVictim = 4;
  const Suite& suite = *key.suite;
  std::deque<TestPacket> packets;
  std::vector<Job> jobs;
  for (size_t i = 0; i < 9; ++i) {
    packets.emplace_back(suite, 64 + 16 * i, i + 1);
    jobs.push_back(packets.back().MakeJob(key, esn));
  }
  engine.Encrypt(jobs);
  Bytes& victim = packets[kVictim].bytes;
  if (byte < victim.size()) {
    victim[byte] ^= 0x40;
  } else {
    jobs[kVictim].sequence_high ^= 1;
  }
  engine.Decrypt(jobs);
  for (size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_EQ(jobs[i].ok, i != kVictim) << suite.name << ", " << what << ", job " << i;
    EXPECT_TRUE(i == kVictim || packets[i].HoldsText()) << suite.name << ", " << what;
  }
}

TEST_P(EngineTest, OneChangedBitRefusesThatPacketAndNoOther) {
  for (const Suite& suite : AllSuites()) {
    const CryptoKeyPtr key = MakeKey(suite);
    const size_t text = 8u + suite.iv_length;
    const size_t icv = text + 64 + 16 * 4;
    for (bool esn : {false, true}) {
      ExpectRefusal(*engine_, *key, esn, 0, "SPI");
      ExpectRefusal(*engine_, *key, esn, 3, "last byte of the SPI");
      ExpectRefusal(*engine_, *key, esn, 4, "sequence number");
      ExpectRefusal(*engine_, *key, esn, 7, "last byte of the sequence number");
      ExpectRefusal(*engine_, *key, esn, text - 1, "IV");
      ExpectRefusal(*engine_, *key, esn, text, "text");
      ExpectRefusal(*engine_, *key, esn, icv - 1, "last byte of the text");
      ExpectRefusal(*engine_, *key, esn, icv, "ICV");
      ExpectRefusal(*engine_, *key, esn, icv + suite.icv_length - 1u, "last byte of the ICV");
    }
    ExpectRefusal(*engine_, *key, true, SIZE_MAX, "high half of the sequence number");
  }
}

TEST_P(EngineTest, EsnAndPlainNumbersAreNotTheSame) {
  for (const Suite& suite : AllSuites()) {
    const CryptoKeyPtr key = MakeKey(suite);
    TestPacket packet(suite, 64, 1);
    Job job = packet.MakeJob(*key, true);
    job.sequence_high = 0;
    engine_->Encrypt({&job, 1});
    job.esn = false;
    engine_->Decrypt({&job, 1});
    EXPECT_FALSE(job.ok) << suite.name;
  }
}

TEST_P(EngineTest, CbcTextOfOddLengthIsRefusedBothWaysAndUntouched) {
  const Suite& suite = **FindSuite("aes-cbc-128-hmac-sha2-256-128");
  const CryptoKeyPtr key = MakeKey(suite);
  std::deque<TestPacket> packets;
  std::vector<Job> jobs;
  for (size_t length : {64u, 60u, 15u, 32u}) {
    packets.emplace_back(suite, length, length);
    jobs.push_back(packets.back().MakeJob(*key, false));
  }
  engine_->Encrypt(jobs);
  EXPECT_TRUE(jobs[0].ok && !jobs[1].ok && !jobs[2].ok && jobs[3].ok);
  EXPECT_TRUE(packets[1].HoldsText() && packets[2].HoldsText());
  engine_->Decrypt(jobs);
  EXPECT_TRUE(jobs[0].ok && !jobs[1].ok && !jobs[2].ok && jobs[3].ok);
  EXPECT_TRUE(packets[0].HoldsText() && packets[3].HoldsText());
}

TEST_P(EngineTest, AnEmptyBurstIsFine) {
  engine_->Encrypt({});
  engine_->Decrypt({});
}

std::vector<std::string> TakeIvs(Engine& engine, const CryptoKey& key, size_t count) {
  std::deque<TestPacket> packets;
  std::vector<Job> jobs;
  for (size_t i = 0; i < count; ++i) {
    packets.emplace_back(*key.suite, 16, 1);  // the same text and the same bytes in the IV's place
    jobs.push_back(packets.back().MakeJob(key, false));
  }
  engine.Encrypt(jobs);
  std::vector<std::string> ivs;
  for (const TestPacket& packet : packets) {
    ivs.emplace_back(packet.bytes.begin() + 8, packet.bytes.begin() + 24);
  }
  return ivs;
}

TEST_P(EngineTest, CbcIvsNeverRepeatAndShowNoPattern) {
  constexpr size_t kCount = 4096;
  const CryptoKeyPtr key = MakeKey(**FindSuite("aes-cbc-128-hmac-sha1-96"));
  const std::vector<std::string> ivs = TakeIvs(*engine_, *key, kCount);
  EXPECT_EQ(std::set<std::string>(ivs.begin(), ivs.end()).size(), kCount);
  size_t flips[128] = {};  // of each bit between neighbours: a counter would show here
  for (size_t i = 1; i < kCount; ++i) {
    for (size_t bit = 0; bit < 128; ++bit) {
      flips[bit] += (ivs[i][bit / 8] ^ ivs[i - 1][bit / 8]) >> (bit % 8) & 1;
    }
  }
  for (size_t bit = 0; bit < 128; ++bit) {
    // 2048 expected, standard deviation 32: ten deviations do not happen by chance.
    EXPECT_NEAR(static_cast<double>(flips[bit]), kCount / 2.0, 320.0) << "bit " << bit;
  }
}

TEST_P(EngineTest, TwoInstancesChooseDifferentIvs) {
  std::unique_ptr<Engine> other = EngineOrSkip(GetParam());
  const CryptoKeyPtr key = MakeKey(**FindSuite("aes-cbc-256-hmac-sha1-96"));
  std::vector<std::string> ivs = TakeIvs(*engine_, *key, 64);
  const std::vector<std::string> more = TakeIvs(*other, *key, 64);
  ivs.insert(ivs.end(), more.begin(), more.end());
  EXPECT_EQ(std::set<std::string>(ivs.begin(), ivs.end()).size(), 128u);
}

TEST_P(EngineTest, KeysOfWrongLengthAreRefusedWithTheRightOne) {
  const Bytes five(5);
  const auto key = engine_->MakeKey(**FindSuite("aes-gcm-16-128"), five, {});
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(key.error().message, "key has 5 bytes, aes-gcm-16-128 needs 20 (16 key + 4 salt)");
}

TEST_P(EngineTest, AKeyOutlivesTheEngineThatMadeIt) {
  const Suite& suite = **FindSuite("aes-gcm-16-256");
  const CryptoKeyPtr key = MakeKey(suite);
  engine_ = EngineOrSkip(GetParam());
  TestPacket packet(suite, 100, 1);
  Job job = packet.MakeJob(*key, false);
  engine_->Encrypt({&job, 1});
  engine_->Decrypt({&job, 1});
  EXPECT_TRUE(job.ok && packet.HoldsText());
}

// A key may come to lie where another lay before; the engine must not take it for the old one.
TEST_P(EngineTest, ANewKeyAtAnOldAddressIsANewKey) {
  const Suite& suite = **FindSuite("aes-gcm-16-128");
  std::set<std::string> sealed;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const CryptoKeyPtr key = *engine_->MakeKey(suite, Noise(seed).Take(20), {});
    TestPacket packet(suite, 64, 1);
    Job job = packet.MakeJob(*key, false);
    engine_->Encrypt({&job, 1});
    sealed.emplace(packet.bytes.begin(), packet.bytes.end());
  }
  EXPECT_EQ(sealed.size(), 20u);
}

TEST_P(EngineTest, OpensslAllocatesNothingPerPacket) {
  ASSERT_TRUE(counting);
  std::deque<TestPacket> packets;
  std::vector<CryptoKeyPtr> keys;
  std::vector<Job> jobs;
  for (const Suite& suite : AllSuites()) {
    keys.push_back(MakeKey(suite));
    packets.emplace_back(suite, 256, 1);
    jobs.push_back(packets.back().MakeJob(*keys.back(), true));
  }
  engine_->Encrypt(jobs);
  engine_->Decrypt(jobs);
  const size_t before = openssl_allocations;
  for (int i = 0; i < 10; ++i) {
    engine_->Encrypt(jobs);
    engine_->Decrypt(jobs);
  }
  EXPECT_EQ(openssl_allocations - before, 0u);
}

INSTANTIATE_TEST_SUITE_P(Engines, EngineTest,
                         ::testing::Values(EngineChoice::kIpsecMb, EngineChoice::kOpenssl),
                         [](const auto& engine) { return EngineTestName(engine.param); });

TEST(EngineChoiceTest, NamesAreParsedAndOthersRefused) {
  EXPECT_EQ(*ParseEngineChoice("auto"), EngineChoice::kAuto);
  EXPECT_EQ(*ParseEngineChoice("ipsec-mb"), EngineChoice::kIpsecMb);
  EXPECT_EQ(*ParseEngineChoice("openssl"), EngineChoice::kOpenssl);
  EXPECT_EQ(ParseEngineChoice("qat").error().message,
            "no crypto engine named \"qat\"; use auto, ipsec-mb or openssl");
}

TEST(EngineChoiceTest, AutoTakesIpsecMbWhereItRuns) {
  const bool runs = MakeEngine(EngineChoice::kIpsecMb).has_value();
  const auto engine = MakeEngine(EngineChoice::kAuto);
  ASSERT_TRUE(engine);
  EXPECT_EQ((*engine)->name(), runs ? "ipsec-mb" : "openssl");
  EXPECT_EQ((*MakeEngine(EngineChoice::kOpenssl))->description().rfind("openssl 3.", 0), 0u);
}

TEST(ImbLibraryTest, OldLibrariesAreLoadedOncePerInstance) {
  const auto first = ImbLibrary::Load();
  const auto second = ImbLibrary::Load();
  const auto shared = ImbLibrary::Load(ImbSharing::kShared);
  const auto shared_again = ImbLibrary::Load(ImbSharing::kShared);
  if (!first) {
    GTEST_SKIP() << first.error().message;
  }
  // The same function at two addresses: two copies of code and of variables.
  const auto function = [](const auto& library) { return (*library)->manager()->gcm128_enc; };
  EXPECT_EQ(function(shared), function(shared_again));
  if ((*first)->is_private()) {
    EXPECT_NE(function(first), function(second));
    EXPECT_NE((*first)->Describe().find(", private copy"), std::string::npos);
  }
  EXPECT_EQ((*first)->Describe().rfind("ipsec-mb ", 0), 0u);
}

}  // namespace
}  // namespace penstock
