#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static volatile sig_atomic_t ended_by, stop_asked;

static struct winsize size_of_screen(void)
{
	struct winsize ws = {0};

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0)
		return (struct winsize){0};
	return ws;
}

unsigned screen_width(void)
{
	return size_of_screen().ws_col;
}

unsigned screen_height(void)
{
	return size_of_screen().ws_row;
}

/* --- signals ---------------------------------------------------------------- */

static void on_end(int sig)
{
	ended_by = sig;
}

static void on_stop(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static void on_resize(int sig)
{
	(void)sig;
}

/* No SA_RESTART: they end what waits. */
static void handle_signals(void)
{
	struct sigaction end = {.sa_handler = on_end}, stop = {.sa_handler = on_stop},
			 resize = {.sa_handler = on_resize};

	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGTSTP, &stop, NULL);
	sigaction(SIGWINCH, &resize, NULL);
}

/* --- the terminal ----------------------------------------------------------- */

static void take(struct screen *s)
{
	struct termios each_key;

	s->keys = tcgetattr(STDIN_FILENO, &s->before) == 0;
	each_key = s->before;
	each_key.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	each_key.c_cc[VMIN] = 1;
	each_key.c_cc[VTIME] = 0;
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &each_key);
	fputs(ENTER, stdout);
}

void screen_enter(struct screen *s)
{
	*s = (struct screen){0};
	ended_by = stop_asked = 0;
	handle_signals();
	take(s);
}

void screen_leave(const struct screen *s)
{
	fputs(LEAVE, stdout);
	fflush(stdout);
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
}

static void stop(struct screen *s)
{
	stop_asked = 0;
	screen_leave(s);
	signal(SIGTSTP, SIG_DFL);
	raise(SIGTSTP);
	handle_signals();
	s->keys = false; /* somebody else's, if we were continued only to end */
	if (!ended_by)
		take(s);
}

/* Lines end by clearing what was there before. */
void screen_show(const char *text)
{
	fputs("\033[H", stdout);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\033[K\r", stdout);
		putchar(*text);
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

/* --- keys ------------------------------------------------------------------- */

static void read_keys(struct screen *s)
{
	char typed[64];
	ssize_t n = read(STDIN_FILENO, typed, sizeof(typed));

	if (n > 0)
		s->quit = s->quit || memchr(typed, 'q', (size_t)n);
	else if (n == 0 || errno != EINTR)
		s->keys = false; /* hung up */
}

void screen_await(struct screen *s, int fd, int timeout_ms)
{
	struct pollfd p[] = {
	    {.fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	if (!ended_by && !stop_asked && poll(p, 2, timeout_ms) > 0 && p[0].revents)
		read_keys(s);
	if (stop_asked)
		stop(s);
}

bool screen_left(const struct screen *s)
{
	return s->quit || ended_by;
}

int screen_signal(const struct screen *s)
{
	return s->quit ? 0 : ended_by;
}
