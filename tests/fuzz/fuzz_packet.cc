// Any bytes as frames from a port, as IP packets, and as the decrypted text of authentic ESP.
// Nothing may crash, and every packet must end in exactly one place.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataplane/runtime/counters.h"
#include "dataplane/runtime/eal.h"
#include "tests/packet/sites.h"

namespace penstock {
namespace {

constexpr uint32_t kSpi = 0x1001;  // that Sites installs

std::unique_ptr<Sites> MakeSites() {
  EalConfig config;
  config.instance = "fuzz";
  config.pin = false;
  config.hugepages = Hugepages::kNo;
  config.memory_mebibytes = 256;
  if (!InitEal(config)) {
    std::abort();
  }
  auto sites = std::make_unique<Sites>(SiteOptions{.window = 0});
  return sites;
}

// An outer packet to `right` whose text (inner packet, padding, trailer) is the fuzzer's and whose
// ICV is right.
Bytes SealText(Sites& sites, const uint8_t* text, size_t size) {
  static uint32_t sequence = 0;
  const CryptoKey& key = *sites.outbound->crypto_key;
  const Suite& suite = *key.suite;
  const size_t text_length = (size + 3) / 4 * 4;
  const size_t esp = 20;
  Bytes packet = MakeIp({.source = "203.0.113.1",
                         .destination = "203.0.113.2",
                         .protocol = kProtocolEsp,
                         .length = esp + 8 + suite.iv_length + text_length + suite.icv_length});
  PutWord(packet, esp, kSpi >> 16);
  PutWord(packet, esp + 2, kSpi & 0xffff);
  ++sequence;
  PutWord(packet, esp + 4, sequence >> 16);
  PutWord(packet, esp + 6, sequence & 0xffff);
  std::copy_n(text, size, packet.begin() + static_cast<long>(esp) + 8 + suite.iv_length);
  Job job{};
  job.key = &key;
  job.esp = packet.data() + esp;
  job.text_length = static_cast<uint32_t>(text_length);
  sites.left.engine().Encrypt({&job, 1});
  return packet;
}

void CheckBalance(Gateway& gateway) {
  if (PacketBalance(gateway.worker().counters) != 0) {
    __builtin_trap();
  }
}

}  // namespace
}  // namespace penstock

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace penstock;
  static const std::unique_ptr<Sites> sites = MakeSites();
  if (size < 2 || size > 2000) {
    return 0;
  }
  const uint8_t mode = data[0];
  const Bytes bytes(data + 1, data + size);
  Gateway& right = sites->right;
  const unsigned segment = (mode & 0x80) != 0 ? 32 : 0;
  switch (mode % 4) {
    case 0:
      right.Receive(Gateway::kWan, {bytes}, segment);
      break;
    case 1:
      right.Receive(Gateway::kWan, {MakeFrame(right.Mac(Gateway::kWan), bytes)}, segment);
      break;
    case 2:
      right.ReceiveIp(Gateway::kWan, {SealText(*sites, bytes.data(), bytes.size())}, segment);
      break;
    default:
      sites->left.ReceiveIp(Gateway::kLan, {bytes}, segment);
      break;
  }
  for (Gateway* gateway : {&sites->left, &right}) {
    if ((mode & 0x40) != 0) {
      gateway->AdvanceMilliseconds(5000);
    }
    gateway->Poll();
    gateway->TakeSent();
    gateway->TakePunted();
    gateway->TakeEvents();
    CheckBalance(*gateway);
  }
  return 0;
}
