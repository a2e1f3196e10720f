/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Charon's plugin "kernel-penstock": provides kernel-ipsec. */
#include <daemon.h>
#include <library.h>
#include <plugins/plugin.h>

#include "ike_bridge/charon/kernel_penstock_ipsec.h"

METHOD(plugin_t, get_name, char *, plugin_t *this) { return "kernel-penstock"; }

METHOD(plugin_t, get_features, int, plugin_t *this, plugin_feature_t *features[]) {
  static plugin_feature_t provided[] = {
      PLUGIN_CALLBACK(kernel_ipsec_register, kernel_penstock_ipsec_create),
      PLUGIN_PROVIDE(CUSTOM, "kernel-ipsec"),
  };
  *features = provided;
  return countof(provided);
}

METHOD(plugin_t, destroy, void, plugin_t *this) { free(this); }

/* Charon's plugin loader finds it by its name. */
__attribute__((visibility("default"))) plugin_t *kernel_penstock_plugin_create(void);

plugin_t *kernel_penstock_plugin_create(void) {
  plugin_t *this;

  INIT(this, .get_name = _get_name, .get_features = _get_features, .destroy = _destroy, );
  return this;
}
