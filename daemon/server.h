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

/* listener: a listening Unix stream socket, non-blocking. on_demand: end soon
 * after the last connection. ledger: what is to outlive us, or NULL; must outlive the
 * server. NULL, with errno set, when it cannot be made. */
struct server *server_new(int listener, bool on_demand, struct ledger *ledger);

/* Until SIGTERM, SIGINT, or the end of an on-demand server. 0 or -errno. */
int server_run(struct server *s);

/* Ends all connections; what the ledger tells stays as it is. NULL is fine. */
void server_free(struct server *s);

#endif
