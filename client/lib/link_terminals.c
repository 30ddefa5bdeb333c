/* The terminals that a link has introduced to its daemon, each by its number there. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "link_locked.h"

static bool is_needed(const struct link *l, int terminal)
{
	if (l->terminals[terminal].users)
		return true;
	for (const struct request *q = l->requests.first; q; q = q->next)
		if (q->owed && (int)q->wish.terminal == terminal)
			return true;
	return false;
}

void link_tidy_terminals(struct link *l)
{
	for (int i = 0; i < LINK_TERMINALS; i++) {
		if (l->terminals[i].tty < 0 || is_needed(l, i))
			continue;
		int tty = l->terminals[i].tty;
		l->terminals[i].tty = -1; /* first: a handler may fork */
		close(tty);
	}
}

static int find_place(const struct link *l, unsigned device)
{
	for (int i = 0; i < LINK_TERMINALS; i++)
		if (l->terminals[i].users && l->terminals[i].device == device)
			return i;
	for (int i = 0; i < LINK_TERMINALS; i++)
		if (l->terminals[i].tty < 0)
			return i;
	return -EUSERS;
}

static int add_terminal(struct link *l, int tty, unsigned device)
{
	ttylock_Envelope e = ttylock_Envelope_init_zero;
	int own;

	if (l->lost && !link_mend_now(l))
		return -ECONNRESET;
	int place = find_place(l, device);
	if (place < 0)
		return place;
	own = fcntl(tty, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -errno;
	/* Introduced anew also where the number is known: the device behind it
	 * may be another one by now. */
	e.which_body = ttylock_Envelope_terminal_open_tag;
	e.body.terminal_open.terminal = (uint32_t)place;
	int r = link_later(l, link_send(l, &e, tty));
	if (r < 0) {
		close(own);
		return r;
	}
	int before = l->terminals[place].tty;
	l->terminals[place].tty = own;
	if (before >= 0)
		close(before);
	l->terminals[place].users++;
	l->terminals[place].device = device;
	return place;
}

int link_add_terminal(struct link *l, int tty, unsigned device)
{
	atfork_lock(&l->lock);
	int r = add_terminal(l, tty, device);
	atfork_unlock(&l->lock);
	return r;
}

void link_forget_terminal(struct link *l, int terminal)
{
	atfork_lock(&l->lock);
	l->terminals[terminal].users--;
	link_tidy_terminals(l);
	atfork_unlock(&l->lock);
}
