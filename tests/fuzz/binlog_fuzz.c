/*
 * binlog_fuzz.c - a binary log, event behind event as in a file, after its magic (F2): every row of every event is read.
 * The first byte says whether long events are cut. Checksums are put right, to get past them. The same bytes are read as a set of
 * MySQL's GTIDs.
 */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "binlog.h"
#include "iobuf.h"
#include "mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COLUMNS 8
#define CUT 200

static volatile uint8_t seen;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void look(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		seen ^= (uint8_t)s.p[i];
}

static void look_at_rows(struct binlog_rows *r)
{
	struct binlog_value v[COLUMNS];
	bool after = r->change == BINLOG_INSERTED;

	if (!r->table)
		return;
	look(r->table->schema);
	look(r->table->name);
	for (uint16_t i = 0; i < COLUMNS; i++)
		v[i].column = (uint16_t)(i * i);
	while (binlog_image_next(r, after, v, COLUMNS) == RC_OK) {
		for (unsigned i = 0; i < COLUMNS; i++) {
			must(v[i].kind != BINLOG_INTEGER || (v[i].raw.len >= 1 && v[i].raw.len <= 8));
			if (v[i].kind > BINLOG_NULL)
				look(v[i].raw);
		}
		if (r->change == BINLOG_UPDATED)
			after = !after;
	}
}

static void look_at(struct binlog *b, struct binlog_event *e)
{
	struct binlog_event inner;

	switch (e->kind) {
	case BINLOG_FILE:
		look(e->file);
		break;
	case BINLOG_QUERY:
		look(e->query.schema);
		look(e->query.sql);
		break;
	case BINLOG_ROWS:
		look_at_rows(&e->rows);
		break;
	case BINLOG_PACKED:
		while (binlog_packed_next(b, &e->packed, &inner) == RC_OK) {
			must(inner.kind != BINLOG_PACKED);
			look_at(b, &inner);
		}
		break;
	default:
		break;
	}
}

static uint32_t length_of(const uint8_t *p)
{
	return (uint32_t)p[9] | (uint32_t)p[10] << 8 | (uint32_t)p[11] << 16 | (uint32_t)p[12] << 24;
}

static void mend(uint8_t *p, size_t len)
{
	uint32_t crc = (uint32_t)crc32(0, p, (uInt)(len - 4));

	for (unsigned i = 0; i < 4; i++)
		p[len - 4 + i] = (uint8_t)(crc >> 8 * i);
}

static bool one(struct binlog *b, const uint8_t *p, size_t len, bool cut)
{
	struct binlog_event e;
	uint8_t *copy = mem_dup(p, len);
	bool good;

	must(copy != NULL);
	if (b->checksums && len > BINLOG_HEADER + 4)
		mend(copy, len);
	good = binlog_read(b, span_of(copy, cut && len > CUT ? CUT : len), cut && len > CUT, &e) == RC_OK;
	if (good)
		look_at(b, &e);
	mem_free(copy);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t uuid[16] = {0x3e, 0x11, 0xfa, 0x47};
	struct binlog *b = binlog_new();
	struct iobuf set;
	bool cut = size && data[0] & 1;

	must(b != NULL);
	iobuf_init(&set, 0);
	if (binlog_gtids_encode(span_of(data, size), &set) == RC_OK)
		must(iobuf_len(&set) >= 8);
	(void)binlog_gtids_has(span_of(data, size), uuid, 5);
	iobuf_reset(&set);
	for (size_t at = 1; at + BINLOG_HEADER <= size;) {
		size_t len = length_of(data + at);

		if (len < BINLOG_HEADER || len > size - at || !one(b, data + at, len, cut))
			break;
		at += len;
	}
	binlog_free(b);
	return 0;
}
