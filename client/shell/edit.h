/* edit: one line from the person, under a prompt that keeps up with the locks. */
#ifndef TTYLOCK_EDIT_H
#define TTYLOCK_EDIT_H

#include "signals.h"
#include "view.h"

void edit_init(void);

/* Reads a line with readline; while one types, the view is refreshed and the
 * prompt redrawn above what is typed. Ctrl-C (SIGINT, by signals) begins anew.
 * 0 and *linep, to be freed; -ENODATA: Ctrl-D; -EIO: the terminal is gone;
 * -EINTR: a signal asks us to end. */
int edit_line(struct view *v, struct signals *signals, char **linep);

#endif
