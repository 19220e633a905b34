/*
 * prepared.c - the statements a client has prepared, wherever on the servers they happen to be prepared.
 */
#include <stdatomic.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "mem.h"
#include "request.h"

#define PREPARED_MOST 16382 /* the servers' own default, max_prepared_stmt_count, is a little above */
#define PREPARED_BYTES_MOST ((size_t)32 * 1024 * 1024) /* of a session's texts and types (F3) */

static _Atomic uint64_t next_types_id = 1;

/* The ids are given here, one after the other: nobody can aim at a bucket, and they spread by themselves. */
static uint64_t id_hash(uint32_t id)
{
	return id;
}

/* MariaDB takes it from whoever says so: Connector/J does also where it has not asked for bulk operations. */
static bool knows_last(const struct session *s)
{
	struct backend_identity id;

	return backend_identity(topology_primary(s->worker->in->topology), &id) && id.mariadb;
}

struct prepared *prepared_find(struct session *s, uint32_t id)
{
	struct map_node *n;

	if (unlikely(id == STMT_LAST) && knows_last(s))
		id = s->last_prepared;
	n = map_find(&s->prepared, id_hash(id), &id);

	return n ? container_of(n, struct prepared, node) : NULL;
}

void prepared_key(struct span text, const struct varset *env, uint8_t key[16])
{
	XXH64_hash_t seed = XXH3_64bits(env->bytes.p, env->bytes.len);
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(text.p, text.len, seed));
	memcpy(key, canonical.digest, 16);
}

void prepared_own_key(struct prepared *p)
{
	static _Atomic uint64_t next = 1;
	uint64_t number = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);

	for (size_t i = 0; i < sizeof(number); i++)
		p->key[i] ^= (uint8_t)(number >> (8 * i));
}

struct upstream_stmt *prepared_on(struct request *r)
{
	struct prepared *p = r->prepared;
	struct upstream_stmt *stmt = upstream_stmt_find(r->s->up, p->key);

	if (!stmt || !stmt->claimed_by || stmt->claimed_by == p->id)
		return stmt;
	prepared_own_key(p); /* its twin's rows or data would be lost */
	return NULL;
}

bool prepared_make_room(struct request *r)
{
	struct upstream *u = r->s->up;

	if (r->made_room)
		return false;
	r->made_room = true;
	stats_count(r->worker->sink, STATS_C_PREPARED_NO_ROOM, 1);
	upstream_stmt_close_all(u);
	lease_close_statements(r->worker->leases, u->backend);
	return true;
}

static size_t bytes_of(const struct prepared *p)
{
	return p->text_len + 3 * (size_t)p->params;
}

bool prepared_is_full(const struct session *s, size_t text_len)
{
	return s->prepared.count >= PREPARED_MOST || s->prepared_bytes + text_len > PREPARED_BYTES_MOST;
}

static void release(struct prepared *p)
{
	statement_unref(p->st);
	varset_unref(p->env);
	mem_free(p->text);
	mem_free(p->types);
	mem_free(p->places);
	mem_free(p);
}

struct prepared *prepared_new(struct request *r, const struct stmt_prepared *sp)
{
	struct session *s = r->s;
	struct prepared *p;

	if (prepared_is_full(s, r->sql.len + 3 * (size_t)sp->params))
		return NULL;
	p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->id = s->last_prepared = ++s->next_prepared;
	p->params = sp->params;
	p->columns = sp->columns;
	p->text_len = r->sql.len;
	p->text = mem_dup(r->sql.p, r->sql.len);
	p->mode = r->mode;
	p->st = r->st ? statement_ref(r->st) : NULL;
	p->env = varset_ref(s->vars);
	if (p->text) {
		sql_lex(span_of(p->text, p->text_len), p->mode, &p->lexed);
		prepared_key(span_of(p->text, p->text_len), p->env, p->key);
	}
	if (!p->text || map_insert(&s->prepared, &p->node, id_hash(p->id)) != RC_OK) {
		release(p);
		return NULL;
	}
	s->prepared_bytes += bytes_of(p);
	return p;
}

void prepared_free(struct session *s, struct prepared *p)
{
	map_remove(&s->prepared, &p->node);
	s->prepared_bytes -= bytes_of(p);
	release(p);
}

static void free_one(struct map_node *node, void *arg)
{
	prepared_free(arg, container_of(node, struct prepared, node));
}

void prepared_free_all(struct session *s)
{
	map_each(&s->prepared, free_one, s);
}

enum rc prepared_read_execute(struct request *r, struct span payload)
{
	struct prepared *p = r->prepared;
	struct iobuf *tmp = &r->worker->tmp;
	size_t types_len = 2 * (size_t)p->params;
	const void *types;

	if ((r->cmd == COM_STMT_BULK_EXECUTE ? stmt_parse_bulk(payload, p->params, &r->execute)
					     : stmt_parse_execute(payload, p->params, r->s->caps & CLIENT_QUERY_ATTRIBUTES,
								  &r->execute)) != RC_OK)
		return r->cmd == COM_STMT_EXECUTE && payload.len == STMT_EXECUTE_HEADER ? RC_DECLINED : RC_ERROR;
	if (!r->execute.new_types || !p->params)
		return p->params && !p->types ? RC_DECLINED : RC_OK;
	types = r->execute.types.p;
	if (r->execute.named) { /* names are in between */
		iobuf_consume(tmp, iobuf_len(tmp));
		if (stmt_put_types(tmp, &r->execute, p->params) != RC_OK)
			return RC_ERROR;
		types = iobuf_data(tmp);
	}
	if (p->types && memcmp(p->types, types, types_len) == 0)
		return RC_OK;
	mem_free(p->types);
	p->types = mem_dup(types, types_len);
	p->types_id = next_types_id++;
	return p->types ? RC_OK : RC_ERROR;
}

/* ---- values as literals ---- */

struct bind_state {
	struct stmt_values values;
	bool no_backslash;
};

static enum rc put_value(void *arg, uint16_t index, struct iobuf *out)
{
	struct bind_state *b = arg;
	struct stmt_value v;

	if (stmt_values_next(&b->values, &v) != RC_OK)
		return RC_ERROR;
	return stmt_put_literal(out, &v, b->no_backslash);
}

enum rc prepared_bind(struct request *r, struct iobuf *out)
{
	struct prepared *p = r->prepared;
	struct bind_state b = {.no_backslash = varset_mode(r->s->vars)->no_backslash};

	if (p->params == 0 || r->execute.bulk)
		return iobuf_append(out, p->text, p->text_len);
	stmt_values_begin(&b.values, &r->execute, p->params, span_of(p->types, 2 * (size_t)p->params));
	return sql_bind(span_of(p->text, p->text_len), p->mode, p->params, put_value, &b, out);
}
