/* server: the event loop: accepts, admits or turns away, ends.
 *
 * Owns the event base, the broker and the peers; the listening socket belongs to
 * the caller. Does not know where that socket came from.
 */
#ifndef TTYLOCK_SERVER_H
#define TTYLOCK_SERVER_H

#include <stdbool.h>

struct server;

struct ledger;

struct server_options {
	int listener;	       /* a listening Unix stream socket, non-blocking */
	bool on_demand;	       /* end soon after the last connection */
	struct ledger *ledger; // what is to outlive us, and the server; NULL: nothing
	int grace;	       /* seconds for waiters to come back after a restart */
};

/* NULL, with errno set, when it cannot be made. */
struct server *server_new(const struct server_options *o);

/* Until SIGTERM, SIGINT, or the end of an on-demand server. 0 or -errno. */
int server_run(struct server *s);

/* Ends all connections; what the ledger tells stays as it is. NULL is fine. */
void server_free(struct server *s);

#endif
