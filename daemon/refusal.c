#include "refusal.h"

#include "broker.h"
#include "log.h"

bool refusal_tell(struct usage *usage)
{
	uint32_t untold = 0;

	if (!usage)
		return true;
	bool tell = usage_tell_refusal(usage, broker_now(), &untold);
	if (untold)
		log_info(
		    "uid %u: %u refusals were not told", (unsigned)usage->uid, (unsigned)untold);
	return tell;
}

void refusal_log(const struct caller *c, const char *note)
{
	if (refusal_tell(c->usage))
		log_event(
		    &(struct log_event){.kind = LOG_KIND_REFUSED, .who = &c->cred, .note = note});
}
