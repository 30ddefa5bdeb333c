/* discard: closes a descriptor that a peer passed and that may be anything.
 *
 * close(2) can wait for a file system in user space for ever (FUSE flush), so it
 * is done in a thread of its own. Must be used for whatever is not known to be
 * an ordinary device or socket.
 */
#ifndef TTYLOCK_DISCARD_H
#define TTYLOCK_DISCARD_H

void discard(int fd);

#endif
