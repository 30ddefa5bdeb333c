#include "report.h"

#include <string.h>

static void print_act(FILE *out, const struct step *step)
{
	static const char *const acts[] = {
	    [UNTIL] = "goes on until",
	    [UNTIL_OR_END] = "goes on until its end or",
	    [GO] = "goes on",
	    [FINISH] = "goes on and ends with status",
	    [DIES] = "goes on and dies by",
	    [KILL] = "is killed",
	    [SIGNAL] = "gets",
	    [SIGNAL_AT] = "goes on until",
	    [CHECK] = "check:",
	};

	fprintf(out, "%s%s%s %s", step->actor ? step->actor : "", step->actor ? " " : "",
	    acts[step->act], step->point ? step->point : "");
	if (step->act == SIGNAL_AT)
		fprintf(out, " and gets ");
	if (step->act == SIGNAL_AT || step->act == SIGNAL || step->act == DIES)
		fprintf(out, "SIG%s", sigabbrev_np(step->value));
	else if (step->act == FINISH)
		fprintf(out, "%d", step->value);
}

static void print_end(FILE *out, int result)
{
	if (result < 0)
		fprintf(out, "has ended by SIG%s", sigabbrev_np(-result));
	else
		fprintf(out, "has ended with status %d", result);
}

static void print_actor(FILE *out, struct board_slot *s)
{
	uint32_t reached = s->reached;
	char last[BOARD_NAME];

	for (size_t i = 0; i < BOARD_NAME; i++)
		last[i] = s->last[i];
	fprintf(out, "  %s: ", s->name);
	if (s->ended)
		print_end(out, s->result);
	else if (s->tid == 0)
		fprintf(out, "has not come");
	else if (board_stands(s))
		fprintf(out, "stands at %s", s->stops[reached - 1]);
	else
		fprintf(out, "goes on after %s", s->stops[reached - 1]);
	if (*last)
		fprintf(out, "; has come by %s", last);
	if (!s->ended && reached < s->n_stops)
		fprintf(out, "; its next stop is %s", s->stops[reached]);
	if (s->tid != 0)
		fprintf(out, " (pid %d, tid %d)", (int)s->pid, (int)s->tid);
	fputc('\n', out);
}

void report(const struct schedule *s, struct board *b, int failed, const char *why)
{
	FILE *out = s->out ? s->out : stderr;

	fprintf(out, "schedule \"%s\": %s\n", s->title, why);
	for (int i = 0; s->steps[i].act; i++) {
		const char *mark = i == failed ? "-> " : i < failed ? "ok " : "   ";
		fprintf(out, "  %s%2d ", mark, i + 1);
		print_act(out, &s->steps[i]);
		if (i == failed)
			fprintf(out, "   <- %s", why);
		fputc('\n', out);
	}
	for (uint32_t i = 0; b && i < b->n_slots; i++)
		print_actor(out, &b->slots[i]);
}
