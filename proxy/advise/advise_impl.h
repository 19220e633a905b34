/*
 * advise_impl.h - the adviser's own room: what its files share. Others use advise.h.
 *
 * advise.c          the thread
 * advise_explain.c  what is asked of a server: the plan, the table's columns and indexes
 * advise_plan.c     full scans in an EXPLAIN's JSON, of MariaDB's shape and of MySQL's
 * advise_charset.c  columns of different character sets or collations, compared
 * advise_cond.c     the columns a condition or an ORDER BY could use an index on
 * advise_put.c      a condition as a statement may have it
 * advise_tokens.c   the tokens of a condition, and the names in it
 * advise_names.c    which table a plan's name stands for
 * advise_read.c     an UPDATE, DELETE or locking read as the read of the rows it looks for
 * advise_statement.c one statement from its sample to the words about it
 * advise_index.c    the index, if one would help
 * advise_either.c   an index for each side of an OR
 * advise_json*.c    what is looked for inside a JSON document, and what to do about it
 * advise_hidden.c   what keeps an index that is there from being used: a function around its column, a conversion
 * advise_define.c   a column's definition with another character set
 * advise_quoted.c   an index that helps once a number is sent as a string
 * advise_bare.c     an index that helps once its column stands in no function
 * advise_within.c   a subquery that is worked out whole, to be looked into
 * advise_words.c    the words for it
 * advise_locks.c    who waits for whose locks
 * advise_examined.c how many rows the servers say they have examined
 * advise_values.c   how many rows of a sample match, how many values a column has
 * advise_sample.c   which rows those are
 * advise_same.c     a server's normalised text and suimon's, compared
 * cli_advise.c, verify*.c  the command that tries an index out; see verify.h
 */
#ifndef SUIMON_ADVISE_IMPL_H
#define SUIMON_ADVISE_IMPL_H

#include <jansson.h>

#include "advise.h"
#include "facts.h"
#include "iobuf.h"
#include "scan.h"
#include "span.h"
#include "sqlconn.h"
#include "stats.h"

#define ADVISE_NAME 257      /* bytes of a name with its NUL; the servers allow 64 characters */
#define ADVISE_CACHE "<cache>" /* what plans write before a constant that is computed once */
#define ADVISE_MOST_EQUALS 4 /* columns of an index that stand for equalities */
#define ADVISE_MOST_SORT 2
#define ADVISE_MOST_COLUMNS (ADVISE_MOST_EQUALS + ADVISE_MOST_SORT)
#define ADVISE_MOST_SCANS 16
#define ADVISE_MOST_SIDES 4 /* of an OR */
#define ADVISE_LEAST_ROWS 500    /* a smaller table is best read whole, */
#define ADVISE_LEAST_JOINED 100  /* once; for each row of another it is less */
#define ADVISE_LEAST_FOUND 2000  /* fewer that an index finds are well found */
#define ADVISE_LEAST_SAMPLE 1000 /* fewer rows say little */
#define ADVISE_MOST_SHARE 20     /* where a twentieth of the rows match, looking them up saves too little: each costs a dozen read in turn */
#define ADVISE_MOST_SORTED 5     /* in the order asked for a fifth may: a LIMIT ends it, and nothing is sorted */
#define ADVISE_LOOKED_UP 12      /* rows read in turn cost what one looked up does */
#define ADVISE_LEAD_SHARE 2      /* a table comes first and is read whole where it has no more than one of so many parts of the other's rows */

/* ---- advise.c ---- */

enum rc advise_log_in(struct sqlconn *c, const struct catalog_target *at) must_check; /* and lets go of its password */
uint64_t advise_number(struct span digits); /* up to what is none */

/* ---- advise_locks.c ---- */

struct advise_locks;
struct advise_locks *advise_locks_new(struct stats *stats, const struct advise_hooks *hooks) must_check; /* hooks are kept */
void advise_locks_free(struct advise_locks *a); /* NULL is allowed */
void advise_locks_look(struct advise_locks *a); /* once a second; takes a moment, or two seconds at most where the server is slow */
void advise_locks_interrupt(struct advise_locks *a); /* any thread */

/* ---- advise_examined.c ---- */

struct advise_examined;
struct advise_examined *advise_examined_new(struct stats *stats, const struct advise_hooks *hooks) must_check; /* hooks are kept */
void advise_examined_free(struct advise_examined *a); /* NULL is allowed */
void advise_examined_look(struct advise_examined *a); /* every turn; asks the servers when it is time to */
void advise_examined_interrupt(struct advise_examined *a); /* any thread */

/* ---- advise_same.c ---- */

#define ADVISE_SAME_MAX 8192 /* bytes of the common form */

/* A number for a normalised statement in a schema, the same for suimon's text and for a server's digest text. 0: it cannot be told. */
uint64_t advise_same(struct span schema, struct span text) must_check;

/* ---- advise_plan.c ---- */

struct advise_scan {
	const char *table;     /* as the plan names it: an alias or a table; of the JSON */
	uint64_t rows;         /* the server's estimate */
	const char *condition; /* of the table, or NULL; of the JSON */
	const char *joined;    /* of the join buffer around it, or NULL */
	const char *sort;      /* what it is sorted by afterwards, or NULL (MySQL does not say) */
	bool checked;          /* MariaDB's "range checked for each record", of which it does not print the condition */
	bool ordered;          /* it is read by an index for its order, so that a LIMIT may end it: rows is how many the server hopes to read */
	bool covered;          /* what is asked of it stands in that index */
	bool unfiltered;       /* so it does, and nothing drops rows of it: no index would help, but one that a conversion keeps from being used */
	const char *searched;  /* no full scan: this index finds many rows, of which a condition drops some; else NULL */
	const json_t *keys, *refs; /* its columns in use, and what these equal, if so */
	const char *ref;       /* "schema.table.column" of it that another table is looked up by, which itself drops most rows, */
	const char *ref_table, *ref_condition; /* that table, where it is not sure to: its condition is to be tried; else NULL */
	const char *ref_by, *ref_key; /* the table that is looked up and its column, if it is told */
	const char *ref_filter; /* the table that drops rows: this one, or one that is looked up by it in turn */
	double lookups;        /* all that a subquery reads is collected, to be looked into so often; 0: no such, or that is not looked at */
	bool own;              /* of a scan with a ref: it has a condition of its own, which an index may serve better */
};
/* Full scans of real tables and searches that find many rows, the largest first. Returns how many. */
size_t advise_plan_scans(const json_t *plan, struct advise_scan out[ADVISE_MOST_SCANS]);
/* What the plan does with the rows beside reading them. */
struct advise_work {
	bool temporary; /* they go through a temporary table */
	bool filesort;
};
struct advise_work advise_plan_work(const json_t *plan);
/* Do tables other than this one drop rows? */
bool advise_plan_filters(const json_t *plan, const char *but) must_check;
/* The largest number of rows that any step reads. */
uint64_t advise_plan_rows(const json_t *plan);

/* ---- advise_cond.c ---- */

enum advise_use {
	ADVISE_EQUALS,
	ADVISE_IN,
	ADVISE_RANGE,
	ADVISE_SORT,
	ADVISE_HIDDEN,  /* compared, but inside a function or an expression */
	ADVISE_PATTERN, /* LIKE with a pattern that fixes no beginning */
};
struct advise_column {
	char name[ADVISE_NAME];
	enum advise_use use;
	struct span test; /* what it is compared with, operator first, when these are constants: "= 'x'"; of the plan, with its <cache> */
	struct span other_bound; /* of ADVISE_RANGE: likewise, where it is compared twice: "< 'y'" */
	struct span function; /* of ADVISE_HIDDEN: its name, empty for an expression; of the plan */
	struct span term;     /* of ADVISE_HIDDEN and of a pattern: the whole comparison; of the plan */
	bool pattern;         /* it is searched by LIKE */
	bool as_bytes;        /* by LIKE BINARY, whose pattern fixes the beginning */
	bool behind_number;   /* what it is compared with is a number that stands before it: "5 = x", of which there is no test */
	struct span also;     /* likewise, where one is about its year and the other about its month: that one; or of two bounds the other */
	bool is_bound;        /* of ADVISE_HIDDEN: it is compared by <, >, <= or >= */
	bool both_bounds;     /* so it is twice, inside the same function */
	bool is_null;         /* it is asked whether it is NULL */
	bool never_null;      /* advise_explain.c: it cannot be */
	bool spelt;           /* as a string it equals other rows than as a number: '007' */
	char other_table[ADVISE_NAME], other[ADVISE_NAME]; /* it is compared with this column of that alias; or empty */
	bool other_is_number; /* advise_explain.c: that column is one of numbers */
	bool other_is_exact;  /* ... of whole ones, which as strings are their digits */
	bool computed;    /* it is compared with a subquery: known late, it may be, so that it leads no index */
	bool exists;      /* advise_explain.c: the table has it, and it can be part of an index */
	bool is_text;     /* a string by its type */
	bool folds_case;  /* its collation takes upper and lower case for equal */
	unsigned prefix;  /* characters to index; 0: all */
};
struct advise_columns {
	struct advise_column at[2 * ADVISE_MOST_COLUMNS];
	size_t n;
};

/* Adds the columns of `table` that the condition compares with something else. */
void advise_condition(struct span text, struct span table, struct advise_columns *out);
/* Adds the columns of `table` that are compared with one of another table, wherever in the statement that is. */
void advise_compared(struct span text, struct span table, struct advise_columns *out);
/* The first OR that all rows must meet: the columns of each of its sides. Returns how many; 0: there is none of which each
 * side could use an index. */
size_t advise_either(struct span text, struct span table, struct advise_columns out[ADVISE_MOST_SIDES]) must_check;
/* Adds a column by its name, which equals a constant. */
void advise_equals(const char *name, struct advise_columns *out);
/* Adds the column that a plan's ref names; by: the alias that is looked up by it, and its column; NULL: not told. */
void advise_ref(struct span path, struct span table, const char *by, const char *key, struct advise_columns *out);
/* Adds the columns of an ORDER BY list, if an index of the table could give that order. */
void advise_sort(struct span list, struct span table, struct advise_columns *out);

/* ---- advise_put.c ---- */

/* Appends a plan's condition as a statement on the table alone may have it, and adds the columns that it names. RC_DECLINED: it hangs on
 * more than the table's rows. */
enum rc advise_put_condition(struct span text, struct span table, struct iobuf *out, struct advise_columns *named) must_check;

/* ---- advise_names.c ---- */

/* Unquotes a name. RC_ERROR: too long. */
enum rc advise_name(struct span quoted, char out[ADVISE_NAME]) must_check;
struct advise_table {
	char schema[ADVISE_NAME], name[ADVISE_NAME];
	bool guessed; /* the statement does not name it: it is under a view, and the name may be an alias there */
};
enum rc advise_table_of(struct span text, const struct sql_facts *f, const char *alias, const char *schema,
			struct advise_table *out) must_check;
/* Appends the SELECT of the rows that an UPDATE or DELETE looks for; a SELECT as it is, but for FOR UPDATE and its like.
 * RC_DECLINED: it is neither, or looks for none. */
enum rc advise_read(struct span text, struct iobuf *out) must_check;
/* The list behind a statement's own ORDER BY; empty: none. */
struct span advise_order_by(struct span text);
/* Rows up to the end of its own LIMIT, OFFSET's included; UINT64_MAX: it has none. */
uint64_t advise_limit(struct span text);
/* Rows that its own LIMIT lets it send at most, likewise. */
uint64_t advise_limit_sent(struct span text);
/* The statement behind "EXPLAIN FORMAT=JSON ", with something for each placeholder and strings that JSON can hold. */
enum rc advise_explain_text(struct span text, struct iobuf *out) must_check;

/* ---- advise_explain.c ---- */

/* Makes the session safe and small; chooses the schema. */
enum rc advise_session(struct sqlconn *c, const char *schema) must_check;
/* The plan's text, appended to out. */
enum rc advise_plan(struct sqlconn *c, struct span text, struct iobuf *out) must_check;
/* The table that a view which the statement reads has under this alias; as it was guessed, if none of their texts says. */
enum rc advise_look_views(struct sqlconn *c, const struct sql_facts *f, const char *schema, const char *alias, struct advise_table *t) must_check;
/* Which columns exist, and what of them to index. */
enum rc advise_look_columns(struct sqlconn *c, const struct advise_table *t, struct advise_columns *cols) must_check;
/* The table that a column without a table's name is of. RC_DECLINED: none of the statement's tables has it, or several have. */
enum rc advise_look_owner(struct sqlconn *c, const struct sql_facts *f, const char *schema, const char *column,
			  struct advise_table *out) must_check;
/* Whether the columns that these are compared with are numbers. text, f, schema: of the statement. */
enum rc advise_look_others(struct sqlconn *c, struct span text, const struct sql_facts *f, const char *schema,
			   struct advise_columns *cols) must_check;
/* Of the table's indexes those that matter for one on these columns; names or "". */
struct advise_known {
	char serves[ADVISE_NAME];    /* begins with them */
	char redundant[ADVISE_NAME]; /* is itself no more than the beginning of them, and not unique */
	char primary[ADVISE_NAME];   /* no index: the primary key's first column */
};
enum rc advise_look_indexes(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index,
			    struct advise_known *out) must_check;
/* Puts the columns that stand for equalities into the order of their distinct values in a sample, most first. */
enum rc advise_look_order(struct sqlconn *c, const struct advise_table *t, struct advise_columns *index) must_check;
/* Of a sample of the table's rows, how many there are and how many match the conditions on these columns. Both 0: the
 * conditions cannot be tried by themselves. */
struct advise_sample {
	uint64_t rows, match;
};
enum rc advise_look_values(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index,
			   struct advise_sample *out) must_check;
/* match: rows that have one of the values of these columns, on average. */
enum rc advise_look_share(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *index,
			  struct advise_sample *out) must_check;
/* How many match all these conditions of a plan. Both 0: they cannot be tried. */
enum rc advise_look_condition(struct sqlconn *c, const struct advise_table *t, const char *alias, const struct span *terms, size_t n,
			      struct advise_sample *out) must_check;
/* match: rows that equal the number which the column is compared with, and not that number's digits; of a join those that are not
 * spelt as numbers are. Both 0: it cannot be tried. */
enum rc advise_look_spelling(struct sqlconn *c, const struct advise_table *t, const struct advise_column *of,
			     struct advise_sample *out) must_check;
/* match: rows of this string that have a number other than 0, and not as its digits: '007', '12-A'. */
enum rc advise_look_numbers(struct sqlconn *c, const struct advise_table *t, const char *column, struct advise_sample *out) must_check;
enum rc advise_put_name(struct iobuf *b, const char *name) must_check; /* `quoted` */
/* For information_schema's names, whatever the session's character set: column=value; and, behind WHERE, TABLE_SCHEMA and TABLE_NAME are these. */
enum rc advise_put_is(struct iobuf *b, const char *column, const char *value) must_check;
enum rc advise_put_of(struct iobuf *b, const char *schema, const char *table) must_check;
/* SELECT what of a column's row in information_schema. On failure sql is empty. */
enum rc advise_put_column_of(struct iobuf *sql, const char *what, const struct advise_table *t, const char *column) must_check;

/* ---- advise_sample.c ---- */

/* Appends a derived table of these columns of some rows of the table: all of a small one. */
enum rc advise_put_sample(struct sqlconn *c, const struct advise_table *t, struct span columns, struct iobuf *sql) must_check;
/* How many rows it has, as the server estimates. */
enum rc advise_look_rows(struct sqlconn *c, const struct advise_table *t, uint64_t *rows) must_check;

/* ---- advise_either.c ---- */

struct advise_sides {
	struct advise_columns at[ADVISE_MOST_SIDES]; /* the indexes to add */
	size_t n;
	struct advise_sample sample; /* match: of all sides */
};
/* An index for each side of an OR in the condition that has none. RC_DECLINED: no such OR, or it would not help. */
enum rc advise_sides(struct sqlconn *c, const struct advise_table *t, const struct advise_scan *s,
		     struct advise_sides *out) must_check;

/* ---- advise_hidden.c ---- */

/* Compared with a number, though it is a string: each row is converted. */
bool advise_converted(const struct advise_column *c);
/* Or with a constant that may be one, as 1 + 7 is. */
bool advise_may_be_converted(const struct advise_column *c);
/* Is an index in the way of being used by how its column is compared? RC_DECLINED: no. RC_OK: of is the column, index the
 * index's name. */
enum rc advise_hidden(struct sqlconn *c, const struct advise_table *t, const struct advise_columns *found,
		      struct advise_column *of, char index[ADVISE_NAME]) must_check;
/* What to do about it, and the normalised statement mended, where that can be said; appended. alias: of the column's table. */
enum rc advise_hidden_fix(struct span text, const struct advise_column *of, const char *alias, const char *index, struct iobuf *words,
			  struct iobuf *sql) must_check;
/* The first column of another table with which the normalised statement compares this one: of names it, if there is one. */
enum rc advise_name_other(struct span text, const char *alias, struct advise_column *of) must_check;
/* Appends the normalised statement with this comparison mended; nothing, where that cannot be said. */
enum rc advise_mend(struct span text, const struct advise_column *of, const char *alias, struct iobuf *sql) must_check;

/* ---- advise_json.h ---- */

#define ADVISE_JSON_PATH 100
enum advise_json_form { ADVISE_JSON_VALUE, ADVISE_JSON_UNQUOTED, ADVISE_JSON_EXTRACT };
struct advise_json {
	char column[ADVISE_NAME];    /* of the documents; "": none is looked into */
	char path[ADVISE_JSON_PATH]; /* in them, without quotes; a literal of the statement (S2) */
	char name[ADVISE_NAME];      /* of the generated column */
	char collation[65];
	enum advise_json_form form;
	bool is_json; /* by its type */
	bool bound;   /* the value is not known: a statement prepared */
	bool number;  /* it is compared with a number */
	bool made;    /* the generated column is there, */
	bool there;   /* and its index */
	bool sees;    /* the server takes it where a statement has the expression */
	bool early;   /* a MariaDB that never does */
	bool mysql;
};

/* ---- advise_define.c ---- */

#define ADVISE_CHARSET 65 /* bytes of the name of a character set or collation, with its NUL */
#define ADVISE_DEFINITION 1400

/* Why a column is not to be given another collation by itself. */
enum advise_against {
	ADVISE_AGAINST_NOTHING,
	ADVISE_AGAINST_FOREIGN,   /* it is part of a foreign key */
	ADVISE_AGAINST_GENERATED, /* it is made from others */
	ADVISE_AGAINST_UNIQUE,    /* its rows might collide */
	ADVISE_AGAINST_BINARY,    /* which of both is meant? */
	ADVISE_AGAINST_ELSE,      /* it is no plain string, or something else of the table names it */
};

struct advise_recode {
	char column[ADVISE_NAME], index[ADVISE_NAME]; /* that is converted, and of which the index is not used */
	char was[ADVISE_CHARSET]; /* its character set, or its collation, whichever differs */
	char charset[ADVISE_CHARSET], collation[ADVISE_CHARSET]; /* in which the comparison is made */
	char other_table[2 * ADVISE_NAME], other[ADVISE_NAME];
	enum advise_against against;
	char definition[ADVISE_DEFINITION]; /* of the column with them; empty: against something */
	bool is_so;         /* it has that collation: COLLATE alone keeps the index from being used */
	bool drops_collate; /* COLLATE stands at it */
	bool keeps_collate; /* the other has another collation: COLLATE goes there */
};
/* Fills in the definition, if that is plain, and what is against it as far as SHOW CREATE TABLE's text tells. */
enum rc advise_definition(struct span create, const char *column, struct advise_recode *out) must_check;
/* The same of a server's table; one of both is filled in. */
enum rc advise_look_definition(struct sqlconn *c, const struct advise_table *t, const char *column, struct advise_recode *out) must_check;

/* ---- advise_words.c ---- */

struct advise_verdict {
	struct advise_scan scan;
	struct advise_table table;
	struct advise_columns index; /* proposed; of a hidden one its column */
	struct advise_known known;
	struct advise_sample sample;
	struct advise_sides sides; /* n above 0: an OR's, which take the place of index */
	uint64_t walked; /* rows looked up in the order asked for until enough match; 0: not told */
	bool far;        /* the order asked for leads past many rows that do not match */
	uint64_t beside; /* rows of other tables that the statement reads whole as well */
	bool by_key; /* the index's rows come in the order asked for: the primary key, which ends it, gives that */
	bool add;    /* the index, or the sides', is to be added */
	bool hidden; /* known.serves is there, and is not used */
	bool within;  /* the index is for looking into a subquery instead of working it out */
	bool recoded; /* by recode, a join's column that is converted */
	struct advise_recode recode;
	uint64_t left; /* recoded, within: rows to read with the fix */
	uint64_t led;  /* so many rows of another table look this one's up now, that could come first with the index; else 0 */
	bool quoted; /* the index helps only if a number is sent as a string, as well */
	struct advise_column bare; /* its name not "": the index helps only if this stands in no function, as well */
	struct advise_json json; /* its column not "": what to do is said of this */
};
bool advise_too_many_match(const struct advise_verdict *v);
enum rc advise_put_columns(const struct advise_columns *index, bool quoted, struct iobuf *out) must_check;
/* ALTER TABLE ... ADD INDEX (...), ... */
enum rc advise_put_alter(const struct advise_table *t, const struct advise_columns *index, size_t n, struct iobuf *out) must_check;
/* "a, b; c" */
enum rc advise_put_sides(const struct advise_sides *s, struct iobuf *out) must_check;
/* What to do about an OR. */
enum rc advise_put_sides_fix(const struct advise_verdict *v, struct iobuf *out) must_check;
enum rc advise_put_reason(const struct advise_verdict *v, struct iobuf *out) must_check;
enum rc advise_put_work(const struct advise_work *work, struct iobuf *out) must_check; /* "; with a temporary table", or nothing */

/* ---- advise_index.c ---- */

struct advise_question {
	struct sqlconn *c;
	const struct stats_explain *e;
	struct span sent; /* the statement */
	struct span text; /* as a read, which is explained */
	struct sql_facts facts; /* of that */
	const json_t *plan;
};
/* Of the columns found, those of the index to propose, in its order; none that is converted. n 0: none would help. */
void advise_choose(const struct advise_columns *found, struct advise_columns *index);
/* The largest scan or search that can be mended; else the largest scan, with why it cannot. RC_DECLINED: no full scan. */
enum rc advise_judge(struct advise_question *q, const json_t *plan, struct advise_verdict *out) must_check;

/* ---- advise_within.c ---- */

/* How often it is looked into what a subquery of the statement's own has collected, which reads this table alone; its name is the plan's own
 * string. 0: there is no such subquery. */
double advise_plan_lookups(const json_t *plan, const char *table) must_check;
/* Adds the columns of `table` that a subquery behind IN selects. */
void advise_selected(struct span text, struct span table, struct advise_columns *out);
/* An index on whole columns that are asked for, and nothing more than that to be said. */
bool advise_is_asked_for(const struct advise_verdict *v) must_check;
/* Is it far less to look up the rows of v's index so often than to read the table? *left: how many those are. */
bool advise_few_lookups(const struct advise_verdict *v, double lookups, uint64_t *left) must_check;

/* ---- advise_charset.c ---- */

/* Is the table read whole because its column's character set or collation is not that in which it is compared with another table's?
 * RC_DECLINED: no. */
enum rc advise_recode(struct advise_question *q, struct advise_verdict *v) must_check;
enum rc advise_put_recode_reason(const struct advise_verdict *v, struct iobuf *out) must_check;
enum rc advise_put_recode_fix(const struct advise_verdict *v, struct iobuf *out) must_check; /* what to do, in words */
enum rc advise_put_modify(const struct advise_verdict *v, struct iobuf *out) must_check; /* ALTER TABLE ... MODIFY, or nothing */
/* The normalised statement without COLLATE at the column, or nothing. */
enum rc advise_put_without_collate(struct span text, const struct advise_verdict *v, struct iobuf *out) must_check;

/* ---- advise_quoted.c ---- */

/* A string without an index is compared with a number: v becomes an index on it, which helps if the number is sent as a string.
 * RC_DECLINED: no such, or it would not help. */
enum rc advise_quoted(struct advise_question *q, const struct advise_columns *found, struct advise_verdict *v) must_check;
/* The plan says a number that the statement does not send: of names the column whose number it is, of a table of which there is one row, where
 * that is sure. alias: of the column's own table. */
enum rc advise_quoted_other(struct advise_question *q, const char *alias, struct advise_column *of) must_check;
const struct advise_column *advise_quoted_column(const struct advise_verdict *v); /* that string */
enum rc advise_put_quoted_fix(const struct advise_verdict *v, struct iobuf *out) must_check; /* what to do, in words */

/* ---- advise_bare.c ---- */

/* A column without an index is compared inside a function: v becomes an index on it, which helps if it is compared bare. RC_DECLINED: no
 * such, or it would not help, or how to compare it cannot be said. */
enum rc advise_bare(struct advise_question *q, const struct advise_columns *found, struct advise_verdict *v) must_check;
enum rc advise_put_bare_reason(const struct advise_verdict *v, struct iobuf *out) must_check;
enum rc advise_put_bare_fix(const struct advise_verdict *v, struct iobuf *out) must_check; /* what to do, in words */

/* ---- advise_statement.c ---- */

/* Reads, and does nothing else: EXPLAIN may evaluate parts of a statement. */
bool advise_may_explain(const struct sql_facts *f);
/* All of it for one statement. RC_DECLINED: nothing to say of it; RC_ERROR: the connection or memory failed. */
enum rc advise_statement(struct sqlconn *c, struct stats *stats, const struct stats_explain *e) must_check;

#endif
