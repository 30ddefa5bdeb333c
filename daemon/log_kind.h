/* log_kind: the kinds of events that the log tells, as the journal and the
 * catalogue (systemd/ttylock.catalog) know them.
 *
 * Pure: names and numbers. An id is for ever: one that was published never gets
 * another meaning.
 */
#ifndef TTYLOCK_LOG_KIND_H
#define TTYLOCK_LOG_KIND_H

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_kind {
	LOG_KIND_STARTED,
	LOG_KIND_ENDING,
	LOG_KIND_FAILED,
	LOG_KIND_SUPPRESSED,
	/* A request's life. */
	LOG_KIND_QUEUED,
	LOG_KIND_GRANTED,
	LOG_KIND_RELEASED,
	LOG_KIND_CANCELLED,
	LOG_KIND_FORCED,
	LOG_KIND_SERVED_FIRST,
	LOG_KIND_REFUSED,
	LOG_KIND_DEADLOCK,
	LOG_KIND_WAITER_DIED,
	LOG_KIND_HOLDER_DIED,
	/* What somebody may not, or may not any more. */
	LOG_KIND_DENIED,
	LOG_KIND_QUOTA,
	LOG_KIND_NO_DESCRIPTORS,
	LOG_KIND_UNIDENTIFIED,
	/* A restart. */
	LOG_KIND_RESTORED,
	LOG_KIND_RECLAIMED,
	LOG_KIND_WAITER_ABSENT,
	LOG_KIND_HOLDER_ABSENT,
	LOG_KIND_RECLAIM_DENIED,
	LOG_KIND_LEDGER_UNREADABLE,
	LOG_KIND_STALLED,
};

struct log_kind_row {
	const char *event;  /* the field TTYLOCK_EVENT */
	const char *phrase; /* for the line */
	const char *id;	    /* the field MESSAGE_ID: 128 bits in hexadecimal */
	enum log_level level;
};

const struct log_kind_row *log_kind_row(enum log_kind kind);

#endif
