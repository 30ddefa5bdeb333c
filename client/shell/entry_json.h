/* entry_json: requests and their events as JSON; docs/status.schema.json. */
#ifndef TTYLOCK_ENTRY_JSON_H
#define TTYLOCK_ENTRY_JSON_H

#include <jansson.h>

#include "feed.h"

/* What `status --json` prints. daemon: NULL: none runs. */
json_t *json_of_listing(const struct greeting *daemon, const struct listing *l);

/* One line of `status --watch --json`. e: NULL: it is about the daemon. */
json_t *json_of_event(const char *name, const ttylock_Event *e);

#endif
