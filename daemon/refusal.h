/* refusal: whether one more refusal of a user goes into the log.
 *
 * A user who provokes many is told of in part, with how many were left out, so
 * that he does not hide what others do.
 */
#ifndef TTYLOCK_REFUSAL_H
#define TTYLOCK_REFUSAL_H

#include <stdbool.h>

#include "ttylock.pb.h"

struct caller;
struct usage;

/* NULL: of nobody that is known. */
bool refusal_tell(struct usage *usage);

/* Something a caller was refused, in words; what he has too much of; a request. */
void refusal_log(const struct caller *c, const char *note);
void refusal_quota(const struct caller *c, const char *what);
void refusal_code(const struct caller *c, ttylock_Code code);

#endif
