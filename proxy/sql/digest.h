/*
 * digest.h - one pass over a statement's text: its digest, its comments' hints and tags, what its literals hash to.
 */
#ifndef SUIMON_DIGEST_H
#define SUIMON_DIGEST_H

#include "facts.h"
#include "iobuf.h"

/* Hints: comments of the form "suimon: word" (design: contract section 2). */
#define SQL_HINT_CACHE 0x01 /* cache=30s */
#define SQL_HINT_NOCACHE 0x02
#define SQL_HINT_PRIMARY 0x04
#define SQL_HINT_REPLICA 0x08
#define SQL_HINT_QUEUE 0x10
#define SQL_HINT_SYNC 0x20
#define SQL_HINT_GROUP 0x40 /* replica=name */
#define SQL_HINT_BAD 0x80   /* a suimon comment that says nothing known: counted, otherwise ignored */

#define SQL_MAX_TAGS 16

struct sql_tag { struct span key, value; }; /* sqlcommenter, still URL-encoded, into the text: read them by sql_tag_next */

struct sql_lexed {
	uint64_t digest;       /* XXH3 of the normalised text and the mode bits that change its reading */
	uint64_t literals;     /* hash of the literals in order: equal texts have equal pairs (digest, literals) */
	unsigned hints;
	uint64_t hint_cache_ns;
	struct span hint_group; /* into the text */
	struct span body;      /* the text less leading and trailing blanks, comments and semicolons */
	bool has_executable_comment; /* a "/ *!" or "/ *M!" comment */
	bool broken;           /* ends inside a quote or comment */
	uint16_t ntags;
	struct sql_tag tags[SQL_MAX_TAGS]; /* the first ntags of them */
};

/* The next character of a tag's key or value, its URL encoding and escapes resolved; moves rest. False at its end. */
bool sql_tag_next(struct span *rest, char *c) must_check;

/* One pass, no allocation. Hints of several comments add up, and so do tags, of the same key too. */
void sql_lex(struct span text, unsigned mode, struct sql_lexed *out);
/* The normalised text: pt-query-digest's fingerprint where that is well defined (lower case, literals to ?, lists of
 * literals to (?+), blanks folded, comments gone). Appends to out, at most max bytes. */
enum rc sql_normalise(struct span text, unsigned mode, size_t max, struct iobuf *out) must_check;
/* The same with names in the letters they were sent in: where a server tells Orders from orders, a statement made of it still runs. */
enum rc sql_normalise_spelt(struct span text, unsigned mode, size_t max, struct iobuf *out) must_check;
/* The text that decides equality for the cache: comments that no server reads are gone, blanks outside quotes are
 * folded, trailing semicolons gone; literals, letter case, executable comments and optimizer hints kept. Inside a
 * select list everything stays as written, because an expression's text is its column's name. Appends to out. */
enum rc sql_canonical(struct span text, unsigned mode, struct iobuf *out) must_check;

/* What of a text its digest does not tell and may make it one that the server refuses: the numbers of items in its rows, lists that are none,
 * a literal where not every kind of it may stand. Of two texts of one digest and of one form the server takes both or neither, values
 * aside. prepared: placeholders are literals. 0: it is no whole text, or has placeholders and is not prepared. One pass, no allocation. */
uint64_t sql_form(struct span text, unsigned mode, bool prepared);

/* Where an INSERT ... VALUES statement's rows lie, for merging: text[0..rows_at) is the head up to and with VALUES,
 * text[rows_at..rows_end) the rows "(..),(..)", the rest the tail (ON DUPLICATE KEY UPDATE ...).
 * RC_DECLINED: not such a statement. */
struct sql_insert_shape {
	size_t rows_at, rows_end;
	uint32_t rows;
	bool plain; /* in each row nothing but literals and placeholders */
};
enum rc sql_insert_shape(struct span text, unsigned mode, struct sql_insert_shape *out) must_check;
/* The same for one text of many that begin alike, as those of a program do: up to its first row it is compared with the head of the
 * one before, and read only if it differs. */
#define SQL_INSERT_HEAD_MOST 240
struct sql_insert_head {
	uint16_t mode, len; /* up to and with the first row's "("; 0: none is known */
	char text[SQL_INSERT_HEAD_MOST];
};
enum rc sql_insert_shape_like(struct span text, unsigned mode, struct sql_insert_head *head, struct sql_insert_shape *out) must_check;

/* The columns an INSERT or REPLACE gives values to, one call of put each, names without quotes; .all: no list, so all of them.
 * RC_DECLINED: it could not be told. Else what put said, when not RC_OK. */
struct sql_insert_columns {
	bool all;
	bool defaults; /* the word DEFAULT stands among its values: any of them may be the column's default */
};
typedef enum rc (*sql_column_fn)(void *arg, struct span name);
enum rc sql_insert_columns(struct span text, unsigned mode, sql_column_fn put, void *arg, struct sql_insert_columns *out) must_check;

/* The JSON line of "suimon digest" for one statement, as far as the text alone tells, with a newline. Appends to out.
 * RC_ERROR: memory or out's bound. */
enum rc sql_digest_json(struct span text, unsigned mode, struct iobuf *out) must_check;
/* "suimon digest": arg is the statement, or "-" for one a line from stdin. Returns the process's exit code. */
int sql_digest_main(const char *arg);

/* As what a placeholder stands in a statement. */
enum sql_place {
	SQL_PLACE_OPERAND, /* of an operator or a function, or not told */
	SQL_PLACE_SIDE,    /* alone: a side of a comparison or an assignment, or a member of an IN list */
	SQL_PLACE_ITEM,    /* alone: an item of a row of VALUES */
	SQL_PLACE_LIMIT,   /* behind LIMIT */
};
/* Of each placeholder, in order; places has a byte for each. RC_ERROR: they are not as many as params. */
enum rc sql_places(struct span text, unsigned mode, uint16_t params, uint8_t *places) must_check;

/* Replaces each ? placeholder outside quotes and comments by what put() appends for it, in order.
 * RC_ERROR when put fails or placeholders and params differ in number. */
enum rc sql_bind(struct span text, unsigned mode, uint16_t params,
		 enum rc (*put)(void *arg, uint16_t index, struct iobuf *out), void *arg, struct iobuf *out) must_check;

#endif
