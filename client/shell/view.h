/* view: what the daemon knows of everybody's requests, kept up to date.
 *
 * Only looks: asks for no terminal and starts no daemon. A daemon that is gone
 * is looked for again, and found when it is back. Nothing here waits for more
 * than a daemon that answers takes. */
#ifndef TTYLOCK_VIEW_H
#define TTYLOCK_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct view_entry {
	uint64_t id;
	pid_t pid;	   /* who asks */
	pid_t subject;	   /* for whom; 0: for itself */
	char comm[64];	   /* of that one; as untrusted as it is */
	uint32_t position; /* 0: holds */
	bool hidden;	   /* another user's: only position and terminal are known */
	char terminal[64];
};

struct view {
	struct ttylock *lock; /* NULL: no daemon */
	int error;	      /* then: why */
	bool stale;
	int64_t next; /* when to look again, at the earliest */
	struct view_entry *entries;
	size_t count, room;
};

void view_init(struct view *v);
void view_deinit(struct view *v);

/* To poll for reading; -1: none. */
int view_fd(const struct view *v);

/* Takes in what is new. Returns after how many milliseconds to call it again
 * even though view_fd() is silent, or -1. */
int view_refresh(struct view *v);

/* Has the next one look at once: for what we have done ourselves. */
void view_expire(struct view *v);

#endif
