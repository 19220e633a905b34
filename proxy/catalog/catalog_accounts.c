/*
 * catalog_accounts.c - follows a text into the texts and blocks that it holds. Functions and triggers need not be looked at: the servers
 * let none of them do what commits, and all that changes accounts does.
 */
#include "catalog_accounts.h"

#include <string.h>
#include <strings.h>

#include "catalog_body.h"
#include "facts.h"
#include "inner.h"

#define DEEPEST 4 /* texts in texts, blocks in blocks of these */

struct judge {
	const struct catalog_accounts *a;
	unsigned depth;
	bool later; /* it is prepared here: by the time it is executed procedures may be others */
};

/* ---- words ---- */

static bool is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool ends_word(char c)
{
	return !is_letter(c) && c != '_' && (c < '0' || c > '9');
}

/* In any place, a comment or a string as well. Digits may stand before it: those of an executable comment's version. */
bool catalog_has_word(struct span text, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= text.len; i++)
		if ((text.p[i] | 0x20) == word[0] && strncasecmp(text.p + i, word, len) == 0 &&
		    (i == 0 || (!is_letter(text.p[i - 1]) && text.p[i - 1] != '_')) &&
		    (i + len == text.len || ends_word(text.p[i + len])))
			return true;
	return false;
}

/* No server changes accounts without one of these, or runs what could. In Oracle's mode a procedure is called by its name alone. */
static bool may_matter(struct span text, unsigned mode)
{
	static const char *const words[] = {"grant", "revoke", "user", "role", "password", "privileges", "database", "schema", "mysql",
					    "call", "execute", "prepare"};

	for (size_t i = 0; i < countof(words); i++)
		if (catalog_has_word(text, words[i]))
			return true;
	return mode & SQL_MODE_ORACLE;
}

static bool makes_procedures(struct span text)
{
	return catalog_has_word(text, "procedure") || catalog_has_word(text, "package");
}

bool catalog_accounts_routines(struct span text)
{
	return makes_procedures(text) || catalog_has_word(text, "database") || catalog_has_word(text, "schema");
}

/* ---- statements ---- */

static enum rc judge_text(const struct judge *j, struct span text);

static enum rc on_piece(void *arg, struct span text, enum catalog_piece piece)
{
	return piece == CATALOG_STATEMENT ? judge_text(arg, text) : RC_OK;
}

static enum rc judge_blocks(const struct judge *j, struct span body)
{
	struct judge inner = {j->a, j->depth + 1, j->later};

	return catalog_body_walk(body, j->a->mode, on_piece, &inner);
}

/* PREPARE and EXECUTE: the text that they are given where it stands there, else a name's. */
static enum rc judge_given(const struct judge *j, const struct sql_facts *f, struct span text)
{
	struct judge deeper = {j->a, j->depth + 1, j->later || f->verb == SQL_PREPARE};
	struct iobuf inner;
	bool whole;
	enum rc rc;

	iobuf_init(&inner, text.len + 1);
	rc = sql_inner_text(text, j->a->mode, &inner, &whole);
	if (rc == RC_OK)
		rc = whole ? judge_text(&deeper, span_of(iobuf_data(&inner), iobuf_len(&inner))) : RC_DECLINED;
	else if (rc == RC_DECLINED && f->verb == SQL_EXECUTE && j->a->names_known && !catalog_has_word(text, "immediate"))
		rc = RC_OK;
	iobuf_reset(&inner);
	return rc;
}

static enum rc judge_calls(const struct judge *j, const struct sql_facts *f)
{
	/* The procedure is the first; the others are functions in its arguments. */
	return f->nroutines && !j->later ? j->a->call(j->a->arg, f->routines[0].schema, f->routines[0].name) : RC_DECLINED;
}

static enum rc judge_one(const struct judge *j, const struct sql_facts *f, struct span text)
{
	if (sql_changes_accounts(f))
		return RC_DECLINED;
	switch (f->verb) {
	case SQL_PREPARE:
	case SQL_EXECUTE:
		return judge_given(j, f, text);
	case SQL_COMPOUND:
		return judge_blocks(j, text);
	case SQL_CALL:
		return f->flags & SQL_F_UNKNOWN ? RC_DECLINED : judge_calls(j, f);
	default:
		return f->flags & SQL_F_UNKNOWN ? RC_DECLINED : RC_OK;
	}
}

/* Behind a USE or a SET NAMES the next may name other procedures, and begin elsewhere. */
static enum rc judge_several(const struct judge *j, struct span text)
{
	struct span one;
	struct sql_facts f;
	size_t at = 0;
	enum rc rc = RC_OK;
	bool anew = false;

	while (rc == RC_OK && sql_split(text, j->a->mode, &at, &one)) {
		if (anew || sql_facts_parse(one, j->a->mode, &f) != RC_OK)
			return anew ? RC_DECLINED : RC_ERROR;
		rc = judge_one(j, &f, one);
		anew = f.reads_anew;
		sql_facts_free(&f);
	}
	return rc;
}

static bool runs_others(const struct sql_facts *f)
{
	const uint64_t verbs = SQL_VERB(SQL_CALL) | SQL_VERB(SQL_PREPARE) | SQL_VERB(SQL_EXECUTE) |
			       SQL_VERB(SQL_COMPOUND);

	return f->verbs & verbs || f->flags & SQL_F_UNKNOWN;
}

static enum rc judge_text(const struct judge *j, struct span text)
{
	struct sql_facts f;
	enum rc rc = RC_OK;

	/* One that makes a procedure anew, where nobody sees that it does: what is known of the former one would stand. */
	if (j->depth && makes_procedures(text))
		return RC_DECLINED;
	if (!may_matter(text, j->a->mode))
		return RC_OK;
	if (j->depth == DEEPEST)
		return RC_DECLINED;
	if (sql_facts_parse(text, j->a->mode, &f) != RC_OK)
		return RC_ERROR;
	if (sql_changes_accounts(&f))
		rc = RC_DECLINED;
	else if (runs_others(&f))
		rc = judge_several(j, text);
	sql_facts_free(&f);
	return rc;
}

enum rc catalog_accounts_text(const struct catalog_accounts *a, struct span text)
{
	return judge_text(&(struct judge){.a = a}, text);
}

enum rc catalog_accounts_body(const struct catalog_accounts *a, struct span body)
{
	return may_matter(body, a->mode) ? judge_blocks(&(struct judge){.a = a}, body) : RC_OK;
}
