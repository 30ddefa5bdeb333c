#include "acts_inside.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

struct acts_report *acts_report;
const struct acts_stage *stage;

void acts_fault(const char *what)
{
	if (!acts_report->fault[0])
		snprintf(acts_report->fault, sizeof(acts_report->fault), "%s", what);
}

/* --- calls that may fail ------------------------------------------------------ */

int acts_told(const char *function, int r)
{
	if (r < 0 && acts_report->errors < ACTS_ERRORS) {
		acts_report->error[acts_report->errors].function = function;
		acts_report->error[acts_report->errors++].error = -r;
	}
	return r;
}

int acts_came(const char *function, int r)
{
	inject_disarm();
	return acts_told(function, r);
}

void acts_ask(char what)
{
	if (write(stage->world, &what, 1) != 1 || read(stage->world, &what, 1) != 1)
		acts_fault("the driver is gone");
}

int acts_hold(int file)
{
	return flock(file, LOCK_EX | LOCK_NB) == 0;
}

void acts_leave(int file)
{
	flock(file, LOCK_UN);
}

/* Only so many calls fail, so that one try has to do. */
struct ttylock *acts_opened(int tty)
{
	struct ttylock *t = NULL;

	for (int i = 0; i < TRIES; i++)
		if (CALL(ttylock_open, &t, tty, 0) == 0)
			return t;
	acts_fault("it cannot be opened a second time");
	return NULL;
}

void acts_closed(struct ttylock *t)
{
	inject_arm();
	ttylock_close(t);
	inject_disarm();
}

void acts_holds(void)
{
	if (!acts_hold(stage->file))
		acts_fault("there is a second holder");
}

/* What failed holds nothing. */
bool acts_granted(struct ttylock *t, const struct ttylock_wish *wish, uint64_t *id)
{
	struct ttylock_status status;

	for (int i = 0; i < TRIES; i++) {
		*id = 0;
		if (CALL(ttylock_acquire, t, wish, 5 * SECOND, id) == 0) {
			acts_holds();
			return true;
		}
		if (*id && ttylock_get_status(t, *id, &status) != -ENOENT)
			acts_fault("an acquire that failed leaves its request");
	}
	acts_fault("nothing is granted a second time");
	return false;
}

void acts_released(struct ttylock *t, uint64_t id)
{
	acts_leave(stage->file);
	CALL(ttylock_release, t, id);
}

static int count_waiter(const struct ttylock_entry *entry, void *arg)
{
	*(int *)arg += entry->position != 0;
	return 0;
}

int acts_waiters(int tty)
{
	struct ttylock *t;
	int waiters = 0;

	if (ttylock_open(&t, tty, 0) < 0)
		return 0;
	ttylock_list(t, SECOND, count_waiter, &waiters);
	ttylock_close(t);
	return waiters;
}

bool acts_begin(pthread_t *id, void *(*run)(void *), void *arg)
{
	for (int i = 0; i < TRIES; i++)
		if (pthread_create(id, NULL, run, arg) == 0)
			return true;
	acts_fault("no thread can be begun");
	return false;
}
