/*
 * A chain of processes, each the parent of the next: family LETTERS. The last starts first: each
 * waits for its child, says how that ended, and does what its letter says: s crashes, a aborts,
 * f aborts if its child has failed, anything else exits (1 if its child has failed). Their names
 * are level1, level2, ...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int *volatile nowhere;

/* Returns whether it failed. */
static int await_child(int level, pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("level%d: signal %d\n", level + 1, WTERMSIG(status));
	else
		printf("level%d: exit %d\n", level + 1, WEXITSTATUS(status));
	fflush(stdout);
	return status != 0;
}

static int level(int n, const char *letters)
{
	char name[16];
	int failed = 0;

	snprintf(name, sizeof(name), "level%d", n);
	prctl(PR_SET_NAME, name);
	if (letters[1]) {
		pid_t pid = fork();

		if (pid == 0)
			return level(n + 1, letters + 1);
		failed = await_child(n, pid);
	}
	switch (*letters) {
	case 's':
		*nowhere = n;
		break;
	case 'f':
		if (failed)
			abort();
		break;
	case 'a':
		abort();
	}
	return failed;
}

int main(int argc, char **argv)
{
	return argc == 2 && *argv[1] ? level(1, argv[1]) : 64;
}
