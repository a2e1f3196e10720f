// ipsec-mb, with our own loops and without, against OpenSSL: they share nothing but the suite
// table.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/crypto/imb_engine.h"
#include "tests/unit/crypto/crypto_fixture.h"

namespace penstock {
namespace {

// Null where the machine cannot run it.
std::unique_ptr<Engine> MakeImb(ImbLoops loops) {
  Result<std::unique_ptr<Engine>> engine = MakeImbEngine(ImbSharing::kAuto, loops);
  return engine ? std::move(*engine) : nullptr;
}

class EngineAgreementTest : public ::testing::TestWithParam<ImbLoops> {
 protected:
  void SetUp() override {
    imb_ = MakeImb(GetParam());
    openssl_ = EngineOrSkip(EngineChoice::kOpenssl);
    if (imb_ == nullptr) {
      GTEST_SKIP() << "this machine cannot run ipsec-mb";
    }
  }

  std::unique_ptr<Engine> imb_;
  std::unique_ptr<Engine> openssl_;
};

std::vector<size_t> Lengths(const Suite& suite) {
  std::vector<size_t> lengths;
  for (size_t length = 0; length <= 2000; length += suite.block) {
    lengths.push_back(length);
  }
  for (size_t length = 2048; length <= 16000; length += 1776) {
    lengths.push_back(length / 16 * 16);
  }
  return lengths;
}

// Encrypts with one engine, decrypts with the other; the whole burst in one call each.
void ExpectPassage(Engine& sender, const CryptoKey& sender_key, Engine& receiver,
                   const CryptoKey& receiver_key, bool esn) {
  const Suite& suite = *sender_key.suite;
  std::deque<TestPacket> packets;
  std::vector<Job> jobs;
  for (size_t length : Lengths(suite)) {
    packets.emplace_back(suite, length, length + 1);
    jobs.push_back(packets.back().MakeJob(sender_key, esn));
  }
  sender.Encrypt(jobs);
  for (Job& job : jobs) {
    ASSERT_TRUE(job.ok) << suite.name << " length " << job.text_length;
    job.key = &receiver_key;
    job.ok = false;
  }
  receiver.Decrypt(jobs);
  for (size_t i = 0; i < jobs.size(); ++i) {
    ASSERT_TRUE(jobs[i].ok) << suite.name << " esn " << esn << " length " << jobs[i].text_length;
    ASSERT_TRUE(packets[i].HoldsText()) << suite.name << " length " << jobs[i].text_length;
  }
}

TEST_P(EngineAgreementTest, EachReadsWhatTheOtherWroteAtEveryLength) {
  for (const Suite& suite : AllSuites()) {
    const KeyPair keys = MakeKeyPair(suite, *imb_, *openssl_);
    for (bool esn : {false, true}) {
      ExpectPassage(*imb_, *keys.first, *openssl_, *keys.second, esn);
      ExpectPassage(*openssl_, *keys.second, *imb_, *keys.first, esn);
    }
  }
}

TEST_P(EngineAgreementTest, PacketsAreEqualToTheByteWhereNoIvIsChosen) {
  for (const Suite& suite : AllSuites()) {
    if (suite.cipher == Cipher::kAesCbc) {
      continue;
    }
    const KeyPair keys = MakeKeyPair(suite, *imb_, *openssl_);
    for (size_t length : {0u, 4u, 60u, 64u, 1408u}) {
      TestPacket first(suite, length, 5);
      TestPacket second(suite, length, 5);
      Job first_job = first.MakeJob(*keys.first, true);
      Job second_job = second.MakeJob(*keys.second, true);
      imb_->Encrypt({&first_job, 1});
      openssl_->Encrypt({&second_job, 1});
      EXPECT_EQ(first.bytes, second.bytes) << suite.name << " length " << length;
    }
  }
}

// A burst of random suites, lengths and ESN.
struct MixedBurst {
  MixedBurst(const std::vector<KeyPair>& keys, size_t size, uint64_t seed) {
    Noise noise(seed);
    for (size_t i = 0; i < size; ++i) {
      const KeyPair& pair = keys[noise.Next() % keys.size()];
      packets.emplace_back(*pair.suite, noise.Next() % 100 * 16, noise.Next());
      pairs.push_back(&pair);
      jobs.push_back(packets.back().MakeJob(*pair.first, noise.Next() % 2 == 0));
      jobs.back().index = static_cast<uint16_t>(i);
    }
  }
  std::deque<TestPacket> packets;
  std::vector<const KeyPair*> pairs;
  std::vector<Job> jobs;
};

TEST_P(EngineAgreementTest, MixedBurstsOfEverySizePassAndKeepTheirOrder) {
  std::vector<KeyPair> keys;
  for (const Suite& suite : AllSuites()) {
    keys.push_back(MakeKeyPair(suite, *imb_, *openssl_, keys.size()));
  }
  for (size_t size : {1u, 2u, 3u, 5u, 8u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 130u}) {
    MixedBurst burst(keys, size, size);
    imb_->Encrypt(burst.jobs);
    for (size_t i = 0; i < size; ++i) {
      ASSERT_TRUE(burst.jobs[i].ok);
      ASSERT_EQ(burst.jobs[i].index, i);
      ASSERT_EQ(burst.jobs[i].user, &burst.packets[i]);
      burst.jobs[i].key = burst.pairs[i]->second.get();
    }
    openssl_->Decrypt(burst.jobs);
    openssl_->Encrypt(burst.jobs);
    for (size_t i = 0; i < size; ++i) {
      burst.jobs[i].key = burst.pairs[i]->first.get();
    }
    imb_->Decrypt(burst.jobs);
    for (size_t i = 0; i < size; ++i) {
      ASSERT_TRUE(burst.jobs[i].ok)
          << "burst of " << size << ", job " << i << ", " << burst.pairs[i]->suite->name;
      ASSERT_TRUE(burst.packets[i].HoldsText()) << burst.pairs[i]->suite->name;
    }
  }
}

TEST_P(EngineAgreementTest, EveryBurstSizeOfOneSuitePasses) {
  for (std::string_view name : {"aes-gcm-16-128", "aes-cbc-256-hmac-sha1-96"}) {
    std::vector<KeyPair> keys;
    keys.push_back(MakeKeyPair(**FindSuite(name), *imb_, *openssl_));
    for (size_t size = 1; size <= 64; ++size) {
      MixedBurst burst(keys, size, size);
      imb_->Encrypt(burst.jobs);
      imb_->Decrypt(burst.jobs);
      for (size_t i = 0; i < size; ++i) {
        ASSERT_TRUE(burst.jobs[i].ok && burst.packets[i].HoldsText()) << name << " " << size;
      }
    }
  }
}

// Each worker has an engine of its own and uses the control thread's keys.
TEST_P(EngineAgreementTest, TwoEnginesWorkOnTwoThreadsWithTheSameKeys) {
  std::vector<KeyPair> keys;
  for (const Suite& suite : AllSuites()) {
    keys.push_back(MakeKeyPair(suite, *imb_, *openssl_, keys.size()));
  }
  int failures[2] = {0, 0};
  const auto work = [&keys](int* failed) {
    std::unique_ptr<Engine> engine = MakeImb(GetParam());
    for (uint64_t round = 0; round < 50; ++round) {
      MixedBurst burst(keys, 64, round);
      engine->Encrypt(burst.jobs);
      engine->Decrypt(burst.jobs);
      for (size_t i = 0; i < burst.jobs.size(); ++i) {
        *failed += burst.jobs[i].ok && burst.packets[i].HoldsText() ? 0 : 1;
      }
    }
  };
  std::thread first(work, &failures[0]);
  std::thread second(work, &failures[1]);
  first.join();
  second.join();
  EXPECT_EQ(failures[0], 0);
  EXPECT_EQ(failures[1], 0);
}

// What each lane does must not depend on its neighbours: a burst of one suite, of many keys and
// lengths, in any order.
TEST_P(EngineAgreementTest, LanesOfManyKeysAndLengthsKeepApart) {
  for (const Suite& suite : AllSuites()) {
    std::vector<KeyPair> keys;
    for (uint64_t seed = 1; seed <= 7; ++seed) {
      keys.push_back(MakeKeyPair(suite, *imb_, *openssl_, seed));
    }
    for (uint64_t round = 0; round < 20; ++round) {
      MixedBurst burst(keys, 1 + round * 3, round);
      imb_->Encrypt(burst.jobs);
      for (size_t i = 0; i < burst.jobs.size(); ++i) {
        burst.jobs[i].key = burst.pairs[i]->second.get();
      }
      openssl_->Decrypt(burst.jobs);
      for (size_t i = 0; i < burst.jobs.size(); ++i) {
        ASSERT_TRUE(burst.jobs[i].ok && burst.packets[i].HoldsText())
            << suite.name << " round " << round << " job " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Loops, EngineAgreementTest,
                         ::testing::Values(ImbLoops::kFastest, ImbLoops::kLibrary),
                         [](const auto& which) {
                           return which.param == ImbLoops::kFastest ? "Fastest" : "Library";
                         });

}  // namespace
}  // namespace penstock
