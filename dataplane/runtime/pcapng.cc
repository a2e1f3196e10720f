#include "dataplane/runtime/pcapng.h"

#include <algorithm>
#include <cstring>

namespace penstock {
namespace {

constexpr uint32_t kSectionBlock = 0x0a0d0d0a;
constexpr uint32_t kInterfaceBlock = 1;
constexpr uint32_t kEnhancedPacketBlock = 6;
constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;

constexpr uint16_t kOptionEnd = 0;
constexpr uint16_t kOptionComment = 1;
constexpr uint16_t kSectionApplication = 4;
constexpr uint16_t kInterfaceName = 2;
constexpr uint16_t kInterfaceResolution = 9;
constexpr uint8_t kNanoseconds = 9;  // 10^-9
constexpr uint16_t kPacketFlags = 2;
constexpr uint32_t kInbound = 1;
constexpr uint32_t kOutbound = 2;

// The machine's byte order is the section's, as its magic number tells the reader.
template <typename T>
void Append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendPadded(std::string& out, std::string_view bytes) {
  out.append(bytes);
  out.append((4 - bytes.size() % 4) % 4, '\0');
}

void AppendOption(std::string& out, uint16_t code, std::string_view value) {
  value = value.substr(0, UINT16_MAX);
  Append(out, code);
  Append(out, static_cast<uint16_t>(value.size()));
  AppendPadded(out, value);
}

// A block: its length stands at both ends and is known last.
class Block {
 public:
  Block(std::string& out, uint32_t type) : out_(out), start_(out.size()) {
    Append(out_, type);
    Append(out_, uint32_t{0});
  }
  ~Block() {
    const auto length = static_cast<uint32_t>(out_.size() - start_ + sizeof(uint32_t));
    std::memcpy(out_.data() + start_ + sizeof(uint32_t), &length, sizeof(length));
    Append(out_, length);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

 private:
  std::string& out_;
  size_t start_;
};

}  // namespace

void AppendPcapngSection(std::string& out) {
  const Block block(out, kSectionBlock);
  Append(out, kByteOrderMagic);
  Append(out, uint16_t{1});  // version 1.0
  Append(out, uint16_t{0});
  Append(out, UINT64_MAX);  // length unknown: it is a stream
  AppendOption(out, kSectionApplication, "penstock");
  AppendOption(out, kOptionEnd, {});
}

void AppendPcapngInterface(std::string& out, uint16_t link_type, uint32_t snap_length,
                           std::string_view name) {
  const Block block(out, kInterfaceBlock);
  Append(out, link_type);
  Append(out, uint16_t{0});
  Append(out, snap_length);
  AppendOption(out, kInterfaceName, name);
  AppendOption(out, kInterfaceResolution, {reinterpret_cast<const char*>(&kNanoseconds), 1});
  AppendOption(out, kOptionEnd, {});
}

void AppendPcapngPacket(std::string& out, const PcapngPacket& packet) {
  const Block block(out, kEnhancedPacketBlock);
  Append(out, packet.interface);
  Append(out, static_cast<uint32_t>(packet.wall_nanoseconds >> 32));
  Append(out, static_cast<uint32_t>(packet.wall_nanoseconds));
  Append(out, static_cast<uint32_t>(packet.bytes.size()));
  Append(out, packet.original_length);
  AppendPadded(out, {reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size()});
  if (!packet.comment.empty()) {
    AppendOption(out, kOptionComment, packet.comment);
  }
  const uint32_t flags = packet.outbound ? kOutbound : kInbound;
  AppendOption(out, kPacketFlags, {reinterpret_cast<const char*>(&flags), sizeof(flags)});
  AppendOption(out, kOptionEnd, {});
}

}  // namespace penstock
