// Offers packets to a capture while somebody listens; one predictable branch a burst otherwise.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

// Null unless there is a capture that wants packets of this point and index.
inline Capture* CaptureFor(const WorkerContext& worker, CapturePoint point, uint32_t index) {
  Capture* capture = worker.capture.load(std::memory_order_acquire);
  return capture != nullptr && capture->Wants(point, index) ? capture : nullptr;
}

inline void OfferFrame(Capture& capture, WorkerContext& worker, const Packet* packet, bool outbound,
                       uint16_t port) {
  capture.Offer(worker, packet, 0, outbound, port, kNoTunnel, nullptr);
}

// The inner packet at l3_offset.
inline void OfferInner(Capture& capture, WorkerContext& worker, const Packet* packet, bool outbound,
                       uint32_t tunnel) {
  const PacketNotes& notes = NotesOf(packet);
  capture.Offer(worker, packet, notes.l3_offset, outbound, notes.input_port, tunnel, nullptr);
}

}  // namespace penstock
