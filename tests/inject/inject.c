#include "inject.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct inject *inject;
const char *inject_left_out;
static bool armed;

void *__real_mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset);

void inject_init(void)
{
	inject = __real_mmap(
	    NULL, sizeof(*inject), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (inject == MAP_FAILED)
		abort();
}

void inject_order(uint32_t nth, uint32_t which)
{
	inject->nth = nth;
	inject->which = which;
	inject->calls = 0;
	inject->codes = 0;
	inject->done = false;
	inject->code = 0;
}

void inject_arm(void)
{
	armed = true;
}

void inject_disarm(void)
{
	armed = false;
}

int inject_call(int name, const void *site, const int *codes, uint32_t count)
{
	if (!armed || (inject_left_out && strcmp(inject_names[name], inject_left_out) == 0))
		return INJECT_NONE;
	uint32_t n = __atomic_add_fetch(&inject->calls, 1, __ATOMIC_SEQ_CST);
	if (n < INJECT_CALLS) {
		inject->called[n].name = name;
		inject->called[n].site = site;
	}
	if (n != inject->nth)
		return INJECT_NONE;
	inject->codes = count;
	if (inject->which >= count)
		return INJECT_NONE;
	inject->done = true;
	inject->code = codes[inject->which];
	return inject->code;
}
