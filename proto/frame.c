#include "frame.h"

#include <assert.h>
#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <string.h>

_Static_assert(ttylock_Envelope_size <= FRAME_BODY_MAX, "every message fits into a frame");

/* Tag and length of the one field of an Envelope. */
#define FIELD_HEAD_MAX 8

/* What a message takes in an Envelope, by its kind. */
#define MEMBER(body, name, path)			 ((ttylock_Envelope *)0)->path
#define SIZE_OF_KIND(a, atype, htype, ltype, field, tag) [tag - 1] = sizeof(MEMBER field),
static const uint16_t kind_sizes[] = {ttylock_Envelope_FIELDLIST(SIZE_OF_KIND, )};

/* What kind of message a field of the Envelope is; NULL: none. They are all messages
 * and numbered from 1 without a gap, so it is found by its number. nanopb itself would
 * walk along all of them, and measure each message before it writes it. */
static const pb_msgdesc_t *kind_find(uint32_t tag)
{
	const pb_msgdesc_t *all = ttylock_Envelope_fields;

	assert(all->field_count == all->largest_tag);
	return tag >= 1 && tag <= all->field_count ? all->submsg_info[tag - 1] : NULL;
}

ssize_t frame_encode(const ttylock_Envelope *e, uint8_t *buf, size_t size)
{
	uint8_t body[FRAME_BODY_MAX], head[FIELD_HEAD_MAX];
	const pb_msgdesc_t *kind = kind_find(e->which_body);
	pb_ostream_t b = pb_ostream_from_buffer(body, sizeof(body));
	pb_ostream_t h = pb_ostream_from_buffer(head, sizeof(head));

	if (!kind || !pb_encode(&b, kind, &e->body))
		return -EINVAL;
	pb_encode_tag(&h, PB_WT_STRING, e->which_body);
	pb_encode_varint(&h, b.bytes_written);

	pb_ostream_t out = pb_ostream_from_buffer(buf, size);
	if (!pb_encode_varint(&out, h.bytes_written + b.bytes_written) ||
	    !pb_write(&out, head, h.bytes_written) || !pb_write(&out, body, b.bytes_written))
		return -EMSGSIZE;
	return (ssize_t)out.bytes_written;
}

/* The length in a frame's header: bytes taken (1 or 2), 0 incomplete, or
 * -EMSGSIZE. Two bytes are enough for every length that we take, so a third
 * one means "too long" without reading further. */
static ssize_t header_decode(const uint8_t *buf, size_t len, size_t *body)
{
	if (len < 1)
		return 0;
	if (!(buf[0] & 0x80)) {
		*body = buf[0];
		return 1;
	}
	if (len < 2)
		return 0;
	*body = (size_t)(buf[0] & 0x7f) | (size_t)buf[1] << 7;
	return (buf[1] & 0x80) || *body > FRAME_BODY_MAX ? -EMSGSIZE : 2;
}

/* As everybody writes it, the Envelope is one field and nothing else. */
static bool body_decode(const uint8_t *buf, size_t len, ttylock_Envelope *e)
{
	pb_istream_t in = pb_istream_from_buffer(buf, len);
	const pb_msgdesc_t *kind = NULL;
	pb_wire_type_t type;
	uint32_t tag, size;
	bool eof;

	if (pb_decode_tag(&in, &type, &tag, &eof) && type == PB_WT_STRING)
		kind = kind_find(tag);
	if (kind && pb_decode_varint32(&in, &size) && size == in.bytes_left) {
		e->which_body = (pb_size_t)tag;
		/* What nanopb would set field by field, for all of ours are zero. */
		memset(&e->body, 0, kind_sizes[tag - 1]);
		return pb_decode_ex(&in, kind, &e->body, PB_DECODE_NOINIT);
	}
	in = pb_istream_from_buffer(buf, len);
	return pb_decode(&in, ttylock_Envelope_fields, e) && e->which_body != 0;
}

ssize_t frame_decode(const uint8_t *buf, size_t len, ttylock_Envelope *e)
{
	size_t body;
	ssize_t head = header_decode(buf, len, &body);

	if (head <= 0)
		return head;
	if (len - (size_t)head < body)
		return 0;

	return body_decode(buf + head, body, e) ? head + (ssize_t)body : -EPROTO;
}
