#include "dataplane/runtime/packet_fanout.h"

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

namespace penstock {
namespace {

thread_local bool keep_apart = false;

}  // namespace

FragmentsStayApart::FragmentsStayApart() { keep_apart = true; }
FragmentsStayApart::~FragmentsStayApart() { keep_apart = false; }

}  // namespace penstock

// Takes the C library's place in the whole process: the driver offers no other way to its sockets'
// options, and a group that was joined cannot be left.
extern "C" int setsockopt(int socket, int level, int option, const void* value,
                          socklen_t size) noexcept {
  int fanout = 0;
  if (penstock::keep_apart && level == SOL_PACKET && option == PACKET_FANOUT &&
      size >= sizeof(fanout)) {
    std::memcpy(&fanout, value, sizeof(fanout));
    fanout &= ~(PACKET_FANOUT_FLAG_DEFRAG << 16);
    value = &fanout;
    size = sizeof(fanout);
  }
  return static_cast<int>(syscall(SYS_setsockopt, socket, level, option, value, size));
}
