/* inherit: the grant below which this process runs.
 *
 * Who was started by the holder of a terminal, while it held it, does not queue
 * behind that holder (which may be waiting for it) but is served on top of it.
 * The grant's token comes down by $TTYLOCK_GRANT, or by fork() in memory.
 */
#ifndef TTYLOCK_INHERIT_H
#define TTYLOCK_INHERIT_H

#include <stddef.h>
#include <stdint.h>

#define INHERIT_TOKEN 16

/* The token to ask under: INHERIT_TOKEN bytes, or 0: none. */
size_t inherit_token(uint8_t out[INHERIT_TOKEN]);

/* In the child of a fork: its parent held this. */
void inherit_remember(const uint8_t *token);

/* For the environment of what is started under the grant. */
void inherit_setenv(const uint8_t *token);

#endif
