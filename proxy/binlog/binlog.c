#include "binlog_impl.h"

#include <string.h>

#include <zlib.h>

#include "mem.h"

#define CHECKSUM 4
#define FLAG_IGNORABLE 0x80

#define GTID_STANDALONE 0x01
#define GTID_PREPARED_XA 0x40
#define GTID_COMPLETED_XA 0x80

struct binlog *binlog_new(void)
{
	return mem_zalloc(sizeof(struct binlog));
}

void binlog_restart(struct binlog *b)
{
	binlog_tables_forget(b);
	b->described = b->checksums = false;
}

void binlog_free(struct binlog *b)
{
	if (!b)
		return;
	binlog_tables_forget(b);
	mem_free(b->unpacked_rows);
	mem_free(b->unpacked_events);
	mem_free(b);
}

/* ---- short events ---- */

static bool is_checked(struct span event)
{
	size_t len = event.len - CHECKSUM;

	return event.len > BINLOG_HEADER + CHECKSUM &&
	       crc32(0, (const Bytef *)event.p, (uInt)len) == binlog_u32((const uint8_t *)event.p + len);
}

/* Version, the server's name for itself, a time, the header's length, a length a type, how events are checked, a checksum. */
static enum rc read_format(struct binlog *b, struct mbuf m)
{
	uint16_t version;
	uint8_t header, how;
	size_t n;

	if (mbuf_u16(&m, &version) != RC_OK || mbuf_skip(&m, 54) != RC_OK || mbuf_u8(&m, &header) != RC_OK ||
	    version != 4 || header != BINLOG_HEADER || mbuf_left(&m) < 1 + CHECKSUM)
		return RC_ERROR;
	n = mbuf_left(&m) - 1 - CHECKSUM;
	memset(b->post_header, 0, sizeof(b->post_header));
	memcpy(b->post_header + 1, m.p, n < 255 ? n : 255);
	how = m.p[n];
	if (how > 1)
		return RC_ERROR;
	b->checksums = how == 1;
	b->described = true;
	return RC_OK;
}

static enum binlog_kind read_rotate(struct mbuf m, struct binlog_event *out)
{
	if (mbuf_u64(&m, &out->position) != RC_OK || mbuf_bytes(&m, mbuf_left(&m), &out->file) != RC_OK || !out->file.len)
		return BINLOG_UNKNOWN;
	return BINLOG_FILE;
}

static enum binlog_kind read_mariadb_gtid(struct binlog *b, struct mbuf m, struct binlog_gtid *g)
{
	uint8_t flags;

	binlog_tables_forget(b);
	if (mbuf_u64(&m, &g->seq) != RC_OK || mbuf_u32(&m, &g->domain) != RC_OK || mbuf_u8(&m, &flags) != RC_OK)
		return BINLOG_UNKNOWN;
	g->known = true;
	g->standalone = flags & GTID_STANDALONE;
	g->xa = flags & (GTID_PREPARED_XA | GTID_COMPLETED_XA);
	return BINLOG_BEGIN;
}

static enum binlog_kind read_mysql_gtid(struct binlog *b, struct mbuf m, struct binlog_gtid *g)
{
	struct span uuid;

	binlog_tables_forget(b);
	if (mbuf_skip(&m, 1) != RC_OK || mbuf_bytes(&m, sizeof(g->uuid), &uuid) != RC_OK || mbuf_u64(&m, &g->seq) != RC_OK)
		return BINLOG_UNKNOWN;
	memcpy(g->uuid, uuid.p, sizeof(g->uuid));
	g->known = g->mysql = true;
	return BINLOG_BEGIN;
}

static enum binlog_kind read_xa_prepare(struct mbuf m)
{
	uint8_t one_phase;

	if (mbuf_u8(&m, &one_phase) != RC_OK)
		return BINLOG_UNKNOWN;
	return one_phase ? BINLOG_COMMIT : BINLOG_PREPARE;
}

/* ---- those with rooms of their own ---- */

static enum rc read_query(struct binlog *b, bool cut, struct mbuf m, struct binlog_event *out)
{
	struct mbuf text;
	enum rc rc = cut ? RC_DECLINED : binlog_query_read(b, out->type, m, &out->query);

	if (rc == RC_OK && out->type == EVENT_QUERY_COMPRESSED) {
		rc = binlog_inflate(mbuf_of(out->query.sql.p, out->query.sql.len), &b->unpacked_rows, &text);
		if (rc == RC_OK)
			out->query.sql = span_of(text.p, mbuf_left(&text));
	}
	out->kind = rc == RC_OK ? BINLOG_QUERY : BINLOG_UNKNOWN;
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

static enum rc read_rows(struct binlog *b, bool cut, struct mbuf m, struct binlog_event *out)
{
	enum rc rc = binlog_rows_read(b, out->type, cut, m, &out->rows);

	out->kind = rc == RC_OK ? BINLOG_ROWS : BINLOG_UNKNOWN;
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

static enum rc read_payload(struct binlog *b, bool cut, struct mbuf m, struct binlog_event *out)
{
	enum rc rc = cut ? RC_DECLINED : binlog_payload(m, &b->unpacked_events, &out->packed);

	out->kind = rc == RC_OK ? BINLOG_PACKED : BINLOG_UNKNOWN;
	return rc == RC_ERROR ? RC_ERROR : RC_OK;
}

static bool is_rows(uint8_t type)
{
	return (type >= EVENT_WRITE_V1 && type <= EVENT_DELETE_V1) || (type >= EVENT_WRITE && type <= EVENT_DELETE) ||
	       type == EVENT_PARTIAL_UPDATE || (type >= EVENT_WRITE_COMPRESSED_V1 && type <= EVENT_DELETE_COMPRESSED);
}

static bool is_nothing(uint8_t type, uint16_t flags)
{
	switch (type) {
	case EVENT_STOP:
	case EVENT_INTVAR:
	case EVENT_APPEND_BLOCK:
	case EVENT_DELETE_FILE:
	case EVENT_RAND:
	case EVENT_USER_VAR:
	case EVENT_BEGIN_LOAD:
	case EVENT_HEARTBEAT:
	case EVENT_HEARTBEAT_V2:
	case EVENT_IGNORABLE:
	case EVENT_ROWS_QUERY:
	case EVENT_PREVIOUS_GTIDS:
	case EVENT_CONTEXT:
	case EVENT_VIEW_CHANGE:
	case EVENT_ANNOTATE:
	case EVENT_CHECKPOINT:
	case EVENT_GTID_LIST:
	case EVENT_START_ENCRYPTION:
		return true;
	default:
		return flags & FLAG_IGNORABLE;
	}
}

static enum rc read_body(struct binlog *b, uint16_t flags, bool cut, struct mbuf m, struct binlog_event *out)
{
	if (is_rows(out->type))
		return read_rows(b, cut, m, out);
	switch (out->type) {
	case EVENT_FORMAT:
		return read_format(b, m);
	case EVENT_ROTATE:
		out->kind = read_rotate(m, out);
		return RC_OK;
	case EVENT_QUERY:
	case EVENT_QUERY_COMPRESSED:
	case EVENT_EXECUTE_LOAD:
		return read_query(b, cut, m, out);
	case EVENT_XID:
		out->kind = BINLOG_COMMIT;
		return RC_OK;
	case EVENT_XA_PREPARE:
		out->kind = read_xa_prepare(m);
		return RC_OK;
	case EVENT_TABLE_MAP:
		return binlog_table_keep(b, m) == RC_ERROR ? RC_ERROR : RC_OK; /* its rows are not known then */
	case EVENT_MARIADB_GTID:
		out->kind = read_mariadb_gtid(b, m, &out->gtid);
		return RC_OK;
	case EVENT_GTID:
		out->kind = read_mysql_gtid(b, m, &out->gtid);
		return RC_OK;
	case EVENT_ANONYMOUS_GTID:
	case EVENT_TAGGED_GTID:
		binlog_tables_forget(b);
		out->kind = BINLOG_BEGIN;
		return RC_OK;
	case EVENT_PAYLOAD:
		return read_payload(b, cut, m, out);
	case EVENT_INCIDENT:
		out->kind = BINLOG_LOST;
		return RC_OK;
	default:
		out->kind = is_nothing(out->type, flags) ? BINLOG_NOTHING : BINLOG_UNKNOWN;
		return RC_OK;
	}
}

/* ---- the header ---- */

/* Time, type, the writing server, length, the position behind it, flags. */
static enum rc read_header(struct mbuf *m, struct binlog_event *out, uint32_t *len, uint16_t *flags)
{
	*out = (struct binlog_event){.kind = BINLOG_NOTHING};
	if (mbuf_skip(m, 4) != RC_OK || mbuf_u8(m, &out->type) != RC_OK || mbuf_u32(m, &out->server_id) != RC_OK ||
	    mbuf_u32(m, len) != RC_OK || mbuf_u32(m, &out->end) != RC_OK)
		return RC_ERROR;
	return mbuf_u16(m, flags);
}

/* Has it a checksum, and is it good? Before the format is known, the checksum itself tells. The format's own is not looked at: the
 * server has changed the event on its way. */
static enum rc strip_checksum(const struct binlog *b, struct span event, bool cut, uint8_t type, struct mbuf *m)
{
	bool good = type != EVENT_FORMAT && !cut && is_checked(event);

	if (type == EVENT_FORMAT || (b->described ? !b->checksums : !good) || cut)
		return RC_OK;
	if (!good || mbuf_left(m) < CHECKSUM)
		return RC_ERROR;
	m->end -= CHECKSUM;
	return RC_OK;
}

enum rc binlog_read(struct binlog *b, struct span event, bool cut, struct binlog_event *out)
{
	struct mbuf m = mbuf_of(event.p, event.len);
	uint16_t flags;
	uint32_t len;

	if (read_header(&m, out, &len, &flags) != RC_OK || (cut ? len < event.len : len != event.len) ||
	    strip_checksum(b, event, cut, out->type, &m) != RC_OK)
		return RC_ERROR;
	if (!b->described && out->type != EVENT_FORMAT && out->type != EVENT_ROTATE && out->type != EVENT_HEARTBEAT)
		return RC_ERROR;
	return read_body(b, flags, cut, m, out);
}

enum rc binlog_packed_next(struct binlog *b, struct mbuf *packed, struct binlog_event *out)
{
	struct mbuf head = *packed, m;
	struct span event;
	uint16_t flags;
	uint32_t len;

	if (!mbuf_left(packed))
		return RC_DECLINED;
	if (read_header(&head, out, &len, &flags) != RC_OK || len < BINLOG_HEADER || mbuf_bytes(packed, len, &event) != RC_OK)
		return RC_ERROR;
	if (out->type == EVENT_PAYLOAD || out->type == EVENT_FORMAT) { /* not inside */
		out->kind = BINLOG_UNKNOWN;
		return RC_OK;
	}
	m = mbuf_of(event.p + BINLOG_HEADER, event.len - BINLOG_HEADER);
	return read_body(b, flags, false, m, out);
}
