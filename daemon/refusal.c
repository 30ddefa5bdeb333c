#include "refusal.h"

#include "caller.h"
#include "clock.h"
#include "log.h"

bool refusal_tell(struct usage *usage)
{
	uint32_t untold = 0;

	if (!usage)
		return true;
	bool tell = usage_tell_refusal(usage, clock_ms(), &untold);
	if (untold)
		log_info(
		    "uid %u: %u refusals were not told", (unsigned)usage->uid, (unsigned)untold);
	return tell;
}

static void tell(const struct caller *c, enum log_kind kind, const char *note)
{
	if (refusal_tell(c->usage))
		log_event(&(struct log_event){.kind = kind, .who = &c->cred, .note = note});
}

void refusal_log(const struct caller *c, const char *note)
{
	tell(c, LOG_KIND_REFUSED, note);
}

void refusal_quota(const struct caller *c, const char *what)
{
	tell(c, LOG_KIND_QUOTA, what);
}

void refusal_code(const struct caller *c, ttylock_Code code)
{
	switch (code) {
	case ttylock_Code_ERROR_QUOTA:
		tell(c, LOG_KIND_QUOTA, "requests");
		break;
	case ttylock_Code_ERROR_INVALID:
		tell(c, LOG_KIND_REFUSED, "a field is out of its range");
		break;
	case ttylock_Code_ERROR_TERMINAL:
		tell(c, LOG_KIND_REFUSED,
		    "it has shown no terminal of that number, or one that is dead");
		break;
	default:
		tell(c, LOG_KIND_REFUSED, "not allowed");
	}
}
