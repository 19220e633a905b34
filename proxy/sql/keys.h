/*
 * keys.h - the rows a statement names: columns that equal literals or placeholders.
 */
#ifndef SUIMON_KEYS_H
#define SUIMON_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "span.h"

#define SQL_MAX_KEYS 8
#define SQL_MAX_KEY_VALUES 256 /* of all keys together */
#define SQL_MAX_ASSIGNED 32
#define SQL_NO_PARAM UINT16_MAX

struct sql_key_value {
	struct span text; /* as written, quotes and sign included; into the statement */
	uint16_t param;   /* which placeholder, from 0; SQL_NO_PARAM for a literal */
};

struct sql_key {
	struct span column; /* as written, without its table; into the statement */
	uint16_t first, n;  /* its values */
};

struct sql_keys {
	struct span schema, table; /* as written; the only table of the statement */
	uint16_t nkeys, nvalues;
	uint16_t wheres;           /* the parser's: conditions met on the statement's own level */
	bool others;               /* the parser's: a column may be a table function's, or rows of other keys are written */
	uint16_t nassigned;
	struct span assigned[SQL_MAX_ASSIGNED]; /* columns an UPDATE gives values: no keys */
	struct sql_key keys[SQL_MAX_KEYS];
	struct sql_key_value values[SQL_MAX_KEY_VALUES];
};

/* The keys of a SELECT, UPDATE or DELETE of one table, without a query or a table function inside: every row it reads,
 * changes or makes has, for each key, one of its values in its column, before and after; equal as the server compares
 * them, which may be by conversion ('5' = 5) and by collation. RC_DECLINED: none are known. Costs about as much as parsing the facts. */
enum rc sql_keys_parse(struct span text, unsigned mode, struct sql_keys *out) must_check;

/* The same for one text of many that differ in their literals, as those of a digest do: held against one read before, which it
 * costs a comparison to know, and read only if it differs in more. */
#define SQL_KEYS_LIKE_TEXT 512    /* bytes; a longer one is always read */
#define SQL_KEYS_LIKE_LITERALS 16 /* that may differ; further ones must be the same */
#define SQL_KEYS_LIKE_VALUES 16   /* of all keys together */
#define SQL_KEYS_LIKE_PATIENCE 8  /* so many texts differ in more before another is kept */
struct sql_keys_literal { uint16_t at, end; };
struct sql_keys_place {
	uint16_t at, end;           /* in the text that is kept; end 0: nowhere */
	uint8_t before, before_end; /* literals that end before its first byte, and its last */
};
struct sql_keys_like { /* zeroed before the first */
	bool known;
	uint8_t missed, nliterals, nkeys, nvalues;
	uint16_t len;
	unsigned mode;
	enum rc rc;
	struct sql_keys_literal literal[SQL_KEYS_LIKE_LITERALS];
	struct sql_keys_place schema, table;
	struct { struct sql_keys_place column; uint16_t first, n; } key[SQL_MAX_KEYS];
	struct { struct sql_keys_place text; uint16_t param; } value[SQL_KEYS_LIKE_VALUES];
	char text[SQL_KEYS_LIKE_TEXT];
};
enum rc sql_keys_parse_like(struct span text, unsigned mode, struct sql_keys_like *like, struct sql_keys *out) must_check;

/* Is a column, as written, the one of this name (without quotes)? */
bool sql_key_is(struct span column, const char *name);

/* What an INSERT or REPLACE ... VALUES, or ... SET, gives some columns. */
#define SQL_INSERT_COLUMNS 8
#define SQL_INSERT_ROWS 16

enum sql_given {
	SQL_GIVEN_NOT,     /* the column is not in the list: it has its default, or a number of its own */
	SQL_GIVEN_VALUES,  /* a literal or a placeholder in every row */
	SQL_GIVEN_UNKNOWN, /* anything else: an expression, NULL, DEFAULT, no list of columns, too many rows */
};
struct sql_insert_column {
	enum sql_given given;
	bool assigned;      /* behind ON DUPLICATE KEY UPDATE */
	uint16_t n;
	struct sql_key_value values[SQL_INSERT_ROWS]; /* one a row */
};
struct sql_insert_keys {
	const char *const *columns; /* the caller's: those asked for, */
	unsigned ncolumns;          /* at most SQL_INSERT_COLUMNS */
	struct sql_insert_column at[SQL_INSERT_COLUMNS];
	uint32_t rows;
	bool replaces;      /* REPLACE, or ON DUPLICATE KEY UPDATE: a row that was there may change */
	bool ignores;       /* IGNORE: what does not fit its column is bent */
	bool listed, in_update; /* the parser's */
	uint16_t nplaces;       /* the parser's: the list's length, */
	uint8_t place[256];     /* and which column stands there: its index + 1, or 0 */
};
/* columns, ncolumns are set by the caller. RC_DECLINED: no such statement, or one that takes its rows from a query. */
enum rc sql_insert_keys_parse(struct span text, unsigned mode, struct sql_insert_keys *k) must_check;

#endif
