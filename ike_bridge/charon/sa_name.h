/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charon's name for an SA: "connection/child", as swanctl.conf has them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct sa_names sa_names;

/* Listens on charon's bus: a child SA is in no list yet while its first SAs are installed. */
sa_names *SaNamesCreate(void);
void SaNamesDestroy(sa_names *this);

/* Of the SA that this thread is installing; "" if charon's bus does not tell. */
void SaNameOf(sa_names *this, uint32_t spi, char *name, size_t size);
