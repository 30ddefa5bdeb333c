#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int open_tty(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!isatty(fd)) {
		close(fd);
		return -ENOTTY;
	}
	return fd;
}

static int open_given(void)
{
	const char *given = secure_getenv("TTYLOCK_TTY");

	return given && *given ? open_tty(given) : -ENOTTY;
}

int terminal_open(void)
{
	char path[PATH_MAX];
	int fd = open_tty("/dev/tty");

	if (fd < 0)
		fd = open_given();
	for (int std = 0; fd < 0 && std <= 2; std++)
		if (isatty(std) && terminal_path(std, path, sizeof(path)) == 0)
			fd = open_tty(path);
	return fd >= 0 ? fd : -ENOTTY;
}

int terminal_open_of_tree(void)
{
	int fd = open_given();

	return fd >= 0 ? fd : terminal_open();
}

int terminal_device(int tty, unsigned *dev)
{
	return ioctl(tty, TIOCGDEV, dev) < 0 ? -errno : 0;
}

int terminal_path(int tty, char *out, size_t size)
{
	char link[64];
	unsigned dev;

	int r = terminal_device(tty, &dev);
	if (r < 0)
		return r;
	/* Unix98 slaves are the majors 136 to 143, 256 minors each in the old
	 * numbering; their index is the minor. */
	if (major(dev) >= 136 && major(dev) <= 143) {
		int n = snprintf(out, size, "/dev/pts/%u", minor(dev));
		return (size_t)n < size ? 0 : -ENAMETOOLONG;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", tty);
	ssize_t n = readlink(link, out, size - 1);
	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

bool terminal_is_controlling(int tty)
{
	return tcgetsid(tty) == getsid(0);
}

void terminal_set_modes(int tty, const struct termios *t)
{
	sigset_t ttou, old;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	while (tcsetattr(tty, TCSANOW, t) < 0 && errno == EINTR)
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void terminal_make_sane(struct termios *t)
{
	t->c_iflag |= BRKINT | ICRNL | IXON;
	t->c_iflag &= ~(tcflag_t)(INLCR | IGNCR);
	t->c_oflag |= OPOST | ONLCR;
	t->c_lflag |= ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE;
	t->c_lflag &= ~(tcflag_t)(NOFLSH | ECHONL);
}
