/*
 * lex.c - one pass over a statement: tokens to the normalised text, its hash, the literals' hash, the comments.
 *
 *   sql_lex: lex_plain (a run of plain tokens) -> sql_scan_next -> lex_token (one of the others) -> lex_plain -> ...
 *
 * lex_plain does for words, names, numbers and punctuation what the scanner and the normaliser do for any token, in one
 * loop without a call; lex_list the same for the literals of a list. They stop, having done nothing, at whatever could need
 * more: leaving them out would change nothing but the time, which tests/unit/digest_test.c checks.
 */
#include "digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "comment.h"
#include "norm_impl.h"
#include "scan_fast.h"

/* A hash over pieces: in one go as long as they fit the buffer. */
struct hasher {
	size_t n;
	bool streaming;
	char buffer[512];
	XXH3_state_t state; /* not set up before it is needed: it is large */
};

static void hasher_push(struct hasher *h, const void *p, size_t len)
{
	if (!h->streaming) {
		XXH3_64bits_reset(&h->state);
		h->streaming = true;
	}
	XXH3_64bits_update(&h->state, p, len);
}

static void hasher_add(struct hasher *h, const char *p, size_t len)
{
	if (len > sizeof h->buffer - h->n) {
		hasher_push(h, h->buffer, h->n);
		h->n = 0;
		if (len > sizeof h->buffer) {
			hasher_push(h, p, len);
			return;
		}
	}
	memcpy(h->buffer + h->n, p, len);
	h->n += len;
}

static uint64_t hasher_end(struct hasher *h)
{
	if (!h->streaming)
		return XXH3_64bits(h->buffer, h->n);
	hasher_push(h, h->buffer, h->n);
	return XXH3_64bits_digest(&h->state);
}

/* The digest's own sink: a normalised text that fits its buffer comes in one piece. */
struct digest_sink {
	bool streaming;
	uint64_t value;
	XXH3_state_t state;
};

static enum rc digest_text(void *arg, const char *p, size_t len, bool last)
{
	struct digest_sink *d = arg;

	if (!d->streaming && last) {
		d->value = XXH3_64bits(p, len);
		return RC_OK;
	}
	if (!d->streaming) {
		XXH3_64bits_reset(&d->state);
		d->streaming = true;
	}
	XXH3_64bits_update(&d->state, p, len);
	return RC_OK;
}

/* The mode bits under which the text reads otherwise than without them. */
static unsigned mode_of_token(const struct sql_token *t, unsigned mode)
{
	unsigned bits = 0;

	if (t->text.len && *t->text.p == '"')
		bits |= mode & SQL_MODE_ANSI_QUOTES;
	if ((mode & SQL_MODE_NO_BACKSLASH_ESCAPES) && t->kind == SQL_T_STRING && memchr(t->text.p, '\\', t->text.len))
		bits |= SQL_MODE_NO_BACKSLASH_ESCAPES;
	return bits;
}

struct lexing {
	struct sql_lexed *out;
	struct hasher literals;
	struct digest_sink digest;
	struct sql_norm norm;
	const char *first, *last, *end; /* the body (first is NULL before it starts), and the text's end */
	unsigned mode, mode_seen;
};

/* A literal, or a sign that may be part of one, and a NUL behind it. */
static inline void add_literal(struct lexing *x, const struct sql_token *t)
{
	struct hasher *h = &x->literals;

	if (likely(t->text.len < VEC && sizeof h->buffer - h->n >= 2 * VEC)) {
		vec_store(h->buffer + h->n, vec_keep(vec_load(t->text.p, x->end), (unsigned)t->text.len));
		h->n += t->text.len + 1;
		return;
	}
	hasher_add(h, t->text.p, t->text.len);
	hasher_add(h, "", 1);
}

/* A run of tokens: where it stands, and what it has put out. */
struct plain {
	const char *p, *end;
	char *to;
	struct sql_norm_prev prev;
	const char *name_end;
	bool name_next;
};

static inline uint8_t class_at(const struct plain *r, const char *p)
{
	return p < r->end ? sql_byte_classes[(unsigned char)*p] : SQL_C_BLANK;
}

static inline void plain_done(struct plain *r, enum sql_token_kind kind, unsigned word, unsigned op, size_t len)
{
	r->prev = (struct sql_norm_prev){.kind = (uint8_t)kind, .word = (uint16_t)word, .op = (uint16_t)op};
	r->p += len;
	r->name_next = false;
}

static inline bool plain_word(struct lexing *x, struct plain *r)
{
	vec v = vec_load(r->p, r->end), letters = vec_letters(v);
	unsigned len = vec_run(letters | vec_name_signs(v)), traits;
	enum sql_word w;
	bool folds;

	if (len == VEC || (len == 1 && r->end - r->p > 1 && r->p[1] == '\''))
		return false;
	w = sql_word_of(vec_keep(v & ~(letters & 0x20), len));
	traits = sql_words[w].traits;
	if (w == SQL_W_NULL || ((traits & SQL_WT_LISTENS) && w != SQL_W_BY))
		return false;
	if (w == SQL_W_BY)
		x->norm.ordered |= norm_behind_order(&r->prev);
	folds = traits & SQL_WT_RESERVED;
	if (unlikely(w != SQL_WORD_NONE && !folds)) {
		struct sql_token t = {.kind = SQL_T_WORD, .word = (uint16_t)w, .text = {.p = r->p, .len = len}};

		x->norm.prev = r->prev;
		folds = norm_folds(&x->norm, &t);
	}
	vec_store(r->to, folds ? v | (letters & 0x20) : v);
	r->to += len;
	plain_done(r, SQL_T_WORD, w, 0, len);
	r->name_end = r->p;
	return true;
}

static inline bool plain_backtick(struct plain *r)
{
	vec v = vec_load(r->p + 1, r->end);
	unsigned len = vec_run((vec)(v != '`'));

	if (r->end - r->p < (ptrdiff_t)len + 2 || len == VEC || class_at(r, r->p + len + 2) == SQL_C_BACKTICK)
		return false;
	*r->to = '`';
	vec_store(r->to + 1, v);
	r->to += len + 2;
	plain_done(r, SQL_T_QUOTED, SQL_WORD_NONE, 0, len + 2);
	r->name_end = r->p;
	return true;
}

/* Numbers without an exponent. */
static inline bool plain_number(struct lexing *x, struct plain *r)
{
	vec v = vec_load(r->p, r->end);
	unsigned len = vec_run(vec_between(v, '0', '9'));
	uint8_t behind = class_at(r, r->p + len);

	if (behind == SQL_C_DOT) {
		len += 1 + vec_run(vec_between(vec_load(r->p + len + 1, r->end), '0', '9'));
		behind = class_at(r, r->p + len);
	}
	if (len >= VEC || behind >= SQL_C_NAME || r->name_next || x->literals.n > sizeof x->literals.buffer - 2 * VEC)
		return false;
	vec_store(x->literals.buffer + x->literals.n, vec_keep(v, len));
	x->literals.n += len + 1;
	*r->to++ = '?';
	plain_done(r, SQL_T_NUMBER, SQL_WORD_NONE, 0, len);
	return true;
}

/* A string in single quotes that holds neither a backslash nor a quote. */
static inline bool plain_string(struct lexing *x, struct plain *r)
{
	char *to = x->literals.buffer + x->literals.n, *full = x->literals.buffer + sizeof x->literals.buffer - 2 * VEC;
	const char *q = r->p + 1;
	unsigned n = VEC;

	if (x->mode || to > full)
		return false;
	*to++ = '\'';
	while (n == VEC) {
		vec v = vec_load(q, r->end);

		if (to > full)
			return false;
		vec_store(to, v);
		n = vec_run((vec)(v != '\'') & (vec)(v != '\\'));
		q += n;
		to += n;
		if (q >= r->end)
			return false;
	}
	if (*q != '\'' || class_at(r, q + 1) == SQL_C_QUOTE)
		return false;
	*to++ = '\'';
	*to++ = '\0';
	x->literals.n = (size_t)(to - x->literals.buffer);
	*r->to++ = '?';
	plain_done(r, SQL_T_STRING, SQL_WORD_NONE, 0, (size_t)(q + 1 - r->p));
	return true;
}

static inline bool plain_op(struct plain *r)
{
	*r->to++ = *r->p;
	plain_done(r, SQL_T_OP, SQL_WORD_NONE, (unsigned char)*r->p, 1);
	return true;
}

static inline bool plain_param(struct lexing *x, struct plain *r)
{
	if (x->literals.n > sizeof x->literals.buffer - VEC)
		return false;
	x->literals.buffer[x->literals.n++] = '?';
	x->literals.buffer[x->literals.n++] = '\0';
	*r->to++ = '?';
	plain_done(r, SQL_T_PARAM, SQL_WORD_NONE, 0, 1);
	return true;
}

/* Behind a name, and before one that does not start with a digit. */
static inline bool plain_dot(struct plain *r)
{
	uint8_t behind = class_at(r, r->p + 1);

	if (r->p != r->name_end || (behind != SQL_C_NAME && behind != SQL_C_BACKTICK && behind != SQL_C_STAR))
		return false;
	plain_op(r);
	r->name_next = behind == SQL_C_NAME;
	return true;
}

/* < or > alone. */
static inline bool plain_order(struct plain *r)
{
	uint8_t behind = class_at(r, r->p + 1);

	return (behind == SQL_C_BLANK || behind >= SQL_C_NAME) && plain_op(r);
}

static inline bool plain_token(struct lexing *x, struct plain *r, bool in_exec)
{
	enum sql_byte_class class = (enum sql_byte_class)sql_byte_classes[(unsigned char)*r->p];

	if (class == SQL_C_NAME)
		return plain_word(x, r);
	if (class == SQL_C_PUNCT)
		return *r->p != ';' && *r->p != '+' && plain_op(r);
	switch (class) {
	case SQL_C_DIGIT:
		return plain_number(x, r);
	case SQL_C_BACKTICK:
		return plain_backtick(r);
	case SQL_C_QUOTE:
		return *r->p == '\'' && plain_string(x, r);
	case SQL_C_PARAM:
		return plain_param(x, r);
	case SQL_C_DOT:
		return plain_dot(r);
	case SQL_C_STAR:
		return !in_exec && plain_op(r);
	case SQL_C_LESS:
	case SQL_C_GREATER:
		return plain_order(r);
	default:
		return false;
	}
}

static void plain_first(struct lexing *x, const char *from, uint16_t word)
{
	x->first = from;
	if (!x->norm.tokens) {
		x->norm.first = word;
		x->norm.tokens = 1;
	}
}

/* Reads on from s->p as long as tokens are plain. */
static void lex_plain(struct lexing *x, struct sql_scan *s)
{
	struct sql_norm *n = &x->norm;
	struct plain r = {.p = s->p, .end = s->end, .to = n->buffer + n->n, .prev = n->prev,
			  .name_end = s->name_end, .name_next = s->name_next};
	const char *done = r.p, *full = n->buffer + SQL_NORM_BUFFER - 2 * VEC;
	char *to = r.to;

	while (r.p < r.end && r.to < full) {
		const char *from;

		if (sql_byte_classes[(unsigned char)*r.p] == SQL_C_BLANK) {
			*r.to = ' ';
			r.to += r.prev.kind != SQL_T_END;
			if (++r.p == r.end)
				break;
		}
		from = r.p;
		if (!plain_token(x, &r, s->in_exec))
			break;
		if (unlikely(!x->first))
			plain_first(x, from, r.prev.word);
		done = r.p;
		to = r.to;
	}
	if (done == s->p)
		return;
	s->p = n->end = x->last = done;
	s->name_end = r.name_end;
	s->name_next = r.name_next;
	n->prev = r.prev;
	n->n = (size_t)(to - n->buffer);
	n->busy = false;
}

static inline bool list_token(struct lexing *x, struct plain *r)
{
	switch ((enum sql_byte_class)sql_byte_classes[(unsigned char)*r->p]) {
	case SQL_C_DIGIT:
		return plain_number(x, r);
	case SQL_C_QUOTE:
		return *r->p == '\'' && plain_string(x, r);
	case SQL_C_PUNCT:
		return *r->p == ',' && plain_op(r);
	default:
		return false;
	}
}

/* Reads on from s->p, in a list that has held literals only, as long as they are plain. Nothing of them is put out. */
static void lex_list(struct lexing *x, struct sql_scan *s)
{
	char nowhere[VEC];
	struct plain r = {.p = s->p, .end = s->end, .name_next = s->name_next};
	const char *done = r.p;

	while (r.p < r.end) {
		if (sql_byte_classes[(unsigned char)*r.p] == SQL_C_BLANK) {
			r.p++;
			continue;
		}
		r.to = nowhere;
		if (!list_token(x, &r))
			break;
		done = r.p;
	}
	if (done == s->p)
		return;
	s->p = x->norm.end = x->last = done;
	s->name_next = false;
}

static void lex_token(struct lexing *x, const struct sql_token *t)
{
	sql_norm_token(&x->norm, t);
	if (unlikely(t->kind == SQL_T_COMMENT)) {
		sql_comment_read(t->text, x->out);
		return;
	}
	if (unlikely(x->mode))
		x->mode_seen |= mode_of_token(t, x->mode);
	if (sql_token_is_literal(t) || norm_is_sign(t))
		add_literal(x, t);
	x->out->has_executable_comment |= t->kind == SQL_T_EXEC_OPEN;
	if (unlikely(sql_token_is_op(t, ';')))
		return;
	x->first = x->first ? x->first : t->text.p;
	x->last = t->text.p + t->text.len;
}

static void begin(struct lexing *x, struct span text, unsigned mode, struct sql_lexed *out)
{
	memset(out, 0, offsetof(struct sql_lexed, tags)); /* they are large, and written before they are read */
	x->out = out;
	x->literals.n = 0;
	x->literals.streaming = x->digest.streaming = false;
	x->digest.value = 0;
	x->first = x->last = NULL;
	x->end = text.p + text.len;
	x->mode = mode;
	x->mode_seen = mode & SQL_MODE_ORACLE;
	sql_norm_init(&x->norm, text, mode, false, digest_text, &x->digest);
}

void sql_lex(struct span text, unsigned mode, struct sql_lexed *out)
{
	struct lexing x;
	struct sql_scan s;
	struct sql_token t;

	if (!text.p)
		text = span_str("");
	begin(&x, text, mode, out);
	sql_scan_init(&s, text, mode);
	for (;;) {
		if (norm_waits_for_nothing(&x.norm))
			lex_plain(&x, &s);
		else if (x.norm.list == SQL_LIST_OPEN)
			lex_list(&x, &s);
		sql_scan_next_fast(&s, &t);
		if (t.kind == SQL_T_END)
			break;
		lex_token(&x, &t);
	}
	if (sql_norm_end(&x.norm) != RC_OK) /* this sink does not fail */
		out->broken = true;
	out->digest = x.digest.streaming ? XXH3_64bits_digest(&x.digest.state) : x.digest.value;
	if ((mode & SQL_MODE_WIDE_TRAIL) && sql_scan_ambiguous(text)) {
		out->broken = true;
		x.mode_seen |= SQL_MODE_WIDE_TRAIL; /* what is known of a text that reads so is not known of this one */
	}
	if (x.mode_seen)
		out->digest = XXH3_64bits_withSeed(&out->digest, sizeof out->digest, x.mode_seen);
	out->literals = hasher_end(&x.literals);
	out->broken |= s.broken;
	out->body = x.first ? (struct span){.p = x.first, .len = (size_t)(x.last - x.first)}
			    : (struct span){.p = text.p, .len = 0};
}
