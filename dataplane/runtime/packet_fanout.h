// Keeps Linux from reassembling IPv4 fragments on the sockets of DPDK's af_packet driver.
#pragma once

namespace penstock {

// While one lives, packet sockets of this process join their fan-out groups without the
// "defragment" flag. The driver always sets it, also for one socket; Linux would then hand a whole
// datagram over as one packet, larger than the ring's slots and cut there. Fragments of a datagram
// still reach one socket: Linux hashes them by their addresses. Control thread.
class FragmentsStayApart {
 public:
  FragmentsStayApart();
  ~FragmentsStayApart();
  FragmentsStayApart(const FragmentsStayApart&) = delete;
  FragmentsStayApart& operator=(const FragmentsStayApart&) = delete;
};

}  // namespace penstock
