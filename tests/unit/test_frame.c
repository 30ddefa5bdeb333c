/* links: proto/frame.o proto/ttylock.pb.o -l:libprotobuf-nanopb.a */
/* Frames: every message there and back at its largest, and everything that is
 * not a frame told from one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pb_encode.h>

#include "frame.h"

static void text_fill(char *s, size_t size)
{
	memset(s, 'w', size - 1);
	s[size - 1] = '\0';
}

static void entry_fill(ttylock_Entry *e)
{
	*e = (ttylock_Entry){.id = UINT64_MAX,
	    .pid = -1,
	    .uid = UINT32_MAX,
	    .has_task = true,
	    .task.id = UINT64_MAX,
	    .reason = ttylock_Reason_REASON_COMMAND,
	    .subject_pid = -1,
	    .position = UINT32_MAX,
	    .age_ms = UINT64_MAX,
	    .tree = UINT64_MAX,
	    .hidden = true};
	text_fill(e->comm, sizeof(e->comm));
	text_fill(e->task.name, sizeof(e->task.name));
	text_fill(e->text, sizeof(e->text));
	text_fill(e->subject_comm, sizeof(e->subject_comm));
	text_fill(e->terminal, sizeof(e->terminal));
}

static void largest_of_locks(ttylock_Envelope *e)
{
	switch (e->which_body) {
	case ttylock_Envelope_lock_request_tag:
		e->body.lock_request = (ttylock_LockRequest){.request = UINT64_MAX,
		    .terminal = UINT32_MAX,
		    .has_task = true,
		    .task.id = UINT64_MAX,
		    .reason = ttylock_Reason_REASON_COMMAND,
		    .subject_pid = -1,
		    .nonblock = true,
		    .under.size = sizeof(e->body.lock_request.under.bytes)};
		text_fill(e->body.lock_request.task.name, sizeof(e->body.lock_request.task.name));
		text_fill(e->body.lock_request.text, sizeof(e->body.lock_request.text));
		break;
	case ttylock_Envelope_lock_status_tag:
		e->body.lock_status = (ttylock_LockStatus){.request = UINT64_MAX,
		    .id = UINT64_MAX,
		    .state = ttylock_State_STATE_REFUSED,
		    .position = UINT32_MAX,
		    .waiters = UINT32_MAX,
		    .code = ttylock_Code_ERROR_INVALID,
		    .has_holder = true,
		    .token.size = sizeof(e->body.lock_status.token.bytes),
		    .saved.size = sizeof(e->body.lock_status.saved.bytes),
		    .dirty = true};
		entry_fill(&e->body.lock_status.holder);
		text_fill(e->body.lock_status.terminal, sizeof(e->body.lock_status.terminal));
		memset(e->body.lock_status.saved.bytes, 0xff, e->body.lock_status.saved.size);
		break;
	case ttylock_Envelope_lock_release_tag:
		e->body.lock_release.request = UINT64_MAX;
		break;
	case ttylock_Envelope_lock_cancel_tag:
		e->body.lock_cancel = (ttylock_LockCancel){UINT64_MAX, UINT64_MAX};
		break;
	case ttylock_Envelope_terminal_state_tag:
		e->body.terminal_state.request = UINT64_MAX;
		e->body.terminal_state.saved.size = sizeof(e->body.terminal_state.saved.bytes);
		break;
	case ttylock_Envelope_force_release_tag:
		e->body.force_release.id = UINT64_MAX;
		break;
	case ttylock_Envelope_serve_first_tag:
		e->body.serve_first.id = UINT64_MAX;
		break;
	}
}

static void largest_of_others(ttylock_Envelope *e)
{
	switch (e->which_body) {
	case ttylock_Envelope_hello_tag:
		e->body.hello = (ttylock_Hello){UINT32_MAX, UINT64_MAX};
		break;
	case ttylock_Envelope_welcome_tag:
		e->body.welcome = (ttylock_Welcome){UINT32_MAX, -1, UINT64_MAX};
		break;
	case ttylock_Envelope_terminal_open_tag:
		e->body.terminal_open.terminal = UINT32_MAX;
		break;
	case ttylock_Envelope_status_query_tag:
		e->body.status_query = (ttylock_StatusQuery){UINT64_MAX, -1};
		break;
	case ttylock_Envelope_wait_idle_tag:
		e->body.wait_idle = (ttylock_WaitIdle){UINT64_MAX, -1};
		break;
	case ttylock_Envelope_status_report_tag:
		e->body.status_report.query = UINT64_MAX;
		e->body.status_report.has_entry = true;
		e->body.status_report.last = true;
		entry_fill(&e->body.status_report.entry);
		break;
	case ttylock_Envelope_event_tag:
		e->body.event.kind = ttylock_EventKind_EVENT_LOST;
		e->body.event.has_entry = true;
		entry_fill(&e->body.event.entry);
		break;
	case ttylock_Envelope_error_tag:
		e->body.error.code = ttylock_Code_ERROR_INVALID;
		e->body.error.ref = UINT64_MAX;
		text_fill(e->body.error.text, sizeof(e->body.error.text));
		break;
	}
}

/* The largest message of each kind. */
static ttylock_Envelope largest(pb_size_t kind)
{
	ttylock_Envelope e;

	memset(&e, 0, sizeof(e));
	e.which_body = kind;
	largest_of_locks(&e);
	largest_of_others(&e);
	return e;
}

enum { FIRST_KIND = ttylock_Envelope_hello_tag, LAST_KIND = ttylock_Envelope_serve_first_tag };

static void every_kind_is_known_here(void **state)
{
	(void)state;
	assert_int_equal(ttylock_Envelope_msg.largest_tag, LAST_KIND);
}

/* Encoded again, what came back is what went out. */
static void largest_there_and_back(void **state)
{
	uint8_t out[FRAME_MAX], again[FRAME_MAX];

	(void)state;
	for (pb_size_t kind = FIRST_KIND; kind <= LAST_KIND; kind++) {
		ttylock_Envelope e = largest(kind), back;
		ssize_t n = frame_encode(&e, out, sizeof(out));

		assert_true(n > 0 && n <= FRAME_MAX);
		assert_int_equal(frame_decode(out, (size_t)n, &back), n);
		assert_int_equal(back.which_body, kind);
		assert_int_equal(frame_encode(&back, again, sizeof(again)), n);
		assert_memory_equal(out, again, n);
	}
}

static void cut_anywhere_is_incomplete(void **state)
{
	uint8_t out[FRAME_MAX];

	(void)state;
	for (pb_size_t kind = FIRST_KIND; kind <= LAST_KIND; kind++) {
		ttylock_Envelope e = largest(kind), back;
		ssize_t n = frame_encode(&e, out, sizeof(out));

		for (ssize_t cut = 0; cut < n; cut++) {
			/* On the heap, so that a sanitizer sees a read beyond it. */
			uint8_t *part = malloc((size_t)cut ? (size_t)cut : 1);
			assert_non_null(part);
			memcpy(part, out, (size_t)cut);
			assert_int_equal(frame_decode(part, (size_t)cut, &back), 0);
			free(part);
		}
	}
}

static void two_in_one_buffer(void **state)
{
	uint8_t out[2 * FRAME_MAX];
	ttylock_Envelope hello = largest(ttylock_Envelope_hello_tag);
	ttylock_Envelope error = largest(ttylock_Envelope_error_tag), back;
	ssize_t first = frame_encode(&hello, out, FRAME_MAX);
	ssize_t second = frame_encode(&error, out + first, FRAME_MAX);

	(void)state;
	assert_int_equal(frame_decode(out, (size_t)(first + second), &back), first);
	assert_int_equal(back.which_body, ttylock_Envelope_hello_tag);
	assert_int_equal(frame_decode(out + first, (size_t)second, &back), second);
	assert_int_equal(back.which_body, ttylock_Envelope_error_tag);
}

static void too_long_is_told_from_the_header(void **state)
{
	static const uint8_t limit[] = {0x80, 0x08}, above[] = {0x81, 0x08},
			     huge[] = {0xff, 0xff, 0xff, 0xff, 0x0f}, padded[] = {0x81, 0x80, 0x00};
	ttylock_Envelope e;

	(void)state;
	assert_int_equal(frame_decode(limit, sizeof(limit), &e), 0);
	assert_int_equal(frame_decode(above, sizeof(above), &e), -EMSGSIZE);
	for (size_t n = 2; n <= sizeof(huge); n++)
		assert_int_equal(frame_decode(huge, n, &e), -EMSGSIZE);
	assert_int_equal(frame_decode(padded, sizeof(padded), &e), -EMSGSIZE);
}

static void garbage_is_refused(void **state)
{
	static const uint8_t empty[] = {0}, unknown_kind[] = {3, 0xfa, 0x01, 0x00},
			     bad_wire_type[] = {2, 0x0f, 0x00}, too_long_inside[] = {2, 0x0a, 0x7f},
			     two_zeroes[] = {2, 0, 0};
	const struct {
		const uint8_t *bytes;
		size_t size;
	} cases[] = {
	    {empty, sizeof(empty)},
	    {unknown_kind, sizeof(unknown_kind)},
	    {bad_wire_type, sizeof(bad_wire_type)},
	    {too_long_inside, sizeof(too_long_inside)},
	    {two_zeroes, sizeof(two_zeroes)},
	};
	ttylock_Envelope e;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(frame_decode(cases[i].bytes, cases[i].size, &e), -EPROTO);
}

/* A string one byte longer than its field. */
static void field_too_long_is_refused(void **state)
{
	uint8_t bytes[4 + 300] = {0};
	ttylock_Envelope e;

	(void)state;
	bytes[0] = 0x80 | ((2 + 1 + 2 + 256 - 1) & 0x7f);
	size_t text = 256, error = 3 + text, body = 3 + error;
	bytes[0] = (uint8_t)(0x80 | (body & 0x7f));
	bytes[1] = (uint8_t)(body >> 7);
	uint8_t inner[] = {ttylock_Envelope_error_tag << 3 | 2, (uint8_t)(0x80 | (error & 0x7f)),
	    (uint8_t)(error >> 7), ttylock_Error_text_tag << 3 | 2, (uint8_t)(0x80 | (text & 0x7f)),
	    (uint8_t)(text >> 7)};
	memcpy(bytes + 2, inner, sizeof(inner));
	memset(bytes + 8, 'x', text);
	assert_int_equal(frame_decode(bytes, 2 + body, &e), -EPROTO);
	/* One less fits: it was the length and nothing else. */
	bytes[0] = (uint8_t)(0x80 | ((body - 1) & 0x7f));
	bytes[3] = (uint8_t)(0x80 | ((error - 1) & 0x7f));
	bytes[6] = (uint8_t)(0x80 | ((text - 1) & 0x7f));
	bytes[4] = (uint8_t)((error - 1) >> 7);
	bytes[7] = (uint8_t)((text - 1) >> 7);
	bytes[1] = (uint8_t)((body - 1) >> 7);
	assert_int_equal(frame_decode(bytes, 1 + body, &e), 1 + body);
}

static void unknown_fields_are_skipped(void **state)
{
	/* Hello{version: 1, field 15: 7, field 14: "ab"} and an unknown one beside. */
	static const uint8_t bytes[] = {
	    13, 0x0a, 8, 0x08, 1, 0x78, 7, 0x72, 2, 'a', 'b', 0xf8, 1, 9};
	ttylock_Envelope e;

	(void)state;
	assert_int_equal(frame_decode(bytes, sizeof(bytes), &e), sizeof(bytes));
	assert_int_equal(e.which_body, ttylock_Envelope_hello_tag);
	assert_int_equal(e.body.hello.version, 1);
}

static void what_is_no_message_is_not_encoded(void **state)
{
	ttylock_Envelope e = {0};
	uint8_t out[FRAME_MAX];

	(void)state;
	assert_int_equal(frame_encode(&e, out, sizeof(out)), -EINVAL);
	e.which_body = 99;
	assert_int_equal(frame_encode(&e, out, sizeof(out)), -EINVAL);
	/* A text without an end. */
	e.which_body = ttylock_Envelope_error_tag;
	memset(e.body.error.text, 'x', sizeof(e.body.error.text));
	assert_int_equal(frame_encode(&e, out, sizeof(out)), -EINVAL);
	/* No room, byte by byte. */
	e.body.error.text[200] = '\0';
	ssize_t n = frame_encode(&e, out, sizeof(out));
	assert_true(n > 200);
	for (ssize_t room = 0; room < n; room++)
		assert_int_equal(frame_encode(&e, out, (size_t)room), -EMSGSIZE);
}

static void small_buffer_is_an_error(void **state)
{
	ttylock_Envelope e = largest(ttylock_Envelope_error_tag);
	uint8_t out[FRAME_MAX];
	ssize_t n = frame_encode(&e, out, sizeof(out));

	(void)state;
	for (ssize_t size = 0; size < n; size++)
		assert_int_equal(frame_encode(&e, out, (size_t)size), -EMSGSIZE);
}

/* Neither direction is nanopb's own: its bytes are. */
static void bytes_are_those_of_the_envelope(void **state)
{
	(void)state;
	for (pb_size_t kind = FIRST_KIND; kind <= LAST_KIND; kind++) {
		ttylock_Envelope full = largest(kind), bare = {.which_body = kind};
		const ttylock_Envelope *each[] = {&full, &bare};

		for (int i = 0; i < 2; i++) {
			uint8_t ours[FRAME_MAX], plain[FRAME_MAX];
			pb_ostream_t out = pb_ostream_from_buffer(plain, sizeof(plain));

			assert_true(pb_encode_ex(
			    &out, ttylock_Envelope_fields, each[i], PB_ENCODE_DELIMITED));
			assert_int_equal(
			    frame_encode(each[i], ours, sizeof(ours)), out.bytes_written);
			assert_memory_equal(ours, plain, out.bytes_written);
		}
	}
}

/* What was there before a message was decoded is not in it. */
static void nothing_of_before_is_left(void **state)
{
	(void)state;
	for (pb_size_t kind = FIRST_KIND; kind <= LAST_KIND; kind++) {
		ttylock_Envelope bare = {.which_body = kind}, back;
		uint8_t out[FRAME_MAX], again[FRAME_MAX];
		ssize_t n = frame_encode(&bare, out, sizeof(out));

		memset(&back, 0xa5, sizeof(back));
		assert_int_equal(frame_decode(out, (size_t)n, &back), n);
		assert_int_equal(frame_encode(&back, again, sizeof(again)), n);
		assert_memory_equal(out, again, n);
	}
}

/* Of an Envelope with two messages the last one counts. */
static void last_of_two_messages_counts(void **state)
{
	static const uint8_t bytes[] = {8, 0x0a, 2, 0x08, 1, 0x32, 2, 0x08, 5};
	ttylock_Envelope e;

	(void)state;
	assert_int_equal(frame_decode(bytes, sizeof(bytes), &e), sizeof(bytes));
	assert_int_equal(e.which_body, ttylock_Envelope_lock_release_tag);
	assert_int_equal(e.body.lock_release.request, 5);
}

/* Whatever the bytes, the decoder takes no more than there are. */
static void random_bytes(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 200000; i++) {
		size_t size = (size_t)rand() % 64;
		uint8_t *bytes = malloc(size + 1);
		ttylock_Envelope e;

		assert_non_null(bytes);
		for (size_t k = 0; k < size; k++)
			bytes[k] = (uint8_t)rand();
		if (size > 1 && rand() % 2)
			bytes[0] = (uint8_t)(size - 1);
		ssize_t n = frame_decode(bytes, size, &e);
		assert_true(n <= (ssize_t)size);
		if (n > 0)
			assert_in_range(e.which_body, FIRST_KIND, LAST_KIND);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_is_known_here),
	    cmocka_unit_test(largest_there_and_back),
	    cmocka_unit_test(cut_anywhere_is_incomplete),
	    cmocka_unit_test(two_in_one_buffer),
	    cmocka_unit_test(too_long_is_told_from_the_header),
	    cmocka_unit_test(garbage_is_refused),
	    cmocka_unit_test(field_too_long_is_refused),
	    cmocka_unit_test(unknown_fields_are_skipped),
	    cmocka_unit_test(what_is_no_message_is_not_encoded),
	    cmocka_unit_test(small_buffer_is_an_error),
	    cmocka_unit_test(bytes_are_those_of_the_envelope),
	    cmocka_unit_test(nothing_of_before_is_left),
	    cmocka_unit_test(last_of_two_messages_counts),
	    cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
