#include "message.h"

#include <pb_common.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void number_fill(struct bytes *b, const pb_field_iter_t *field)
{
	static const uint64_t edges[] = {UINT64_MAX, INT32_MAX, (uint64_t)INT32_MIN, UINT32_MAX,
	    INT64_MAX, 1u << 31, 0x80, 0x3fff, 65534, 1024};
	uint8_t byte = bytes_take(b);
	uint64_t value = byte < 240 ? byte % 32 : edges[byte % (sizeof(edges) / sizeof(*edges))];

	/* x86: the low bytes come first. */
	memcpy(field->pData, &value, field->data_size);
}

/* At most `room` bytes of an alphabet that holds what harms a terminal. */
static size_t text_fill(struct bytes *b, uint8_t *out, size_t room)
{
	uint8_t byte = bytes_take(b);
	size_t n = byte < 128 ? byte % 8 : byte < 250 ? byte % room : room;

	if (n > room)
		n = room;
	for (size_t i = 0; i < n; i++)
		out[i] = i < 16 ? bytes_take(b) : 'x';
	return n;
}

static void fields_fill(struct bytes *b, const pb_msgdesc_t *type, void *message);

static void field_fill(struct bytes *b, pb_field_iter_t *field)
{
	pb_bytes_array_t *array = field->pData;

	switch (PB_LTYPE(field->type)) {
	case PB_LTYPE_BOOL:
		*(bool *)field->pData = bytes_take(b) & 1;
		break;
	case PB_LTYPE_STRING:
		text_fill(b, field->pData, field->data_size - 1u);
		break;
	case PB_LTYPE_BYTES:
		array->size = (pb_size_t)text_fill(
		    b, array->bytes, field->data_size - offsetof(pb_bytes_array_t, bytes));
		break;
	case PB_LTYPE_SUBMESSAGE:
		*(bool *)field->pSize = bytes_take(b) & 1;
		if (*(bool *)field->pSize)
			fields_fill(b, field->submsg_desc, field->pData);
		break;
	default:
		number_fill(b, field);
		break;
	}
}

static void fields_fill(struct bytes *b, const pb_msgdesc_t *type, void *message)
{
	pb_field_iter_t field;

	if (!pb_field_iter_begin(&field, type, message))
		return;
	do
		field_fill(b, &field);
	while (pb_field_iter_next(&field));
}

void message_fill(struct bytes *b, ttylock_Envelope *e)
{
	message_fill_kind(b, e, (pb_size_t)(1 + bytes_take(b) % 16));
}

void message_fill_kind(struct bytes *b, ttylock_Envelope *e, pb_size_t kind)
{
	pb_field_iter_t body;

	memset(e, 0, sizeof(*e));
	e->which_body = kind;
	if (!pb_field_iter_begin(&body, ttylock_Envelope_fields, e) ||
	    !pb_field_iter_find(&body, e->which_body))
		abort();
	fields_fill(b, body.submsg_desc, body.pData);
}

size_t message_frame(uint8_t *data, size_t max, unsigned seed)
{
	uint8_t random[256];
	struct bytes b = {.data = random, .size = sizeof(random)};
	ttylock_Envelope e;

	for (size_t i = 0; i < sizeof(random); i++) {
		seed = seed * 1103515245 + 12345;
		random[i] = (uint8_t)(seed >> 16);
	}
	message_fill(&b, &e);
	ssize_t n = frame_encode(&e, data, max);
	return n > 0 ? (size_t)n : 0;
}
