// Packets from published documents. Documents give CBC texts without an ICV: there the cipher's
// answer is theirs, and the ICV is the HMAC (itself checked below) under a key of 0x0b bytes.
// Documents give HMACs of bare data: there SPI, sequence number and text are that data.
#include "dataplane/crypto/known_answers.h"

namespace penstock {
namespace {

constexpr KnownAnswer kVectors[] = {
    {"draft-mcgrew-gcm-test-01 case 1", "aes-gcm-16-128",
     "4c80cdefbb5d10da906ac73c3613a6342e443b68", "", true, 0x87654321u,
     "00004321000000004956ed7e3b244cfefecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa"
     "13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732"
     "459018148f6cbe722fd04796562dfdb4",
     "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f75"
     "6470037369700963796265726369747902646b000021000101020201"},
    {"draft-mcgrew-gcm-test-01 case 2", "aes-gcm-16-128",
     "feffe9928665731c6d6a8f9467308308cafebabe", "", false, 0,
     "0000a5f80000000afacedbaddecaf888deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d"
     "114d2a5c3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4"
     "c309e9d85a41ad4a",
     "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100000100000000000003736970"
     "0963796265726369747902646b00000100010001"},
    {"draft-mcgrew-gcm-test-01 case 3", "aes-gcm-16-256",
     "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344", "", false, 0,
     "4a2cbfe3000000020102030405060708ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d"
     "65a5d763748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c4915956c96",
     "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b4"
     "0101040201020201"},
    {"draft-mcgrew-gcm-test-01 case 7", "aes-gcm-16-192",
     "feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe", "", false, 0,
     "0000a5f80000000afacedbaddecaf888a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b"
     "5bfbdbd0315b27452144cc7795457b9652037f5318027b5b4cd7a636",
     "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001"},
    {"draft-mcgrew-gcm-test-01 case 9", "aes-gcm-16-256",
     "abbccddef00112233445566778899aababbccddef00112233445566778899aab73616c74", "", true,
     0x156f3126u,
     "17405e67dd0db99b616e640169766563f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a30"
     "18d9a57ff4d3a31ce673119e451626c2415771e3b7eebca614c89b35",
     "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d540001"},
    {"draft-mcgrew-gcm-test-01 case 12", "aes-gcm-16-128",
     "7d773d00c144c525ac619d18c84a3f47d9664267", "", false, 0,
     "335467aeffffffff43457e9182443bc6437f866bcb3f699fe9b0822bac961c4504bef270", "01020201"},
    {"draft-mcgrew-gcm-test-01 case 14", "aes-gcm-16-256",
     "6c6567616c697a656d6172696a75616e61616e64646f69746265666f726569617475726e", "", true,
     0xffffffffu,
     "796b6963ffffffff333021696765746df97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39"
     "b49c3a864cd3d78ca4ae68a32b42458fb57dbe821dcc63b9d0937ba2945f669368661a329fb4c053",
     "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f70"
     "7172737401020201"},
    {"draft-mcgrew-gcm-test-01, GMAC", "aes-gmac-128", "4c80cdefbb5d10da906ac73c3613a63422433c64",
     "", false, 0,
     "0000432100000007000000000000000045000030da3a00008001df3bc0a80005c0a800010800c6cd02000700"
     "6162636465666768696a6b6c6d6e6f707172737401020201f2a9a836e155106aa8dcd618e4099aaa",
     "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f70"
     "7172737401020201"},
    {"RFC 7634 appendix A", "chacha20-poly1305",
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3", "", false, 0,
     "0102030400000005101112131415161724039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef"
     "407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b50"
     "2773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43",
     "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f"
     "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204"},
    {"RFC 3602 case 5", "aes-cbc-128-hmac-sha1-96", "90d382b410eeba7ad938c46cec1a82bf",
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", false, 0,
     "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849a4870b66"
     "cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
     "a269add047ad2d5913ac19b7cfbad4a6cf264838385a370fec0fbf47",
     "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
     "2425262728292a2b2c2d2e2f30313233343536370102030405060708090a0b0c0d0e0e01"},
    {"RFC 3602 case 2", "aes-cbc-128-hmac-sha2-512-256", "c286696d887c9aa0611bbb3e2025a45a",
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
     true, 0x00000001u,
     "0000432100000001562e17996d093d28ddb3ba695a2e6f58d296cd94c2cccf8a3a863028b5e1dc0a7586602d"
     "253cfff91b8266bea6d61ab1288458139f13c09e46a76dcb69db3d546aeae81aa8c2d7fe5215779da035d86f",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"},
    {"SP 800-38A F.2.4", "aes-cbc-192-hmac-sha2-256-128",
     "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", false, 0,
     "0000432100000001000102030405060708090a0b0c0d0e0f4f021db243bc633d7178183a9fa071e8b4d9ada9"
     "ad7dedf4e5e738763f69145a571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd"
     "3316bdd6beaec5b50f88b357fdd43b81",
     "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc119"
     "1a0a52eff69f2445df4f9b17ad2b417be66c3710"},
    {"SP 800-38A F.2.6", "aes-cbc-256-hmac-sha2-384-192",
     "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
     "0b0b0b0b",
     false, 0,
     "0000432100000001000102030405060708090a0b0c0d0e0ff58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e96"
     "7edb808d679f777bc6702c7d39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"
     "e62a88b2e174bebeadc0a75e8ecbda1e79c53ca95694678b",
     "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc119"
     "1a0a52eff69f2445df4f9b17ad2b417be66c3710"},
    {"RFC 2202 case 1", "null-hmac-sha1-96", "", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", false,
     0, "4869205468657265b617318655057264e28bc0b6", ""},
    {"RFC 2202 case 3", "null-hmac-sha1-96", "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false,
     0,
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "dddddddddddd125d7342b9ac11cd91a39af4",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"},
    {"RFC 4868 AUTH256-1", "null-hmac-sha2-256-128", "",
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", false, 0,
     "4869205468657265198a607eb44bfbc69903a0f1cf2bbdc5", ""},
    {"RFC 4868 AUTH256-2", "null-hmac-sha2-256-128", "",
     "4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665", false, 0,
     "7768617420646f2079612077616e7420666f72206e6f7468696e673f167f928588c5cc2eef8e3093caa0e87c",
     "79612077616e7420666f72206e6f7468696e673f"},
    {"RFC 4868 AUTH256-3", "null-hmac-sha2-256-128", "",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, 0,
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "ddddddddddddcdcb1220d1ecccea91e53aba3092f962",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"},
    {"RFC 4868 AUTH384-1", "null-hmac-sha2-384-192", "",
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
     "0b0b0b0b",
     false, 0, "4869205468657265b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973", ""},
    {"RFC 4868 AUTH384-3", "null-hmac-sha2-384-192", "",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaa",
     false, 0,
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "dddddddddddd809f439be00274321d4a538652164b53554a508184a0c316",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"},
    {"RFC 4868 AUTH512-1", "null-hmac-sha2-512-256", "",
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
     "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
     false, 0, "4869205468657265637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
     ""},
    {"RFC 4868 AUTH512-3", "null-hmac-sha2-512-256", "",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     false, 0,
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "dddddddddddd2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"},
};

}  // namespace

std::span<const KnownAnswer> PublishedVectors() { return kVectors; }

}  // namespace penstock
