#include "inject.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct inject *inject;
void (*inject_before)(const char *name);
static bool armed;
static _Thread_local bool spared;

void *__real_mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset);

void inject_init(void)
{
	inject = __real_mmap(
	    NULL, sizeof(*inject), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (inject == MAP_FAILED)
		abort();
}

void inject_set(const struct inject_order *orders, int count)
{
	memset(inject->order, 0, sizeof(inject->order));
	for (int i = 0; i < count; i++) {
		struct inject_order *o = &inject->order[i];

		o->site = orders[i].site;
		o->kth = orders[i].kth;
		o->which = orders[i].which;
		o->name = orders[i].name;
	}
	inject->calls = inject->place_count = 0;
	memset(inject->place, 0, sizeof(inject->place));
	memset(inject->slot, 0, sizeof(inject->slot));
}

void inject_arm(void)
{
	armed = true;
}

void inject_disarm(void)
{
	armed = false;
}

void inject_spare(bool this_thread)
{
	spared = this_thread;
}

bool inject_is_ordered(void)
{
	return inject->order[0].kth != 0;
}

bool inject_is_done(void)
{
	return inject->order[0].done;
}

const struct inject_order *inject_failed(const char *name)
{
	for (int i = 0; i < INJECT_ORDERS; i++)
		if (inject->order[i].done && !strcmp(inject_names[inject->order[i].name], name))
			return &inject->order[i];
	return NULL;
}

bool inject_was_called(const char *name)
{
	for (uint32_t n = 0; n < inject->place_count; n++)
		if (inject->place[n].calls && !strcmp(inject_names[inject->place[n].name], name))
			return true;
	return false;
}

/* Whoever is the second to come to a place finds it, or has made one that nobody finds. */
static struct inject_place *place_get(int name, const void *site)
{
	uint32_t slots = sizeof(inject->slot) / sizeof(*inject->slot), made = 0;

	for (uint32_t h = (uint32_t)(uintptr_t)site * 2654435761u + (uint32_t)name;; h++) {
		uint32_t *slot = &inject->slot[h % slots], there = 0;

		if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) == 0) {
			if (!made) {
				made =
				    __atomic_add_fetch(&inject->place_count, 1, __ATOMIC_RELAXED);
				if (made > INJECT_PLACES)
					abort();
				inject->place[made - 1].site = site;
				inject->place[made - 1].name = name;
			}
			if (__atomic_compare_exchange_n(
				slot, &there, made, false, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
				return &inject->place[made - 1];
		}
		struct inject_place *p =
		    &inject->place[__atomic_load_n(slot, __ATOMIC_ACQUIRE) - 1];
		if (p->site == site && p->name == name)
			return p;
	}
}

/* Async-signal-safe, for a process that borrows another's memory too. */
int inject_call(int name, const void *site, const int *codes, uint32_t count)
{
	if (!armed || spared)
		return INJECT_NONE;
	if (inject_before)
		inject_before(inject_names[name]);
	struct inject_place *p = place_get(name, site);
	__atomic_add_fetch(&inject->calls, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&p->calls, 1, __ATOMIC_RELAXED);
	if (count)
		p->can_fail = true;
	for (int i = 0; i < INJECT_ORDERS; i++) {
		struct inject_order *o = &inject->order[i];

		if (!o->kth || o->site != site || (o->name != name && o->name != INJECT_ANY) ||
		    __atomic_add_fetch(&o->calls, 1, __ATOMIC_SEQ_CST) != o->kth)
			continue;
		o->name = name;
		o->codes = count;
		if (o->which >= count)
			continue;
		o->done = true;
		o->code = codes[o->which];
		return o->code;
	}
	return INJECT_NONE;
}
