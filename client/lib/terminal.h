/* terminal: which terminal a process has, and its line settings. */
#ifndef TTYLOCK_TERMINAL_H
#define TTYLOCK_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

/* Opens the process's terminal for reading and writing without making it the
 * controlling one: the controlling terminal, else the one that $TTYLOCK_TTY
 * names (not in a set-user-ID program), else whichever of 0, 1, 2 is one.
 * Returns a descriptor (close-on-exec); -ENOTTY: there is none. */
int terminal_open(void);

/* The same, with $TTYLOCK_TTY first: the terminal where the person is who runs
 * the tree. A worker's own may be a pty that only a program reads. */
int terminal_open_of_tree(void);

/* Its device's path ("/dev/pts/3"), also for a descriptor of /dev/tty. 0 or
 * -errno. */
int terminal_path(int tty, char *out, size_t size);

/* Its device number, which for a descriptor of /dev/tty is not st_rdev. 0 or
 * -errno. */
int terminal_device(int tty, unsigned *dev);

/* Whether tty is this process's controlling terminal, which job control (the
 * foreground group, SIGTTIN) needs. */
bool terminal_is_controlling(int tty);

/* Sets its line settings, also from the background, where it would stop a process
 * that has not blocked SIGTTOU. */
void terminal_set_modes(int tty, const struct termios *t);

/* Line settings in which a person can type commands: *t with echo, editing,
 * signals and newline translation on. */
void terminal_make_sane(struct termios *t);

#endif
