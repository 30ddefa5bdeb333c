#include "scenes.h"

#include <linux/sockios.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inject.h"
#include "twist.h"

/* Messages: a user's rate, and some. */
#define MANY 40300

/* --- all that clients do ----------------------------------------------------------------- */

/* Locks, and keeps its socket for the child that it has. */
static void lock_second(void *arg)
{
	struct players *own = arg;

	players_begin(own);
	struct player *me = player_connect(own, stage.socket);
	if (!me)
		return;
	player_open(me, 0, stage.tty[0]);
	player_lock(me, 77, 0, NULL);
	players_sync(own);
}

static void order(struct player *p, pb_size_t kind, uint64_t id)
{
	ttylock_Envelope e = {.which_body = kind};

	if (kind == ttylock_Envelope_force_release_tag)
		e.body.force_release.id = id;
	else if (kind == ttylock_Envelope_serve_first_tag)
		e.body.serve_first.id = id;
	else if (kind == ttylock_Envelope_lock_cancel_tag)
		e.body.lock_cancel.id = id;
	else if (kind == ttylock_Envelope_wait_idle_tag)
		e.body.wait_idle = (ttylock_WaitIdle){.query = id, .below = getpid()};
	player_say(p, &e, -1);
}

static void nested(struct players *all, struct player *p, struct player *q)
{
	int base = player_lock(p, 5, 1, NULL);

	players_sync(all);
	player_lock(q, 6, 1, p->requests[base].token);
	player_save(p, base);
	players_sync(all);
}

/* A terminal whose other end is gone. */
static void hang_up(struct player *p)
{
	int master, slave;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		abort();
	player_open(p, 2, slave);
	close(slave);
	close(master);
	player_lock(p, 8, 2, NULL);
}

void play_all(struct players *all, pid_t daemon)
{
	static struct players of_other;
	struct player *p[4];

	for (int i = 0; i < 4; i++) {
		p[i] = player_connect(all, stage.socket);
		if (!p[i])
			return;
		bool alias = i == 1 && stage.controlling >= 0;
		player_open(p[i], 0, alias ? stage.controlling : stage.tty[0]);
		player_open(p[i], 1, stage.tty[1]);
	}
	ttylock_Envelope watch = {.which_body = ttylock_Envelope_watch_tag};
	player_say(p[3], &watch, -1);
	for (uint64_t i = 0; i < 3; i++)
		player_lock(p[i], i, 0, NULL);
	order(p[3], ttylock_Envelope_wait_idle_tag, 9);
	players_sync(all);
	order(p[3], ttylock_Envelope_serve_first_tag, p[2]->requests[0].id);
	order(p[3], ttylock_Envelope_force_release_tag, p[0]->requests[0].id);
	players_sync(all);
	nested(all, p[0], p[1]);
	kill(daemon, SIGUSR1);
	player_close(p[0]);
	players_sync(all);
	stage_kill(stage_other(lock_second, &of_other));
	player_open(p[3], 2, stage.file);
	hang_up(p[3]);
	players_sync(all);
	player_close(p[2]);
	players_sync(all);
	order(p[3], ttylock_Envelope_lock_cancel_tag, 4711);
	players_sync(all);
}

void play_short(struct players *all, pid_t daemon)
{
	(void)daemon;
	struct player *p = player_connect(all, stage.socket);

	if (!p)
		return;
	player_open(p, 0, stage.tty[0]);
	player_lock(p, 60, 0, NULL);
	players_sync(all);
}

void play_alias(struct players *all, pid_t daemon)
{
	(void)daemon;
	struct player *p = player_connect(all, stage.socket);

	if (!p)
		return;
	player_open(p, 0, stage.controlling);
	players_sync(all);
}

/* --- those who take their time -------------------------------------------------------------- */

/* As often as fits, and without reading what comes of it. */
static void say_often(struct player *p, const ttylock_Envelope *e, int times)
{
	uint8_t frame[FRAME_MAX];
	ssize_t n = frame_encode(e, frame, sizeof(frame));

	while (times-- > 0 && p->fd >= 0 &&
	       send(p->fd, frame, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
		;
}

/* In one piece, so that it is heard in large ones. */
static void say_much(struct player *p, const ttylock_Envelope *e, int times)
{
	uint8_t frame[FRAME_MAX];
	ssize_t n = frame_encode(e, frame, sizeof(frame));
	size_t size = (size_t)n * (size_t)times;
	uint8_t *all = malloc(size);

	if (!all)
		abort();
	for (int i = 0; i < times; i++)
		memcpy(all + (size_t)n * (size_t)i, frame, (size_t)n);
	if (p->fd >= 0 && send(p->fd, all, size, MSG_NOSIGNAL) < 0)
		player_close(p);
	free(all);
}

/* Whether the daemon listens no more, though there is something to be read. */
static bool pauses(const struct player *p, pid_t daemon)
{
	char path[32], line[128] = "";
	int unread = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)daemon);
	FILE *f = fopen(path, "r");
	bool sleeps = f && fgets(line, sizeof(line), f) && strstr(line, ") S ");
	if (f)
		fclose(f);
	return sleeps && ioctl(p->fd, SIOCOUTQ, &unread) == 0 && unread > 0;
}

/* More than the rate of a user allows at once. */
static void talk(struct players *all, struct player *p, pid_t daemon)
{
	ttylock_Envelope nothing = {.which_body = ttylock_Envelope_lock_release_tag};

	nothing.body.lock_release.request = 99;
	twist_stop(true);
	say_much(p, &nothing, MANY);
	for (int i = 0; i < PLAYER_DEADLINE_MS && p->fd >= 0 && !pauses(p, daemon); i++)
		poll(NULL, 0, 1);
	if (p->fd >= 0 && !pauses(p, daemon) && !inject_is_ordered())
		all->fault = "nobody's rate is limited";
	twist_stop(false);
	twist_skip(1000);
}

/* Until it is hung up on, which is a matter of time. */
static void stay_mute(struct players *all)
{
	struct players mute;
	struct pollfd fd = {.events = POLLIN};
	int tries = 0;

	players_begin(&mute);
	struct player *p = player_connect_silently(&mute, stage.socket);
	fd.fd = p ? p->fd : -1;
	while (p && poll(&fd, 1, 2) == 0) {
		twist_skip(1000);
		if (++tries > PLAYER_DEADLINE_MS / 2) {
			all->fault = "one that says nothing is kept";
			break;
		}
	}
	players_end(&mute);
}

void play_slow(struct players *all, pid_t daemon)
{
	ttylock_Envelope query = {.which_body = ttylock_Envelope_status_query_tag};
	struct player *deaf = player_connect(all, stage.socket);
	struct player *talker = player_connect(all, stage.socket);

	if (!deaf || !talker)
		return;
	players_sync(all);
	query.body.status_query.query = 1;
	say_often(deaf, &query, 2000);
	players_sync(all);
	talk(all, talker, daemon);
	players_sync(all);
	stay_mute(all);
	players_sync(all);
}
