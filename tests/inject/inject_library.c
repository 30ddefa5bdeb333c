/* Every call of the library's that can fail does so, at each of its calls in turn, with
 * each of its errors: no crash, no leak, no hang, no second holder, the terminal left as
 * it was; and whoever comes afterwards is served. One process for each, against a real
 * daemon.
 *
 *     inject_library ACT [SHARE SHARES | --again ADDRESS/CALL/WHICH...]
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <ttylock.h>
#include <unistd.h>

#include "acts.h"
#include "debugger.h"
#include "inject.h"
#include "rival.h"
#include "tally.h"
#include "../outside.h"
#include "twist.h"

#define DEADLINE_MS 25000
#define HELPER_MS   10000

static const char *act;
static char dir[64], socket_path[80], build[PATH_MAX];
static struct acts_stage stage;
static struct termios modes;
static pid_t daemon_pid;
static size_t heap;

static void end(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

/* --- the daemon --------------------------------------------------------------- */

static void daemon_start(void)
{
	char exe[PATH_MAX + 16], byte;
	int ready[2];

	if (pipe2(ready, O_CLOEXEC) < 0)
		abort();
	daemon_pid = fork();
	if (daemon_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		dup2(ready[1], 3);
		dup2(open("/dev/null", O_RDWR), STDERR_FILENO);
		snprintf(exe, sizeof(exe), "%s/ttylockd", build);
		execl(exe, exe, "--socket", socket_path, "--ready-fd", "3", NULL);
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	close(ready[0]);
}

/* --- what an act has started -------------------------------------------------- */

static void empty(const char *path)
{
	char file[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(path);

	while (d && (e = readdir(d))) {
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		unlink(file);
	}
	if (d)
		closedir(d);
}

/* The driver is the parent of what has none any more. Each of these; false: no more. */
static bool each_orphan(bool (*fn)(pid_t pid))
{
	char list[64];
	bool goes_on = true;
	int pid;

	snprintf(list, sizeof(list), "/proc/self/task/%d/children", (int)getpid());
	for (bool any = true; any && goes_on;) {
		FILE *f = fopen(list, "r");

		any = false;
		while (f && goes_on && fscanf(f, "%d", &pid) == 1) {
			if (pid == daemon_pid || pid == rival_process())
				continue;
			goes_on = fn(pid);
			any = true;
		}
		if (f)
			fclose(f);
	}
	return goes_on;
}

static bool end_orphan(pid_t pid)
{
	end(&pid);
	return true;
}

static bool await_orphan(pid_t pid)
{
	bool over = outside_is_over(pid, HELPER_MS);

	if (over)
		waitpid(pid, NULL, 0);
	return over;
}

static const char *await_helpers(void)
{
	const char *fault = NULL;
	struct stat st;

	if (!acts_report->has_helpers)
		return NULL;
	if (!each_orphan(await_orphan))
		fault = "a helper hangs";
	else if (access(DEBUGGER_FAULT, F_OK) == 0)
		fault = "there is a second holder";
	else if (!inject_is_ordered() && acts_report->sessions &&
		 (stat(DEBUGGER_SESSIONS, &st) < 0 || st.st_size != acts_report->sessions))
		fault = "not so many sessions as crashes";
	unlink(DEBUGGER_FAULT);
	unlink(DEBUGGER_SESSIONS);
	return fault;
}

static void empty_homes(void)
{
	static const char *const homes[] = {"own/ttylock", "own", ACTS_OTHER_HOME};

	for (size_t i = 0; i < sizeof(homes) / sizeof(*homes); i++) {
		empty(homes[i]);
		rmdir(homes[i]);
	}
}

static void end_orphans(void)
{
	each_orphan(end_orphan);
	empty_homes();
}

/* --- what the act asks for ---------------------------------------------------- */

static const char *do_as_asked(char what)
{
	switch (what) {
	case ACTS_RIVAL:
		return rival_start(&stage, false);
	case ACTS_YIELD:
		return rival_yield();
	case ACTS_GONE:
		return rival_end();
	case ACTS_RESTART:
		end(&daemon_pid);
		daemon_start();
		return NULL;
	case ACTS_SILENCE:
		kill(daemon_pid, SIGSTOP);
		return NULL;
	case ACTS_SPEECH:
		kill(daemon_pid, SIGCONT);
		return NULL;
	default:
		return "what?";
	}
}

static const char *watch(pid_t pid, int world)
{
	const char *fault = NULL;
	char what;

	for (;;) {
		struct pollfd p = {.fd = world, .events = POLLIN};

		if (poll(&p, 1, DEADLINE_MS) <= 0)
			return "it hangs";
		if (read(world, &what, 1) != 1)
			break;
		const char *wrong = do_as_asked(what);
		fault = fault ? fault : wrong;
		if (write(world, "k", 1) != 1)
			break;
	}
	return !outside_is_over(pid, DEADLINE_MS) ? "it hangs" : fault;
}

static const char *terminal_is_as_before(void)
{
	struct termios now = {0};
	const char *fault = NULL;

	/* Whose modes cannot be set has none to put back. */
	const struct inject_order *failed = inject_failed("tcsetattr");
	bool is_settable = !failed || failed->code == EINTR;
	if (tcgetattr(stage.tty, &now) < 0 ||
	    (is_settable && memcmp(&now, &modes, sizeof(now)) != 0))
		fault = "the terminal's modes are left changed";
	/* And it is not taken back from a dead holder where it cannot be asked for. */
	bool is_known =
	    !inject_failed("tcgetpgrp") && !inject_failed("tcgetsid") && !inject_failed("getsid");
	if (is_known && tcgetpgrp(stage.tty) != getpgrp())
		fault = "the terminal's foreground is left changed";
	tcsetattr(stage.tty, TCSANOW, &modes);
	tcsetpgrp(stage.tty, getpgrp());
	tcflush(stage.tty, TCIOFLUSH);
	return fault;
}

static const char *verdict_of(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL || acts_report->may_end_by[WTERMSIG(status)]
			   ? NULL
			   : "it crashed";
	if (WEXITSTATUS(status))
		return "it leaks, or worse (exit status)";
	if (acts_report->fault[0])
		return acts_report->fault;
	if (!inject_is_ordered() && acts_report->heap > heap)
		heap = acts_report->heap;
	return acts_report->heap > heap ? "memory leaks" : NULL;
}

static const char *name_of_failed(int order)
{
	const struct inject_order *o = &inject->order[order];

	return o->done ? inject_names[o->name] : "nothing";
}

static void show_errors(void)
{
	for (int i = 0; i < acts_report->errors; i++)
		printf("returned %s %s by %s %s in %s\n", acts_report->error[i].function,
		    strerrorname_np(acts_report->error[i].error), name_of_failed(0),
		    name_of_failed(1), act);
}

static const char *play(void)
{
	int pair[2], status;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	memset(acts_report, 0, sizeof(*acts_report));
	twist_off();
	if (daemon_pid <= 0 || outside_is_over(daemon_pid, 0)) {
		end(&daemon_pid);
		daemon_start();
	}
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		signal(SIGTTIN, SIG_DFL);
		signal(SIGTTOU, SIG_DFL);
		stage.world = pair[1];
		stage.file = open("holder", O_RDWR | O_CLOEXEC);
		acts_play(act, &stage);
		_exit(99);
	}
	close(pair[1]);
	const char *fault = watch(pid, pair[0]);
	close(pair[0]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	kill(daemon_pid, SIGCONT);
	const char *helpers = await_helpers();
	fault = fault ? fault : helpers;
	end_orphans();
	bool is_dirty = acts_report->is_left_dirty;
	const char *others[] = {verdict_of(status), rival_end(),
	    is_dirty ? NULL : terminal_is_as_before(),
	    outside_is_over(daemon_pid, 0) ? "the daemon is gone" : rival_start(&stage, is_dirty),
	    rival_end(), is_dirty ? terminal_is_as_before() : NULL};
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		fault = fault ? fault : others[i];
	show_errors();
	return fault;
}

static void file_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static void world_make(void)
{
	char helper[PATH_MAX + 16];
	int master;

	if (!realpath("/proc/self/exe", build))
		abort();
	dirname(build);
	snprintf(dir, sizeof(dir), "/tmp/ttylock-XXXXXX");
	if (!mkdtemp(dir) || chdir(dir) < 0 || openpty(&master, &stage.tty, NULL, NULL, NULL) < 0)
		abort();
	close(open("holder", O_CREAT | O_RDWR, 0600));
	file_write(TWIST_YAMA, "1\n");
	snprintf(socket_path, sizeof(socket_path), "%s/s", dir);
	snprintf(helper, sizeof(helper), "%s/ttylock", build);
	setenv("TTYLOCK_SOCKET", socket_path, 1);
	setenv("TTYLOCK_HELPER", helper, 1);
	unsetenv("TTYLOCK_TTY");
	unsetenv("TTYLOCK_CRASH");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGINT, SIG_DFL); /* else in the background it is not */
	ioctl(stage.tty, TIOCSCTTY, 0);
	/* As a repair leaves it, which follows where a connection breaks under a holder. */
	dup2(stage.tty, STDIN_FILENO);
	if (system("stty sane") != 0 || tcgetattr(stage.tty, &modes) < 0)
		abort();
	fcntl(master, F_SETFL, O_NONBLOCK);
}

static void world_end(void)
{
	char path[96];

	end(&daemon_pid);
	for (const char *const *end = (const char *const[]){"", ".lock", ".ledger", NULL}; *end;
	     end++) {
		snprintf(path, sizeof(path), "%s%s", socket_path, *end);
		unlink(path);
	}
	unlink("holder");
	unlink(TWIST_YAMA);
	rmdir(dir);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 64;
	act = argv[1];
	if (argc == 4 && strcmp(act, "--debug") == 0)
		return debugger_run(argv[2], atoi(argv[3]));
	/* Else what is freed counts as used, and what an arena is made of. */
	if (!getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1", 1);
		execv("/proc/self/exe", argv);
	}
	inject_init();
	twist_init();
	acts_report = mmap(
	    NULL, sizeof(*acts_report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (acts_report == MAP_FAILED)
		return 1;
	world_make();
	bool again = argc > 3 && strcmp(argv[2], "--again") == 0;
	int failures =
	    again ? tally_again(argc - 3, argv + 3, play) : tally_run(argc - 1, argv + 1, play);
	world_end();
	return failures ? 1 : 0;
}
