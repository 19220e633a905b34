#include "stmt.h"

#define PARAMETER_COUNT_AVAILABLE 0x08
#define PARAM_UNSIGNED 0x80

enum rc stmt_parse_prepared(struct span payload, struct stmt_prepared *p)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint8_t header;

	*p = (struct stmt_prepared){0};
	if (mbuf_u8(&m, &header) != RC_OK || header != 0x00 || mbuf_u32(&m, &p->id) != RC_OK ||
	    mbuf_u16(&m, &p->columns) != RC_OK || mbuf_u16(&m, &p->params) != RC_OK)
		return RC_ERROR;
	if (mbuf_left(&m) < 3)
		return RC_OK;
	if (mbuf_skip(&m, 1) != RC_OK)
		return RC_ERROR;
	return mbuf_u16(&m, &p->warnings);
}

static size_t bitmap_len(size_t params)
{
	return (params + 7) / 8;
}

/* Types with a name behind each. */
static enum rc get_named_types(struct mbuf *m, size_t count, struct span *types)
{
	struct mbuf from = *m;
	struct span name;

	for (size_t i = 0; i < count; i++)
		if (mbuf_skip(m, 2) != RC_OK || packet_get_lenenc_str(m, &name) != RC_OK)
			return RC_ERROR;
	return mbuf_bytes(&from, mbuf_left(&from) - mbuf_left(m), types);
}

static enum rc get_types(struct mbuf *m, size_t count, struct stmt_execute *e)
{
	uint8_t flag;

	if (mbuf_u8(m, &flag) != RC_OK || flag > 1)
		return RC_ERROR;
	e->new_types = flag;
	if (!flag)
		return RC_OK;
	return e->named ? get_named_types(m, count, &e->types) : mbuf_bytes(m, count * 2, &e->types);
}

enum rc stmt_parse_execute(struct span payload, uint16_t params, bool named, struct stmt_execute *e)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint64_t count = params;
	uint8_t command;

	*e = (struct stmt_execute){0};
	if (mbuf_u8(&m, &command) != RC_OK || command != COM_STMT_EXECUTE || mbuf_u32(&m, &e->id) != RC_OK ||
	    mbuf_u8(&m, &e->flags) != RC_OK || mbuf_u32(&m, &e->iterations) != RC_OK)
		return RC_ERROR;
	e->named = named;
	if (named && e->flags & PARAMETER_COUNT_AVAILABLE &&
	    (packet_get_lenenc(&m, &count) != RC_OK || count < params || count > UINT16_MAX))
		return RC_ERROR;
	if (count && (mbuf_bytes(&m, bitmap_len(count), &e->nulls) != RC_OK || get_types(&m, count, e) != RC_OK))
		return RC_ERROR;
	e->attributes = (uint16_t)(count - params);
	if (e->attributes && !e->new_types)
		return RC_ERROR;
	return mbuf_bytes(&m, mbuf_left(&m), &e->values);
}

enum rc stmt_parse_bulk(struct span payload, uint16_t params, struct stmt_execute *e)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint8_t command;

	*e = (struct stmt_execute){.bulk = true};
	if (mbuf_u8(&m, &command) != RC_OK || command != COM_STMT_BULK_EXECUTE || mbuf_u32(&m, &e->id) != RC_OK ||
	    mbuf_u16(&m, &e->bulk_flags) != RC_OK)
		return RC_ERROR;
	e->new_types = e->bulk_flags & STMT_BULK_TYPES;
	if (e->new_types && mbuf_bytes(&m, (size_t)params * 2, &e->types) != RC_OK)
		return RC_ERROR;
	return mbuf_bytes(&m, mbuf_left(&m), &e->values);
}

enum rc stmt_put_types(struct iobuf *b, const struct stmt_execute *e, uint16_t params)
{
	struct mbuf m = mbuf_of(e->types.p, e->types.len);
	struct span type, name;

	if (!e->new_types || !iobuf_reserve(b, (size_t)params * 2))
		return RC_ERROR;
	for (size_t i = 0; i < params; i++)
		if (mbuf_bytes(&m, 2, &type) != RC_OK || (e->named && packet_get_lenenc_str(&m, &name) != RC_OK) ||
		    iobuf_append(b, type.p, type.len) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

static enum rc put_types(struct iobuf *b, const struct stmt_execute *e, struct span types)
{
	if (!e->named)
		return iobuf_append(b, types.p, types.len);
	for (size_t i = 0; i + 2 <= types.len; i += 2)
		if (iobuf_append(b, types.p + i, 2) != RC_OK || packet_put_uint(b, 0, 1) != RC_OK)
			return RC_ERROR;
	return RC_OK;
}

static enum rc put_execute_body(struct iobuf *b, const struct stmt_execute *e, uint16_t params, uint32_t id,
				struct span types)
{
	uint8_t flags = (uint8_t)(e->flags & ~PARAMETER_COUNT_AVAILABLE);

	if (e->named)
		flags |= PARAMETER_COUNT_AVAILABLE;
	if (packet_put_uint(b, COM_STMT_EXECUTE, 1) != RC_OK || packet_put_uint(b, id, 4) != RC_OK ||
	    packet_put_uint(b, flags, 1) != RC_OK || packet_put_uint(b, e->iterations, 4) != RC_OK)
		return RC_ERROR;
	if (e->named && packet_put_lenenc(b, params) != RC_OK)
		return RC_ERROR;
	if (params == 0)
		return RC_OK;
	if (iobuf_append(b, e->nulls.p, e->nulls.len) != RC_OK || packet_put_uint(b, 1, 1) != RC_OK ||
	    put_types(b, e, types) != RC_OK)
		return RC_ERROR;
	return e->values.len ? iobuf_append(b, e->values.p, e->values.len) : RC_OK;
}

static enum rc put_bulk_body(struct iobuf *b, const struct stmt_execute *e, uint32_t id, struct span types)
{
	if (packet_put_uint(b, COM_STMT_BULK_EXECUTE, 1) != RC_OK || packet_put_uint(b, id, 4) != RC_OK ||
	    packet_put_uint(b, e->bulk_flags | STMT_BULK_TYPES, 2) != RC_OK)
		return RC_ERROR;
	if (types.len && iobuf_append(b, types.p, types.len) != RC_OK)
		return RC_ERROR;
	return e->values.len ? iobuf_append(b, e->values.p, e->values.len) : RC_OK;
}

enum rc stmt_put_execute(struct iobuf *b, uint8_t *seq, const struct stmt_execute *e, uint16_t params, uint32_t id,
			 struct span types)
{
	size_t mark;

	if (e->attributes || (params && e->named && e->nulls.len != bitmap_len(params)))
		return RC_ERROR;
	if (params && (types.len != (size_t)params * 2 || (!e->bulk && e->nulls.len != bitmap_len(params))))
		return RC_ERROR;
	if (packet_begin(b, &mark) != RC_OK)
		return RC_ERROR;
	if ((e->bulk ? put_bulk_body(b, e, id, types) : put_execute_body(b, e, params, id, types)) != RC_OK)
		return packet_cancel(b, mark);
	return packet_end(b, mark, seq);
}

void stmt_values_begin(struct stmt_values *v, const struct stmt_execute *e, uint16_t params, struct span types)
{
	*v = (struct stmt_values){
		.rest = mbuf_of(e->values.p, e->values.len), .nulls = e->nulls, .types = types, .params = params, .bulk = e->bulk};
}

/* Dates and times: the length is the format. */
static enum rc get_temporal(struct mbuf *m, enum field_type type, struct span *raw)
{
	uint8_t len;
	bool known;

	if (mbuf_u8(m, &len) != RC_OK)
		return RC_ERROR;
	if (type == FIELD_TIME)
		known = len == 0 || len == 8 || len == 12;
	else
		known = len == 0 || len == 4 || len == 7 || len == 11;
	return known ? mbuf_bytes(m, len, raw) : RC_ERROR;
}

/* Year, int24 and bit are column types only: one server reads such a parameter as a string, the other as NULL. */
static enum rc get_value(struct mbuf *m, enum field_type type, struct span *raw)
{
	switch (type) {
	case FIELD_TINY:
		return mbuf_bytes(m, 1, raw);
	case FIELD_SHORT:
		return mbuf_bytes(m, 2, raw);
	case FIELD_LONG:
	case FIELD_FLOAT:
		return mbuf_bytes(m, 4, raw);
	case FIELD_LONGLONG:
	case FIELD_DOUBLE:
		return mbuf_bytes(m, 8, raw);
	case FIELD_DATE:
	case FIELD_DATETIME:
	case FIELD_TIMESTAMP:
	case FIELD_TIME:
		return get_temporal(m, type, raw);
	case FIELD_DECIMAL:
	case FIELD_NEWDECIMAL:
	case FIELD_VARCHAR:
	case FIELD_JSON:
	case FIELD_ENUM:
	case FIELD_SET:
	case FIELD_TINY_BLOB:
	case FIELD_MEDIUM_BLOB:
	case FIELD_LONG_BLOB:
	case FIELD_BLOB:
	case FIELD_VAR_STRING:
	case FIELD_STRING:
	case FIELD_GEOMETRY:
		return packet_get_lenenc_str(m, raw);
	default:
		return RC_ERROR;
	}
}

bool stmt_values_row(struct stmt_values *v)
{
	v->at = 0;
	return mbuf_left(&v->rest) > 0;
}

/* A value of a row of a bulk execution: what is to be made of it stands before it. */
static enum rc next_in_row(struct stmt_values *v, struct stmt_value *out)
{
	uint8_t indicator;

	if (mbuf_u8(&v->rest, &indicator) != RC_OK || indicator > STMT_IS_IGNORED)
		return RC_ERROR;
	out->indicator = (enum stmt_indicator)indicator;
	out->is_null = indicator == STMT_IS_NULL;
	return indicator == STMT_IS_GIVEN ? get_value(&v->rest, out->type, &out->raw) : RC_OK;
}

enum rc stmt_values_next(struct stmt_values *v, struct stmt_value *out)
{
	size_t at = v->at;

	if (at >= v->params)
		return RC_DECLINED;
	if ((!v->bulk && at / 8 >= v->nulls.len) || 2 * at + 1 >= v->types.len)
		return RC_ERROR;
	v->at++;
	*out = (struct stmt_value){.type = (enum field_type)(uint8_t)v->types.p[2 * at],
				   .is_unsigned = (uint8_t)v->types.p[2 * at + 1] & PARAM_UNSIGNED};
	if (v->bulk)
		return next_in_row(v, out);
	out->is_null = out->type == FIELD_NULL || ((uint8_t)v->nulls.p[at / 8] >> (at % 8) & 1);
	return out->is_null ? RC_OK : get_value(&v->rest, out->type, &out->raw);
}

/* Each attribute: a type, a name, and a value unless it is NULL. */
static enum rc skip_attributes(struct mbuf *m, size_t count)
{
	struct span nulls, types, name, value;
	struct mbuf t;
	uint8_t sent, type;

	if (mbuf_bytes(m, bitmap_len(count), &nulls) != RC_OK || mbuf_u8(m, &sent) != RC_OK || sent != 1 ||
	    get_named_types(m, count, &types) != RC_OK)
		return RC_ERROR;
	t = mbuf_of(types.p, types.len);
	for (size_t i = 0; i < count; i++) {
		if (mbuf_u8(&t, &type) != RC_OK || mbuf_skip(&t, 1) != RC_OK || packet_get_lenenc_str(&t, &name) != RC_OK)
			return RC_ERROR;
		if (type != FIELD_NULL && !((uint8_t)nulls.p[i / 8] >> (i % 8) & 1) &&
		    get_value(m, (enum field_type)type, &value) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

enum rc stmt_parse_query(struct span payload, size_t *text_at, uint16_t *attributes)
{
	struct mbuf m = mbuf_of(payload.p, payload.len);
	uint64_t count, sets;

	if (mbuf_skip(&m, 1) != RC_OK || packet_get_lenenc(&m, &count) != RC_OK || packet_get_lenenc(&m, &sets) != RC_OK ||
	    count > UINT16_MAX || sets != 1)
		return RC_ERROR;
	if (count && skip_attributes(&m, (size_t)count) != RC_OK)
		return RC_ERROR;
	*text_at = payload.len - mbuf_left(&m);
	*attributes = (uint16_t)count;
	return RC_OK;
}
