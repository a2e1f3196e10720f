#include "dataplane/crypto/imb_library.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

// Structures are laid out as the header says that this file was compiled with.
constexpr uint32_t kHeaderVersion = IMB_VERSION_NUM;
constexpr uint32_t kFirstScalingVersion = IMB_VERSION(1, 4, 0);

uint32_t Major(uint32_t version) { return version >> 16; }
uint32_t Minor(uint32_t version) { return (version >> 8) & 0xff; }

std::string LibraryName() { return fmt::format("libIPSec_MB.so.{}", Major(kHeaderVersion)); }

const char* LoaderError() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown error of the loader";
}

template <typename Function>
Status Resolve(void* handle, const char* name, Function& function) {
  void* symbol = dlsym(handle, name);
  if (symbol == nullptr) {
    return Fail(Errc::kUnsupported, "{} has no function {}", LibraryName(), name);
  }
  function = reinterpret_cast<Function>(symbol);
  return {};
}

Status CopyFile(const char* path, int target) {
  const FileDescriptor source(open(path, O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (source.get() < 0 || fstat(source.get(), &status) != 0) {
    return Fail(Errc::kUnavailable, "cannot read {}: {}", path, strerror(errno));
  }
  off_t left = status.st_size;
  while (left > 0) {
    const ssize_t copied = sendfile(target, source.get(), nullptr, static_cast<size_t>(left));
    if (copied <= 0) {
      return Fail(Errc::kUnavailable, "cannot copy {} into memory: {}", path,
                  copied == 0 ? "the file became shorter" : strerror(errno));
    }
    left -= copied;
  }
  return {};
}

// The loader knows libraries by path, and by device and inode: a copy in a memory file is another
// library to it as long as `file` stays open, since a closed one's number, and with it the path,
// would be used again.
Result<void*> OpenPrivateCopy(void* loaded, FileDescriptor& file) {
  link_map* map = nullptr;
  if (dlinfo(loaded, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) {
    return Fail(Errc::kInternal, "cannot find where {} was loaded from: {}", LibraryName(),
                LoaderError());
  }
  file = FileDescriptor(memfd_create("ipsec-mb", MFD_CLOEXEC));
  if (file.get() < 0) {
    return Fail(Errc::kUnavailable, "cannot create a memory file for {}: {}", LibraryName(),
                strerror(errno));
  }
  if (Status copied = CopyFile(map->l_name, file.get()); !copied) {
    return tl::make_unexpected(copied.error());
  }
  const std::string path = fmt::format("/proc/self/fd/{}", file.get());
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return Fail(Errc::kUnavailable, "cannot load a private copy of {}: {}", map->l_name,
                LoaderError());
  }
  return handle;
}

const char* ArchitectureName(uint32_t used) {
  switch (used) {
    case IMB_ARCH_SSE:
      return "sse";
    case IMB_ARCH_AVX:
      return "avx";
    case IMB_ARCH_AVX2:
      return "avx2";
    case IMB_ARCH_AVX512:
      return "avx512";
    default:
      return "generic";
  }
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

Result<std::unique_ptr<ImbLibrary>> ImbLibrary::Load(ImbSharing sharing) {
  std::unique_ptr<ImbLibrary> library(new ImbLibrary());
  if (Status opened = library->Open(sharing); !opened) {
    return tl::make_unexpected(opened.error());
  }
  if (Status made = library->MakeManager(); !made) {
    return tl::make_unexpected(made.error());
  }
  return library;
}

Status ImbLibrary::Open(ImbSharing sharing) {
  handle_ = dlopen(LibraryName().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) {
    return Fail(Errc::kUnavailable, "intel-ipsec-mb is not installed: {}", LoaderError());
  }
  unsigned (*get_version)() = nullptr;
  if (Status found = Resolve(handle_, "imb_get_version", get_version); !found) {
    return found;
  }
  version_ = get_version();
  if (Major(version_) != Major(kHeaderVersion) || Minor(version_) != Minor(kHeaderVersion)) {
    return Fail(Errc::kUnsupported,
                "intel-ipsec-mb {}.{} is installed, but this program was built for {}.{}",
                Major(version_), Minor(version_), Major(kHeaderVersion), Minor(kHeaderVersion));
  }
  is_private_ = sharing == ImbSharing::kPrivate ||
                (sharing == ImbSharing::kAuto && version_ < kFirstScalingVersion);
  if (is_private_) {
    Result<void*> copy = OpenPrivateCopy(handle_, file_);
    if (!copy) {
      is_private_ = false;
      return tl::make_unexpected(copy.error());
    }
    dlclose(handle_);
    handle_ = *copy;
  }
  return {};
}

Status ImbLibrary::MakeManager() {
  decltype(&alloc_mb_mgr) allocate = nullptr;
  decltype(&init_mb_mgr_auto) initialise = nullptr;
  for (const Status& found : {Resolve(handle_, "alloc_mb_mgr", allocate),
                              Resolve(handle_, "init_mb_mgr_auto", initialise),
                              Resolve(handle_, "free_mb_mgr", free_manager_)}) {
    if (!found) {
      return found;
    }
  }
  manager_ = allocate(0);
  if (manager_ == nullptr) {
    return Fail(Errc::kExhausted, "no memory for a manager of intel-ipsec-mb");
  }
  // Without these the library falls back to code that is slow or emulated.
  if ((manager_->features & IMB_CPUFLAGS_SSE) != IMB_CPUFLAGS_SSE) {
    return Fail(Errc::kUnsupported,
                "intel-ipsec-mb needs a processor with SSE4.2, AES-NI and PCLMULQDQ");
  }
  IMB_ARCH architecture = IMB_ARCH_NONE;
  initialise(manager_, &architecture);
  if (architecture == IMB_ARCH_NONE || architecture == IMB_ARCH_NOAESNI) {
    return Fail(Errc::kUnsupported, "intel-ipsec-mb found no accelerated code for this processor");
  }
  return {};
}

ImbLibrary::~ImbLibrary() {
  if (manager_ != nullptr) {
    free_manager_(manager_);
  }
  if (handle_ != nullptr) {
    dlclose(handle_);
  }
}

std::string ImbLibrary::Describe() const {
  const bool vaes =
      (manager_->features & IMB_FEATURE_VAES) != 0 && manager_->used_arch == IMB_ARCH_AVX512;
  return fmt::format("ipsec-mb {}.{}, {}{}{}", Major(version_), Minor(version_),
                     ArchitectureName(manager_->used_arch), vaes ? " vaes" : "",
                     is_private_ ? ", private copy" : "");
}

}  // namespace penstock
