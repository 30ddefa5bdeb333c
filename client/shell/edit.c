#include "edit.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <readline/readline.h>
#include <string.h>
#include <unistd.h>

#include "prompt.h"

#define BEHIND_MS 200 /* between two looks whether we are in front again */

/* Readline asks questions below the line in these, and has its own prompt. */
#define OWN_PROMPT (RL_STATE_ISEARCH | RL_STATE_NSEARCH | RL_STATE_NUMERICARG | RL_STATE_MOREINPUT)

/* Readline has but one line, too, and gives its handler no argument. */
static struct {
	char prompt[PROMPT_MAX];
	bool done;
	char *line;
} edit;

void edit_init(void)
{
	rl_readline_name = "ttylock";
	rl_catch_signals = 0;
	rl_catch_sigwinch = 0;
	rl_instream = stdin; /* for the window's size, before the first line */
	rl_outstream = stdout;
}

static void take_line(char *line)
{
	rl_callback_handler_remove();
	edit.line = line;
	edit.done = true;
}

/* --- the prompt ------------------------------------------------------------- */

static bool renew_prompt(const struct view *v)
{
	char prompt[PROMPT_MAX];
	int rows, columns;

	rl_get_screen_size(&rows, &columns);
	prompt_write(prompt, v, columns);
	if (!strcmp(prompt, edit.prompt))
		return false;
	strcpy(edit.prompt, prompt);
	return true;
}

static void redraw_prompt(const struct view *v)
{
	if (RL_ISSTATE(OWN_PROMPT) || !renew_prompt(v))
		return;
	rl_clear_visible_line();
	rl_set_prompt(edit.prompt);
	rl_on_new_line();
	rl_redisplay();
}

static void begin_anew(void)
{
	rl_free_line_state();
	rl_callback_sigcleanup();
	rl_point = rl_end; /* below all of a long one's rows */
	rl_redisplay();
	fputs("^C", rl_outstream);
	rl_crlf();
	rl_replace_line("", 1);
	rl_set_prompt(edit.prompt);
	rl_on_new_line();
	rl_redisplay();
}

/* --- the loop --------------------------------------------------------------- */

static int take_signals(struct signals *signals)
{
	struct signalfd_siginfo info;

	while (signals_next(signals, &info)) {
		if (info.ssi_signo == SIGINT)
			begin_anew();
		else if (info.ssi_signo == SIGWINCH)
			rl_resize_terminal();
		else
			return -EINTR;
	}
	return 0;
}

static bool is_behind(void)
{
	pid_t front = tcgetpgrp(STDIN_FILENO);

	return front > 0 && front != getpgrp();
}

/* Somebody below us has the terminal: nothing is read or drawn until it has
 * given that back, with the line settings as they were. */
static int wait_in_front(struct view *v, struct signals *signals)
{
	struct pollfd p = {.fd = signals->fd, .events = POLLIN};
	int r = 0;

	while (r == 0 && is_behind()) {
		view_refresh(v);
		poll(&p, 1, BEHIND_MS);
		r = take_signals(signals);
	}
	rl_on_new_line();
	rl_forced_update_display();
	return r;
}

static int wait_event(struct view *v, struct signals *signals)
{
	int timeout = view_refresh(v);
	struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN},
	    {.fd = signals->fd, .events = POLLIN}, {.fd = view_fd(v), .events = POLLIN}};

	if (is_behind())
		return wait_in_front(v, signals);
	redraw_prompt(v);
	if (poll(p, 3, timeout) < 0)
		return errno == EINTR ? 0 : -errno;
	/* Not by readline, which would take half a line for a whole one. */
	if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		return -EIO;
	if (p[1].revents)
		return take_signals(signals);
	if (p[0].revents && !is_behind())
		rl_callback_read_char();
	return 0;
}

/* After Ctrl-D it does so, but only where it tells pasted text from typed. */
static bool has_ended_line(void)
{
	const char *value = rl_variable_value("enable-bracketed-paste");

	return value && !strcmp(value, "on");
}

int edit_line(struct view *v, struct signals *signals, char **linep)
{
	int r = 0;

	view_refresh(v);
	rl_reset_screen_size();
	renew_prompt(v);
	edit.done = false;
	edit.line = NULL;
	rl_callback_handler_install(edit.prompt, take_line);
	while (r == 0 && !edit.done)
		r = wait_event(v, signals);
	if (!edit.done)
		rl_callback_handler_remove();
	if (!edit.line && !(edit.done && has_ended_line()))
		fputc('\n', rl_outstream);
	fflush(rl_outstream);
	if (r == 0 && !edit.line)
		return -ENODATA;
	*linep = edit.line;
	return r;
}
