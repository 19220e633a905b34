/*
 * outbox.c - see outbox.h.
 */
#include "outbox.h"

#include "bytes.h"
#include "clock.h"

void outbox_init(struct outbox *o)
{
	*o = (struct outbox){0};
	iobuf_init(&o->bodies, 0);
	ticket_line_init(&o->line);
}

void outbox_reset(struct outbox *o)
{
	iobuf_reset(&o->bodies);
}

enum rc outbox_put(struct outbox *o, const struct record *rec, size_t size, struct queue_ticket *t)
{
	uint8_t *p = iobuf_reserve(&o->bodies, OUTBOX_LENGTH_BYTES + size);

	if (!p)
		return RC_ERROR;
	record_encode(rec, bytes_put(p, OUTBOX_LENGTH_BYTES, size));
	iobuf_commit(&o->bodies, OUTBOX_LENGTH_BYTES + size);
	t->rc = RC_AGAIN;
	t->error = NULL;
	t->seq = 0;
	ticket_push(&o->line, t);
	if (!o->n++)
		o->since_ns = clock_mono_ns();
	o->waiting++;
	return RC_OK;
}

static size_t first_length(const struct outbox *o)
{
	const uint8_t *p = iobuf_data(&o->bodies);

	return OUTBOX_LENGTH_BYTES + ((size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24);
}

size_t outbox_take(struct outbox *o, size_t most, size_t most_bytes, struct iobuf *bodies, struct ticket_line *line)
{
	size_t n = 0, bytes = iobuf_len(bodies);

	while (o->n && n < most) {
		size_t len = first_length(o);

		if (bytes + len > most_bytes || iobuf_append(bodies, iobuf_data(&o->bodies), len) != RC_OK)
			break;
		iobuf_consume(&o->bodies, len);
		ticket_push(line, ticket_pop(&o->line));
		bytes += len;
		o->n--;
		n++;
	}
	if (n)
		o->since_ns = clock_mono_ns();
	return n;
}

size_t outbox_give_back(struct outbox *o, struct ticket_line *line)
{
	size_t n = o->n;

	o->n = 0;
	iobuf_consume(&o->bodies, iobuf_len(&o->bodies));
	ticket_take(&o->line, line);
	return n;
}
