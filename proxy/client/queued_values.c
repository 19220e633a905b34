/*
 * queued_values.c - do a prepared write's values, written in their places as text, mean the same there (Q4)?
 *
 * What a value is as text is stmt_put_literal's affair; here it is where a literal of the same value is taken otherwise than
 * a parameter. What is not surely the same runs directly.
 */
#include <string.h>

#include "digest.h"
#include "mem.h"
#include "request.h"

#define DAY_BYTES 4 /* of a DATE's value: no time of day behind them */

struct look {
	const uint8_t *places;
	struct span types;
	bool mariadb;    /* or not known */
	bool clock_even; /* the session's time zone has no hour twice, and none left out */
};

static bool is_insert(const struct request *r)
{
	return r->st->facts.verb == SQL_INSERT || r->st->facts.verb == SQL_REPLACE;
}

static bool is_integer(enum field_type type)
{
	return type == FIELD_TINY || type == FIELD_SHORT || type == FIELD_LONG || type == FIELD_LONGLONG;
}

static bool is_number(enum field_type type)
{
	return is_integer(type) || type == FIELD_FLOAT || type == FIELD_DOUBLE || type == FIELD_DECIMAL || type == FIELD_NEWDECIMAL;
}

static bool has_top_bit(const struct stmt_value *v)
{
	return v->raw.len && (uint8_t)v->raw.p[v->raw.len - 1] & 0x80;
}

/* LIMIT ?: bound, a text that is a number will do, and NULL; written, only a number does. */
static bool is_count(const struct stmt_value *v)
{
	return is_integer(v->type) && v->raw.len && (v->is_unsigned || !has_top_bit(v));
}

/* A literal is unsigned only where a signed one does not hold it; and then n - ? may be below 0, which is an error with a parameter. MySQL takes
 * even such a one with a minus before it as a DECIMAL. There is none that is a FLOAT, of which a text has six digits. */
static bool loses_type(const struct look *l, const struct stmt_value *v)
{
	bool large = l->mariadb && v->type == FIELD_LONGLONG && has_top_bit(v);

	return v->type == FIELD_FLOAT || (v->is_unsigned && is_number(v->type) && !large);
}

/* Where a number is wanted MariaDB takes a bound time's digits, and leaves its sign out. */
static bool loses_sign(const struct look *l, const struct stmt_value *v)
{
	return l->mariadb && v->type == FIELD_TIME && v->raw.len && v->raw.p[0];
}

/* Types that no client needs to bind, of which a server refuses some and takes others for what no literal is; a day with an hour MySQL refuses. */
static bool is_the_servers(const struct look *l, const struct stmt_value *v)
{
	return v->type == FIELD_GEOMETRY || v->type == FIELD_ENUM || v->type == FIELD_SET || (v->type == FIELD_JSON && l->mariadb) ||
	       (v->type == FIELD_DATE && !l->mariadb && v->raw.len > DAY_BYTES);
}

/* MariaDB takes it through the session's time zone: what is in no such zone becomes NULL, an hour that is left out the next one. */
static bool is_in_zone(const struct look *l, const struct stmt_value *v)
{
	unsigned year = v->raw.len < 2 ? 0 : (uint8_t)v->raw.p[0] | (unsigned)(uint8_t)v->raw.p[1] << 8;

	return l->clock_even && year > 1970 && year < 2038;
}

/* NULL: it means the same. */
static const char *fault_of(const struct look *l, const struct stmt_value *v, enum sql_place place)
{
	if (is_the_servers(l, v))
		return "it has a value of a type that the server may refuse";
	if (place == SQL_PLACE_LIMIT && !is_count(v))
		return "its LIMIT is given as something else than a whole number from 0";
	if (v->is_null || v->indicator != STMT_IS_GIVEN)
		return NULL;
	if (place == SQL_PLACE_OPERAND && loses_type(l, v))
		return "an unsigned number or a FLOAT stands in it as an operand, where a literal would be signed, or a DOUBLE";
	if (place == SQL_PLACE_OPERAND && loses_sign(l, v))
		return "a time below 0 stands in it as an operand, whose sign the server leaves out of a number";
	if (v->type == FIELD_TIMESTAMP && l->mariadb && !is_in_zone(l, v))
		return "it has a TIMESTAMP that goes by its session's time zone";
	return NULL;
}

static const char *fault_of_row(const struct look *l, struct stmt_values *values)
{
	const char *fault = NULL;
	struct stmt_value v;
	enum rc rc = RC_OK;

	for (uint16_t i = 0; !fault && (rc = stmt_values_next(values, &v)) == RC_OK; i++)
		fault = fault_of(l, &v, l->places[i]);
	return rc == RC_ERROR ? "its values cannot be read" : fault;
}

/* May any of such types be at fault? */
static bool are_odd(struct span types)
{
	static const uint8_t odd[] = {FIELD_JSON, FIELD_TIMESTAMP, FIELD_FLOAT, FIELD_TIME, FIELD_DATE, FIELD_GEOMETRY, FIELD_ENUM, FIELD_SET};

	for (size_t i = 0; i + 1 < types.len; i += 2)
		if (types.p[i + 1] || memchr(odd, types.p[i], sizeof(odd)))
			return true;
	return false;
}

static enum rc find_places(struct prepared *p)
{
	if (p->places)
		return RC_OK;
	p->places = mem_alloc(p->params);
	if (p->places && sql_places(span_of(p->text, p->text_len), p->mode, p->params, p->places) == RC_OK)
		return RC_OK;
	mem_free(p->places);
	p->places = NULL;
	return RC_ERROR;
}

/* The server resolves a bulk INSERT's expressions with its first row and reckons all rows by that; a value that is an item whole it takes as
 * it comes. Of an UPDATE or DELETE it resolves each row's. */
static bool goes_by_its_first_row(const struct request *r)
{
	const struct prepared *p = r->prepared;
	bool whole = true;

	for (uint16_t i = 0; i < p->params; i++)
		whole &= p->places[i] == SQL_PLACE_ITEM;
	return r->execute.bulk && is_insert(r) && !whole;
}

static bool has_limit(const struct prepared *p)
{
	for (uint16_t i = 0; i < p->params; i++)
		if (p->places[i] == SQL_PLACE_LIMIT)
			return true;
	return false;
}

static void look_at_server(const struct request *r, struct look *l)
{
	struct span zone = varset_get(r->s->vars, "time_zone");
	struct backend_identity id;

	l->mariadb = !backend_identity(topology_primary(r->s->worker->in->topology), &id) || id.mariadb;
	l->clock_even = zone.len && (zone.p[0] == '+' || zone.p[0] == '-');
}

static const char *fault_of_all(const struct request *r, const struct look *l)
{
	const char *fault = NULL;
	struct stmt_values values;

	stmt_values_begin(&values, &r->execute, r->prepared->params, l->types);
	if (!r->execute.bulk)
		return fault_of_row(l, &values);
	while (!fault && stmt_values_row(&values))
		fault = fault_of_row(l, &values);
	return fault;
}

enum rc queued_values_look(struct request *r, const char **why)
{
	struct prepared *p = r->prepared;
	struct look l = {.types = span_of(p->types, 2 * (size_t)p->params)};
	bool odd = are_odd(l.types);

	if (!p->params || (!odd && is_insert(r) && !r->execute.bulk))
		return RC_OK;
	*why = "it cannot be told as what its values stand in it";
	if (find_places(p) != RC_OK)
		return RC_DECLINED;
	*why = "it is a bulk execution with values in expressions, which the server reckons by its first row";
	if (goes_by_its_first_row(r))
		return RC_DECLINED;
	if (!odd && !has_limit(p))
		return RC_OK;
	l.places = p->places;
	look_at_server(r, &l);
	*why = fault_of_all(r, &l);
	return *why ? RC_DECLINED : RC_OK;
}
