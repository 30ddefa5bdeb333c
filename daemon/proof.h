/* proof: what a received descriptor proves about a terminal.
 *
 * A peer shows that it may use a terminal by passing it, open for reading and
 * writing; a path or a claim proves nothing. Must close that descriptor before
 * anything else happens (a kept slave hides the hangup from its master) and
 * keep a path-only handle instead, which does not.
 */
#ifndef TTYLOCK_PROOF_H
#define TTYLOCK_PROOF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

struct proof {
	uint64_t filesystem; /* st_dev of where its node lives: its devpts */
	uint32_t device;     /* its real number, as TIOCGDEV gives it */
	int handle;	     /* O_PATH */
	char path[64];	     /* for people, and for who opens it again; cleaned */
};

/* Examines fd, closes it whatever the result, and fills *out. pid and uid: of
 * who passed it. 0; -ENOTTY: not a terminal; -EACCES: not open for both, a
 * master end, or a /dev/tty that leads elsewhere for them; -EIO: dead;
 * or -errno. */
int proof_take(int fd, pid_t pid, uid_t uid, struct proof *out);
/* Whether that terminal is still there, and no other in its place. */
bool proof_holds(const struct proof *p);
void proof_close(struct proof *p);

/* One on the heap; NULL is fine. */
static inline void proof_free(struct proof *p)
{
	if (p)
		proof_close(p);
	free(p);
}

#endif
