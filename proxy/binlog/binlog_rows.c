/*
 * binlog_rows.c - tables as the binlog describes them, and the rows that were changed in them.
 *
 * A description gives a table a number, and each column its type, and says nothing of keys or signs: that is the schema's.
 * Rows are images: a bitmap says which columns they have, a second one which of those are NULL, then come the values.
 */
#include <string.h>

#include "binlog_impl.h"
#include "mem.h"
#include "packet.h"

#define COLUMNS_MOST 4096 /* the servers' own limit */

void binlog_tables_forget(struct binlog *b)
{
	while (b->ntables)
		mem_free(b->tables[--b->ntables].memory);
}

static enum rc read_id(const struct binlog *b, uint8_t type, struct mbuf *m, uint64_t *id)
{
	return mbuf_uint(m, b->post_header[type] == 6 ? 4 : 6, id);
}

static enum rc read_name(struct mbuf *m, struct span *name)
{
	uint8_t len;

	if (mbuf_u8(m, &len) != RC_OK || mbuf_bytes(m, len, name) != RC_OK)
		return RC_ERROR;
	return mbuf_skip(m, 1);
}

static enum rc read_table(struct mbuf *m, struct binlog_table *t)
{
	uint64_t columns;

	if (mbuf_skip(m, 2) != RC_OK || read_name(m, &t->schema) != RC_OK || read_name(m, &t->name) != RC_OK ||
	    packet_get_lenenc(m, &columns) != RC_OK || columns > COLUMNS_MOST || mbuf_bytes(m, columns, &t->types) != RC_OK ||
	    packet_get_lenenc_str(m, &t->metadata) != RC_OK)
		return RC_ERROR;
	t->columns = (unsigned)columns;
	return RC_OK;
}

/* Where the table stands, or a new place; NULL: there is none. */
static struct binlog_table *place_of(struct binlog *b, uint64_t id)
{
	for (unsigned i = 0; i < b->ntables; i++)
		if (b->tables[i].id == id) {
			mem_free(b->tables[i].memory);
			return &b->tables[i];
		}
	return b->ntables < BINLOG_TABLES_MOST ? &b->tables[b->ntables++] : NULL;
}

/* One that cannot be kept is not known when its rows come. */
enum rc binlog_table_keep(struct binlog *b, struct mbuf m)
{
	struct binlog_table t = {.id = 0}, *place;
	struct mbuf own;
	uint64_t id;

	if (read_id(b, EVENT_TABLE_MAP, &m, &id) != RC_OK)
		return RC_DECLINED;
	place = place_of(b, id);
	if (!place)
		return RC_OK;
	t.memory = mem_dup(m.p, mbuf_left(&m));
	own = mbuf_of(t.memory, mbuf_left(&m));
	if (!t.memory || read_table(&own, &t) != RC_OK) {
		mem_free(t.memory);
		*place = b->tables[--b->ntables];
		return RC_DECLINED;
	}
	t.id = id;
	*place = t;
	return RC_OK;
}

static const struct binlog_table *find(const struct binlog *b, uint64_t id)
{
	for (unsigned i = 0; i < b->ntables; i++)
		if (b->tables[i].id == id)
			return &b->tables[i];
	return NULL;
}

/* ---- what kind of event it is ---- */

struct rows_type { enum binlog_change change; bool extra, compressed; };

static struct rows_type rows_type(uint8_t type)
{
	if (type >= EVENT_WRITE_COMPRESSED)
		return (struct rows_type){(enum binlog_change)(type - EVENT_WRITE_COMPRESSED), true, true};
	if (type >= EVENT_WRITE_COMPRESSED_V1)
		return (struct rows_type){(enum binlog_change)(type - EVENT_WRITE_COMPRESSED_V1), false, true};
	if (type == EVENT_PARTIAL_UPDATE)
		return (struct rows_type){BINLOG_UPDATED, true, false};
	if (type >= EVENT_WRITE)
		return (struct rows_type){(enum binlog_change)(type - EVENT_WRITE), true, false};
	return (struct rows_type){(enum binlog_change)(type - EVENT_WRITE_V1), false, false};
}

static enum rc skip_extra(struct mbuf *m)
{
	uint16_t len;

	if (mbuf_u16(m, &len) != RC_OK || len < 2)
		return RC_ERROR;
	return mbuf_skip(m, (size_t)len - 2);
}

enum rc binlog_rows_read(struct binlog *b, uint8_t type, bool cut, struct mbuf m, struct binlog_rows *out)
{
	struct rows_type t = rows_type(type);
	uint64_t id, columns;
	size_t bitmap;
	enum rc rc;

	*out = (struct binlog_rows){.change = t.change};
	if (read_id(b, type, &m, &id) != RC_OK)
		return RC_DECLINED;
	out->table = find(b, id);
	if (!out->table || cut || type == EVENT_PARTIAL_UPDATE)
		return RC_OK; /* by table at most */
	if (mbuf_skip(&m, 2) != RC_OK || (t.extra && skip_extra(&m) != RC_OK) || packet_get_lenenc(&m, &columns) != RC_OK ||
	    columns != out->table->columns)
		return RC_OK;
	bitmap = (size_t)(columns + 7) / 8;
	if (mbuf_bytes(&m, bitmap, &out->before) != RC_OK)
		return RC_OK;
	out->after = out->before;
	if (t.change == BINLOG_UPDATED && mbuf_bytes(&m, bitmap, &out->after) != RC_OK)
		return RC_OK;
	out->data = m;
	rc = t.compressed ? binlog_inflate(m, &b->unpacked_rows, &out->data) : RC_OK;
	out->readable = rc == RC_OK;
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

/* ---- images ---- */

static bool bit(struct span bitmap, unsigned i)
{
	return (uint8_t)bitmap.p[i / 8] >> (i % 8) & 1;
}

static void give(struct binlog_value *values, unsigned n, unsigned column, const struct binlog_value *v)
{
	for (unsigned i = 0; i < n; i++)
		if (values[i].column == column) {
			values[i].kind = v->kind;
			values[i].raw = v->raw;
		}
}

static enum rc read_nulls(struct binlog_rows *r, struct span has, struct span *nulls)
{
	unsigned present = 0;

	for (unsigned i = 0; i < r->table->columns; i++)
		present += bit(has, i);
	return mbuf_bytes(&r->data, (present + 7) / 8, nulls);
}

enum rc binlog_image_next(struct binlog_rows *r, bool after, struct binlog_value *values, unsigned n)
{
	const struct binlog_table *t = r->table;
	struct span has = after ? r->after : r->before, nulls;
	struct mbuf metadata = mbuf_of(t->metadata.p, t->metadata.len);
	const uint8_t *began = r->data.p;

	for (unsigned i = 0; i < n; i++)
		values[i].kind = BINLOG_ABSENT;
	if (!r->readable)
		return RC_ERROR;
	if (!mbuf_left(&r->data))
		return RC_DECLINED;
	if (read_nulls(r, has, &nulls) != RC_OK)
		return RC_ERROR;
	for (unsigned i = 0, at = 0; i < t->columns; i++) {
		struct binlog_value v = {.kind = BINLOG_NULL};
		bool present = bit(has, i), null = present && bit(nulls, at++);

		if (binlog_value_next((uint8_t)t->types.p[i], &metadata, present && !null, &r->data, &v) != RC_OK)
			return RC_ERROR;
		if (present)
			give(values, n, i, &v);
	}
	return r->data.p == began ? RC_ERROR : RC_OK; /* of nothing there is no end */
}
