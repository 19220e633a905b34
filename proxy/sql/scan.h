/*
 * scan.h - a statement's text as tokens, as the servers' own lexers cut it. No allocation, any bytes.
 */
#ifndef SUIMON_SCAN_H
#define SUIMON_SCAN_H

#include "span.h"
#include "words.h"

enum sql_token_kind {
	SQL_T_END = 0,
	SQL_T_WORD,       /* a bare word; .word says which */
	SQL_T_QUOTED,     /* `name`, or "name" with ANSI_QUOTES: quotes included in the span */
	SQL_T_STRING,     /* '..', "..", n'..': quotes included */
	SQL_T_NUMBER,     /* 1, 1.5e3 */
	SQL_T_BYTES,      /* 0x4d, x'4d', 0b1, b'1' */
	SQL_T_PARAM,      /* ? */
	SQL_T_USER_VAR,   /* @x, @`x`, @'x' */
	SQL_T_SYSTEM_VAR, /* the @@ alone; names follow as words */
	SQL_T_OP,         /* .op says which */
	SQL_T_COMMENT,    /* a comment that is not executed */
	SQL_T_HINT,       /* the optimizer's slash star plus */
	SQL_T_EXEC_OPEN,  /* the opening of an executable comment with its version: what follows is code */
	SQL_T_EXEC_CLOSE,
	SQL_T_BAD,        /* a byte no statement holds, or a quote or comment without its end */
};

/* Operators of one character are that character; these have more. */
enum sql_op {
	SQL_OP_ASSIGN = 256, /* := */
	SQL_OP_NULLSAFE,     /* <=> */
	SQL_OP_LE, SQL_OP_GE, SQL_OP_NE, SQL_OP_SHL, SQL_OP_SHR,
	SQL_OP_OROR, SQL_OP_ANDAND, SQL_OP_ARROW, SQL_OP_ARROW2, /* ||, &&, ->, ->> */
};

struct sql_token {
	uint8_t kind;  /* enum sql_token_kind */
	bool blank;    /* blanks or comments stood before it */
	bool maria;    /* of a SQL_T_EXEC_OPEN: for MariaDB alone */
	uint16_t word; /* enum sql_word of a SQL_T_WORD */
	uint16_t op;   /* of a SQL_T_OP */
	uint32_t version; /* of a SQL_T_EXEC_OPEN; 0 = none */
	struct span text; /* into the statement */
};

/* What a byte may start. */
enum sql_byte_class {
	SQL_C_BAD = 0,
	SQL_C_BLANK,
	SQL_C_QUOTE,
	SQL_C_BACKTICK,
	SQL_C_PUNCT, /* an operator of one byte, whatever follows */
	SQL_C_DOT,
	SQL_C_SLASH,
	SQL_C_HASH,
	SQL_C_MINUS,
	SQL_C_AT,
	SQL_C_PARAM,
	SQL_C_STAR,
	SQL_C_BACKSLASH,
	SQL_C_LESS,
	SQL_C_GREATER,
	SQL_C_TWIN,
	SQL_C_COLON,
	SQL_C_BANG,
	SQL_C_NAME,
	SQL_C_DIGIT, /* last: what a name may hold */
};
extern const uint8_t sql_byte_classes[256];

struct sql_scan {
	const char *base, *p, *end; /* the text is not owned */
	unsigned mode;              /* SQL_MODE_* */
	bool in_exec;               /* inside an executable comment */
	bool skip_versions;         /* executable comments that only some servers run are comments */
	bool name_next;             /* behind "name.": digits start a name too */
	const char *name_end;       /* end of the last name, where a dot would qualify it */
	bool broken;                /* ended inside a quote or comment */
};

void sql_scan_init(struct sql_scan *s, struct span text, unsigned mode);
/* The next token, comments included. At the end SQL_T_END for ever. */
void sql_scan_next(struct sql_scan *s, struct sql_token *t);

/* The next that is neither a comment nor a hint. */
static inline void sql_scan_next_code(struct sql_scan *s, struct sql_token *t)
{
	do
		sql_scan_next(s, t);
	while (t->kind == SQL_T_COMMENT || t->kind == SQL_T_HINT);
}

static inline bool sql_token_is_op(const struct sql_token *t, unsigned op)
{
	return t->kind == SQL_T_OP && t->op == op;
}

/* The word may be one that enum sql_word does not have. */
static inline bool sql_token_is_word(const struct sql_token *t, const char *word)
{
	return t->kind == SQL_T_WORD && span_ieq(t->text, span_str(word));
}

/* True when not every server runs what the comment holds. */
static inline bool sql_token_some_servers(const struct sql_token *t)
{
	return t->maria || t->version >= 50700;
}

/* True when the text holds a pair of bytes that a character set such as sjis, cp932, gbk, gb18030 or big5 could read
 * as one character and these functions read as two, one of them a quote, a backslash or an operator. */
bool sql_scan_ambiguous(struct span text);

#endif
