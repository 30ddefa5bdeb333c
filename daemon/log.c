#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define LINE_MAX_BYTES 1024
/* Lines a second that peers may cause; the rest is counted. */
#define LINES_PER_SECOND 200

static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_journal;

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

/* systemd.exec(5): JOURNAL_STREAM is the device and inode of the stream that
 * the journal reads. Only if stderr is still that one are we to use it. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_init(enum log_level level)
{
	log_max = level;
	log_journal = stderr_is_journal();
}

static void line_put(enum log_level level, const char *line, const struct log_event *e)
{
	char clean[LINE_MAX_BYTES];

	text_clean(clean, sizeof(clean), line, strlen(line));
	if (!log_journal)
		dprintf(STDERR_FILENO, "ttylockd: %s\n", clean);
	else if (!e)
		sd_journal_send("MESSAGE=%s", clean, "PRIORITY=%d", level_priority[level],
		    "SYSLOG_IDENTIFIER=ttylockd", NULL);
	else
		sd_journal_send("MESSAGE=%s", clean, "PRIORITY=%d", level_priority[level],
		    "SYSLOG_IDENTIFIER=ttylockd", "TTYLOCK_EVENT=%s", e->what,
		    "TTYLOCK_REQUEST=%llu", (unsigned long long)e->request, "TTYLOCK_PID=%d",
		    (int)e->pid, "TTYLOCK_UID=%u", (unsigned)e->uid, "TTYLOCK_TERMINAL=%s",
		    e->terminal, NULL);
}

/* Whether one more line may go out in this second. */
static bool rate_allows(void)
{
	static time_t second;
	static unsigned lines, suppressed;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != second) {
		if (suppressed > 0) {
			char line[64];

			snprintf(line, sizeof(line), "%u lines suppressed", suppressed);
			line_put(LOG_LEVEL_WARNING, line, NULL);
		}
		second = now.tv_sec;
		lines = suppressed = 0;
	}
	if (lines++ < LINES_PER_SECOND)
		return true;
	suppressed++;
	return false;
}

static bool wanted(enum log_level level)
{
	if (level > log_max)
		return false;
	return level == LOG_LEVEL_ERROR || level == LOG_LEVEL_DEBUG || rate_allows();
}

__attribute__((format(printf, 3, 0))) static void vlog(
    enum log_level level, int err, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	int n = vsnprintf(line, sizeof(line), fmt, ap);

	if (err && n >= 0 && (size_t)n < sizeof(line))
		snprintf(line + n, sizeof(line) - (size_t)n, ": %s", strerror(err));
	line_put(level, line, NULL);
}

void log_warn(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	if (!wanted(LOG_LEVEL_WARNING))
		return;
	va_start(ap, fmt);
	vlog(LOG_LEVEL_WARNING, err, fmt, ap);
	va_end(ap);
}

void log_warnx(const char *fmt, ...)
{
	va_list ap;

	if (!wanted(LOG_LEVEL_WARNING))
		return;
	va_start(ap, fmt);
	vlog(LOG_LEVEL_WARNING, 0, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (!wanted(LOG_LEVEL_INFO))
		return;
	va_start(ap, fmt);
	vlog(LOG_LEVEL_INFO, 0, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!wanted(LOG_LEVEL_DEBUG))
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

void log_event(const struct log_event *e)
{
	char line[LINE_MAX_BYTES];

	if (!wanted(LOG_LEVEL_INFO))
		return;
	snprintf(line, sizeof(line), "%s: request %llu %s: pid %d (%s), uid %u%s%s", e->terminal,
	    (unsigned long long)e->request, e->what, (int)e->pid, e->comm, (unsigned)e->uid,
	    e->note ? ", " : "", e->note ? e->note : "");
	line_put(LOG_LEVEL_INFO, line, e);
}
