/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charon's kernel-ipsec backend over Penstock's SA socket. */
#pragma once

#include <kernel/kernel_ipsec.h>

/* A kernel_ipsec_constructor_t. */
kernel_ipsec_t *kernel_penstock_ipsec_create(void);
