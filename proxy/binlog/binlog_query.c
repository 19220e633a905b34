#include "binlog_impl.h"

/* What stands before a statement, of what it was run with; these come first, in this order. */
enum { STATUS_FLAGS = 0, STATUS_MODE = 1, STATUS_AUTO_INCREMENT = 3, STATUS_CHARSET = 4, STATUS_CATALOG = 6 };

static void read_status(struct mbuf m, struct binlog_query *q)
{
	uint16_t increments[2];
	uint32_t flags;
	uint8_t code, len;

	while (mbuf_u8(&m, &code) == RC_OK) {
		switch (code) {
		case STATUS_FLAGS:
			if (mbuf_u32(&m, &flags) != RC_OK)
				return;
			break;
		case STATUS_MODE:
			if (mbuf_u64(&m, &q->mode) != RC_OK)
				return;
			break;
		case STATUS_CATALOG:
			if (mbuf_u8(&m, &len) != RC_OK || mbuf_skip(&m, len) != RC_OK)
				return;
			break;
		case STATUS_AUTO_INCREMENT:
			if (mbuf_u16(&m, &increments[0]) != RC_OK || mbuf_u16(&m, &increments[1]) != RC_OK)
				return;
			break;
		case STATUS_CHARSET:
			if (mbuf_u16(&m, &q->charset) != RC_OK)
				return;
			return;
		default:
			return;
		}
	}
}

enum rc binlog_query_read(const struct binlog *b, uint8_t type, struct mbuf m, struct binlog_query *out)
{
	size_t rest = b->post_header[type];
	struct span status;
	uint16_t status_len;
	uint8_t schema_len;

	*out = (struct binlog_query){.mode = 0};
	if (rest < 13 || rest > mbuf_left(&m))
		return RC_DECLINED;
	rest -= 13;
	if (mbuf_skip(&m, 8) != RC_OK || mbuf_u8(&m, &schema_len) != RC_OK || mbuf_skip(&m, 2) != RC_OK ||
	    mbuf_u16(&m, &status_len) != RC_OK || mbuf_skip(&m, rest) != RC_OK || mbuf_bytes(&m, status_len, &status) != RC_OK ||
	    mbuf_bytes(&m, schema_len, &out->schema) != RC_OK || mbuf_skip(&m, 1) != RC_OK)
		return RC_DECLINED;
	read_status(mbuf_of(status.p, status.len), out);
	return mbuf_bytes(&m, mbuf_left(&m), &out->sql);
}
