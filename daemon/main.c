/* ttylockd: arguments, the listening socket, readiness, run.
 *
 * Exit status: 0 after a normal end, or when another daemon serves the socket
 * already; 1 own failure; 64 usage error.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "absent.h"
#include "endpoint.h"
#include "ledger.h"
#include "log.h"
#include "policy.h"
#include "server.h"
#include "store.h"

#define SYSTEM_DIR    "/run/ttylock/"
#define SYSTEM_SOCKET SYSTEM_DIR "ttylock.sock"

#define LEDGER_NAME "ledger"

#define EXIT_OWN   1
#define EXIT_USAGE 64

/* One byte for whoever started us. */
#define READY_SERVES 'R'
#define READY_BUSY   'B' /* another daemon serves this socket */

static const char help[] =
    "Usage: ttylockd [--socket PATH] [--on-demand] [--ready-fd N] [--log-level LEVEL]\n"
    "                [--reclaim-grace SECS]\n"
    "\n"
    "Lets processes take a terminal in turn. Started by ttylock where none runs.\n"
    "\n"
    "  --socket PATH      listen there (default: " SYSTEM_SOCKET ");\n"
    "                     its directory must exist\n"
    "  --on-demand        end soon after the last connection has closed\n"
    "  --ready-fd N       write one byte there: R when it serves, B when another\n"
    "                     daemon serves that socket already\n"
    "  --log-level LEVEL  error, warning, info (default) or debug\n"
    "  --reclaim-grace SECS\n"
    "                     how long those who waited may take to come back after the\n"
    "                     daemon was restarted (default: 10)\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 ended, or another daemon serves; 1 failed; 64 usage error.\n";

struct options {
	const char *socket;
	bool on_demand;
	int ready_fd, grace;
	enum log_level level;
};

__attribute__((format(printf, 1, 2), noreturn)) static void usage_error(const char *fmt, ...)
{
	va_list ap;

	fputs("ttylockd: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (try --help)\n", stderr);
	exit(EXIT_USAGE);
}

static int number_parse(const char *s)
{
	char *end;
	errno = 0;
	long n = strtol(s, &end, 10);

	if (errno || end == s || *end || n < 0 || n > INT_MAX || fcntl((int)n, F_GETFD) < 0)
		usage_error("--ready-fd: not an open descriptor: %s", s);
	return (int)n;
}

static int seconds_parse(const char *s)
{
	char *end;
	errno = 0;
	long n = strtol(s, &end, 10);

	if (errno || end == s || *end || n < 0 || n > 86400)
		usage_error("--reclaim-grace: not a number of seconds: %s", s);
	return (int)n;
}

static void options_parse(int argc, char **argv, struct options *o)
{
	enum { SOCKET = 256, ON_DEMAND, READY_FD, LOG_LEVEL, GRACE, HELP, VERSION };
	static const struct option longs[] = {
	    {"socket", required_argument, NULL, SOCKET},
	    {"on-demand", no_argument, NULL, ON_DEMAND},
	    {"ready-fd", required_argument, NULL, READY_FD},
	    {"log-level", required_argument, NULL, LOG_LEVEL},
	    {"reclaim-grace", required_argument, NULL, GRACE},
	    {"help", no_argument, NULL, HELP},
	    {"version", no_argument, NULL, VERSION},
	    {0},
	};
	int c;

	*o = (struct options){.ready_fd = -1, .grace = ABSENT_GRACE_S, .level = LOG_LEVEL_INFO};
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		switch (c) {
		case SOCKET:
			o->socket = optarg;
			break;
		case ON_DEMAND:
			o->on_demand = true;
			break;
		case READY_FD:
			o->ready_fd = number_parse(optarg);
			break;
		case LOG_LEVEL:
			if (!log_level_parse(optarg, &o->level))
				usage_error("--log-level: unknown level: %s", optarg);
			break;
		case GRACE:
			o->grace = seconds_parse(optarg);
			break;
		case HELP:
			fputs(help, stdout);
			exit(0);
		case VERSION:
			puts("ttylockd " TTYLOCK_VERSION);
			exit(0);
		case ':':
			usage_error("option needs an argument: %s", argv[optind - 1]);
		default:
			usage_error("unknown option: %s", argv[optind - 1]);
		}
	}
	if (optind < argc)
		usage_error("unexpected argument: %s", argv[optind]);
	if (o->socket && !*o->socket)
		usage_error("--socket: empty");
}

/* We change to / later; the path must still be right then. */
static const char *path_absolute(const char *path, char *buf, size_t size)
{
	char cwd[PATH_MAX];

	if (path[0] == '/')
		return path;
	if (!getcwd(cwd, sizeof(cwd)))
		fatal("getcwd");
	if ((size_t)snprintf(buf, size, "%s/%s", cwd, path) >= size)
		fatalx("%s: path too long", path);
	return buf;
}

static void ready_tell(int fd, char byte)
{
	if (fd < 0)
		return;
	/* Whoever waited may be gone; then nobody needs to know. */
	if (write(fd, &byte, 1) < 0 && errno != EPIPE)
		log_warn("--ready-fd");
	close(fd);
}

static void endpoint_get(const struct options *o, struct endpoint *e)
{
	char buf[2 * PATH_MAX];
	int fd, n = store_init(&fd);

	if (n != 0) {
		int rc = n > 0 ? endpoint_adopt(fd, e) : n;
		if (rc < 0) {
			errno = -rc;
			fatal("the socket that was passed");
		}
		return;
	}
	const char *path = path_absolute(o->socket ? o->socket : SYSTEM_SOCKET, buf, sizeof(buf));
	/* The system's daemon is for everybody; any other for its own user. */
	bool for_all = geteuid() == 0 && strncmp(path, SYSTEM_DIR, strlen(SYSTEM_DIR)) == 0;
	int rc = endpoint_open(path, for_all ? 0666 : 0600, e);
	if (rc == -EADDRINUSE) {
		log_info("%s: another daemon serves it", path);
		ready_tell(o->ready_fd, READY_BUSY);
		exit(0);
	}
	if (rc < 0) {
		errno = -rc;
		fatal("%s", path);
	}
}

/* 0, 1 and 2 are open, so that no socket of ours becomes one of them. */
static void standard_fds_fill(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static void ledger_unreadable(const char *where)
{
	char note[PATH_MAX + 64];

	snprintf(note, sizeof(note), "%s: %s", where,
	    errno == ESTALE ? "of another boot or pid namespace" : strerror(errno));
	log_event(&(struct log_event){.kind = LOG_KIND_LEDGER_UNREADABLE, .note = note});
}

/* What the service manager has kept, or what it shall keep. */
static struct ledger *ledger_of_store(void)
{
	int fd = store_take(LEDGER_NAME);
	struct ledger *l =
	    fd < 0 ? NULL : ledger_adopt(fd, POLICY_REQUESTS_MAX, POLICY_TERMINALS_MAX);

	if (fd >= 0 && !l && !ledger_is_useless(errno))
		fatal("the service manager's ledger");
	if (l && !ledger_was_converted(l))
		return l;
	if (fd >= 0) {
		if (!l)
			ledger_unreadable("the service manager's");
		store_remove(LEDGER_NAME);
	}
	if (!l)
		l = ledger_new(POLICY_REQUESTS_MAX, POLICY_TERMINALS_MAX);
	if (l)
		store_put(LEDGER_NAME, ledger_fd(l));
	return l;
}

/* Beside a socket of our own, whose lock we have. */
static struct ledger *ledger_of_file(const char *path)
{
	int error;
	struct ledger *l = ledger_open(path, POLICY_REQUESTS_MAX, POLICY_TERMINALS_MAX, &error);

	errno = error;
	/* The next daemon may be able to read it. */
	if (error && !l && !ledger_is_useless(error))
		fatal("%s", path);
	if (error && error != ESTALE)
		ledger_unreadable(path);
	return l;
}

/* In a directory of our own that the service manager does not remove when the service
 * is stopped: what it stores is gone then. False: it gave us none. */
static bool runtime_path(char *path, size_t size)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");

	return store_is_there() && dir && dir[0] == '/' && !strchr(dir, ':') &&
	       (size_t)snprintf(path, size, "%s/ledger", dir) < size;
}

/* *path gets its name when it is a file. */
static struct ledger *ledger_get(const struct endpoint *e, char *path, size_t size)
{
	struct ledger *l = NULL;

	*path = '\0';
	if (e->lock >= 0) {
		snprintf(path, size, "%s.ledger", e->path);
		l = ledger_of_file(path);
	} else if (runtime_path(path, size)) {
		l = ledger_of_file(path);
	} else if (store_is_there()) {
		l = ledger_of_store();
	} else {
		return NULL;
	}
	if (!l)
		log_warn("after a restart nobody will be known");
	return l;
}

static void range_close(unsigned first, unsigned last)
{
	struct rlimit rl;

	if (close_range(first, last, 0) == 0)
		return;
	/* Linux before 5.9. */
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		rl.rlim_cur = 65536;
	for (unsigned fd = first; fd <= last && fd < rl.rlim_cur; fd++)
		close((int)fd);
}

/* Closes what we were not meant to have: a terminal among it would never be seen
 * to hang up. */
static void strangers_close(int ready_fd)
{
	int n = sd_listen_fds(0);
	unsigned first = SD_LISTEN_FDS_START + (unsigned)(n > 0 ? n : 0);

	if (ready_fd >= (int)first) {
		if (ready_fd > (int)first)
			range_close(first, (unsigned)ready_fd - 1);
		first = (unsigned)ready_fd + 1;
	}
	range_close(first, ~0u);
}

int main(int argc, char **argv)
{
	struct options options;
	struct endpoint endpoint;
	char serves[PATH_MAX];

	standard_fds_fill();
	options_parse(argc, argv, &options);
	strangers_close(options.ready_fd);
	/* Whoever started us, and what we log to, may be gone. */
	signal(SIGPIPE, SIG_IGN);
	log_init(options.level);
	if (options.ready_fd >= 0)
		fcntl(options.ready_fd, F_SETFD, FD_CLOEXEC);
	/* Ctrl-C on the terminal of whoever started us is not meant for us. */
	if (options.on_demand) {
		setsid();
		/* Nor are we the service that it may be a part of. */
		unsetenv("NOTIFY_SOCKET");
	}
	endpoint_get(&options, &endpoint);
	char path[PATH_MAX];
	struct ledger *ledger = ledger_get(&endpoint, path, sizeof(path));
	struct server *server = server_new(&(struct server_options){
	    .listener = endpoint.listener,
	    .on_demand = options.on_demand,
	    .ledger = ledger,
	    .grace = options.grace,
	});
	if (!server)
		fatal("cannot start");
	store_clear();
	/* Whatever directory we were started in may be unmounted. */
	if (chdir("/") < 0)
		fatal("/");

	snprintf(serves, sizeof(serves), "serves %s", endpoint.path);
	log_event(&(struct log_event){.kind = LOG_KIND_STARTED, .note = serves});
	ready_tell(options.ready_fd, READY_SERVES);
	sd_notify(0, "READY=1");
	int rc = server_run(server);
	sd_notify(0, "STOPPING=1");
	/* While the file is ours: the endpoint's lock is its, too. */
	if (ledger && *path && ledger_is_empty(ledger))
		unlink(path);
	endpoint_close(&endpoint);
	server_free(server);
	ledger_free(ledger);
	return rc < 0 ? EXIT_OWN : 0;
}
