/*
 * norm_impl.h - what the normaliser's files share: its buffer, and the steps a token takes. Others use norm.h.
 */
#ifndef SUIMON_NORM_IMPL_H
#define SUIMON_NORM_IMPL_H

#include "facts.h"
#include "norm.h"

/* norm.c. The buffer goes to the sink when there is no room for what is put. */
void norm_put_byte(struct sql_norm *n, char c);
void norm_put_span(struct sql_norm *n, struct span s, bool folded); /* folded: in lower case */
void norm_put_gap(struct sql_norm *n, const struct sql_token *t);   /* what stood before t */
/* Whether letter case is set aside for a word. Names of tables keep theirs, because servers may tell them apart and what
 * is known of a statement is kept by its digest; a word that could be either is a name where a name may stand. */
bool norm_folds(const struct sql_norm *n, const struct sql_token *t);
/* A token behind a sign that may be part of it. */
void norm_signed(struct sql_norm *n, const struct sql_token *t);
/* True for a comment, which is then done with. */
bool norm_see_comment(struct sql_norm *n, const struct sql_token *t);

static inline void norm_see_gap(struct sql_norm *n, const struct sql_token *t)
{
	if (t->blank)
		n->gap = SQL_GAP_BLANK;
}

static inline void norm_set_prev(struct sql_norm *n, const struct sql_token *t)
{
	n->prev = (struct sql_norm_prev){.kind = t->kind, .word = t->word, .op = t->op};
}

/* True when the next token, if it is plain, is put out as it stands. */
static inline bool norm_waits_for_nothing(const struct sql_norm *n)
{
	return (!n->busy || !n->tokens) && n->gap == SQL_GAP_NONE;
}

static inline bool norm_behind_order(const struct sql_norm_prev *prev)
{
	return prev->kind == SQL_T_WORD && prev->word == SQL_W_ORDER;
}

static inline bool norm_is_sign(const struct sql_token *t)
{
	return t->kind == SQL_T_OP && (t->op == '-' || t->op == '+');
}

/* norm_list.c */
/* Among the rows of an INSERT: a row that reads like the one before is dropped. at: where the token was put. */
void norm_row(struct sql_norm *n, const struct sql_token *t, size_t at);
/* Follows LIMIT; true when the token is not to be put out. */
bool norm_limit(struct sql_norm *n, const struct sql_token *t);
/* True when the token has become part of a list. */
bool norm_list(struct sql_norm *n, const struct sql_token *t);
/* Behind a word: whether a list of literals may follow. */
void norm_list_opens(struct sql_norm *n, const struct sql_token *t);
/* Puts out, as it stands, the text that was held back. */
void norm_replay(struct sql_norm *n, const char *to);

#endif
