#include "inject.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct inject *inject;
static bool armed;

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
	inject->calls = 0;
}

void inject_arm(void)
{
	armed = true;
}

void inject_disarm(void)
{
	armed = false;
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

/* Async-signal-safe, for a process that borrows another's memory too. */
int inject_call(int name, const void *site, const int *codes, uint32_t count)
{
	if (!armed)
		return INJECT_NONE;
	uint32_t n = __atomic_fetch_add(&inject->calls, 1, __ATOMIC_SEQ_CST);
	if (n < INJECT_CALLS) {
		inject->called[n].name = name;
		inject->called[n].site = site;
		inject->called[n].is_safe = count == 0;
	}
	for (int i = 0; i < INJECT_ORDERS; i++) {
		struct inject_order *o = &inject->order[i];

		if (!o->kth || o->site != site ||
		    __atomic_add_fetch(&o->calls, 1, __ATOMIC_SEQ_CST) != o->kth)
			continue;
		o->codes = count;
		if (o->which >= count)
			continue;
		o->done = true;
		o->code = codes[o->which];
		return o->code;
	}
	return INJECT_NONE;
}
