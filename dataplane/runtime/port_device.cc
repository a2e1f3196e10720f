#include "dataplane/runtime/port_device.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace penstock {
namespace {

constexpr const char* kVirtualDrivers[] = {"af_packet", "af_xdp", "tap",  "memif",
                                           "pcap",      "null",   "ring", "virtio_user"};
constexpr unsigned kPageSize = 4096;
constexpr unsigned kBlockTarget = 64 * 1024;
// TPACKET_V2: the frame begins 66 bytes into its slot (32-byte header, sockaddr_ll, alignment);
// DPDK compares the slot minus 32 with the packet buffer.
constexpr unsigned kSlotOffset = 66;
constexpr unsigned kSlotCompared = 32;
constexpr unsigned kLinkHeader = 18;  // Ethernet and one VLAN tag

bool IsPciAddress(const std::string& text) {
  const size_t dot = text.rfind('.');
  return dot != std::string::npos && std::count(text.begin(), text.begin() + dot, ':') >= 1 &&
         std::all_of(text.begin(), text.begin() + dot, [](char letter) {
           return std::isxdigit(static_cast<unsigned char>(letter)) || letter == ':';
         });
}

// "net_tap0" is DPDK's way to write "tap".
std::string ShortDriver(std::string name) {
  if (name.starts_with("net_")) {
    name.erase(0, 4);
    while (!name.empty() && std::isdigit(static_cast<unsigned char>(name.back()))) {
      name.pop_back();
    }
  }
  return name;
}

std::string OptionValue(const std::string& options, const std::string& key) {
  const std::string padded = "," + options;
  const size_t start = padded.find("," + key + "=");
  if (start == std::string::npos) {
    return {};
  }
  const size_t value = start + key.size() + 2;
  return padded.substr(value, padded.find(',', value) - value);
}

}  // namespace

Result<PortDevice> ParsePortDevice(const std::string& text) {
  PortDevice device;
  const size_t comma = text.find(',');
  const std::string name = text.substr(0, comma);
  device.options = comma == std::string::npos ? "" : text.substr(comma + 1);
  if (IsPciAddress(name)) {
    device.driver = "pci";
    return device;
  }
  device.driver = ShortDriver(name);
  const auto known = [&](const char* driver) { return device.driver == driver; };
  if (std::none_of(std::begin(kVirtualDrivers), std::end(kVirtualDrivers), known)) {
    return Fail(Errc::kInvalidArgument,
                "device \"{}\": neither a PCI address like 0000:3b:00.0 nor one of {}", text,
                fmt::join(kVirtualDrivers, ", "));
  }
  device.interface = OptionValue(device.options, "iface");
  if (device.takes_interface() && device.interface.empty()) {
    return Fail(Errc::kInvalidArgument, "device \"{}\": write {},iface=NAME", text, device.driver);
  }
  return device;
}

Result<FrameRing> PlanFrameRing(uint16_t mtu, unsigned buffer_size, unsigned frames) {
  const auto round_up = [](unsigned value, unsigned to) { return (value + to - 1) / to * to; };
  const unsigned least = round_up(mtu + kLinkHeader + kSlotOffset, 16);
  const unsigned most = (buffer_size + kSlotCompared) / 16 * 16;
  if (least > most) {
    return Fail(Errc::kInvalidArgument,
                "MTU {} needs packet buffers of {} bytes, the pool's have {}", mtu,
                least - kSlotCompared, buffer_size);
  }
  // Whole KiB keep blocks small; a tight pool gets the smallest slot that works.
  const unsigned wanted = std::max(2048u, round_up(least, 1024));
  FrameRing ring = {wanted <= most ? wanted : least, 0, 0};
  const unsigned unit = std::lcm(ring.frame_size, kPageSize);
  ring.block_size = std::max(1u, kBlockTarget / unit) * unit;
  const unsigned per_block = ring.block_size / ring.frame_size;
  ring.frame_count = round_up(std::max(frames, per_block), per_block);
  return ring;
}

}  // namespace penstock
