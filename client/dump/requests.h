/* requests: who of the dumped holds or waits for a terminal, as the daemon has
 * it at one moment. */
#ifndef DUMP_REQUESTS_H
#define DUMP_REQUESTS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct requests {
	json_t *all;	   /* REQUEST... */
	const char *error; /* the daemon could not be asked; NULL */
};

/* REQUEST = {"state": "holds" or "waits", "position", "terminal", "reason",
 * "text", "pid", "subject_pid", "holder": {"pid", "comm"} of those that wait}.
 * No daemon: no requests. */
void requests_get(struct requests *r);

/* Those that pid made or that were made for it: a new array. */
json_t *requests_of(const struct requests *r, pid_t pid);

/* Whether somebody else holds a terminal for pid: its debugger is there, or on
 * its way and must find the process untouched. */
bool requests_has_turn(const struct requests *r, pid_t pid);

/* Whether pid holds or waits for a terminal for another process: what it starts
 * is the debugger. */
bool requests_debugs(const struct requests *r, pid_t pid);

void requests_deinit(struct requests *r);

/* What people call an enum ttylock_reason, or the protocol's, which has the same
 * numbers. */
const char *reason_name(int reason);

#endif
