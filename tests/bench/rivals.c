#include "rivals.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "pair.h"

/* --- in the kernel ---------------------------------------------------------- */

int flock_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path, errno);
	return fd;
}

void flock_take(int fd)
{
	if (flock(fd, LOCK_EX) < 0)
		die("flock", errno);
}

void flock_give(int fd)
{
	flock(fd, LOCK_UN);
}

pthread_mutex_t *mutex_new(void)
{
	pthread_mutexattr_t a;
	pthread_mutex_t *m = pair_shared(sizeof(*m));

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &a);
	return m;
}

void mutex_take(pthread_mutex_t *m)
{
	if (pthread_mutex_lock(m) != 0)
		die("pthread_mutex_lock", 0);
}

void mutex_give(pthread_mutex_t *m)
{
	pthread_mutex_unlock(m);
}

/* --- Redis ------------------------------------------------------------------ */

static const char take_redis[] = "*6\r\n$3\r\nSET\r\n$5\r\nbench\r\n$16\r\n0123456789abcdef\r\n"
				 "$2\r\nNX\r\n$2\r\nPX\r\n$5\r\n30000\r\n";

/* One answer of one line, or of two where the first gives a length. */
static void redis_ask(struct redis *r, const char *text, char *answer, size_t size)
{
	size_t n = 0;
	unsigned lines = 0, want;

	if (write(r->fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("Redis", errno);
	do {
		ssize_t got = read(r->fd, answer + n, size - 1 - n);
		if (got <= 0)
			die("Redis has hung up", 0);
		n += (size_t)got;
		answer[n] = '\0';
		lines = 0;
		for (const char *at = answer; (at = strstr(at, "\r\n")); at += 2)
			lines++;
		want = answer[0] == '$' && answer[1] != '-' ? 2 : 1;
	} while (lines < want);
	if (answer[0] == '-')
		die(answer, 0);
}

void redis_open(struct redis *r, const char *socket_path)
{
	static const char script[] = "if redis.call('get',KEYS[1]) == ARGV[1] then "
				     "return redis.call('del',KEYS[1]) else return 0 end";
	char load[256];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char answer[256];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(socket_path, errno);
	snprintf(load, sizeof(load), "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n%s\r\n",
	    strlen(script), script);
	redis_ask(r, load, answer, sizeof(answer));
	char *sha = strchr(answer, '\n');
	if (!sha || strlen(sha) < 41)
		die("Redis does not take the script", 0);
	sha[41] = '\0';
	snprintf(r->release, sizeof(r->release),
	    "*5\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$5\r\nbench\r\n"
	    "$16\r\n0123456789abcdef\r\n",
	    sha + 1);
}

bool redis_take(struct redis *r)
{
	char answer[256];

	redis_ask(r, take_redis, answer, sizeof(answer));
	return answer[0] == '+';
}

void redis_give(struct redis *r)
{
	char answer[256];

	redis_ask(r, r->release, answer, sizeof(answer));
	if (strcmp(answer, ":1\r\n") != 0)
		die("Redis did not release", 0);
}

/* --- etcd ------------------------------------------------------------------- */

/* The body of the answer to one POST. */
__attribute__((format(printf, 5, 6))) static const char *etcd_ask(
    struct etcd *e, char *answer, size_t size, const char *path, const char *format, ...)
{
	char body[512], text[1024], *end = NULL;
	const char *length;
	size_t n = 0;
	va_list ap;

	va_start(ap, format);
	vsnprintf(body, sizeof(body), format, ap);
	va_end(ap);
	snprintf(text, sizeof(text),
	    "POST /v3%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", path,
	    strlen(body), body);
	if (write(e->fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("etcd", errno);
	do {
		ssize_t got = read(e->fd, answer + n, size - 1 - n);
		if (got <= 0)
			die("etcd has hung up", 0);
		n += (size_t)got;
		answer[n] = '\0';
		end = strstr(answer, "\r\n\r\n");
		length = strstr(answer, "Content-Length: ");
	} while (!end || !length || strlen(end + 4) < strtoul(length + 16, NULL, 10));
	if (strncmp(answer, "HTTP/1.1 200", 12) != 0)
		die(end + 4, 0);
	return end + 4;
}

/* The text behind "name":" in flat JSON. */
static void json_text(const char *json, const char *name, char *out, size_t size)
{
	char mark[32];

	snprintf(mark, sizeof(mark), "\"%s\":\"", name);
	const char *at = strstr(json, mark);
	if (!at)
		die(json, 0);
	at += strlen(mark);
	snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
}

void etcd_open(struct etcd *e, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char answer[2048], lease[32];
	int one = 1;

	e->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(e->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("etcd", errno);
	json_text(etcd_ask(e, answer, sizeof(answer), "/lease/grant", "{\"TTL\":3600}"), "ID",
	    lease, sizeof(lease));
	e->lease = atoll(lease);
}

void etcd_take(struct etcd *e)
{
	char answer[2048];

	json_text(etcd_ask(e, answer, sizeof(answer), "/lock/lock",
		      "{\"name\":\"YmVuY2g=\",\"lease\":%lld}", e->lease),
	    "key", e->key, sizeof(e->key));
}

void etcd_give(struct etcd *e)
{
	char answer[2048];

	etcd_ask(e, answer, sizeof(answer), "/lock/unlock", "{\"key\":\"%s\"}", e->key);
}
