/* store: descriptors that the service manager keeps for the next of us, and gives
 * back with the listening socket.
 *
 * Process-wide, as what the manager passes is. Does nothing without a manager, and
 * asks nobody whether it worked: sd_notify cannot tell.
 */
#ifndef TTYLOCK_STORE_H
#define TTYLOCK_STORE_H

#include <stdbool.h>
#include <stdint.h>

/* Takes in what was passed to us: *listener gets the listening Unix stream socket,
 * or -1. Its number, -EINVAL when there are several of them; 0: none; or -errno. */
int store_init(int *listener);

/* Whether there is a manager that has given us a socket, so that it may keep more. */
bool store_is_there(void);

/* The descriptor of that name, the caller's from now on; -1: none. */
int store_take(const char *name);
int store_take_terminal(uint64_t id);

/* Keeps a copy of fd under that name; forgets what it has under it. */
void store_put(const char *name, int fd);
void store_remove(const char *name);
void store_put_terminal(uint64_t id, int fd);
void store_remove_terminal(uint64_t id);

/* Closes what nobody has taken, and has it forgotten. */
void store_clear(void);

#endif
