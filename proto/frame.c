#include "frame.h"

#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>

ssize_t frame_encode(const ttylock_Envelope *e, uint8_t *buf, size_t size)
{
	size_t body;

	if (!pb_get_encoded_size(&body, ttylock_Envelope_fields, e))
		return -EINVAL;
	if (body > FRAME_BODY_MAX)
		return -EMSGSIZE;

	pb_ostream_t out = pb_ostream_from_buffer(buf, size);
	if (!pb_encode_varint(&out, body) || !pb_encode(&out, ttylock_Envelope_fields, e))
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

ssize_t frame_decode(const uint8_t *buf, size_t len, ttylock_Envelope *e)
{
	size_t body;
	ssize_t head = header_decode(buf, len, &body);

	if (head <= 0)
		return head;
	if (len - (size_t)head < body)
		return 0;

	pb_istream_t in = pb_istream_from_buffer(buf + head, body);
	if (!pb_decode(&in, ttylock_Envelope_fields, e) || e->which_body == 0)
		return -EPROTO;
	return head + (ssize_t)body;
}
