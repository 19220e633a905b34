/*
 * binlog.h - what a server's binary log says, event by event: files, transactions, statements, rows (MariaDB, MySQL).
 *
 *   binlog_read(event) → kind
 *     BINLOG_ROWS   → binlog_image_next …   the values of the columns asked for, row by row
 *     BINLOG_PACKED → binlog_packed_next …  the events inside
 *
 * Pure: no sockets, no schema. Every byte is the server's and as hostile as a client's (F2): what cannot be read is told
 * apart from what is of no interest, so that the caller can take it for a change of anything. Formats: the servers' own
 * documents of their replication protocols.
 */
#ifndef SUIMON_BINLOG_H
#define SUIMON_BINLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "mbuf.h"
#include "rc.h"
#include "span.h"

#define BINLOG_HEADER 19                /* bytes before an event's own */
#define BINLOG_UNPACKED_MOST (64u << 20) /* bytes of what was compressed; more is not read */
#define BINLOG_TABLES_MOST 256          /* described in one transaction; rows of further ones cannot be read */

enum binlog_kind {
	BINLOG_NOTHING, /* changes no row */
	BINLOG_FILE,    /* what follows is of another file: file, position */
	BINLOG_BEGIN,   /* a transaction: gtid */
	BINLOG_QUERY,   /* a statement: query; BEGIN and COMMIT are some, too */
	BINLOG_COMMIT,
	BINLOG_PREPARE, /* XA PREPARE ends the transaction (MySQL): its rows count when it is committed */
	BINLOG_ROWS,    /* rows */
	BINLOG_PACKED,  /* a compressed transaction: packed */
	BINLOG_LOST,    /* the server says that something is missing */
	BINLOG_UNKNOWN, /* cannot be read: may be a change of anything */
};

struct binlog_gtid {
	bool known;      /* false: the transaction has none that could be read */
	bool mysql;      /* uuid and seq; else domain and seq */
	bool standalone; /* MariaDB: one statement, no commit follows */
	bool xa;         /* MariaDB: of XA PREPARE, XA COMMIT or XA ROLLBACK */
	uint32_t domain;
	uint64_t seq;
	uint8_t uuid[16];
};

struct binlog_query {
	struct span schema, sql; /* into the event */
	uint64_t mode;           /* sql_mode, as the servers number its bits */
	uint16_t charset;        /* of the text, a collation's number; 0: not told */
};

struct binlog_table {
	uint64_t id;
	struct span schema, name;
	unsigned columns;
	struct span types, metadata; /* a byte a column; what they need */
	uint8_t *memory;             /* owned: backs the spans */
};

enum binlog_change { BINLOG_INSERTED, BINLOG_UPDATED, BINLOG_DELETED };
struct binlog_rows {
	const struct binlog_table *table; /* NULL: not known. Until the next transaction begins */
	enum binlog_change change;
	bool readable;                    /* binlog_image_next may be asked */
	struct span before, after;        /* bitmaps: the columns in each image; after where it updates */
	struct mbuf data;
};

struct binlog_event {
	enum binlog_kind kind;
	uint8_t type;
	uint32_t server_id; /* of the server where it was written first */
	uint32_t end;       /* position behind it in its file; 0: it is in none */
	struct span file;
	uint64_t position;
	struct binlog_gtid gtid;
	struct binlog_query query;
	struct binlog_rows rows;
	struct mbuf packed;
};

/* What carries over from event to event. One stream's. */
struct binlog {
	bool described, checksums; /* its format has been told; each event ends with a CRC32 */
	uint8_t post_header[256];  /* bytes before the payload, by type */
	struct binlog_table tables[BINLOG_TABLES_MOST];
	unsigned ntables;
	uint8_t *unpacked_rows, *unpacked_events; /* owned; the last ones */
};

struct binlog *binlog_new(void) must_check;
void binlog_free(struct binlog *b); /* NULL is allowed */
void binlog_restart(struct binlog *b); /* another stream begins */

/* One event, header and all. cut: its end is missing. out's spans point into the event, or into b until the next call.
 * RC_ERROR: no event (lengths, checksum) or no memory: the stream cannot be followed. */
enum rc binlog_read(struct binlog *b, struct span event, bool cut, struct binlog_event *out) must_check;
/* The next event inside of a BINLOG_PACKED. RC_DECLINED: there are no more. RC_ERROR: as above. */
enum rc binlog_packed_next(struct binlog *b, struct mbuf *packed, struct binlog_event *out) must_check;

enum binlog_value_kind {
	BINLOG_ABSENT,  /* the image does not have the column */
	BINLOG_NULL,
	BINLOG_INTEGER, /* raw: 1 to 8 bytes, little-endian; whether they are signed only the schema says */
	BINLOG_STRING,  /* raw: the bytes, in the column's character set */
	BINLOG_OTHER,
};
struct binlog_value {
	uint16_t column; /* set by the caller: from 0 */
	enum binlog_value_kind kind;
	struct span raw;
};

/* The next image: of each row the one before, where it was updated or deleted, then the one after, where it was inserted or updated.
 * RC_DECLINED: there are no more. RC_ERROR: cannot be read, and what was read of this event need not be right. */
enum rc binlog_image_next(struct binlog_rows *r, bool after, struct binlog_value *values, unsigned n) must_check;

/* MySQL's GTIDs as text, "uuid:1-5:7,uuid2:3". Has the set this one (of no tag)? What cannot be read has nothing. */
bool binlog_gtids_has(struct span set, const uint8_t uuid[16], uint64_t seq);
/* Appends it as COM_BINLOG_DUMP_GTID takes it. RC_DECLINED: it cannot be read. RC_ERROR: no memory. */
struct iobuf;
enum rc binlog_gtids_encode(struct span set, struct iobuf *out) must_check;

#endif
