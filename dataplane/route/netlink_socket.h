// One rtnetlink socket: requests with their answer, dumps, and notifications.
#pragma once

#include <libmnl/libmnl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/result.h"

namespace penstock {

// A request under construction.
class NetlinkRequest {
 public:
  // `extra_size` bytes of family header (struct ifaddrmsg, ndmsg, ...) follow, zeroed.
  NetlinkRequest(uint16_t type, uint16_t flags, size_t extra_size)
      : header_(mnl_nlmsg_put_header(buffer_)) {
    header_->nlmsg_type = type;
    header_->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    extra_ = mnl_nlmsg_put_extra_header(header_, extra_size);
  }
  NetlinkRequest(const NetlinkRequest&) = delete;
  NetlinkRequest& operator=(const NetlinkRequest&) = delete;

  template <typename T>
  T& extra() {
    return *static_cast<T*>(extra_);
  }
  void Put(uint16_t attribute, const void* data, size_t size) {
    mnl_attr_put(header_, attribute, size, data);
  }
  nlmsghdr* header() { return header_; }

 private:
  alignas(nlmsghdr) char buffer_[512];
  nlmsghdr* header_;
  void* extra_;
};

class NetlinkSocket {
 public:
  using OnMessage = std::function<void(const nlmsghdr&)>;

  // `groups`: notifications to subscribe to (RTNLGRP_...).
  static Result<std::unique_ptr<NetlinkSocket>> Open(const std::vector<unsigned>& groups);
  ~NetlinkSocket();
  NetlinkSocket(const NetlinkSocket&) = delete;
  NetlinkSocket& operator=(const NetlinkSocket&) = delete;

  int descriptor() const { return mnl_socket_get_fd(socket_); }

  // Sends and waits for the kernel's acknowledgement. An error reads "`what`: No such device".
  Status Execute(NetlinkRequest& request, const std::string& what);
  // Sends a dump request and gives every message of the answer; asks again when the kernel says
  // that the table changed meanwhile.
  Status Dump(uint16_t type, const OnMessage& on_message);

  enum class Received : uint8_t { kNothing, kMessages, kLost };
  // Gives the notifications of one read, without waiting. kLost: the kernel had to drop some.
  Received ReceiveNotifications(const OnMessage& on_message);
  // Datagrams that were truncated, not from the kernel or not well-formed.
  uint64_t malformed() const { return malformed_; }

 private:
  explicit NetlinkSocket(mnl_socket* socket);
  ssize_t Receive(int flags);
  Status Transact(nlmsghdr* request, const std::string& what, const OnMessage& on_message,
                  bool& interrupted);

  mnl_socket* socket_;
  uint32_t sequence_ = 0;
  uint64_t malformed_ = 0;
  std::vector<char> buffer_;
};

}  // namespace penstock
