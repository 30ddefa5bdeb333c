/* world: all that the daemon's core asks of the kernel and of libevent, made up:
 * sockets, processes and terminals are numbers here, and time stands still until it
 * is moved.
 *
 * One at a time. Each process, connection and terminal lives once: a new one gets
 * the next number. Counts what the daemon holds open.
 */
#ifndef TTYLOCK_FUZZ_WORLD_H
#define TTYLOCK_FUZZ_WORLD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../daemon/peer.h"

enum {
	WORLD_PROCESSES = 8,
	WORLD_CONNS = 96,     /* in one run */
	WORLD_TERMINALS = 12, /* in one run */
	WORLD_STREAM = 8192,  /* bytes that a connection may send at all */
	WORLD_SEGMENTS = 128, /* in so many writes */
};

struct world_process {
	pid_t pid, parent;
	uid_t uid;
	bool dead;
};

struct world_terminal {
	bool dead;
	uid_t owner;
};

struct world_conn {
	int process;
	bool open;    /* the daemon has its end */
	bool hung_up; /* the client has closed its own */
	bool stuffed; /* the client does not read */
	bool was_stuffed;
	uint32_t window; /* taken by one send at most; 0: any */
	uint8_t in[WORLD_STREAM];
	size_t in_end, in_at;
	struct {
		size_t begin, end;
		int fd; /* that goes with it; -1: none, or taken */
	} segments[WORLD_SEGMENTS];
	int segment, segment_count;
};

struct world {
	struct world_process processes[WORLD_PROCESSES];
	struct world_terminal terminals[WORLD_TERMINALS];
	int terminal_count, conn_count;
	struct world_conn conns[WORLD_CONNS];
	uint64_t now_ms, random;
	int handles, pidfds; /* that are open */
	int told;	     /* the connection of the event that is told; -1: none */
	/* What a connection's socket takes is told to it. */
	void (*sent)(int conn, const uint8_t *data, size_t size);
};

extern struct world world;

/* What a client may pass: terminal number t, or one of these. */
#define WORLD_FD(t)    (4000 + (t))
#define WORLD_FD_FILE  4100
#define WORLD_FD_WRONG 4101 /* a terminal, but for reading only */

void world_reset(void);

/* A new connection of that process, and what is needed to add it as a peer. */
int world_connect(int process, int *sock, struct cred *cred);
struct world_conn *world_conn(int sock);

/* Makes bytes readable, with a descriptor unless it is -1. False: too many. */
bool world_write(int conn, const uint8_t *data, size_t size, int fd);

/* Tells of the nth of the events that there are to tell of; false: not so many. */
bool world_dispatch(int which);

/* Whether process `pid` is, or is below, `above`, as the daemon can read it. */
bool world_is_below(pid_t pid, pid_t above);

/* For what must never happen. */
#define world_check(good)                                                                          \
	do {                                                                                       \
		if (!(good))                                                                       \
			world_fail(__FILE__, __LINE__, #good);                                     \
	} while (0)
_Noreturn void world_fail(const char *file, int line, const char *what);

#endif
