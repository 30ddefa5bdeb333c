/* screen: a terminal's other screen, to draw on until the person leaves it by q,
 * Ctrl-C or a signal; Ctrl-Z gives the terminal back meanwhile. */
#ifndef TTYLOCK_SCREEN_H
#define TTYLOCK_SCREEN_H

#include <stdbool.h>
#include <termios.h>

struct screen {
	bool keys; /* standard input is a terminal */
	bool quit; /* by q */
	struct termios before;
};

/* How wide and high the terminal at standard output is; 0: it is none. */
unsigned screen_width(void);
unsigned screen_height(void);

/* Takes SIGINT, SIGTERM, SIGHUP, SIGTSTP and SIGWINCH for good. */
void screen_enter(struct screen *s);
void screen_leave(const struct screen *s);

/* Draws text, lines of it, in place of what was there. */
void screen_show(const char *text);

/* Until a key or a signal comes, fd is readable (-1: none), or the time is over. */
void screen_await(struct screen *s, int fd, int timeout_ms);

/* Whether the person has left. */
bool screen_left(const struct screen *s);
/* By which signal; 0: by q. */
int screen_signal(const struct screen *s);

#endif
