/* process: all stacks of one process, as JSON.
 *
 *	{"threads": [{"tid", "name", "state", "wchan", "error"?, "guessed"?,
 *	              "depth", "frames": [FRAME...]}...],
 *	 "threads_left_out"?}
 *	or {"error": "why not"}
 *
 * FRAME = {"n", "pc", "function"?, "file"?, "line"?, "module"?, "offset",
 * "inlined"?}: n counts as gdb does, pc and offset are hexadecimal texts. Of a
 * deep stack the frames in the middle are left out: n jumps there.
 */
#ifndef DUMP_PROCESS_H
#define DUMP_PROCESS_H

#include <jansson.h>
#include <sys/types.h>

/* May take until the deadline (deadline.h) and a little longer, or hang, or
 * fall over a broken debug file: for a process of its own. Never NULL. */
json_t *process_dump(pid_t pid, int64_t deadline);

#endif
