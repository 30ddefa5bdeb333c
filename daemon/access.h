/* access: what a caller may see of a request and do to it, and what it is to believe
 * of one. Asks policy; changes nothing.
 */
#ifndef TTYLOCK_ACCESS_H
#define TTYLOCK_ACCESS_H

#include <stdbool.h>

#include "ticket.h"

/* Whether c may see that request in detail, or steer it. */
bool access_may_see(const struct ticket *k, const struct caller *c);
bool access_may_steer(const struct ticket *k, const struct caller *c);

/* Whether a request is for that process or for one that was below it when it was
 * asked; whether it is of c's tree. Both as far as c is to believe it: what a
 * request is for is a claim, by which nobody may keep a stranger waiting. */
bool access_concerns(const struct ticket *k, const struct caller *c, pid_t pid);
bool access_is_of_tree(const struct ticket *k, const struct caller *c);

#endif
