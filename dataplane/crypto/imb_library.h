// The intel-ipsec-mb library, loaded at run time, so that a machine without it still runs.
//
// Versions before 1.4 store a process-wide error number in every call, which costs several workers
// more than half of their speed. Such a library is therefore loaded once per instance from a
// private copy in memory: each copy has variables of its own.
#pragma once

#include <intel-ipsec-mb.h>

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/base/result.h"

namespace penstock {

// A descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// kAuto: a private copy if the library needs it. The others are for measuring the difference.
enum class ImbSharing : uint8_t { kAuto, kShared, kPrivate };

// One instance of the library with one initialised manager. Used by one thread; may be made and
// destroyed on another.
class ImbLibrary {
 public:
  // Errors: the library is not installed, is another release than the one that this program was
  // built for, or the processor lacks SSE4.2, AES-NI or PCLMULQDQ.
  static Result<std::unique_ptr<ImbLibrary>> Load(ImbSharing sharing = ImbSharing::kAuto);
  ~ImbLibrary();
  ImbLibrary(const ImbLibrary&) = delete;
  ImbLibrary& operator=(const ImbLibrary&) = delete;

  IMB_MGR* manager() const { return manager_; }
  bool is_private() const { return is_private_; }
  std::string Describe() const;  // "ipsec-mb 1.3, avx512 vaes, private copy"

 private:
  ImbLibrary() = default;
  Status Open(ImbSharing sharing);
  Status MakeManager();

  FileDescriptor file_;  // of the private copy
  void* handle_ = nullptr;
  IMB_MGR* manager_ = nullptr;
  void (*free_manager_)(IMB_MGR*) = nullptr;
  uint32_t version_ = 0;
  bool is_private_ = false;
};

}  // namespace penstock
