#include "bus_msg.h"

#include <string.h>

#include "log.h"

#define MAGIC 0x31424d53u /* "SMB1" */
#define COUNT_AT 24

/* The buffer holds the largest message there can be. */
static void must(enum rc rc)
{
	if (rc != RC_OK)
		log_impossible("cache", "a bus message does not fit", NULL);
}

static bool has_number(uint32_t kind)
{
	return kind == BUS_MSG_HEARTBEAT || kind == BUS_MSG_ALL || kind == BUS_MSG_ANEW;
}

void bus_msg_begin(struct bus_msg *m, enum bus_msg_kind kind, const uint8_t id[BUS_MSG_ID], uint64_t number)
{
	struct wirebuf w = {.p = m->bytes, .end = m->bytes + sizeof(m->bytes)};

	must(wirebuf_uint(&w, 4, MAGIC));
	must(wirebuf_uint(&w, 4, kind)); /* the kind and three zeros */
	must(wirebuf_bytes(&w, id, BUS_MSG_ID));
	must(wirebuf_uint(&w, 4, 0));
	if (has_number(kind))
		must(wirebuf_uint(&w, 8, number));
	m->len = (size_t)(w.p - m->bytes);
	m->count = 0;
}

enum rc bus_msg_add(struct bus_msg *m, uint32_t slot, const struct versions_pos *pos, uint64_t now)
{
	struct wirebuf w = {.p = m->bytes + m->len, .end = m->bytes + sizeof(m->bytes)};
	struct wirebuf count = {.p = m->bytes + COUNT_AT, .end = m->bytes + BUS_MSG_HEAD};
	bool unknown = pos->unknown_until > now;

	if (m->count == BUS_MSG_WRITES)
		return RC_DECLINED;
	must(wirebuf_uint(&w, 2, slot));
	must(wirebuf_uint(&w, 1, pos->n));
	must(wirebuf_uint(&w, 1, unknown));
	for (unsigned i = 0; i < pos->n; i++) {
		must(wirebuf_uint(&w, 4, pos->pos[i].domain));
		must(wirebuf_uint(&w, 8, pos->pos[i].seq));
	}
	if (unknown)
		must(wirebuf_uint(&w, 8, pos->unknown_until - now));
	m->len = (size_t)(w.p - m->bytes);
	must(wirebuf_uint(&count, 4, ++m->count));
	return RC_OK;
}

enum rc bus_msg_read(struct span bytes, struct bus_msg_in *in)
{
	uint32_t magic, kind;
	struct span id;

	*in = (struct bus_msg_in){.m = mbuf_of(bytes.p, bytes.len)};
	if (mbuf_u32(&in->m, &magic) != RC_OK || magic != MAGIC || mbuf_u32(&in->m, &kind) != RC_OK ||
	    mbuf_bytes(&in->m, BUS_MSG_ID, &id) != RC_OK || mbuf_u32(&in->m, &in->left) != RC_OK)
		return RC_ERROR;
	if (kind < BUS_MSG_HEARTBEAT || kind > BUS_MSG_ANEW || in->left > BUS_MSG_WRITES)
		return RC_ERROR;
	in->kind = (enum bus_msg_kind)kind;
	in->id = (const uint8_t *)id.p;
	if (has_number(kind) && mbuf_u64(&in->m, &in->number) != RC_OK)
		return RC_ERROR;
	if (kind != BUS_MSG_WRITE && (in->left || mbuf_left(&in->m)))
		return RC_ERROR;
	return RC_OK;
}

static enum rc read_write(struct mbuf *m, uint64_t now, uint32_t *slot, struct versions_pos *pos)
{
	uint8_t n, unknown;
	uint16_t number;
	uint64_t ns;

	*pos = (struct versions_pos){.n = 0};
	if (mbuf_u16(m, &number) != RC_OK || mbuf_u8(m, &n) != RC_OK || n > VERSIONS_POSITIONS || mbuf_u8(m, &unknown) != RC_OK)
		return RC_ERROR;
	*slot = number;
	for (pos->n = 0; pos->n < n; pos->n++) {
		if (mbuf_u32(m, &pos->pos[pos->n].domain) != RC_OK || mbuf_u64(m, &pos->pos[pos->n].seq) != RC_OK)
			return RC_ERROR;
	}
	if (unknown) {
		if (mbuf_u64(m, &ns) != RC_OK)
			return RC_ERROR;
		pos->unknown_at = now;
		pos->unknown_until = ns > UINT64_MAX - now ? UINT64_MAX : now + ns;
	}
	return RC_OK;
}

enum rc bus_msg_next(struct bus_msg_in *in, uint64_t now, uint32_t *slot, struct versions_pos *pos)
{
	if (in->left == 0)
		return mbuf_left(&in->m) == 0 ? RC_DECLINED : RC_ERROR;
	in->left--;
	return read_write(&in->m, now, slot, pos);
}
