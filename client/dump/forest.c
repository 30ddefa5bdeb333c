#include "forest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/procfs.h"
#include "task.h"

/* Enough for the environment of anybody who is below a `ttylock run`. */
#define ENVIRON_MAX (1u << 20)

/* A process of the machine. */
struct process {
	pid_t pid, ppid;
	int tty;
	char state;
	bool chosen, own;
};

struct census {
	struct process *all; /* by pid */
	size_t count;
};

/* --- everybody -------------------------------------------------------------- */

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;

	return (x > y) - (x < y);
}

static int census_take(struct census *c)
{
	size_t room = 0;
	DIR *dir = opendir("/proc");

	*c = (struct census){0};
	if (!dir)
		return -errno;
	for (struct dirent *d; (d = readdir(dir));) {
		struct procfs_stat ps;
		pid_t pid = atoi(d->d_name);
		if (pid <= 0 || procfs_stat(pid, &ps) < 0)
			continue;
		if (c->count == room) {
			room = room ? 2 * room : 256;
			struct process *grown = reallocarray(c->all, room, sizeof(*c->all));
			if (!grown) {
				closedir(dir);
				return -ENOMEM;
			}
			c->all = grown;
		}
		c->all[c->count++] =
		    (struct process){.pid = pid, .ppid = ps.ppid, .tty = ps.tty, .state = ps.state};
	}
	closedir(dir);
	qsort(c->all, c->count, sizeof(*c->all), by_pid);
	return 0;
}

static struct process *census_find(const struct census *c, pid_t pid)
{
	struct process key = {.pid = pid};

	return c->count ? bsearch(&key, c->all, c->count, sizeof(key), by_pid) : NULL;
}

/* --- the choice ------------------------------------------------------------- */

static bool is_below(const struct census *c, const struct process *p, pid_t root)
{
	/* A census is not of one moment: a reused number may close a circle. */
	for (size_t i = 0; p && i < c->count; i++) {
		if (p->pid == root)
			return true;
		p = census_find(c, p->ppid);
	}
	return false;
}

static bool has_agent(pid_t pid, pid_t agent)
{
	char path[64], wanted[48];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	size_t len = (size_t)snprintf(wanted, sizeof(wanted), "TTYLOCK_AGENT_PID=%d", (int)agent);
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0, total = 0;
	if (!file)
		return false;
	for (ssize_t n;
	     !found && total < ENVIRON_MAX && (n = getdelim(&line, &room, '\0', file)) > 0;
	     total += (size_t)n)
		found = strncmp(line, wanted, len + 1) == 0;
	free(line);
	fclose(file);
	return found;
}

/* --- the drawing ------------------------------------------------------------ */

/* The nearest of its parents that is chosen. */
static pid_t drawn_parent(const struct census *c, const struct process *p)
{
	for (size_t i = 0; i < c->count; i++) {
		p = census_find(c, p->ppid);
		if (!p)
			return 0;
		if (p->chosen)
			return p->pid;
	}
	return 0;
}

static void plant(struct forest *f, const struct process *p, pid_t ppid, unsigned depth)
{
	struct forest_node *n = &f->nodes[f->count++];
	pid_t tracer = procfs_tracer(p->pid);

	*n = (struct forest_node){.pid = p->pid,
	    .ppid = ppid,
	    .parent = p->ppid,
	    .tracer = tracer > 0 && !task_is_own(tracer) ? tracer : 0,
	    .uid = task_uid(p->pid),
	    .state = p->state,
	    .depth = depth};
	procfs_comm(p->pid, n->comm);
}

/* Those drawn below ppid, each followed by its own. */
static void plant_below(struct forest *f, const struct census *c, const pid_t *parents,
    size_t chosen, pid_t ppid, unsigned depth)
{
	for (size_t i = 0; i < c->count && f->count < chosen; i++) {
		if (!c->all[i].chosen || parents[i] != ppid)
			continue;
		plant(f, &c->all[i], ppid, depth);
		plant_below(f, c, parents, chosen, c->all[i].pid, depth + 1);
	}
}

static void mark_debuggers(struct forest *f)
{
	for (size_t i = 0; i < f->count; i++)
		for (size_t j = 0; j < f->count; j++)
			if (f->nodes[j].tracer == f->nodes[i].pid)
				f->nodes[i].debugs = true;
}

static int forest_plant(struct forest *f, struct census *c)
{
	size_t chosen = 0;

	for (size_t i = 0; i < c->count; i++) {
		struct process *p = &c->all[i];
		if (p->chosen && (p->pid == getpid() || task_is_own(p->pid)))
			p->chosen = false;
		chosen += p->chosen;
	}
	f->nodes = calloc(chosen + 1, sizeof(*f->nodes));
	pid_t *parents = calloc(c->count + 1, sizeof(*parents));
	if (f->nodes && parents) {
		for (size_t i = 0; i < c->count; i++)
			parents[i] = c->all[i].chosen ? drawn_parent(c, &c->all[i]) : -1;
		plant_below(f, c, parents, chosen, 0, 0);
		mark_debuggers(f);
	}
	int r = f->nodes && parents ? 0 : -ENOMEM;
	free(parents);
	return r;
}

/* --- the three kinds -------------------------------------------------------- */

int forest_of_process(struct forest *f, pid_t pid)
{
	struct procfs_stat ps;

	*f = (struct forest){0};
	int r = procfs_stat(pid, &ps);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	f->nodes = calloc(1, sizeof(*f->nodes));
	if (!f->nodes)
		return -ENOMEM;
	struct process p = {.pid = pid, .ppid = ps.ppid, .state = ps.state};
	plant(f, &p, 0, 0);
	return 0;
}

int forest_of_tree(struct forest *f, pid_t root)
{
	struct census c;

	*f = (struct forest){0};
	int r = census_take(&c);
	if (r == 0 && !census_find(&c, root))
		r = -ESRCH;
	for (size_t i = 0; r == 0 && i < c.count; i++)
		c.all[i].chosen = is_below(&c, &c.all[i], root);
	for (size_t i = 0; r == 0 && i < c.count; i++) {
		struct process *p = &c.all[i];
		struct process *parent = p->chosen ? NULL : census_find(&c, p->ppid);
		/* An orphan, or a child of one that was chosen just now. */
		p->chosen = p->chosen || (parent && parent->chosen) ||
			    (p->ppid != 2 && p->pid != 2 && has_agent(p->pid, root));
	}
	if (r == 0)
		r = forest_plant(f, &c);
	free(c.all);
	return r;
}

/* Whether a terminal of that process with the same number is another one: each
 * container may have pseudo terminals of its own. One that has ended cannot be asked
 * any more, and has none. */
static bool is_elsewhere(pid_t pid)
{
	char path[64];
	struct stat theirs, ours;

	snprintf(path, sizeof(path), "/proc/%d/root/dev/pts", (int)pid);
	if (stat(path, &theirs) < 0)
		return errno == ENOENT;
	return stat("/dev/pts", &ours) == 0 && theirs.st_dev != ours.st_dev;
}

int forest_of_terminal(struct forest *f, unsigned device)
{
	unsigned major = device >> 8 & 0xfff;
	bool is_pseudo = major >= UNIX98_PTY_SLAVE_MAJOR &&
			 major < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT;
	struct census c;

	*f = (struct forest){0};
	int r = census_take(&c);
	for (size_t i = 0; r == 0 && i < c.count; i++)
		c.all[i].chosen =
		    c.all[i].tty == (int)device && !(is_pseudo && is_elsewhere(c.all[i].pid));
	if (r == 0)
		r = forest_plant(f, &c);
	free(c.all);
	return r;
}

void forest_deinit(struct forest *f)
{
	free(f->nodes);
	*f = (struct forest){0};
}
