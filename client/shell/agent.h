/* agent: what `ttylock run` does for processes of its tree that have left its
 * session (setsid): they can use the terminal but not its job control, so
 * their `ttylock debug` asks the agent to run in its place, in the terminal's
 * session.
 *
 * One SOCK_SEQPACKET message each way: the arguments, each ended by a zero
 * byte, with the descriptor of the gate; back a single byte when it is done.
 */
#ifndef TTYLOCK_AGENT_H
#define TTYLOCK_AGENT_H

#include <sys/types.h>

/* Binds the agent's socket in the directory of the daemon's socket, for this
 * user alone. Returns a descriptor and sets path, of 108 bytes; -errno. */
int agent_listen(const char *daemon_socket, char *path);

/* Takes in one message of a listener that is readable and starts what it asks
 * for. Returns the new child's pid; 0: none (a stranger, or garbage). */
pid_t agent_serve(int listener);

/* From the other end: has the agent run `ttylock debug` with these arguments.
 * 0; -errno: it cannot, and the caller is on its own. */
int agent_delegate(int argc, char *const *argv, int gate);

#endif
