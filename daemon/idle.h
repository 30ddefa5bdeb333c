/* idle: who waits until no request is for a process, or for one below it.
 *
 * Each waits on one such request, any one, and looks for another only when that
 * one has ended: a request that nobody waits on costs nothing.
 */
#ifndef TTYLOCK_IDLE_H
#define TTYLOCK_IDLE_H

#include <stdint.h>

/* Unanswered ones of a caller. */
#define IDLE_MAX 16

struct broker;
struct caller;
struct idle_wait;

/* Answers at once, or when it is so; below 0: for the caller's tree. 0; -EDQUOT:
 * the caller has IDLE_MAX already; -ENOMEM. */
int idle_await(struct broker *b, struct caller *c, uint64_t query, int32_t below);

/* For those that waited on a ticket that is no more. */
void idle_resume(struct broker *b, struct idle_wait *waits);

/* Forgets a caller's. */
void idle_caller_gone(struct caller *c);

#endif
