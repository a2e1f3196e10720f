#include "dataplane/crypto/suite.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace penstock {
namespace {

TEST(SuiteTest, TableHoldsEverySuiteOnce) {
  std::set<std::string_view> names;
  for (const Suite& suite : AllSuites()) {
    EXPECT_TRUE(names.insert(suite.name).second) << suite.name;
    EXPECT_EQ(*FindSuite(suite.name), &suite);
    EXPECT_EQ(FindSuite(suite.cipher, suite.integrity, suite.cipher_key_length), &suite);
  }
  EXPECT_EQ(names.size(), 3u + 12u + 1u + 3u + 4u);
}

TEST(SuiteTest, LengthsAreThoseOfTheDocuments) {
  const Suite& gcm = **FindSuite("aes-gcm-16-192");  // RFC 4106
  EXPECT_TRUE(gcm.is_aead());
  EXPECT_EQ(gcm.key_length(), 28);
  EXPECT_EQ(gcm.iv_length, 8);
  EXPECT_EQ(gcm.icv_length, 16);
  EXPECT_EQ(gcm.block, 4);
  const Suite& cbc = **FindSuite("aes-cbc-256-hmac-sha2-384-192");  // RFC 3602, RFC 4868
  EXPECT_FALSE(cbc.is_aead());
  EXPECT_EQ(cbc.key_length(), 32);
  EXPECT_EQ(cbc.integrity_key_length, 48);
  EXPECT_EQ(cbc.iv_length, 16);
  EXPECT_EQ(cbc.icv_length, 24);
  EXPECT_EQ(cbc.block, 16);
  const Suite& null = **FindSuite("null-hmac-sha1-96");  // RFC 2410, RFC 2404
  EXPECT_EQ(null.key_length(), 0);
  EXPECT_EQ(null.integrity_key_length, 20);
  EXPECT_EQ(null.iv_length, 0);
  EXPECT_EQ(null.icv_length, 12);
  EXPECT_EQ(null.block, 4);
}

TEST(SuiteTest, UnknownNamesGetTheNearestOnes) {
  const auto found = FindSuite("aes-gcm-256");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(found.error().message,
            "no cipher suite named \"aes-gcm-256\"; the nearest are aes-gcm-16-256, aes-gmac-256, "
            "aes-gcm-16-128");
  EXPECT_LT(FindSuite(std::string(1 << 20, 'x')).error().message.size(), 300u);
  EXPECT_EQ(FindSuite(Cipher::kAesCbc, Integrity::kNone, 16), nullptr);
}

TEST(SuiteTest, WrongKeyLengthsSayWhatIsNeeded) {
  const auto text = [](std::string_view name, size_t key, size_t integrity) {
    const std::vector<uint8_t> bytes(100);
    const Status checked = CheckKeyLengths(**FindSuite(name), std::span(bytes).first(key),
                                           std::span(bytes).first(integrity));
    return checked ? std::string("fine") : checked.error().message;
  };
  EXPECT_EQ(text("aes-gcm-16-128", 5, 0),
            "key has 5 bytes, aes-gcm-16-128 needs 20 (16 key + 4 salt)");
  EXPECT_EQ(text("chacha20-poly1305", 32, 0),
            "key has 32 bytes, chacha20-poly1305 needs 36 (32 key + 4 salt)");
  EXPECT_EQ(text("aes-cbc-192-hmac-sha1-96", 16, 20),
            "key has 16 bytes, aes-cbc-192-hmac-sha1-96 needs 24");
  EXPECT_EQ(text("aes-cbc-192-hmac-sha1-96", 24, 0),
            "integrity key has 0 bytes, aes-cbc-192-hmac-sha1-96 needs 20");
  EXPECT_EQ(text("aes-gcm-16-128", 20, 20), "integrity key has 20 bytes, aes-gcm-16-128 needs 0");
  EXPECT_EQ(text("null-hmac-sha2-512-256", 0, 64), "fine");
}

TEST(SuiteTest, IkeNumbersLeadThereAndBack) {
  for (const Suite& suite : AllSuites()) {
    const IkeTransforms ike = IkeTransformsOf(suite);
    const auto found = SuiteFromIke(ike.encryption, ike.key_bits, ike.integrity);
    ASSERT_TRUE(found) << suite.name << ": " << found.error().message;
    EXPECT_EQ(*found, &suite);
  }
  const IkeTransforms cbc = IkeTransformsOf(**FindSuite("aes-cbc-128-hmac-sha2-256-128"));
  EXPECT_EQ(cbc, (IkeTransforms{12, 128, 12}));
  const IkeTransforms chacha = IkeTransformsOf(**FindSuite("chacha20-poly1305"));
  EXPECT_EQ(chacha, (IkeTransforms{28, 0, 0}));
  EXPECT_EQ((*SuiteFromIke(28, 256, 1024))->name, "chacha20-poly1305");
  EXPECT_EQ((*SuiteFromIke(20, 256, 1024))->name, "aes-gcm-16-256");
}

TEST(SuiteTest, ForeignIkeNumbersAreRefusedWithAReason) {
  const auto text = [](uint16_t encryption, uint16_t bits, uint16_t integrity) {
    const auto found = SuiteFromIke(encryption, bits, integrity);
    return found ? std::string((*found)->name) : found.error().message;
  };
  EXPECT_EQ(text(3, 0, 2),
            "IKE encryption transform 3 is not supported; use 12 (AES-CBC), 20 (AES-GCM-16), 28 "
            "(ChaCha20-Poly1305), 21 (AES-GMAC) or 11 (NULL)");
  EXPECT_EQ(text(12, 128, 1),
            "IKE integrity transform 1 is not supported; use 2 (HMAC-SHA1-96), 12 "
            "(HMAC-SHA2-256-128), 13 (HMAC-SHA2-384-192), 14 (HMAC-SHA2-512-256), or 0 with an "
            "AEAD cipher");
  EXPECT_EQ(text(12, 128, 0), "ENCR_AES_CBC needs an integrity transform, but 0 was given");
  EXPECT_EQ(text(11, 0, 0), "ENCR_NULL needs an integrity transform, but 0 was given");
  EXPECT_EQ(text(20, 128, 12), "ENCR_AES_GCM_16 takes no integrity transform, but 12 was given");
  EXPECT_EQ(text(20, 0, 0), "ENCR_AES_GCM_16 has a key of 0 bits; it takes 128, 192 or 256");
  EXPECT_EQ(text(12, 100, 2), "ENCR_AES_CBC has a key of 100 bits; it takes 128, 192 or 256");
  EXPECT_EQ(text(20, 2176, 0), "ENCR_AES_GCM_16 has a key of 2176 bits; it takes 128, 192 or 256");
  EXPECT_EQ(text(28, 128, 0), "ENCR_CHACHA20_POLY1305 has a key of 128 bits; it takes 256");
  EXPECT_EQ(text(11, 128, 2), "ENCR_NULL has a key of 128 bits; it takes none");
}

TEST(SuiteTest, XfrmNamesAreTheKernelsOwn) {
  const XfrmNames gcm = XfrmNamesOf(**FindSuite("aes-gcm-16-128"));
  EXPECT_EQ(gcm.aead, "rfc4106(gcm(aes))");
  EXPECT_EQ(gcm.icv_bits, 128);
  EXPECT_TRUE(gcm.cipher.empty());
  const XfrmNames cbc = XfrmNamesOf(**FindSuite("aes-cbc-128-hmac-sha1-96"));
  EXPECT_EQ(cbc.cipher, "cbc(aes)");
  EXPECT_EQ(cbc.integrity, "hmac(sha1)");
  EXPECT_EQ(cbc.icv_bits, 96);
  const XfrmNames null = XfrmNamesOf(**FindSuite("null-hmac-sha2-512-256"));
  EXPECT_EQ(null.cipher, "ecb(cipher_null)");
  EXPECT_EQ(null.integrity, "hmac(sha512)");
  EXPECT_EQ(XfrmNamesOf(**FindSuite("aes-gmac-256")).aead, "rfc4543(gcm(aes))");
  EXPECT_EQ(XfrmNamesOf(**FindSuite("chacha20-poly1305")).aead, "rfc7539esp(chacha20,poly1305)");
}

}  // namespace
}  // namespace penstock
