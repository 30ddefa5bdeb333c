/* keeper: the daemon of a test, killed and started again. */
#ifndef CHAOS_KEEPER_H
#define CHAOS_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

/* A directory of our own for the socket, in the environment from then on. daemon: as
 * seen from where our program is. */
void keeper_init(const char *daemon);
/* Ends the daemon, and removes the directory, but for the log if that is to stay. */
void keeper_end(bool keep_log);

/* Starts one there, unless one serves already; does not wait for it. */
void keeper_start(void);
/* Who listens there; 0: nobody. */
pid_t keeper_pid(void);

const char *keeper_log(void);
/* The end of its log. */
void keeper_print_log(unsigned lines);

#endif
