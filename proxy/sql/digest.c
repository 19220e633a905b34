/*
 * digest.c - the normalised text for people to read.
 */
#include "digest.h"

#include "norm.h"

struct text_sink {
	struct iobuf *out;
	size_t left; /* bytes that may still be appended */
};

static enum rc append_text(void *arg, const char *p, size_t len, bool last)
{
	struct text_sink *s = arg;

	if (len > s->left)
		len = s->left;
	s->left -= len;
	return len ? iobuf_append(s->out, p, len) : RC_OK;
}

static enum rc normalise(struct span text, unsigned mode, bool spelt, size_t max, struct iobuf *out)
{
	struct text_sink sink = {.out = out, .left = max};
	struct sql_norm n;
	struct sql_scan s;
	struct sql_token t;

	if (!text.p)
		text = span_str("");
	sql_norm_init(&n, text, mode, true, append_text, &sink);
	n.spelt = spelt;
	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END && sink.left; sql_scan_next(&s, &t))
		sql_norm_token(&n, &t);
	return sql_norm_end(&n);
}

enum rc sql_normalise(struct span text, unsigned mode, size_t max, struct iobuf *out)
{
	return normalise(text, mode, false, max, out);
}

enum rc sql_normalise_spelt(struct span text, unsigned mode, size_t max, struct iobuf *out)
{
	return normalise(text, mode, true, max, out);
}
