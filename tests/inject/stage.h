/* stage: the daemon under test, in a process of its own, and what is around it.
 */
#ifndef TTYLOCK_TESTS_STAGE_H
#define TTYLOCK_TESTS_STAGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "player.h"

enum stage_end {
	STAGE_SERVES, /* until it is told to end */
	STAGE_ENDS,   /* it serves, and ends by itself when all have gone */
	STAGE_YIELDS, /* another one serves: it ends at once */
};

struct scene {
	const char *name;
	enum stage_end end;
	bool is_slow;	 /* so that not each call is tried */
	bool is_variant; /* of another */
	bool needs_root; /* for a /run of its own */
	const char *options[4];
	/* Here, before the daemon starts; each may be NULL. */
	void (*before)(void);
	/* In its process, before any call counts. */
	void (*inside)(void);
	/* With it; what it sees that must not be goes into all->fault. */
	void (*play)(struct players *all, pid_t daemon);
	/* Here, once it has ended. */
	void (*behind)(void);
};

/* Of the whole program: a directory of its own, two terminals and their masters, the first
 * one as /dev/tty, and a file that is no terminal. */
struct stage {
	char dir[64], socket[80];
	int tty[2], controlling, file;
	bool is_private; /* /run is nobody else's */
};
extern struct stage stage;

void stage_make(void);
void stage_end(void);
/* The socket's path with that end, or of a file beside it: valid until the next call. */
const char *stage_path(const char *end);
const char *stage_beside(const char *name);

/* Started as the scene wants it. *ready: where it says so. */
pid_t stage_daemon(const struct scene *s, bool armed, int *ready);
/* Whether it serves; it may also have been unable to say so. */
bool stage_serves(const struct scene *s, pid_t daemon, int ready);
/* Tells it to end if it serves, and waits. NULL: in good order. */
const char *stage_daemon_end(pid_t daemon, bool tell);

/* Another process, which does `act` and then only lives: kill and wait for it. */
pid_t stage_other(void (*act)(void *arg), void *arg);
void stage_kill(pid_t pid);

#endif
