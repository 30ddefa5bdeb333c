/* A process that forbids everybody to trace it, or to look into it, and crashes. */
#include <sys/prctl.h>

static int *volatile nowhere;

int main(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	*nowhere = 1;
	return 0;
}
