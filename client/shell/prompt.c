#include "prompt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#define NAME_MAX_COLUMNS 24

/* --- text of others --------------------------------------------------------- */

/* The length of a character that may be printed as it is, which takes one
 * column; 0: it may not. Neither readline nor we then err about the width. */
static size_t plain_length(const char *s)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t n = mbrtowc(&c, s, strlen(s), &state);

	if (n == 0 || n > 4)
		return 0; /* (size_t)-1 and -2 */
	/* Above, there are characters that turn the direction of the others. */
	if (c >= 0x2000 && c < 0x2070)
		return 0;
	return iswprint((wint_t)c) && wcwidth(c) == 1 ? n : 0;
}

static void write_name(char *out, size_t size, const char *s)
{
	size_t n = 0;

	for (int columns = 0; *s && columns < NAME_MAX_COLUMNS && n + 5 < size;) {
		size_t plain = plain_length(s);
		if (plain == 0) {
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", (unsigned char)*s++);
			columns += 4;
			continue;
		}
		memcpy(out + n, s, plain);
		n += plain;
		s += plain;
		columns++;
	}
	out[n] = '\0';
}

static int columns_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* --- the terminal to show --------------------------------------------------- */

struct shown {
	const struct view_entry *holder; /* NULL: nothing is held */
	unsigned waiters;
	unsigned others; /* terminals */
};

/* Holders come before their waiters, the topmost first, terminal by terminal. */
static struct shown choose(const struct view *v)
{
	struct shown best = {0}, now = {0};
	unsigned terminals = 0;

	for (size_t i = 0; i <= v->count; i++) {
		const struct view_entry *e = i < v->count ? &v->entries[i] : NULL;
		if (e && now.holder && !strcmp(now.holder->terminal, e->terminal)) {
			now.waiters += e->position > 0;
			continue;
		}
		if (now.holder && (!best.holder || now.waiters > best.waiters))
			best = now;
		now = (struct shown){.holder = e};
		terminals += e != NULL;
	}
	best.others = terminals ? terminals - 1 : 0;
	return best;
}

static const char *short_name(const char *terminal)
{
	return strncmp(terminal, "/dev/", 5) == 0 ? terminal + 5 : terminal;
}

/* --- from the longest to the shortest --------------------------------------- */

enum form { FULL, NO_NAME, NO_TERMINAL, COUNT, BARE };

static void write_held(char *out, size_t size, const struct shown *s, enum form form)
{
	const struct view_entry *e = s->holder;
	char name[128], terminal[128], who[192], more[16] = "";

	write_name(name, sizeof(name), e->comm);
	write_name(terminal, sizeof(terminal), short_name(e->terminal));
	pid_t pid = e->subject ? e->subject : e->pid;
	if (e->hidden)
		snprintf(who, sizeof(who), "another user's");
	else if (form == FULL)
		snprintf(who, sizeof(who), "%s %d", name, (int)pid);
	else
		snprintf(who, sizeof(who), "%d", (int)pid);
	if (s->others)
		snprintf(more, sizeof(more), "; +%u", s->others);
	if (form == FULL || form == NO_NAME)
		snprintf(
		    out, size, "ttylock (%s: %s, %u wait%s)> ", terminal, who, s->waiters, more);
	else if (form == NO_TERMINAL)
		snprintf(out, size, "(%s, %u wait)> ", who, s->waiters);
	else
		snprintf(out, size, "(%u)> ", s->waiters);
}

static void write_form(char *out, size_t size, const struct view *v, enum form form)
{
	struct shown s = choose(v);
	const char *state = v->lock ? "free" : v->error == -ENOENT ? "no daemon" : "no answer";

	if (form == BARE)
		snprintf(out, size, "> ");
	else if (s.holder)
		write_held(out, size, &s, form);
	else
		snprintf(out, size, form == FULL ? "ttylock (%s)> " : "(%s)> ", state);
}

void prompt_write(char out[PROMPT_MAX], const struct view *v, int columns)
{
	/* Half of the line is for what is typed. */
	for (enum form form = FULL; form <= BARE; form++) {
		write_form(out, PROMPT_MAX, v, form);
		if (columns_of(out) <= columns / 2)
			break;
	}
}
