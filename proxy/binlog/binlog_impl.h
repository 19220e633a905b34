/*
 * binlog_impl.h - the decoder's own room: what its files share. Others use binlog.h.
 *
 * binlog.c        an event's header and checksum, and the events that are short
 * binlog_query.c  statements
 * binlog_rows.c   tables and rows
 * binlog_value.c  where a column's value ends
 * binlog_pack.c   what is compressed
 */
#ifndef SUIMON_BINLOG_IMPL_H
#define SUIMON_BINLOG_IMPL_H

#include "binlog.h"

enum binlog_type {
	EVENT_QUERY = 2, EVENT_STOP = 3, EVENT_ROTATE = 4, EVENT_INTVAR = 5, EVENT_APPEND_BLOCK = 9, EVENT_DELETE_FILE = 11,
	EVENT_RAND = 13, EVENT_USER_VAR = 14, EVENT_FORMAT = 15, EVENT_XID = 16, EVENT_BEGIN_LOAD = 17, EVENT_EXECUTE_LOAD = 18,
	EVENT_TABLE_MAP = 19, EVENT_WRITE_V1 = 23, EVENT_UPDATE_V1 = 24, EVENT_DELETE_V1 = 25, EVENT_INCIDENT = 26, EVENT_HEARTBEAT = 27,
	EVENT_IGNORABLE = 28, EVENT_ROWS_QUERY = 29, EVENT_WRITE = 30, EVENT_UPDATE = 31, EVENT_DELETE = 32,
	/* MySQL's */
	EVENT_GTID = 33, EVENT_ANONYMOUS_GTID = 34, EVENT_PREVIOUS_GTIDS = 35, EVENT_CONTEXT = 36, EVENT_VIEW_CHANGE = 37,
	EVENT_XA_PREPARE = 38, EVENT_PARTIAL_UPDATE = 39, EVENT_PAYLOAD = 40, EVENT_HEARTBEAT_V2 = 41, EVENT_TAGGED_GTID = 42,
	/* MariaDB's */
	EVENT_ANNOTATE = 160, EVENT_CHECKPOINT = 161, EVENT_MARIADB_GTID = 162, EVENT_GTID_LIST = 163, EVENT_START_ENCRYPTION = 164,
	EVENT_QUERY_COMPRESSED = 165, EVENT_WRITE_COMPRESSED_V1 = 166, EVENT_UPDATE_COMPRESSED_V1 = 167, EVENT_DELETE_COMPRESSED_V1 = 168,
	EVENT_WRITE_COMPRESSED = 169, EVENT_UPDATE_COMPRESSED = 170, EVENT_DELETE_COMPRESSED = 171,
};

/* m: behind the header, without a checksum. RC_DECLINED: cannot be read. RC_ERROR: no memory. */
enum rc binlog_query_read(const struct binlog *b, uint8_t type, struct mbuf m, struct binlog_query *out) must_check;
enum rc binlog_table_keep(struct binlog *b, struct mbuf m) must_check;
enum rc binlog_rows_read(struct binlog *b, uint8_t type, bool cut, struct mbuf m, struct binlog_rows *out) must_check;
void binlog_tables_forget(struct binlog *b);

/* MariaDB's compression: a length and a zlib stream. *buffer: replaced; owned by the caller. */
enum rc binlog_inflate(struct mbuf packed, uint8_t **buffer, struct mbuf *out) must_check;
/* MySQL's transaction payload. */
enum rc binlog_payload(struct mbuf m, uint8_t **buffer, struct mbuf *out) must_check;

/* A column's metadata is taken from *metadata; present: its value from *data, into *v. RC_DECLINED: a type that is not known. */
enum rc binlog_value_next(uint8_t type, struct mbuf *metadata, bool present, struct mbuf *data, struct binlog_value *v) must_check;

static inline uint32_t binlog_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#endif
