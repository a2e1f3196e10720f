#include "dataplane/ipsec/sa.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/ipsec/esp_frame.h"

namespace penstock {
namespace {

constexpr uint32_t kUsualPathMtu = 1500;

Result<uint64_t> RandomNumber() {
  uint64_t number = 0;
  ssize_t length = 0;
  do {
    length = getrandom(&number, sizeof(number), 0);
  } while (length < 0 && errno == EINTR);
  if (length != sizeof(number)) {
    return Fail(Errc::kInternal, "no random numbers from the kernel: {}", std::strerror(errno));
  }
  return number;
}

bool RestrictsSomething(const std::vector<Selector>& selectors) {
  const auto whole = [&](Family family) {
    return std::any_of(selectors.begin(), selectors.end(), [&](const Selector& selector) {
      return selector.source.family() == family && selector.MatchesEverything();
    });
  };
  return !selectors.empty() && !(whole(Family::kIpv4) && whole(Family::kIpv6));
}

uint16_t FlagsOf(const SaConfig& config) {
  const HeaderPolicy& headers = config.headers;
  unsigned flags = 0;
  const auto set = [&flags](bool condition, SaFlag flag) {
    if (condition) {
      flags |= flag;
    }
  };
  set(config.esn, kSaEsn);
  set(config.udp_encapsulation, kSaUdp);
  set(config.destination.is_v6(), kSaOuterV6);
  set(config.limits.counts_traffic(), kSaCountsLifetime);
  set(headers.copy_dscp, kSaCopyDscp);
  set(headers.ecn, kSaEcn);
  set(headers.df == DfMode::kSet, kSaDfSet);
  set(headers.df == DfMode::kCopy, kSaDfCopy);
  set(!config.inbound && config.tfc_length != 0, kSaTfc);
  set(config.inbound && RestrictsSomething(config.selectors), kSaSelectors);
  set(config.inbound && config.check_source, kSaCheckSource);
  set(config.inbound && headers.decapsulate_dscp, kSaDecapDscp);
  set(config.suite->is_aead(), kSaAead);
  return static_cast<uint16_t>(flags);
}

// Writes the outer IPv4 header and gives the sum of its constant words.
uint32_t WriteIpv4(const SaConfig& config, uint8_t protocol, uint8_t* out) {
  Ipv4Header header{};
  header.version_ihl = 0x45;
  header.ttl = config.headers.hop_limit;
  header.protocol = protocol;
  std::memcpy(&header.source, config.source.data(), sizeof(header.source));
  std::memcpy(&header.destination, config.destination.data(), sizeof(header.destination));
  uint16_t words[sizeof(header) / sizeof(uint16_t)];
  std::memcpy(words, &header, sizeof(header));
  std::memcpy(out, &header, sizeof(header));
  uint32_t sum = 0;
  for (const uint16_t word : words) {
    sum += word;
  }
  return sum;
}

void WriteIpv6(const SaConfig& config, uint8_t protocol, uint8_t* out) {
  Ipv6Header header{};
  header.version_class_flow = Be32::FromHost(6u << 28);
  header.next_header = protocol;
  header.hop_limit = config.headers.hop_limit;
  std::memcpy(header.source, config.source.data(), sizeof(header.source));
  std::memcpy(header.destination, config.destination.data(), sizeof(header.destination));
  std::memcpy(out, &header, sizeof(header));
}

void WriteTemplate(const SaConfig& config, OutboundSa& sa) {
  const uint8_t protocol = config.udp_encapsulation ? kProtocolUdp : kProtocolEsp;
  size_t offset = 0;
  if (config.destination.is_v4()) {
    sa.ipv4_checksum_base = WriteIpv4(config, protocol, sa.header);
    offset = sizeof(Ipv4Header);
  } else {
    WriteIpv6(config, protocol, sa.header);
    offset = sizeof(Ipv6Header);
  }
  if (config.udp_encapsulation) {
    const UdpHeader udp = {.source = Be16::FromHost(config.source_port),
                           .destination = Be16::FromHost(config.destination_port),
                           .length = Be16::FromHost(0),
                           .checksum = Be16::FromHost(0)};
    std::memcpy(sa.header + offset, &udp, sizeof(udp));
    offset += sizeof(udp);
  }
  const EspHeader esp = {.spi = sa.spi, .sequence = Be32::FromHost(0)};
  std::memcpy(sa.header + offset, &esp, sizeof(esp));
  sa.esp_offset = static_cast<uint8_t>(offset);
  sa.header_length = static_cast<uint8_t>(offset + sizeof(esp));
}

// What both directions keep of their configuration once the key is expanded. `sa` takes the
// configuration without its keys.
template <typename Sa>
void TakeOver(Sa& sa, SaConfig&& config, CryptoKeyPtr key, uint32_t slot, uint32_t tunnel,
              const Clock& clock) {
  config.cipher_key = Secret();
  config.integrity_key = Secret();
  sa.crypto_key = key.get();
  sa.owned_key = std::move(key);
  sa.slot = slot;
  sa.tunnel = tunnel;
  sa.spi = Be32::FromHost(config.spi);
  sa.flags = FlagsOf(config);
  sa.iv_length = config.suite->iv_length;
  sa.icv_length = config.suite->icv_length;
  sa.block = config.suite->block;
  sa.lifetime.Configure(config.limits);
  sa.installed_wall_seconds = clock.WallSeconds();
  sa.installed_nanoseconds = clock.Now().count();
  sa.config = std::move(config);
}

Result<CryptoKeyPtr> ExpandKey(const SaConfig& config, bool inbound, Engine& engine) {
  if (config.inbound != inbound) {
    return Fail(Errc::kInvalidArgument, "the SA is {}, an {} one was asked for",
                config.inbound ? "inbound" : "outbound", inbound ? "inbound" : "outbound");
  }
  if (Status status = ValidateSaConfig(config); !status) {
    return tl::unexpected(status.error());
  }
  return engine.MakeKey(*config.suite, config.cipher_key.bytes(), config.integrity_key.bytes());
}

}  // namespace

Result<std::unique_ptr<OutboundSa>> MakeOutboundSa(SaConfig config, uint32_t slot, uint32_t tunnel,
                                                   Engine& engine, const Clock& clock) {
  Result<CryptoKeyPtr> key = ExpandKey(config, false, engine);
  if (!key) {
    return tl::unexpected(key.error());
  }
  Result<uint64_t> random = RandomNumber();
  if (!random) {
    return tl::unexpected(random.error());
  }
  auto sa = std::make_unique<OutboundSa>();  // zeroed, the template's tail too
  TakeOver(*sa, std::move(config), std::move(*key), slot, tunnel, clock);
  sa->iv_base = (sa->flags & kSaAead) != 0 ? *random : 0;
  sa->fixed_dscp = static_cast<uint8_t>(sa->config.headers.dscp << 2);
  sa->tfc_length = sa->config.tfc_length;
  const EspOverhead overhead =
      OverheadOf(*sa->config.suite, sa->config.destination.family(), sa->config.udp_encapsulation);
  sa->inner_mtu.store(static_cast<uint16_t>(InnerMtu(kUsualPathMtu, overhead)),
                      std::memory_order_relaxed);
  WriteTemplate(sa->config, *sa);
  sa->sequence.Configure(sa->config.esn, sa->config.initial_sequence);
  // Identifications of several SAs between the same addresses shall not run side by side.
  sa->ipv4_identification.store(static_cast<uint32_t>(*random >> 32), std::memory_order_relaxed);
  return sa;
}

Result<std::unique_ptr<InboundSa>> MakeInboundSa(SaConfig config, uint32_t slot, uint32_t tunnel,
                                                 Engine& engine, const Clock& clock) {
  Result<CryptoKeyPtr> key = ExpandKey(config, true, engine);
  if (!key) {
    return tl::unexpected(key.error());
  }
  auto sa = std::make_unique<InboundSa>();
  TakeOver(*sa, std::move(config), std::move(*key), slot, tunnel, clock);
  sa->outer_version = static_cast<uint8_t>(sa->config.destination.family());
  sa->udp_source = Be16::FromHost(sa->config.source_port);  // 0 without encapsulation
  std::memcpy(sa->local, sa->config.destination.data(), sa->config.destination.size());
  std::memcpy(sa->peer, sa->config.source.data(), sa->config.source.size());
  sa->replay.Configure(sa->config.replay_window, sa->config.esn, sa->config.initial_sequence);
  sa->selectors = sa->config.selectors;
  return sa;
}

Result<std::unique_ptr<OutboundSa>> MoveOutboundSa(OutboundSa& old, const OuterAddresses& outer,
                                                   uint64_t margin) {
  if (outer.source.family() != outer.destination.family()) {
    return Fail(Errc::kInvalidArgument, "SA 0x{:08x}: {} and {} are of different address families",
                old.config.spi, outer.source.ToString(), outer.destination.ToString());
  }
  if (outer.udp_encapsulation && (outer.source_port == 0 || outer.destination_port == 0)) {
    return Fail(Errc::kInvalidArgument, "SA 0x{:08x}: UDP encapsulation needs both ports",
                old.config.spi);
  }
  auto sa = std::make_unique<OutboundSa>();
  SaConfig& config = sa->config;
  config.name = old.config.name;
  config.spi = old.config.spi;
  config.suite = old.config.suite;
  config.esn = old.config.esn;
  config.source = outer.source;
  config.destination = outer.destination;
  config.udp_encapsulation = outer.udp_encapsulation;
  config.source_port = outer.udp_encapsulation ? outer.source_port : uint16_t{0};
  config.destination_port = outer.udp_encapsulation ? outer.destination_port : uint16_t{0};
  config.if_id = old.config.if_id;
  config.reqid = old.config.reqid;
  config.selectors = old.config.selectors;
  config.headers = old.config.headers;
  config.tfc_length = old.config.tfc_length;
  config.limits = old.config.limits;
  sa->crypto_key = old.crypto_key;
  sa->owned_key = std::move(old.owned_key);
  sa->iv_base = old.iv_base;
  sa->slot = old.slot;
  sa->tunnel = old.tunnel;
  sa->spi = old.spi;
  sa->flags = FlagsOf(config);
  sa->iv_length = old.iv_length;
  sa->icv_length = old.icv_length;
  sa->block = old.block;
  sa->fixed_dscp = old.fixed_dscp;
  sa->tfc_length = old.tfc_length;
  sa->inner_mtu.store(old.inner_mtu.load(std::memory_order_relaxed), std::memory_order_relaxed);
  sa->dead.store(old.dead.load(std::memory_order_relaxed), std::memory_order_relaxed);
  WriteTemplate(config, *sa);
  sa->sequence.Configure(config.esn, old.sequence.last() + margin);
  sa->ipv4_identification.store(old.ipv4_identification.load(std::memory_order_relaxed),
                                std::memory_order_relaxed);
  sa->lifetime.Configure(config.limits);
  sa->lifetime.bytes.store(old.lifetime.bytes.load());
  sa->lifetime.packets.store(old.lifetime.packets.load());
  sa->lifetime.soft_raised.store(old.lifetime.soft_raised.load());
  sa->lifetime.hard_raised.store(old.lifetime.hard_raised.load());
  sa->installed_wall_seconds = old.installed_wall_seconds;
  sa->installed_nanoseconds = old.installed_nanoseconds;
  return sa;
}

}  // namespace penstock
