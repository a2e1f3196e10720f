// Values of the command line: parsed and refused with a reason before the daemon is asked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/control.pb.h"
#include "dataplane/base/result.h"

namespace penstock::cli {

// A whole number in decimal or 0x hexadecimal.
Result<uint64_t> ParseNumber(std::string_view text, uint64_t lowest, uint64_t highest);
// The same with a decimal prefix: "10k", "1.5G".
Result<uint64_t> ParseAmount(std::string_view text);
// Seconds, also "90s", "50m", "8h", "1d".
Result<uint64_t> ParseSeconds(std::string_view text);
// A 32-bit SPI, not 0.
Result<uint32_t> ParseSpi(std::string_view text);
// A name of protocol_names.h or a number from 1 to 255.
Result<uint32_t> ParseProtocol(std::string_view text);

// "tunnel=NAME[,weight=N]", "address=A[,port=P][,weight=N]" or "port=P[,weight=N]".
Result<control::RouteVia> ParseVia(std::string_view text);
// "source=PREFIX,destination=PREFIX[,protocol=P][,source-port=N[-M]][,destination-port=N[-M]]"
Result<control::Selector> ParseSelector(std::string_view text);
// Hex digits, with or without 0x; blanks, line breaks and colons between them are skipped. Errors
// never repeat what was read.
Result<std::string> ParseKeyHex(std::string_view text);

}  // namespace penstock::cli
