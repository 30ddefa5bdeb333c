/* rivals: other locks, for comparison: flock(2), a robust mutex in shared memory,
 * Redis (SET NX PX, and a script that compares and deletes), etcd's lock service.
 *
 * Each with as little client as can be: the bytes of a request are made before the clock runs.
 */
#ifndef TTYLOCK_BENCH_RIVALS_H
#define TTYLOCK_BENCH_RIVALS_H

#include <pthread.h>
#include <stdbool.h>

struct redis {
	int fd;
	char release[256];
};

struct etcd {
	int fd;
	long long lease;
	char key[256]; /* of the lock that is held */
};

/* A file opened anew: a lock of its own. */
int flock_open(const char *path);
void flock_take(int fd);
void flock_give(int fd);

pthread_mutex_t *mutex_new(void);
void mutex_take(pthread_mutex_t *m);
void mutex_give(pthread_mutex_t *m);

void redis_open(struct redis *r, const char *socket);
/* Whether it was free. */
bool redis_take(struct redis *r);
void redis_give(struct redis *r);

/* Through the gateway from HTTP and JSON that etcd has of its own. */
void etcd_open(struct etcd *e, int port);
void etcd_take(struct etcd *e);
void etcd_give(struct etcd *e);

#endif
