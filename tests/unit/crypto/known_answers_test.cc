#include "dataplane/crypto/known_answers.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/crypto/crypto_fixture.h"

namespace penstock {
namespace {

class KnownAnswersTest : public ::testing::TestWithParam<EngineChoice> {};

TEST_P(KnownAnswersTest, EngineGivesEachPublishedAnswer) {
  std::unique_ptr<Engine> engine = EngineOrSkip(GetParam());
  if (engine == nullptr) {
    GTEST_SKIP() << "this machine cannot run it";
  }
  for (const KnownAnswer& vector : PublishedVectors()) {
    const Status right = CheckKnownAnswer(*engine, vector);
    EXPECT_TRUE(right) << right.error().message;
  }
}

TEST_P(KnownAnswersTest, EngineRoundTripsEverySuite) {
  std::unique_ptr<Engine> engine = EngineOrSkip(GetParam());
  if (engine == nullptr) {
    GTEST_SKIP() << "this machine cannot run it";
  }
  for (const Suite& suite : AllSuites()) {
    const Status right = CheckRoundTrip(*engine, suite);
    EXPECT_TRUE(right) << right.error().message;
  }
  EXPECT_TRUE(CheckKnownAnswers(*engine));
}

INSTANTIATE_TEST_SUITE_P(Engines, KnownAnswersTest,
                         ::testing::Values(EngineChoice::kIpsecMb, EngineChoice::kOpenssl),
                         [](const auto& engine) { return EngineTestName(engine.param); });

// A real engine with one fault built in.
class FaultyEngine final : public Engine {
 public:
  enum class Fault { kTextBit, kIcvBit, kAcceptsForgeries, kRefuses, kLeavesClear };

  explicit FaultyEngine(Fault fault)
      : fault_(fault), engine_(*MakeEngine(EngineChoice::kOpenssl)) {}
  std::string_view name() const override { return "faulty"; }
  std::string description() const override { return "faulty"; }
  bool Supports(const Suite& suite) const override { return engine_->Supports(suite); }
  Result<CryptoKeyPtr> MakeKey(const Suite& suite, std::span<const uint8_t> cipher_key,
                               std::span<const uint8_t> integrity_key) override {
    return engine_->MakeKey(suite, cipher_key, integrity_key);
  }
  void Encrypt(std::span<Job> jobs) override {
    if (fault_ != Fault::kLeavesClear) {
      engine_->Encrypt(jobs);
    }
    for (Job& job : jobs) {
      if (fault_ == Fault::kIcvBit) {
        TextAt(job)[job.text_length] ^= 0x80;
      }
      job.ok = true;
    }
  }
  void Decrypt(std::span<Job> jobs) override {
    engine_->Decrypt(jobs);
    for (Job& job : jobs) {
      if (fault_ == Fault::kTextBit && job.text_length > 0) {
        TextAt(job)[job.text_length - 1] ^= 1;
      }
      job.ok = fault_ == Fault::kAcceptsForgeries || (job.ok && fault_ != Fault::kRefuses);
    }
  }

 private:
  static uint8_t* TextAt(const Job& job) { return job.esp + 8 + job.key->suite->iv_length; }

  Fault fault_;
  std::unique_ptr<Engine> engine_;
};

void ExpectFailure(FaultyEngine::Fault fault, const std::string& text) {
  FaultyEngine engine(fault);
  const Status checked = CheckKnownAnswers(engine);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Errc::kInternal);
  EXPECT_EQ(checked.error().message, text);
}

TEST(KnownAnswersFaultTest, BrokenEnginesAreNamedWithSuiteAndVector) {
  const std::string first =
      "crypto engine faulty fails its self-test: aes-gcm-16-128, "
      "draft-mcgrew-gcm-test-01 case 1: ";
  ExpectFailure(FaultyEngine::Fault::kTextBit, first + "the decrypted text is wrong");
  ExpectFailure(FaultyEngine::Fault::kIcvBit, first + "the encrypted packet is wrong");
  ExpectFailure(FaultyEngine::Fault::kRefuses, first + "a valid packet was refused");
  ExpectFailure(FaultyEngine::Fault::kLeavesClear, first + "the encrypted packet is wrong");
  ExpectFailure(FaultyEngine::Fault::kAcceptsForgeries,
                "crypto engine faulty fails its self-test: aes-gcm-16-128, round trip: "
                "a forged packet was accepted");
}

}  // namespace
}  // namespace penstock
