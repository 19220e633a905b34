/*
 * unread.c - may a statement that is not understood change the schema? By its words, and by those of the texts that it executes: no server
 * changes it without one of these. So a client that sends such statements all the time (EXECUTE name, blocks, what is no SQL) keeps nobody's
 * cache and queue from their work.
 */
#include "catalog_accounts.h"
#include "inner.h"
#include "request.h"

/* Its words are all here. */
static bool may_change(const struct request *r)
{
	return r->streamed || r->mode & SQL_MODE_ORACLE /* a procedure is called by its name alone */ || catalog_may_say_ddl(r->sql);
}

/* PREPARE, EXECUTE IMMEDIATE: what it is given. */
static bool given_may_change(const struct request *r)
{
	struct iobuf inner;
	bool whole, may;

	iobuf_init(&inner, r->sql.len + 1);
	may = sql_inner_text(r->sql, r->mode, &inner, &whole) != RC_OK || !whole ||
	      catalog_may_say_ddl(span_of(iobuf_data(&inner), iobuf_len(&inner)));
	iobuf_reset(&inner);
	return may || r->mode & SQL_MODE_ORACLE;
}

static bool is_one(const struct sql_facts *f, enum sql_verb verb)
{
	return f->verb == verb && f->verbs == SQL_VERB(verb) && !(f->flags & SQL_F_MULTI);
}

static bool names_one(const struct request *r)
{
	return is_one(&r->st->facts, SQL_EXECUTE) && !catalog_has_word(r->sql, "immediate");
}

bool unread_may_change_schema(const struct request *r)
{
	if (names_one(r))
		return r->s->executes_ddl;
	return is_one(&r->st->facts, SQL_EXECUTE) ? given_may_change(r) : may_change(r);
}

/* What a procedure prepares stays prepared behind it. */
void unread_sent(struct request *r)
{
	const struct sql_facts *f = r->st ? &r->st->facts : NULL;
	const uint64_t texts = SQL_VERB(SQL_PREPARE) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_CALL) | SQL_VERB(SQL_COMPOUND);

	if (likely(f && !(f->verbs & texts) && !(f->flags & (SQL_F_UNKNOWN | SQL_F_MULTI))))
		return;
	r->s->executes_delayed |= catalog_has_word(r->sql, "delayed");
	if (r->s->executes_ddl || (f && names_one(r)))
		return;
	if (f && (is_one(f, SQL_PREPARE) || is_one(f, SQL_EXECUTE)))
		r->s->executes_ddl = given_may_change(r);
	else
		r->s->executes_ddl = f ? may_change(r) || f->verbs & SQL_VERB(SQL_CALL) || catalog_has_word(r->sql, "prepare") : r->blind;
}
