// From decrypted ESP text to the inner packet: trailer, inner header, ECN, selectors.
#pragma once

#include "dataplane/stages/context.h"

namespace penstock {

// The packet's ICV was right and `job` is its job. On kCount the notes describe the inner packet,
// and `nested` says whether that is an ESP candidate itself; otherwise the reason to drop it.
DropReason Decapsulate(StageContext& context, Packet* packet, const InboundSa& sa, const Job& job,
                       bool& nested);

}  // namespace penstock
