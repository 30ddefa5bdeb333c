/* player: a client of the daemon's that takes whatever comes, and remembers what it was
 * granted. For drivers that make things fail: any answer is right but a second holder,
 * and no answer.
 */
#ifndef TTYLOCK_TESTS_PLAYER_H
#define TTYLOCK_TESTS_PLAYER_H

#include <stdbool.h>

#include "../../proto/frame.h"

enum { PLAYERS = 12, PLAYER_REQUESTS = 4, PLAYER_DEADLINE_MS = 5000 };

struct player {
	int fd; /* -1: it has none, or the daemon has closed it */
	uint8_t rx[4 * FRAME_MAX];
	size_t length;
	uint64_t synced;
	struct {
		uint64_t number, id;
		int terminal; /* the driver's name for it; -1: not counted, it is nested */
		ttylock_State state;
		uint8_t token[16];
	} requests[PLAYER_REQUESTS];
	int count;
};

/* Of one run. */
struct players {
	struct player list[PLAYERS];
	int count;
	uint64_t last_sync;
	const char *fault; /* what must not be has been seen */
};

void players_begin(struct players *all);
void players_end(struct players *all);

/* Connects and says Hello. NULL: nobody listens. */
struct player *player_connect(struct players *all, const char *path);
/* Without the Hello. */
struct player *player_connect_silently(struct players *all, const char *path);
void player_say(struct player *p, const ttylock_Envelope *e, int fd);
void player_open(struct player *p, uint32_t number, int tty);
/* terminal: as in struct player. Returns the request's index. */
int player_lock(struct player *p, uint64_t task, int terminal, const uint8_t *under);
/* As the same request of another connection, which had that token. */
int player_reclaim(struct player *p, int terminal, const uint8_t *token);
void player_save(struct player *p, int request);
void player_release(struct player *p, int request);
void player_close(struct player *p);

/* Until the daemon has answered everybody or closed the connection. Looks whether
 * anything is held twice. */
void players_sync(struct players *all);

#endif
