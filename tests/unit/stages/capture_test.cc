#include "dataplane/runtime/capture.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>

#include "tests/unit/stages/slow_path_fixture.h"

namespace penstock {
namespace {

class CaptureTest : public SlowPathTest {
 protected:
  std::unique_ptr<Capture> Make(const CaptureOptions& options) {
    auto capture = Capture::Make(options);
    EXPECT_TRUE(capture.has_value()) << (capture ? "" : capture.error().message);
    return std::move(*capture);
  }
  void Offer(Capture& capture, Packet* packet, unsigned offset = 0, bool outbound = false) {
    capture.Offer(worker_, packet, offset, outbound, NotesOf(packet).input_port,
                  NotesOf(packet).input_tunnel, nullptr);
    Release(packet);
  }
  static uint32_t Number(const std::string& bytes, size_t at) {
    uint32_t number = 0;
    memcpy(&number, bytes.data() + at, 4);
    return number;
  }
  struct Block {
    uint32_t type;
    std::string body;
  };
  // Checks that the bytes are whole blocks.
  static std::vector<Block> Blocks(const std::string& bytes) {
    std::vector<Block> blocks;
    size_t at = 0;
    while (at + 12 <= bytes.size()) {
      const uint32_t length = Number(bytes, at + 4);
      EXPECT_EQ(length % 4, 0u);
      if (length < 12 || at + length > bytes.size()) {
        break;
      }
      EXPECT_EQ(Number(bytes, at + length - 4), length);
      blocks.push_back({Number(bytes, at), bytes.substr(at + 8, length - 12)});
      at += length;
    }
    EXPECT_EQ(at, bytes.size());
    return blocks;
  }
  static std::string Text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }
};

TEST_F(CaptureTest, WritesSectionInterfacesAndPackets) {
  auto capture = Make({});
  const Bytes ip = MakeIp({}, Random(33, 1));
  Packet* packet = Frame(ip);
  const Bytes frame = BytesOf(packet);
  Offer(*capture, packet, 0, true);
  std::string file;
  EXPECT_TRUE(capture->Read(file));
  const auto blocks = Blocks(file);
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_EQ(blocks[0].type, 0x0a0d0d0au);
  EXPECT_EQ(Number(blocks[0].body, 0), 0x1a2b3c4du);
  EXPECT_EQ(blocks[1].type, 1u);
  EXPECT_EQ(Number(blocks[1].body, 0), 1u);
  EXPECT_EQ(Number(blocks[2].body, 0), 101u);
  const std::string& body = blocks[3].body;
  EXPECT_EQ(blocks[3].type, 6u);
  EXPECT_EQ(Number(body, 0), 0u);
  const uint64_t nanoseconds = uint64_t{Number(body, 4)} << 32 | Number(body, 8);
  EXPECT_NEAR(static_cast<double>(nanoseconds) / 1e9, static_cast<double>(time(nullptr)), 60.0);
  EXPECT_EQ(Number(body, 12), frame.size());
  EXPECT_EQ(Number(body, 16), frame.size());
  EXPECT_EQ(body.substr(20, frame.size()), Text(frame));
  // Direction flags, as an option of 4 bytes at the end, then the end of options.
  EXPECT_EQ(body.substr(body.size() - 12), std::string("\2\0\4\0\2\0\0\0\0\0\0\0", 12));
  EXPECT_EQ(capture->captured(), 1u);
  std::string more;
  EXPECT_TRUE(capture->Read(more));
  EXPECT_TRUE(more.empty());
}

TEST_F(CaptureTest, TheFilterSelectsFramesAndInnerPackets) {
  auto frames = Make({.filter = "udp and host 192.0.2.1"});
  Offer(*frames, Frame(MakeIp({}, Random(32, 1))));
  Offer(*frames, Frame(MakeIp({.source = "192.0.2.2"}, Random(32, 1))));
  Offer(*frames, Frame(MakeIp({.protocol = kProtocolTcp}, Random(32, 1))));
  EXPECT_EQ(frames->captured(), 1u);
  auto inner = Make({.point = CapturePoint::kTunnel, .filter = "ip6 and udp"});
  Offer(*inner, Inner(MakeIp({"2001:db8::1", "2001:db8::2"}, Random(32, 1)), 3));
  Offer(*inner, Inner(MakeIp({}, Random(32, 1)), 3));
  EXPECT_EQ(inner->captured(), 1u);
}

TEST_F(CaptureTest, AFilterThatDoesNotCompileIsQuoted) {
  const auto capture = Capture::Make({.filter = "udp and and"});
  ASSERT_FALSE(capture.has_value());
  EXPECT_EQ(capture.error().code, Errc::kInvalidArgument);
  EXPECT_NE(capture.error().message.find("udp and and"), std::string::npos);
  EXPECT_NE(capture.error().message.find("syntax error"), std::string::npos);
  EXPECT_FALSE(Capture::Make({.point = CapturePoint::kTunnel, .filter = "ether host 1:2:3:4:5:6"}));
}

TEST_F(CaptureTest, WantsOnlyWhatWasAskedFor) {
  auto port = Make({.port = 3});
  EXPECT_TRUE(port->Wants(CapturePoint::kPort, 3));
  EXPECT_FALSE(port->Wants(CapturePoint::kPort, 4));
  EXPECT_FALSE(port->Wants(CapturePoint::kTunnel, 3));
  auto all = Make({.point = CapturePoint::kDrop});
  EXPECT_TRUE(all->Wants(CapturePoint::kDrop, 0));
  EXPECT_TRUE(all->Wants(CapturePoint::kDrop, 17));
  auto one = Make({.point = CapturePoint::kDrop, .drop_reason = 0});
  EXPECT_TRUE(one->Wants(CapturePoint::kDrop, 0));
  EXPECT_FALSE(one->Wants(CapturePoint::kDrop, 1));
}

TEST_F(CaptureTest, CopiesChainsUpToTheSnapLength) {
  auto capture = Make({.snap_length = 1000});
  Packet* packet = Frame(MakeIp({}, Random(3000, 1)), 300);
  const Bytes frame = BytesOf(packet);
  Offer(*capture, packet);
  std::string file;
  capture->Read(file);
  const auto blocks = Blocks(file);
  EXPECT_EQ(Number(blocks[3].body, 12), 1000u);
  EXPECT_EQ(Number(blocks[3].body, 16), frame.size());
  EXPECT_EQ(blocks[3].body.substr(20, 1000), Text(Slice(frame, 0, 1000)));
}

TEST_F(CaptureTest, StopsAtThePacketLimit) {
  auto capture = Make({.packet_limit = 3});
  std::string file;
  Offer(*capture, Frame(MakeIp({}, Random(32, 1))));
  EXPECT_TRUE(capture->Read(file));
  for (unsigned i = 0; i < 9; ++i) {
    Offer(*capture, Frame(MakeIp({}, Random(32, i))));
  }
  EXPECT_EQ(capture->captured(), 3u);
  EXPECT_EQ(capture->lost(), 0u);
  EXPECT_FALSE(capture->Read(file));
  EXPECT_EQ(Blocks(file).size(), 3u + 3u);
}

TEST_F(CaptureTest, AFullRingLosesCopiesAndCountsThem) {
  auto capture = Make({});
  constexpr unsigned kOffered = 3000;
  for (unsigned i = 0; i < kOffered; ++i) {
    Offer(*capture, Frame(MakeIp({}, Random(32, 1))));
  }
  EXPECT_GT(capture->lost(), 0u);
  EXPECT_EQ(capture->captured() + capture->lost(), kOffered);
  std::string file;
  capture->Read(file);
  EXPECT_EQ(Blocks(file).size(), 3u + capture->captured());
  Offer(*capture, Frame(MakeIp({}, Random(32, 1))));  // there is room again
  EXPECT_EQ(capture->captured() + capture->lost(), kOffered + 1);
  ExpectBalance();
}

TEST_F(CaptureTest, CopiesGoRoundForAsLongAsTheyAreRead) {
  auto capture = Make({});
  for (unsigned i = 0; i < 5000; ++i) {
    Offer(*capture, Frame(MakeIp({}, Random(32, 1))));
    std::string file;
    capture->Read(file);
  }
  EXPECT_EQ(capture->captured(), 5000u);
  EXPECT_EQ(capture->lost(), 0u);
}

TEST_F(CaptureTest, DroppedPacketsStartWhereTheirBytesMakeSense) {
  const Bytes ip = MakeIp({}, Random(32, 1));
  const auto dropped = [&](Packet* packet, DropReason reason) {
    auto capture = Make({.point = CapturePoint::kDrop});
    capture->OfferDropped(worker_, packet, reason);
    Release(packet);
    std::string file;
    capture->Read(file);
    return Blocks(file).at(3).body;
  };
  const std::string frame = dropped(Frame(ip), DropReason::kNoRoute);
  EXPECT_EQ(Number(frame, 0), 0u);
  EXPECT_EQ(Number(frame, 12), 14 + ip.size());
  // What was decapsulated in place has the remains of the outer headers in front, and may have the
  // trailer and the link's padding behind.
  Packet* packet = FromBytes(Bytes(50, 0xaa) + ip + Bytes(18, 0xbb), 0);
  Describe(packet, 50);
  const std::string inner = dropped(packet, DropReason::kSelectorMismatch);
  EXPECT_EQ(Number(inner, 0), 1u);
  EXPECT_EQ(Number(inner, 12), ip.size());
  EXPECT_EQ(Number(inner, 16), ip.size());
  EXPECT_EQ(inner.substr(20, ip.size()), Text(ip));
  // Before classification the notes say nothing yet, not even what is left from an earlier packet.
  packet = Frame(ip);
  NotesOf(packet).l3_offset = 50;
  const std::string early = dropped(packet, DropReason::kNotForUs);
  EXPECT_EQ(Number(early, 0), 0u);
  EXPECT_EQ(Number(early, 12), 14 + ip.size());
}

TEST_F(CaptureTest, TsharkReadsDropsWithTheirReason) {
  if (system("tshark --version > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "tshark is not installed";
  }
  auto capture = Make({.point = CapturePoint::kDrop});
  worker_.capture.store(capture.get());
  Drop(worker_, Frame(MakeIp({}, Words({1000, 2000, 40, 0}) + Random(32, 1))),
       DropReason::kNoRoute);
  Drop(worker_, Inner(MakeIp({"2001:db8::1", "2001:db8::2"}, Words({1, 2, 8, 0})), 7),
       DropReason::kSelectorMismatch);
  worker_.capture.store(nullptr);
  Drop(worker_, Frame(MakeIp({}, Random(32, 1))), DropReason::kNoRoute);
  std::string file;
  capture->Read(file);
  const std::string name = ::testing::TempDir() + "capture_test_" + std::to_string(getpid());
  std::ofstream(name, std::ios::binary) << file;
  const std::string command =
      "tshark -r " + name +
      " -T fields -E separator='|' -e frame.interface_name -e frame.protocols "
      "-e frame.packet_flags_direction -e frame.comment -e ip.src -e ipv6.dst 2> /dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string output;
  char line[1024];
  while (fgets(line, sizeof(line), pipe) != nullptr) {
    output += line;
  }
  EXPECT_EQ(pclose(pipe), 0);
  std::remove(name.c_str());
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), 2) << output;
  EXPECT_NE(output.find("frames|eth:ethertype:ip:udp"), std::string::npos) << output;
  EXPECT_NE(output.find("dropped: no_route: no route to the destination; port 0|192.0.2.1|"),
            std::string::npos)
      << output;
  EXPECT_NE(output.find("packets|raw:ipv6:udp"), std::string::npos) << output;
  EXPECT_NE(output.find("dropped: selector_mismatch: "), std::string::npos) << output;
  EXPECT_NE(output.find("tunnel 7||2001:db8::2"), std::string::npos) << output;
}

}  // namespace
}  // namespace penstock
