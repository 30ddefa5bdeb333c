/* links: client/shell/columns.o client/shell/entry_json.o client/dump/json.o */
/* links: tests/fuzz/library.a proto/ttylock.pb.o proto/frame.o tests/fuzz/message.o -ljansson */
/* What `ttylock status` shows of requests that are all made of hostile texts: one
 * line for each, of characters that can be shown, no wider than the screen; and JSON
 * that can be read again. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "message.h"

#include "../../client/dump/requests.h"
#include "../../client/shell/columns.h"
#include "../../client/shell/entry_json.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The real one comes with all that asks a daemon. */
const char *reason_name(int reason)
{
	return reason ? "reason" : "none";
}

static void check(int good)
{
	if (!good)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	check(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
	return 0;
}

/* The colours that may be, and where the line goes on behind one; NULL: none. */
static const char *colour_end(const char *text)
{
	static const char *const colours[] = {"\033[0m", "\033[1m", "\033[2m", "\033[32m"};

	for (size_t i = 0; i < sizeof(colours) / sizeof(*colours); i++) {
		if (strncmp(text, colours[i], strlen(colours[i])) == 0)
			return text + strlen(colours[i]);
	}
	return NULL;
}

/* How many lines. */
static size_t lines_check(const char *text, const struct columns *c)
{
	mbstate_t state = {0};
	size_t lines = 0;
	unsigned width = 0;
	wchar_t wide;

	while (*text) {
		const char *behind = c->colours && !c->raw ? colour_end(text) : NULL;

		if (behind) {
			text = behind;
			continue;
		}
		size_t n = mbrtowc(&wide, text, strlen(text), &state);
		check(n > 0 && n < (size_t)-2);
		text += n;
		if (wide == L'\n') {
			check(c->raw || c->width == 0 || width <= c->width);
			lines++;
			width = 0;
			continue;
		}
		check(iswprint((wint_t)wide) && !(wide >= 0x200e && wide <= 0x200f) &&
		      !(wide >= 0x2028 && wide <= 0x202e) && !(wide >= 0x2066 && wide <= 0x2069));
		width += (unsigned)wcwidth(wide);
	}
	check(width == 0);
	return lines;
}

static void table_check(const struct columns *c, const struct listing *l)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	columns_print(out, c, l);
	fclose(out);
	check(strlen(text) == size);
	check(lines_check(text, c) == l->count + !c->noheadings);
	free(text);
}

static void json_check(const struct listing *l)
{
	json_t *all = json_of_listing(NULL, l);
	char *text = json_dumps(all, 0);

	check(text != NULL);
	json_t *again = json_loads(text, 0, NULL);
	check(again && json_equal(all, again));
	json_decref(again);
	json_decref(all);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = {.data = data, .size = size};
	struct listing_row rows[6];
	struct listing l = {.rows = rows};
	uint8_t how = bytes_take(&b);
	struct columns c;
	char bad[32];

	columns_init(&c);
	if (how & 1)
		check(columns_choose(&c, "+uid,asker,askercmd,task,under,tree", bad) == 0);
	c.raw = how & 2;
	c.noheadings = how & 4;
	c.colours = how & 8;
	c.width = how & 16 ? bytes_take(&b) : 0;
	while (l.count < sizeof(rows) / sizeof(*rows) && b.at < b.size) {
		ttylock_Envelope e;

		message_fill_kind(&b, &e, ttylock_Envelope_event_tag);
		rows[l.count].entry = e.body.event.entry;
		rows[l.count++].below = bytes_take(&b) & 1;
	}
	table_check(&c, &l);
	json_check(&l);
	return 0;
}
