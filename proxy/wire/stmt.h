/*
 * stmt.h - the packets of prepared statements: execute's parameters read, an execute written for another connection.
 */
#ifndef SUIMON_STMT_H
#define SUIMON_STMT_H

#include "packet.h"

#define STMT_BULK_TYPES 0x80     /* of bulk_flags: types are sent; 0x40 asks for each row's outcome */
#define STMT_EXECUTE_HEADER 10 /* command, statement id, flags, iteration count */

struct stmt_prepared { /* the first packet of a prepare reply */
	uint32_t id;
	uint16_t columns, params, warnings;
};
enum rc stmt_parse_prepared(struct span payload, struct stmt_prepared *p) must_check;

struct stmt_execute {
	uint32_t id;
	bool bulk;             /* COM_STMT_BULK_EXECUTE: values are rows, one behind the other */
	uint16_t bulk_flags;
	uint8_t flags; /* cursor type; 0x08 = PARAMETER_COUNT_AVAILABLE */
	uint32_t iterations;
	struct span nulls;  /* NULL bitmap */
	bool new_types;     /* types follow */
	bool named;         /* CLIENT_QUERY_ATTRIBUTES: each type has a name behind it, and the count stands before */
	uint16_t attributes; /* values behind those of the parameters: each an attribute */
	struct span types;  /* 2 bytes a parameter (type, flags) unless named, only if new_types; see stmt_put_types */
	struct span values; /* the rest */
};
/* payload with the command byte; params from the prepare reply. A statement without parameters has neither bitmap nor types.
 * named: CLIENT_QUERY_ATTRIBUTES was negotiated. RC_ERROR: malformed; so is one with attributes that brings no types along. */
enum rc stmt_parse_execute(struct span payload, uint16_t params, bool named, struct stmt_execute *e) must_check;
/* The same for MariaDB's COM_STMT_BULK_EXECUTE, or its beginning: all up to the first row. */
enum rc stmt_parse_bulk(struct span payload, uint16_t params, struct stmt_execute *e) must_check;
/* Appends the types, 2 bytes a parameter, as stmt_put_execute and stmt_values_begin want them. RC_ERROR: none in e, or no room. */
enum rc stmt_put_types(struct iobuf *b, const struct stmt_execute *e, uint16_t params) must_check;
/* The same execute, or bulk execute, for a statement id of another connection, with `types` (2 * params bytes) always sent.
 * In the form it came in; RC_ERROR for one with attributes, which has its types with it and can pass as it is. */
enum rc stmt_put_execute(struct iobuf *b, uint8_t *seq, const struct stmt_execute *e, uint16_t params, uint32_t id,
			 struct span types) must_check;

/* Where the text of a COM_QUERY begins (payload with the command byte), with CLIENT_QUERY_ATTRIBUTES, and how many attributes stand
 * before it. RC_ERROR: malformed, or not all of the attributes are here. */
enum rc stmt_parse_query(struct span payload, size_t *text_at, uint16_t *attributes) must_check;

enum stmt_indicator { STMT_IS_GIVEN, STMT_IS_NULL, STMT_IS_DEFAULT, STMT_IS_IGNORED }; /* on the wire, before a value of a bulk row */

/* One bound value, decoded. */
struct stmt_value {
	enum field_type type;
	bool is_unsigned, is_null;
	struct span raw; /* integers and floats little-endian, strings without their length, dates in wire form */
	enum stmt_indicator indicator; /* of a bulk execution */
};
struct stmt_values {
	struct mbuf rest; /* of e->values */
	struct span nulls, types;
	uint16_t params, at;
	bool bulk;
};
/* A parameter that was sent by COM_STMT_SEND_LONG_DATA has no value in the packet and cannot be told from one that has:
 * the caller knows of it and does not ask. */
void stmt_values_begin(struct stmt_values *v, const struct stmt_execute *e, uint16_t params, struct span types);
enum rc stmt_values_next(struct stmt_values *v, struct stmt_value *out) must_check; /* RC_DECLINED behind the last, of a row */
/* Of a bulk execution: after the last value of a row and before the first, is there another row? */
bool stmt_values_row(struct stmt_values *v) must_check;
/* Appends v as a SQL literal that means the same in the session's charset: numbers exact, strings quoted and escaped
 * (no_backslash: NO_BACKSLASH_ESCAPES is on: only quotes are doubled), blobs as _binary x'..', dates and times with their type before
 * them. The charset must be one whose multi-byte characters hold no ASCII byte: not big5, cp932, gbk, gb18030 or sjis; the caller sees to that.
 * RC_ERROR: no literal means the same (infinity, the least BIGINT, a malformed decimal, a date that is zero or no day), or no room; b is then as it was. */
enum rc stmt_put_literal(struct iobuf *b, const struct stmt_value *v, bool no_backslash) must_check;

#endif
