/*
 * digest.c - one pass over a statement: tokens to the normalised text, its hash, the literals' hash, the comments.
 */
#include "digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "comment.h"
#include "norm.h"

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

static inline void hasher_add(struct hasher *h, const char *p, size_t len)
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

static enum rc digest_text(void *arg, const char *p, size_t len)
{
	struct digest_sink *d = arg;

	if (!d->streaming && len < SQL_NORM_BUFFER) {
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
	const char *first, *last; /* the body; NULL before it starts */
	unsigned mode, mode_seen;
};

static void lex_token(struct lexing *x, const struct sql_token *t)
{
	sql_norm_token(&x->norm, t);
	if (t->kind == SQL_T_COMMENT) {
		sql_comment_read(t->text, x->out);
		return;
	}
	if (x->mode)
		x->mode_seen |= mode_of_token(t, x->mode);
	if (sql_token_is_literal(t) || sql_token_is_op(t, '-') || sql_token_is_op(t, '+')) {
		hasher_add(&x->literals, t->text.p, t->text.len);
		hasher_add(&x->literals, "", 1);
	}
	x->out->has_executable_comment |= t->kind == SQL_T_EXEC_OPEN;
	if (!sql_token_is_op(t, ';')) {
		x->first = x->first ? x->first : t->text.p;
		x->last = t->text.p + t->text.len;
	}
}

void sql_lex(struct span text, unsigned mode, struct sql_lexed *out)
{
	struct lexing x;
	struct sql_scan s;
	struct sql_token t;

	memset(out, 0, sizeof *out);
	if (!text.p)
		text = span_str("");
	x.out = out;
	x.literals.n = 0;
	x.literals.streaming = x.digest.streaming = false;
	x.digest.value = 0;
	x.first = x.last = NULL;
	x.mode = mode;
	x.mode_seen = mode & SQL_MODE_ORACLE;
	sql_norm_init(&x.norm, text, mode, false, digest_text, &x.digest);
	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t))
		lex_token(&x, &t);
	if (sql_norm_end(&x.norm) != RC_OK) /* this sink does not fail */
		out->broken = true;
	out->digest = x.digest.streaming ? XXH3_64bits_digest(&x.digest.state) : x.digest.value;
	if (x.mode_seen)
		out->digest = XXH3_64bits_withSeed(&out->digest, sizeof out->digest, x.mode_seen);
	out->literals = hasher_end(&x.literals);
	out->broken |= s.broken || ((mode & SQL_MODE_WIDE_TRAIL) && sql_scan_ambiguous(text));
	out->body = x.first ? (struct span){.p = x.first, .len = (size_t)(x.last - x.first)}
			    : (struct span){.p = text.p, .len = 0};
}

struct text_sink {
	struct iobuf *out;
	size_t left; /* bytes that may still be appended */
};

static enum rc append_text(void *arg, const char *p, size_t len)
{
	struct text_sink *s = arg;

	if (len > s->left)
		len = s->left;
	s->left -= len;
	return len ? iobuf_append(s->out, p, len) : RC_OK;
}

enum rc sql_normalise(struct span text, unsigned mode, size_t max, struct iobuf *out)
{
	struct text_sink sink = {.out = out, .left = max};
	struct sql_norm n;
	struct sql_scan s;
	struct sql_token t;

	if (!text.p)
		text = span_str("");
	sql_norm_init(&n, text, mode, true, append_text, &sink);
	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END && sink.left; sql_scan_next(&s, &t))
		sql_norm_token(&n, &t);
	return sql_norm_end(&n);
}
