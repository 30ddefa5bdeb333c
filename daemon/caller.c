#include "caller.h"

#include <stdlib.h>

struct terminal *caller_terminal(const struct caller *c, uint32_t n)
{
	if (n == 0)
		return c->first;
	return c->others ? c->others[n - 1] : NULL;
}

bool caller_set_terminal(struct caller *c, uint32_t n, struct terminal *t)
{
	if (n > 0 && t && !c->others)
		c->others = calloc(CALLER_TERMINALS - 1, sizeof(struct terminal *));
	if (n > 0 && !c->others) {
		terminal_unref(t);
		return !t;
	}
	struct terminal **at = n == 0 ? &c->first : &c->others[n - 1];

	terminal_unref(*at);
	*at = t;
	return true;
}

void caller_forget_terminals(struct caller *c)
{
	for (uint32_t n = 0; n < CALLER_TERMINALS; n++)
		caller_set_terminal(c, n, NULL);
	free(c->others);
	c->others = NULL;
}
