#include "binlog_impl.h"
#include "proto.h"

/* Column types that only the binlog has, or one of the servers. */
enum {
	TYPE_TIMESTAMP2 = 17, TYPE_DATETIME2 = 18, TYPE_TIME2 = 19,
	TYPE_BLOB_COMPRESSED = 140, TYPE_VARCHAR_COMPRESSED = 141, /* MariaDB */
	TYPE_VECTOR = 242,                                         /* MySQL */
};

/* How many bytes of metadata a column of the type has; -1: not known. */
static int metadata_len(uint8_t type)
{
	switch (type) {
	case FIELD_TINY:
	case FIELD_SHORT:
	case FIELD_LONG:
	case FIELD_NULL:
	case FIELD_TIMESTAMP:
	case FIELD_LONGLONG:
	case FIELD_INT24:
	case FIELD_DATE:
	case FIELD_TIME:
	case FIELD_DATETIME:
	case FIELD_YEAR:
	case FIELD_NEWDATE:
		return 0;
	case FIELD_FLOAT:
	case FIELD_DOUBLE:
	case TYPE_TIMESTAMP2:
	case TYPE_DATETIME2:
	case TYPE_TIME2:
	case FIELD_TINY_BLOB:
	case FIELD_MEDIUM_BLOB:
	case FIELD_LONG_BLOB:
	case FIELD_BLOB:
	case FIELD_JSON:
	case FIELD_GEOMETRY:
	case TYPE_BLOB_COMPRESSED:
	case TYPE_VECTOR:
		return 1;
	case FIELD_VARCHAR:
	case FIELD_BIT:
	case FIELD_NEWDECIMAL:
	case FIELD_ENUM:
	case FIELD_SET:
	case FIELD_STRING:
	case TYPE_VARCHAR_COMPRESSED:
		return 2;
	default:
		return -1;
	}
}

static enum rc take(struct mbuf *data, size_t len, struct binlog_value *v, enum binlog_value_kind kind)
{
	v->kind = kind;
	return mbuf_bytes(data, len, &v->raw);
}

/* A length of so many bytes, then the value. */
static enum rc take_counted(struct mbuf *data, unsigned bytes, struct binlog_value *v, enum binlog_value_kind kind)
{
	uint64_t len;

	if (bytes < 1 || bytes > 4 || mbuf_uint(data, bytes, &len) != RC_OK)
		return RC_ERROR;
	return take(data, len, v, kind);
}

/* Nine digits in four bytes, before and behind the point. */
static enum rc take_decimal(struct mbuf *data, unsigned precision, unsigned scale, struct binlog_value *v)
{
	static const uint8_t bytes[] = {0, 1, 1, 2, 2, 3, 3, 4, 4};
	unsigned whole = precision - scale;

	if (scale > precision)
		return RC_ERROR;
	return take(data, whole / 9 * 4 + bytes[whole % 9] + scale / 9 * 4 + bytes[scale % 9], v, BINLOG_OTHER);
}

/* CHAR, ENUM and SET share a type; the metadata's first byte holds the real one, and in two bits more of CHAR's length. */
static enum rc take_string(struct mbuf *data, unsigned first, unsigned second, struct binlog_value *v)
{
	unsigned most;

	if (first == FIELD_ENUM || first == FIELD_SET)
		return take(data, second, v, BINLOG_OTHER);
	most = second | ((first & 0x30) ^ 0x30) << 4;
	return take_counted(data, most > 255 ? 2 : 1, v, BINLOG_STRING);
}

static enum rc take_value(uint8_t type, unsigned first, unsigned second, struct mbuf *data, struct binlog_value *v)
{
	switch (type) {
	case FIELD_TINY:
		return take(data, 1, v, BINLOG_INTEGER);
	case FIELD_SHORT:
		return take(data, 2, v, BINLOG_INTEGER);
	case FIELD_INT24:
		return take(data, 3, v, BINLOG_INTEGER);
	case FIELD_LONG:
		return take(data, 4, v, BINLOG_INTEGER);
	case FIELD_LONGLONG:
		return take(data, 8, v, BINLOG_INTEGER);
	case FIELD_NULL:
		return take(data, 0, v, BINLOG_OTHER);
	case FIELD_YEAR:
		return take(data, 1, v, BINLOG_OTHER);
	case FIELD_NEWDATE:
	case FIELD_DATE:
	case FIELD_TIME:
		return take(data, 3, v, BINLOG_OTHER);
	case FIELD_TIMESTAMP:
		return take(data, 4, v, BINLOG_OTHER);
	case FIELD_DATETIME:
		return take(data, 8, v, BINLOG_OTHER);
	case TYPE_TIME2:
		return take(data, 3 + (first + 1) / 2, v, BINLOG_OTHER);
	case TYPE_TIMESTAMP2:
		return take(data, 4 + (first + 1) / 2, v, BINLOG_OTHER);
	case TYPE_DATETIME2:
		return take(data, 5 + (first + 1) / 2, v, BINLOG_OTHER);
	case FIELD_FLOAT:
	case FIELD_DOUBLE:
		return take(data, first, v, BINLOG_OTHER);
	case FIELD_BIT:
		return take(data, second + (first > 0), v, BINLOG_OTHER);
	case FIELD_ENUM:
	case FIELD_SET:
		return take(data, second, v, BINLOG_OTHER);
	case FIELD_NEWDECIMAL:
		return take_decimal(data, first, second, v);
	case FIELD_STRING:
		return take_string(data, first, second, v);
	case FIELD_VARCHAR:
		return take_counted(data, second ? 2 : 1, v, BINLOG_STRING);
	case TYPE_VARCHAR_COMPRESSED:
		return take_counted(data, second ? 2 : 1, v, BINLOG_OTHER);
	case FIELD_TINY_BLOB:
	case FIELD_MEDIUM_BLOB:
	case FIELD_LONG_BLOB:
	case FIELD_BLOB:
		return take_counted(data, first, v, BINLOG_STRING);
	default: /* JSON, GEOMETRY, and what is like them */
		return take_counted(data, first, v, BINLOG_OTHER);
	}
}

enum rc binlog_value_next(uint8_t type, struct mbuf *metadata, bool present, struct mbuf *data, struct binlog_value *v)
{
	uint8_t meta[2] = {0, 0};
	int n = metadata_len(type);

	if (n < 0)
		return RC_DECLINED;
	for (int i = 0; i < n; i++)
		if (mbuf_u8(metadata, &meta[i]) != RC_OK)
			return RC_ERROR;
	return present ? take_value(type, meta[0], meta[1], data, v) : RC_OK;
}
