/* job: a subcommand that runs below the shell, as a shell's job does.
 *
 * At a terminal it has a process group of its own and the foreground until it
 * ends or stops (Ctrl-Z). Stopped jobs are kept; the latest goes on by
 * job_resume(). */
#ifndef TTYLOCK_JOB_H
#define TTYLOCK_JOB_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#include "signals.h"

#define JOB_IGNORED 4
#define JOB_STOPPED 16

struct job {
	bool control;		 /* whether there is a terminal to give */
	struct signals *signals; /* to be undone in the child, as are these: */
	struct sigaction restore[JOB_IGNORED];
	struct termios modes; /* the shell's own */
	pid_t before;	      /* the group that was in front when we came */
	pid_t stopped[JOB_STOPPED];
	unsigned stopped_count;
};

/* With control: makes us a shell, in front, in a group of our own, and not to
 * be stopped by keys. */
void job_init(struct job *j, struct signals *signals, bool control);
/* Stopped jobs are told to end; the foreground is as it was. */
void job_deinit(struct job *j);

/* Runs `ttylock ARGV...` to its end and returns its exit status, or 128+N after
 * saying which signal ended or stopped it. */
int job_run(struct job *j, int argc, char **argv);

/* Has the latest stopped one go on. -ESRCH: there is none. */
int job_resume(struct job *j);

#endif
