/* log: one line for each thing worth knowing, to stderr or to the journal.
 *
 * Every line is cleaned (text.h), so callers may put a peer's strings into it.
 * What peers can provoke is rate-limited, but for errors and at level debug. Must not be called
 * from a signal handler.
 */
#ifndef TTYLOCK_LOG_H
#define TTYLOCK_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "log_kind.h"

struct cred;

/* To the journal if JOURNAL_STREAM says that stderr goes there anyhow. */
void log_init(enum log_level level);

/* "error", "warning", "info" or "debug"; false for anything else. */
bool log_level_parse(const char *name, enum log_level *level);

/* log_warn adds errno's text; log_warnx does not. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* At any level and rate: somebody who may signal us has asked. */
void log_dump(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* An error of our own, then exit(1). */
void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void fatalx(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Something that a program may look for in the journal: its parts are fields there.
 * Of a request that somebody else has to do with, `who` is its owner, `by` the other. */
struct log_event {
	enum log_kind kind;
	const char *terminal;	     /* or NULL */
	uint64_t request;	     /* or 0 */
	const struct cred *who, *by; /* or NULL */
	const char *note;	     /* more, in words; or NULL */
};
void log_event(const struct log_event *e);

#endif
