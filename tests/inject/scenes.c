#include "scenes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inject.h"
#include "manager.h"
#include "past.h"
#include "twist.h"

/* --- others at the socket ---------------------------------------------------------------- */

static pid_t other;

static void before_busy(void)
{
	static const struct scene alone = {.name = "alone"};
	int ready;

	other = stage_daemon(&alone, false, &ready);
	if (!stage_serves(&alone, other, ready))
		abort();
	close(ready);
}

static void behind_busy(void)
{
	stage_kill(other);
	unlink(stage.socket);
}

/* Another daemon is on its way out, and done once we wait for that. */
static void lock_a_while(void *arg)
{
	int fd = open(stage_path(".lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)arg;
	if (flock(fd, LOCK_EX) < 0 || fork() != 0)
		return;
	for (int i = 0; i < 100 && !inject_was_called("nanosleep"); i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	_exit(0);
}

static void before_leaving(void)
{
	/* The child of a child has it, with which nobody need deal. */
	pid_t pid = stage_other(lock_a_while, NULL);
	stage_kill(pid);
}

/* --- on demand ----------------------------------------------------------------------------- */

static void inside_service(void)
{
	setenv("NOTIFY_SOCKET", stage_path(".notify"), 1);
}

/* Those of before may come back: it does not end for want of others. */
static void play_waiting(struct players *all, pid_t daemon)
{
	play_short(all, daemon);
	for (int i = 0; i < all->count; i++)
		player_close(&all->list[i]);
	for (int i = 0; i < 2; i++) {
		struct player *p = player_connect(all, stage.socket);

		players_sync(all);
		if (p)
			player_close(p);
		twist_skip(1000);
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
}

static void before_stale(void)
{
	manager_begins();
	manager_leaves();
}

static void behind_past(void)
{
	unlink(stage_path(".ledger"));
}

/* --- ways to be started ----------------------------------------------------------------------- */

/* Fallbacks close one descriptor after the other. */
static void inside_old_kernel(void)
{
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){256, 4096});
}

static void inside_directory(void)
{
	if (chdir(stage.dir) < 0)
		abort();
}

static void before_alias(void)
{
	twist_device((unsigned)makedev(4, 65));
}

static void before_user(void)
{
	twist_user(1000);
}

static void before_directory(void)
{
	manager_begins();
	past_lay_in_directory();
}

const struct scene scenes[SCENES_MAX] = {
    {.name = "clients", .play = play_all},
    {.name = "slow", .is_variant = true, .is_slow = true, .before = before_user, .play = play_slow},
    {.name = "alias", .before = before_alias, .play = play_alias},
    {.name = "relative",
	.options = {"--socket", "s"},
	.inside = inside_directory,
	.play = play_short},
    {.name = "busy", .end = STAGE_YIELDS, .before = before_busy, .behind = behind_busy},
    {.name = "taken", .end = STAGE_YIELDS, .before = manager_begins, .behind = manager_forgets},
    {.name = "stale", .before = before_stale, .play = play_short},
    {.name = "leaving", .before = before_leaving, .play = play_short},
    {.name = "demand",
	.end = STAGE_ENDS,
	.options = {"--on-demand"},
	.inside = inside_service,
	.play = play_short},
    {.name = "past", .before = past_lay, .play = play_past, .behind = behind_past},
    {.name = "oldkernel",
	.is_variant = true,
	.before = twist_kernel,
	.inside = inside_old_kernel,
	.play = play_all},
    {.name = "oldpast",
	.is_variant = true,
	.before = past_lay_old,
	.inside = inside_old_kernel,
	.play = play_past,
	.behind = behind_past},
    {.name = "otherpast", .before = past_lay_other, .play = play_past, .behind = behind_past},
    {.name = "unreadable",
	.before = past_lay_unreadable,
	.play = play_short,
	.behind = behind_past},
    {.name = "demandpast",
	.options = {"--on-demand"},
	.before = past_lay,
	.play = play_waiting,
	.behind = behind_past},
    {.name = "manager",
	.is_variant = true,
	.before = manager_begins,
	.inside = manager_passes,
	.play = play_all,
	.behind = manager_forgets},
    {.name = "managerpast",
	.before = manager_has_past,
	.inside = manager_passes,
	.play = play_past,
	.behind = manager_forgets},
    {.name = "managerotherpast",
	.before = manager_has_other_past,
	.inside = manager_passes,
	.play = play_past,
	.behind = manager_forgets},
    {.name = "directory",
	.is_variant = true,
	.before = before_directory,
	.inside = manager_passes_directory,
	.play = play_past,
	.behind = manager_forgets},
    {.name = "journal",
	.is_variant = true,
	.needs_root = true,
	.inside = manager_reads_log,
	.play = play_all},
};

static bool said(const char *name, int code)
{
	const struct inject_order *failed = inject_failed(name);

	return failed && failed->code == code;
}

bool scene_is_lied_to(void)
{
	return said("send", EPIPE) || said("recvmsg", ECONNRESET) || said("syscall", ESRCH) ||
	       said("read", ESRCH) || said("open", ENOENT) || said("connect", ENOENT) ||
	       said("connect", ECONNREFUSED) || said("sd_is_socket_unix", 0);
}

void scenes_make(void)
{
	twist_init();
	past_make();
	manager_make();
}

void scenes_end(void)
{
	manager_end();
	past_end();
}
