#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "cred.h"
#include "journal.h"
#include "text.h"

#define LINE_MAX_BYTES 1024
/* Lines a second of each class that peers may cause; the rest is counted, unless all
 * is asked for. The classes, so that many locks, or many deaths, do not hide that one
 * was refused. */
#define LINES_PER_SECOND 200
enum class { CLASS_INFO, CLASS_WARNING, CLASS_REFUSAL, CLASSES };

static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;
static unsigned suppressed;

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int level_priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

bool log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(*level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_init(enum log_level level)
{
	log_max = level;
	log_journal = journal_open();
}

static void line_to_stderr(const char *line)
{
	char clean[LINE_MAX_BYTES], text[LINE_MAX_BYTES + 16];

	text_clean(clean, sizeof(clean), line, strlen(line));
	int n = snprintf(text, sizeof(text), "ttylockd: %s\n", clean);
	/* One call, where dprintf(3) looks at the file as well. */
	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		return; /* nobody to tell */
}

static void who_to_journal(struct journal_entry *entry, const struct cred *who, const char *pid,
    const char *uid, const char *comm)
{
	if (!who)
		return;
	journal_number(entry, pid, (unsigned long long)who->pid);
	journal_number(entry, uid, who->uid);
	journal_field(entry, comm, who->comm);
}

static void line_to_journal(enum log_level level, const char *line, const struct log_kind_row *row,
    const struct log_event *e)
{
	struct journal_entry entry = {.used = 0};

	journal_number(&entry, "PRIORITY", (unsigned)level_priority[level]);
	journal_field(&entry, "SYSLOG_IDENTIFIER", "ttylockd");
	journal_field(&entry, "MESSAGE", line);
	if (row) {
		journal_field(&entry, "MESSAGE_ID", row->id);
		journal_field(&entry, "TTYLOCK_EVENT", row->event);
	}
	if (e && e->terminal)
		journal_field(&entry, "TTYLOCK_TERMINAL", e->terminal);
	if (e && e->request)
		journal_number(&entry, "TTYLOCK_REQUEST", e->request);
	if (e && e->note)
		journal_field(&entry, "TTYLOCK_NOTE", e->note);
	if (e) {
		who_to_journal(&entry, e->who, "TTYLOCK_PID", "TTYLOCK_UID", "TTYLOCK_COMM");
		who_to_journal(
		    &entry, e->by, "TTYLOCK_BY_PID", "TTYLOCK_BY_UID", "TTYLOCK_BY_COMM");
	}
	if (!journal_send(&entry))
		suppressed++;
}

/* row, e: NULL for a line that tells no event, or not all about it. */
static void line_put(enum log_level level, const char *line, const struct log_kind_row *row,
    const struct log_event *e)
{
	if (log_journal)
		line_to_journal(level, line, row, e);
	else
		line_to_stderr(line);
}

/* Whether one more line may go out in this second. */
static bool rate_allows(enum class class)
{
	static time_t second;
	static unsigned lines[CLASSES];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec != second) {
		unsigned missing = suppressed;

		second = now.tv_sec;
		suppressed = 0;
		memset(lines, 0, sizeof(lines));
		if (missing > 0) {
			const struct log_kind_row *row = log_kind_row(LOG_KIND_SUPPRESSED);
			char line[64];

			snprintf(line, sizeof(line), "%u %s", missing, row->phrase);
			line_put(row->level, line, row, NULL);
		}
	}
	if (lines[class]++ < LINES_PER_SECOND)
		return true;
	suppressed++;
	return false;
}

static enum class class_of(enum log_level level, enum log_kind kind) {
	if (kind >= LOG_KIND_DENIED && kind <= LOG_KIND_UNIDENTIFIED) return CLASS_REFUSAL;
	return level == LOG_LEVEL_WARNING ? CLASS_WARNING : CLASS_INFO;
}

static bool wanted(enum log_level level, enum log_kind kind)
{
	if (level > log_max)
		return false;
	return level == LOG_LEVEL_ERROR || log_max == LOG_LEVEL_DEBUG ||
	       rate_allows(class_of(level, kind));
}

__attribute__((format(printf, 3, 0))) static void vlog(
    enum log_level level, int err, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (err && n >= 0 && (size_t)n < sizeof(line))
		snprintf(line + n, sizeof(line) - (size_t)n, ": %s", strerror(err));
	/* Only fatal's are errors. */
	line_put(
	    level, line, level == LOG_LEVEL_ERROR ? log_kind_row(LOG_KIND_FAILED) : NULL, NULL);
}

void log_warn(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	if (!wanted(LOG_LEVEL_WARNING, LOG_KIND_STARTED))
		return;
	va_start(ap, fmt);
	vlog(LOG_LEVEL_WARNING, err, fmt, ap);
	va_end(ap);
}

void log_warnx(const char *fmt, ...)
{
	va_list ap;

	if (!wanted(LOG_LEVEL_WARNING, LOG_KIND_STARTED))
		return;
	va_start(ap, fmt);
	vlog(LOG_LEVEL_WARNING, 0, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (!wanted(LOG_LEVEL_INFO, LOG_KIND_STARTED))
		return;
	va_start(ap, fmt);
	vlog(LOG_LEVEL_INFO, 0, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!wanted(LOG_LEVEL_DEBUG, LOG_KIND_STARTED))
		return;
	va_start(ap, fmt);
	vlog(LOG_LEVEL_DEBUG, 0, fmt, ap);
	va_end(ap);
}

void log_dump(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_LEVEL_INFO, 0, fmt, ap);
	va_end(ap);
}

void fatal(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_LEVEL_ERROR, err, fmt, ap);
	va_end(ap);
	exit(1);
}

void fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_LEVEL_ERROR, 0, fmt, ap);
	va_end(ap);
	exit(1);
}

/* "pid 12 (gdb), uid 0" after `lead`, at most size bytes in all. */
static void who_add(char *line, size_t size, const char *lead, const struct cred *who)
{
	size_t used = strlen(line);

	if (who)
		snprintf(line + used, size - used, "%spid %d (%s), uid %u", lead, (int)who->pid,
		    who->comm, (unsigned)who->uid);
}

void log_event(const struct log_event *e)
{
	const struct log_kind_row *row = log_kind_row(e->kind);
	char line[LINE_MAX_BYTES], request[40] = "";

	if (!wanted(row->level, e->kind))
		return;
	if (e->request)
		snprintf(request, sizeof(request), "request %llu ", (unsigned long long)e->request);
	snprintf(line, sizeof(line), "%s%s%s%s", e->terminal ? e->terminal : "",
	    e->terminal ? ": " : "", request, row->phrase);
	who_add(line, sizeof(line), ": ", e->who);
	if (e->note) {
		size_t used = strlen(line);
		snprintf(line + used, sizeof(line) - used, "%s%s", e->who ? ", " : ": ", e->note);
	}
	who_add(line, sizeof(line), ", by ", e->by);
	line_put(row->level, line, row, e);
}
