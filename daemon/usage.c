#include "usage.h"

#include <stdlib.h>

struct usage *usage_ref(struct usage *u)
{
	u->refs++;
	return u;
}

struct usage *usages_get(struct usages *set, uid_t uid)
{
	for (struct usage *u = set->first; u; u = u->next) {
		if (u->uid == uid)
			return usage_ref(u);
	}

	struct usage *u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	u->uid = uid;
	u->set = set;
	u->next = set->first;
	set->first = u;
	return usage_ref(u);
}

void usage_unref(struct usage *u)
{
	if (!u || --u->refs > 0)
		return;

	struct usage **at = &u->set->first;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	free(u);
}
