#include "trace_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../dump/json.h"

static void put(struct trace_file *f, const char *text, size_t len)
{
	while (len > 0 && f->error == 0) {
		ssize_t n = write(f->fd, text, len);

		if (n >= 0) {
			text += n;
			len -= (size_t)n;
		} else if (errno != EINTR) {
			f->error = -errno;
		}
	}
}

void trace_file_begin(struct trace_file *f, int fd)
{
	*f = (struct trace_file){.fd = fd};
	put(f, "[\n", 2);
}

int trace_file_end(struct trace_file *f)
{
	put(f, "]\n", 2);
	if (close(f->fd) < 0 && f->error == 0)
		f->error = -errno;
	return f->error;
}

void trace_file_put(struct trace_file *f, const char *phase, const char *name, struct trace_row row,
    int64_t ts, json_t *more)
{
	json_t *event = json_pack("{s:s, s:s, s:s, s:i, s:i, s:I}", "name", name, "cat", "ttylock",
	    "ph", phase, "pid", row.pid, "tid", row.tid, "ts", (json_int_t)ts);
	char *text, *line = NULL;

	if (more)
		json_object_update_new(event, more);
	text = json_harmless(event, JSON_COMPACT);
	json_decref(event);
	int len = text ? asprintf(&line, "%s%s\n", f->any ? "," : "", text) : -1;
	if (len < 0) {
		f->error = f->error ?: -ENOMEM;
		line = NULL;
	} else {
		put(f, line, (size_t)len);
	}
	f->any = true;
	free(line);
	free(text);
}
