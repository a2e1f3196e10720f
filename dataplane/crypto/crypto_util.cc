#include "dataplane/crypto/crypto_util.h"

#include <sys/random.h>

#include <cerrno>

namespace penstock {

Status FillRandom(std::span<uint8_t> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (got < 0 && errno != EINTR) {
      return Fail(Errc::kInternal, "the kernel gives no random bytes: {}", strerror(errno));
    }
    done += got > 0 ? static_cast<size_t>(got) : 0;
  }
  return {};
}

}  // namespace penstock
