/*
 * parse.h - the parser's own room: what its files share. Others use facts.h.
 *
 * A recursive-descent parser over the tokens. It follows the servers' grammar as far as it tells tables, functions
 * and effects apart, and accepts some texts that a server would refuse; it never takes one reading where the server
 * could take another that does more. What it cannot follow to the end it says (sql_fail), and goes no further: from
 * then on every accept is false and every loop ends. Depth and tables are bounded; time is linear in the text.
 */
#ifndef SUIMON_PARSE_H
#define SUIMON_PARSE_H

#include "facts.h"
#include "keys.h"
#include "scan.h"

#define SQL_MAX_REFS 128
#define SQL_MAX_CTES 64
#define SQL_MAX_DEPTH 200
#define SQL_MAX_CALLS 32

struct sql_ref {
	struct span schema, name, alias; /* as written, quotes included; into the text */
	uint16_t level;                  /* queries around it */
	bool read, written;
};

struct sql_call { struct span schema, name; }; /* a routine that may be somebody's own */

struct sql_parser {
	struct sql_scan scan;
	struct sql_token t;    /* the token to be read next */
	struct span last;      /* the token read before it */
	enum sql_verb verb;
	uint64_t verbs;        /* one bit a verb */
	uint64_t flags;
	const char *why;       /* set once: parsing has failed */
	struct span nondeterministic; /* the first thing that made it so */
	struct span use_schema, drop_schema;
	uint16_t depth;        /* nested expressions and queries: bounded */
	uint16_t level;        /* queries around here */
	bool reads_anew;       /* a schema, sql_mode or character set was set: the next statement reads otherwise */
	uint16_t nrefs, nctes, ncalls;
	uint16_t params;       /* placeholders read */
	struct sql_keys *keys; /* not owned; NULL: row keys are not asked for */
	struct sql_insert_keys *insert; /* not owned; NULL: what an INSERT gives is not asked for */
	struct sql_ref refs[SQL_MAX_REFS];
	struct span ctes[SQL_MAX_CTES]; /* names in scope, innermost last */
	struct sql_call calls[SQL_MAX_CALLS];
};

/* parse.c: tokens */
/* skip_versions: executable comments that only some servers run are left out. */
void sql_parser_init(struct sql_parser *p, struct span text, unsigned mode, bool skip_versions);
void sql_advance(struct sql_parser *p);
void sql_fail(struct sql_parser *p, const char *why); /* why: a literal */
bool sql_deeper(struct sql_parser *p); /* false: too deep, and failed */

static inline bool sql_is(const struct sql_parser *p, enum sql_word w)
{
	return p->t.kind == SQL_T_WORD && p->t.word == w;
}

static inline bool sql_is_op(const struct sql_parser *p, unsigned op)
{
	return p->t.kind == SQL_T_OP && p->t.op == op;
}

bool sql_accept(struct sql_parser *p, enum sql_word w);
bool sql_accept_op(struct sql_parser *p, unsigned op);
void sql_expect(struct sql_parser *p, enum sql_word w, const char *why);
void sql_expect_op(struct sql_parser *p, unsigned op, const char *why);
struct sql_token sql_peek(const struct sql_parser *p); /* the token behind p->t */
bool sql_peek_is(const struct sql_parser *p, enum sql_word w);
bool sql_peek_op(const struct sql_parser *p, unsigned op);
bool sql_at_end(const struct sql_parser *p); /* of the statement: a semicolon or the end of the text */
bool sql_at_name(const struct sql_parser *p);
bool sql_name(struct sql_parser *p, struct span *out); /* reads a name; fails when there is none */
bool sql_any_word(struct sql_parser *p); /* reads any word, name, string or number */
void sql_skip_parens(struct sql_parser *p); /* at "(": to behind its ")" without a look at what is inside */
void sql_skip_statement(struct sql_parser *p); /* to its end */
void sql_alias(struct sql_parser *p, bool strings, struct span *out); /* an optional one */

/* A place to come back to, for the few forms that only a look ahead tells apart. */
struct sql_parser_mark {
	struct sql_scan scan;
	struct sql_token t;
	struct span last;
	uint16_t params;
};
struct sql_parser_mark sql_mark(const struct sql_parser *p);
void sql_rewind(struct sql_parser *p, const struct sql_parser_mark *m); /* findings stay; a failure stays */

/* parse.c: findings */
void sql_effects(struct sql_parser *p, uint64_t flags, struct span cause);
void sql_add_call(struct sql_parser *p, struct span schema, struct span name);
/* NULL: a common table expression's name, or failed. */
struct sql_ref *sql_add_ref(struct sql_parser *p, struct span schema, struct span name);
/* Reads [schema.]name into an added reference. */
struct sql_ref *sql_table_name(struct sql_parser *p);
bool sql_same_name(struct span a, struct span b); /* as written, quotes taken off */
bool sql_like_name(struct span a, struct span b); /* and letter case set aside */

/* facts.c: true when the text holds a comment that some servers run and others do not */
bool sql_depends_on_server(struct span text, unsigned mode);

/* statement.c: the next token is a word that a statement begins with */
bool sql_begins_statement(const struct sql_parser *p);
bool sql_at_label(const struct sql_parser *p);     /* of a compound statement: name: */
bool sql_begins_block(const struct sql_parser *p); /* behind BEGIN: it is no transaction that begins */

/* expr.c, operand.c, call.c */
void sql_expr(struct sql_parser *p);
bool sql_conjunct(struct sql_parser *p); /* up to an AND of its own level; true: it holds an OR on its own level */
void sql_expr_without_in(struct sql_parser *p); /* an IN ends it */
void sql_expr_list(struct sql_parser *p); /* one or more with commas */
bool sql_is_unit(enum sql_word w);       /* of time */
void sql_parens(struct sql_parser *p);   /* at "(": a list of expressions or a query */
void sql_operand(struct sql_parser *p);
void sql_system_variable(struct sql_parser *p);
void sql_call_function(struct sql_parser *p, enum sql_word w, struct span name, bool blank);
void sql_call_stored(struct sql_parser *p, struct span schema, struct span name);
void sql_oracle_sequence(struct sql_parser *p, const struct span *path, size_t n); /* s.nextval */
void sql_windows(struct sql_parser *p); /* behind WINDOW */

/* query.c, query_tail.c */
bool sql_at_query(const struct sql_parser *p); /* SELECT, WITH, VALUES, TABLE */
void sql_query(struct sql_parser *p);          /* with its WITH, its set operations and its tail */
void sql_subquery(struct sql_parser *p);       /* the same, inside of what is being read */
void sql_query_tail(struct sql_parser *p);     /* set operations, ORDER BY, LIMIT, INTO, locks */
void sql_clauses(struct sql_parser *p);        /* ORDER BY, LIMIT, INTO, locks */
void sql_with(struct sql_parser *p);           /* the names stay in scope: the caller resets nctes */
void sql_select_items(struct sql_parser *p);   /* expr [AS alias], ..: of SELECT and RETURNING */
void sql_order_by(struct sql_parser *p);       /* at ORDER */
void sql_limit(struct sql_parser *p);          /* at LIMIT */
void sql_wait(struct sql_parser *p);           /* an optional WAIT n or NOWAIT */
void sql_into(struct sql_parser *p);           /* behind INTO */
void sql_file_options(struct sql_parser *p);   /* FIELDS ... LINES ... */

/* tables.c */
void sql_table_refs(struct sql_parser *p);
void sql_history_point(struct sql_parser *p);
void sql_partition_list(struct sql_parser *p); /* an optional PARTITION (..) */

/* where.c */
void sql_where(struct sql_parser *p); /* an optional WHERE: the condition, and row keys when asked for */

bool sql_key_literal(struct sql_parser *p, struct sql_key_value *out); /* false: neither literal nor placeholder */

/* keys_insert.c: what the parser of an INSERT tells as it goes, where p->insert asks for it; each at its "(" or value */
void sql_insert_list(struct sql_parser *p);
void sql_insert_row(struct sql_parser *p);
void sql_insert_assigned(struct sql_parser *p, struct span column);

/* dml.c: what its statements share with others */
void sql_written_table(struct sql_parser *p); /* [schema.]name of a table that is written */
void sql_assignments(struct sql_parser *p, void (*each)(struct sql_parser *, struct span qualifier, uint16_t first),
		     uint16_t first); /* column = value, ..; each may be NULL */
void sql_order_and_limit(struct sql_parser *p);

/* dml.c, load.c, ddl.c, session.c, admin.c: statements, at the word behind the first one */
void sql_stmt_insert(struct sql_parser *p);
void sql_stmt_update(struct sql_parser *p);
void sql_stmt_delete(struct sql_parser *p);
void sql_stmt_load(struct sql_parser *p);
void sql_stmt_handler(struct sql_parser *p);
void sql_stmt_truncate(struct sql_parser *p);
void sql_stmt_call(struct sql_parser *p);
void sql_stmt_do(struct sql_parser *p);
void sql_stmt_create(struct sql_parser *p);
void sql_stmt_alter(struct sql_parser *p);
void sql_stmt_drop(struct sql_parser *p);
void sql_stmt_rename(struct sql_parser *p);
void sql_stmt_set(struct sql_parser *p);
void sql_stmt_begin(struct sql_parser *p);
void sql_stmt_start(struct sql_parser *p);
void sql_stmt_commit(struct sql_parser *p);
void sql_stmt_rollback(struct sql_parser *p);
void sql_stmt_savepoint(struct sql_parser *p);
void sql_stmt_release(struct sql_parser *p);
void sql_stmt_xa(struct sql_parser *p);
void sql_stmt_use(struct sql_parser *p);
void sql_stmt_lock(struct sql_parser *p);
void sql_stmt_unlock(struct sql_parser *p);
void sql_stmt_show(struct sql_parser *p);
void sql_stmt_describe(struct sql_parser *p);
void sql_stmt_analyze(struct sql_parser *p);
void sql_stmt_flush(struct sql_parser *p);
void sql_stmt_maintain(struct sql_parser *p);
void sql_stmt_repair(struct sql_parser *p);
void sql_stmt_binlog(struct sql_parser *p);
void sql_stmt_clone(struct sql_parser *p);
void sql_stmt_import(struct sql_parser *p);
void sql_stmt_prepare(struct sql_parser *p);
void sql_stmt_execute(struct sql_parser *p);
void sql_stmt_deallocate(struct sql_parser *p);
void sql_stmt_grant(struct sql_parser *p);
void sql_stmt_admin(struct sql_parser *p);
void sql_stmt_backup(struct sql_parser *p);
void sql_stmt_kill(struct sql_parser *p);
void sql_stmt_help(struct sql_parser *p);
void sql_stmt_get(struct sql_parser *p);
void sql_stmt_signal(struct sql_parser *p);

/* body.c: a routine's body, up to the semicolon behind it or the text's end */
void sql_skip_body(struct sql_parser *p);

/* statement.c: one statement, whatever it is, up to its end. */
void sql_statement(struct sql_parser *p);

#endif
