/*
 * keys.h - the rows a statement names: columns that equal literals or placeholders.
 */
#ifndef SUIMON_KEYS_H
#define SUIMON_KEYS_H

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
	uint16_t nassigned;
	struct span assigned[SQL_MAX_ASSIGNED]; /* columns an UPDATE gives values: no keys */
	struct sql_key keys[SQL_MAX_KEYS];
	struct sql_key_value values[SQL_MAX_KEY_VALUES];
};

/* The keys of a SELECT, UPDATE or DELETE of one table without a query inside: every row it reads or changes has, for
 * each key, one of its values in its column, before and after; equal as the server compares them, which may be by
 * conversion ('5' = 5) and by collation. RC_DECLINED: none are known. Costs about as much as parsing the facts. */
enum rc sql_keys_parse(struct span text, unsigned mode, struct sql_keys *out) must_check;

#endif
