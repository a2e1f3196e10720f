/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ike_bridge/charon/installed.h"

#include <daemon.h>
#include <library.h>

typedef struct installed_policy {
  penstock_policy policy;
  bool missing; /* while restoring */
} installed_policy;

installed *InstalledCreate(void) {
  installed *this;

  INIT(this, .sas = linked_list_create(), .policies = linked_list_create(), );
  return this;
}

void InstalledDestroy(installed *this) {
  this->sas->destroy_function(this->sas, free);
  this->policies->destroy_function(this->policies, free);
  free(this);
}

static bool SameAddress(const penstock_address *a, const penstock_address *b) {
  return a->size == b->size && memeq(a->bytes, b->bytes, a->size);
}

/* An SA is known by SPI, destination and protocol (RFC 4301 4.1). */
static bool SameSa(const penstock_sa_id *a, const penstock_sa_id *b) {
  return a->spi == b->spi && a->protocol == b->protocol &&
         SameAddress(&a->destination, &b->destination);
}

installed_sa *InstalledFindSa(installed *this, const penstock_sa_id *id) {
  enumerator_t *enumerator = this->sas->create_enumerator(this->sas);
  installed_sa *current, *found = NULL;

  while (!found && enumerator->enumerate(enumerator, &current)) {
    if (SameSa(&current->id, id)) {
      found = current;
    }
  }
  enumerator->destroy(enumerator);
  return found;
}

void InstalledAddSa(installed *this, const installed_sa *sa) {
  installed_sa *entry = malloc_thing(installed_sa);

  *entry = *sa;
  this->sas->insert_first(this->sas, entry);
}

void InstalledMoveSa(installed *this, const penstock_moved_sa *moved) {
  installed_sa *entry = InstalledFindSa(this, &moved->id);

  if (entry) {
    entry->id.source = moved->new_source;
    entry->id.destination = moved->new_destination;
  }
}

void InstalledRemoveSa(installed *this, const penstock_sa_id *id) {
  installed_sa *entry = InstalledFindSa(this, id);

  if (entry) {
    this->sas->remove(this->sas, entry, NULL);
    free(entry);
  }
}

static void Clear(linked_list_t *list) {
  void *entry;

  while (list->remove_first(list, &entry) == SUCCESS) {
    free(entry);
  }
}

void InstalledRemoveSas(installed *this) { Clear(this->sas); }

void InstalledRemovePolicies(installed *this) { Clear(this->policies); }

static bool SameSelector(const penstock_selector *a, const penstock_selector *b) {
  return SameAddress(&a->address, &b->address) && a->prefix_length == b->prefix_length &&
         a->protocol == b->protocol && a->first_port == b->first_port &&
         a->last_port == b->last_port;
}

static bool SameTraffic(const penstock_policy_id *a, const penstock_policy_id *b) {
  return a->direction == b->direction && a->if_id == b->if_id &&
         SameSelector(&a->source, &b->source) && SameSelector(&a->destination, &b->destination);
}

static bool SamePolicy(const penstock_policy *a, const penstock_policy *b) {
  return SameTraffic(&a->id, &b->id) && a->id.priority_class == b->id.priority_class &&
         a->id.manual_priority == b->id.manual_priority && a->action == b->action &&
         a->reqid == b->reqid;
}

void InstalledAddPolicy(installed *this, const penstock_policy *policy) {
  installed_policy *entry;

  INIT(entry, .policy = *policy, );
  entry->policy.id.interface = NULL; /* the gateway takes policies without these texts only */
  entry->policy.id.label = NULL;
  this->policies->insert_last(this->policies, entry);
}

void InstalledRemovePolicy(installed *this, const penstock_policy *policy) {
  enumerator_t *enumerator = this->policies->create_enumerator(this->policies);
  installed_policy *entry;

  while (enumerator->enumerate(enumerator, &entry)) {
    if (SamePolicy(&entry->policy, policy)) {
      this->policies->remove_at(this->policies, enumerator);
      free(entry);
      break;
    }
  }
  enumerator->destroy(enumerator);
}

bool InstalledPriority(installed *this, penstock_policy_id *id) {
  enumerator_t *enumerator = this->policies->create_enumerator(this->policies);
  installed_policy *entry;
  bool found = FALSE;

  while (enumerator->enumerate(enumerator, &entry)) {
    if (SameTraffic(&entry->policy.id, id)) {
      id->priority_class = entry->policy.id.priority_class;
      id->manual_priority = entry->policy.id.manual_priority;
      found = TRUE;
    }
  }
  enumerator->destroy(enumerator);
  return found;
}

static penstock_status FindLostSas(installed *this, penstock_client *client, linked_list_t *lost) {
  enumerator_t *enumerator = this->sas->create_enumerator(this->sas);
  penstock_status status = PENSTOCK_OK;
  penstock_usage usage;
  installed_sa *entry;

  while (status != PENSTOCK_UNAVAILABLE && enumerator->enumerate(enumerator, &entry)) {
    status = penstock_query_sa(client, &entry->id, 0, &usage);
    if (status == PENSTOCK_NOT_FOUND) {
      this->sas->remove_at(this->sas, enumerator);
      lost->insert_last(lost, entry);
    }
  }
  enumerator->destroy(enumerator);
  return status;
}

/* All are asked for before the first is added: the copies of one policy are missing together. */
static penstock_status FindMissingPolicies(installed *this, penstock_client *client) {
  enumerator_t *enumerator = this->policies->create_enumerator(this->policies);
  penstock_status status = PENSTOCK_OK;
  installed_policy *entry;
  uint64_t last_use;

  while (status != PENSTOCK_UNAVAILABLE && enumerator->enumerate(enumerator, &entry)) {
    status = penstock_query_policy(client, &entry->policy.id, &last_use);
    entry->missing = status == PENSTOCK_NOT_FOUND;
  }
  enumerator->destroy(enumerator);
  return status;
}

static penstock_status AddMissingPolicies(installed *this, penstock_client *client) {
  enumerator_t *enumerator = this->policies->create_enumerator(this->policies);
  penstock_status status = PENSTOCK_OK;
  installed_policy *entry;

  while (status != PENSTOCK_UNAVAILABLE && enumerator->enumerate(enumerator, &entry)) {
    if (!entry->missing) {
      continue;
    }
    status = penstock_add_policy(client, &entry->policy);
    if (status != PENSTOCK_OK) {
      DBG1(DBG_KNL, "policy of reqid {%u} cannot be restored: %s", entry->policy.reqid,
           penstock_client_error(client));
    }
  }
  enumerator->destroy(enumerator);
  return status;
}

penstock_status InstalledRestore(installed *this, penstock_client *client, linked_list_t *lost) {
  penstock_status status = FindLostSas(this, client, lost);

  if (status != PENSTOCK_UNAVAILABLE) {
    status = FindMissingPolicies(this, client);
  }
  if (status != PENSTOCK_UNAVAILABLE) {
    status = AddMissingPolicies(this, client);
  }
  return status == PENSTOCK_UNAVAILABLE ? status : PENSTOCK_OK;
}
