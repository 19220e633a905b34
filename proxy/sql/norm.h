/*
 * norm.h - the normalised text of a statement, made token by token in one pass and bounded memory.
 */
#ifndef SUIMON_NORM_H
#define SUIMON_NORM_H

#include "rc.h"
#include "scan.h"

#define SQL_NORM_BUFFER 4096

enum sql_norm_list {
	SQL_LIST_NONE = 0,
	SQL_LIST_WORD,  /* behind IN or VALUES */
	SQL_LIST_OPEN,  /* inside parentheses that have held literals only: nothing of them is put out yet */
	SQL_LIST_AFTER, /* behind a list put out as (?+): commas wait for another list */
};

enum sql_norm_gap { SQL_GAP_NONE = 0, SQL_GAP_COMMENT, SQL_GAP_BLANK };

enum sql_norm_limit {
	SQL_LIMIT_NONE = 0,
	SQL_LIMIT_WORD,   /* behind LIMIT */
	SQL_LIMIT_NUMBER, /* behind its number */
	SQL_LIMIT_SECOND, /* behind a comma or OFFSET, which has not been put out */
	SQL_LIMIT_DONE,   /* as the fingerprint has it, only the first LIMIT is folded */
};

/* Among the rows of an INSERT. Places are in the buffer. */
struct sql_norm_rows {
	bool on;
	unsigned depth;
	size_t at;        /* where this row began */
	size_t end;       /* behind the last row kept */
	size_t last_at, last_len; /* that row; no length: none yet */
};

/* Gets the text, piece by piece: the buffer is full, or (last) all is done. */
typedef enum rc sql_norm_sink(void *arg, const char *p, size_t len, bool last);

struct sql_norm {
	sql_norm_sink *sink;
	void *arg;        /* not owned */
	enum rc rc;       /* the sink's first failure */
	unsigned mode;
	const char *text_end;
	const char *end;  /* behind the last token */
	bool for_people;  /* the text that is shown, not the one that is hashed */
	bool spelt;       /* that, its names as they were sent */
	bool stopped;     /* the rest is left out */
	bool busy;        /* the next token may need more than being put out */
	bool flushed;     /* the buffer no longer holds the start */
	bool ordered;     /* ORDER BY has been seen */
	bool unions;
	bool listed;      /* (?+) stands for the word before already */
	uint16_t first;   /* enum sql_word the statement begins with */
	unsigned tokens;  /* so far, saturated at 2 */
	unsigned semicolons; /* waiting for something to follow them */
	enum sql_norm_gap gap, sign_gap;
	enum sql_norm_limit limit;
	enum sql_norm_list list;
	const char *pending; /* the text from here on has not been put out (SQL_LIST_OPEN, SQL_LIST_AFTER) */
	struct sql_norm_prev { uint8_t kind; uint16_t word, op; } prev; /* the last token put out; END: none yet */
	struct sql_token sign;     /* a + or - that may belong to the number behind it; .kind END: none */
	struct sql_token limit_by; /* the comma or OFFSET of SQL_LIMIT_SECOND */
	struct sql_norm_rows rows;
	size_t n;
	char buffer[SQL_NORM_BUFFER + VEC]; /* and slack for the last vector written */
};

/* for_people: lower case throughout, and the names of USE and the arguments of CALL go, as in the fingerprint; else
 * names keep their letter case, as the digest needs it. */
void sql_norm_init(struct sql_norm *n, struct span text, unsigned mode, bool for_people,
		   sql_norm_sink *sink, void *arg);
/* A token of the text, in order; comments too. */
void sql_norm_token(struct sql_norm *n, const struct sql_token *t);
/* Gives the rest to the sink. RC_ERROR: the sink failed. */
enum rc sql_norm_end(struct sql_norm *n) must_check;

/* norm_union.c: folds SELECTs that a UNION repeats, in a text with room for cap bytes; returns its new length. */
size_t sql_norm_unions(char *text, size_t len, size_t cap);

/* True for what is put out as a question mark. */
static inline bool sql_token_is_literal(const struct sql_token *t)
{
	const unsigned kinds = 1u << SQL_T_STRING | 1u << SQL_T_NUMBER | 1u << SQL_T_BYTES | 1u << SQL_T_PARAM;

	return (kinds >> t->kind & 1) || t->word == SQL_W_NULL;
}

#endif
