/*
 * The first byte is how the text reads, the rest is the text. Everything that is made of it holds together: spans lie
 * inside it, hashing and showing agree, the cache's text means the same as the text, bound text has no parameter left,
 * other literals leave the digest as it is, what is hashed has that hash itself, and what meets in
 * a part of a text meets in all of it.
 */
#include <stdlib.h>

#include <xxhash.h>

#include "digest.h"
#include "facts.h"
#include "inner.h"
#include "keys.h"
#include "norm.h"
#include "scan.h"
#include "today.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_lie_in(struct span text, struct span s)
{
	must(!s.len || (s.p >= text.p && s.len <= text.len && (size_t)(s.p - text.p) <= text.len - s.len));
}

static void tokens(struct span text, unsigned mode)
{
	const char *end = text.p;
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		must_lie_in(text, t.text);
		must(t.text.len && t.text.p >= end);
		end = t.text.p + t.text.len;
	}
}

static enum rc put_number(void *arg, uint16_t index, struct iobuf *out)
{
	return iobuf_printf(out, "%u", index);
}

/* How many parameters the text has, found by binding it. */
static void bind(struct span text, unsigned mode)
{
	uint8_t places[8];

	for (uint16_t params = 0; params < 8; params++) {
		struct iobuf b;
		enum rc rc;

		iobuf_init(&b, 0);
		rc = sql_bind(text, mode, params, put_number, NULL, &b);
		iobuf_reset(&b);
		must(sql_places(text, mode, params, places) == rc);
		if (rc == RC_OK)
			return;
	}
}

static void lexed(struct span text, unsigned mode, struct sql_lexed *x)
{
	sql_lex(text, mode, x);
	must_lie_in(text, x->body);
	for (uint16_t i = 0; i < x->ntags; i++) {
		must_lie_in(text, x->tags[i].key);
		must_lie_in(text, x->tags[i].value);
	}
}

/* The canonical text's digest and literals are the text's own, and its own canonical text is itself. */
static void canonical(struct span text, unsigned mode, const struct sql_lexed *x)
{
	struct iobuf a, b;
	struct sql_lexed y;

	iobuf_init(&a, 0);
	iobuf_init(&b, 0);
	must(sql_canonical(text, mode, &a) == RC_OK);
	/* two minus signs at the very end would be a comment, which they were not before one behind them went */
	if (!x->broken && iobuf_len(&a) && iobuf_data(&a)[iobuf_len(&a) - 1] != '-') {
		struct span s = span_of(iobuf_data(&a), iobuf_len(&a));

		sql_lex(s, mode, &y);
		must(y.literals == x->literals);
		must(sql_canonical(s, mode, &b) == RC_OK);
		must(iobuf_len(&a) == iobuf_len(&b) && memcmp(iobuf_data(&a), iobuf_data(&b), iobuf_len(&a)) == 0);
	}
	iobuf_reset(&a);
	iobuf_reset(&b);
}

static enum rc keep(void *arg, const char *p, size_t len, bool last)
{
	return iobuf_append(arg, p, len);
}

/* The text that is hashed, one token after the other: lex.c's shorter way must come to the same. */
static void hashed_text(struct span text, unsigned mode, struct iobuf *out)
{
	struct sql_norm n;
	struct sql_scan s;
	struct sql_token t;

	sql_norm_init(&n, text, mode, false, keep, out);
	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t))
		sql_norm_token(&n, &t);
	must(sql_norm_end(&n) == RC_OK);
}

static bool holds_word(struct span text, unsigned mode, enum sql_word w)
{
	struct sql_scan s;
	struct sql_token t;

	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t))
		if (t.kind == SQL_T_WORD && t.word == w)
			return true;
	return false;
}

/* understood: for statements alone; a UNION's mark, a LIMIT of three numbers and two minus signs that a comment kept apart
 * read otherwise the second time. */
static void hash(struct span text, unsigned mode, const struct sql_lexed *x, bool understood)
{
	struct sql_lexed again;
	struct iobuf b;

	if (mode)
		return;
	iobuf_init(&b, 0);
	hashed_text(text, mode, &b);
	if (iobuf_len(&b)) {
		struct span s = span_of(iobuf_data(&b), iobuf_len(&b));

		must(XXH3_64bits(s.p, s.len) == x->digest);
		if (understood && !holds_word(text, mode, SQL_W_UNION) && !memmem(s.p, s.len, "--", 2)) {
			sql_lex(s, mode, &again);
			must(again.digest == x->digest);
		}
	}
	iobuf_reset(&b);
}

struct span_of_all { struct span text; };

static unsigned kinds_by_length(void *arg, struct span name, bool call)
{
	const struct span_of_all *all = arg;

	must_lie_in(all->text, name);
	return name.len % 4;
}

static bool hangs_on_today(struct span text, unsigned mode)
{
	struct span_of_all all = {text};
	struct sql_today t;

	sql_today(text, mode, false, 0, kinds_by_length, &all, &t);
	return t.always;
}

/* Each digit of a number and each letter of a string another one. */
static void other_literals(struct span text, unsigned mode, const struct sql_lexed *x)
{
	char *copy = malloc(text.len + 1);
	struct sql_scan s;
	struct sql_token t;
	struct sql_lexed y;

	must(copy != NULL);
	memcpy(copy, text.p, text.len);
	sql_scan_init(&s, text, mode);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		char *p = copy + (t.text.p - text.p);

		for (size_t i = 1; i < t.text.len; i++) {
			if (t.kind == SQL_T_NUMBER && p[i] >= '0' && p[i] <= '9')
				p[i] = (char)('0' + (p[i] - '0' + 1) % 10);
			else if (t.kind == SQL_T_STRING && p[i] >= 'a' && p[i] <= 'z' && p[i - 1] != '\\')
				p[i] = p[i] == 'q' ? 'p' : 'q';
		}
	}
	sql_lex(span_of(copy, text.len), mode, &y);
	must(y.digest == x->digest && y.broken == x->broken);
	must(hangs_on_today(span_of(copy, text.len), mode) == hangs_on_today(text, mode));
	free(copy);
}

static bool facts(struct span text, unsigned mode)
{
	struct sql_facts f;
	const char *why;
	bool understood;

	must(sql_facts_parse(text, mode, &f) == RC_OK);
	must(!(f.flags & SQL_F_UNKNOWN) == !f.unknown_why);
	must(f.ntables <= SQL_MAX_TABLES);
	for (uint16_t i = 0; i < f.ntables; i++)
		must(f.tables[i].name.len <= text.len && f.tables[i].schema.len <= text.len);
	if (f.flags & SQL_F_UNKNOWN)
		must(!sql_cacheable(&f, &why) && !sql_replica_safe(&f, &why) && !sql_queueable(&f, &why));
	understood = !(f.flags & SQL_F_UNKNOWN);
	sql_facts_free(&f);
	return understood;
}

static enum rc name_lies_in(void *arg, struct span name)
{
	const struct span_of_all *all = arg;

	must_lie_in(all->text, name);
	must(name.len);
	return RC_OK;
}

/* Told of a text like another, they are what reading it would tell. */
static void keys_alike(struct span text, unsigned mode)
{
	static struct sql_keys_like like; /* of an earlier text, or this one */
	static struct sql_keys read, told;
	enum rc rc = sql_keys_parse(text, mode, &read);

	for (int i = 0; i < 2; i++) {
		must(sql_keys_parse_like(text, mode, &like, &told) == rc);
		if (rc != RC_OK)
			continue;
		must(read.nkeys == told.nkeys && read.nvalues == told.nvalues && read.table.p == told.table.p);
		for (uint16_t k = 0; k < read.nkeys; k++)
			must(read.keys[k].column.p == told.keys[k].column.p && read.keys[k].n == told.keys[k].n);
		for (uint16_t v = 0; v < read.nvalues; v++)
			must(read.values[v].text.p == told.values[v].text.p && read.values[v].text.len == told.values[v].text.len);
		like.missed = 0; /* the next text is kept, if it is another */
	}
}

static void pieces(struct span text, unsigned mode)
{
	struct span_of_all all = {text};
	struct sql_insert_columns columns;
	struct sql_insert_shape shape, like;
	static struct sql_insert_head head; /* of an earlier text */
	enum rc rc;
	static const char *const columns_of[] = {"id", "b"};
	struct sql_insert_keys given = {.columns = columns_of, .ncolumns = 2};
	struct sql_keys k;
	struct span s;
	size_t at = 0, before = 0;

	while (sql_split(text, mode, &at, &s)) {
		must_lie_in(text, s);
		must(s.len && at > before);
		before = at;
	}
	rc = sql_inner_statements(text, mode, name_lies_in, &all);
	must(rc == RC_OK || rc == RC_ERROR);
	must(sql_form(text, mode, false) == sql_form(text, mode, false));
	rc = sql_insert_shape(text, mode, &shape);
	if (rc == RC_OK)
		must(shape.rows && shape.rows_at < shape.rows_end && shape.rows_end <= text.len);
	for (int i = 0; i < 2; i++) {
		must(sql_insert_shape_like(text, mode, &head, &like) == rc);
		must(rc != RC_OK || (like.rows_at == shape.rows_at && like.rows_end == shape.rows_end && like.rows == shape.rows &&
				     like.plain == shape.plain));
	}
	if (sql_insert_columns(text, mode, name_lies_in, &all, &columns) == RC_OK)
		must(text.len);
	if (sql_insert_keys_parse(text, mode, &given) == RC_OK)
		for (unsigned c = 0; c < given.ncolumns; c++)
			for (unsigned v = 0; given.at[c].given == SQL_GIVEN_VALUES && v < given.at[c].n; v++)
				must_lie_in(text, given.at[c].values[v].text);
	keys_alike(text, mode);
	if (sql_keys_parse(text, mode, &k) == RC_OK)
		for (uint16_t i = 0; i < k.nvalues; i++)
			must_lie_in(text, k.values[i].text);
}

/* What meets in a piece meets in the whole. */
static void today(struct span text, unsigned mode)
{
	struct span_of_all all = {text};
	struct sql_today in_pieces, whole;

	sql_today(text, mode, false, 0, kinds_by_length, &all, &in_pieces);
	sql_today(text, mode, true, 0, kinds_by_length, &all, &whole);
	must(!in_pieces.always || whole.always);
	must((!in_pieces.with_time || whole.with_time) && (!in_pieces.with_date || whole.with_date) &&
	     (!in_pieces.with_both || whole.with_both));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sql_lexed x;
	struct iobuf b;
	struct span text;
	unsigned mode;

	if (!size)
		return 0;
	mode = data[0] & 0x17;
	text = span_of(data + 1, size - 1);
	tokens(text, mode);
	lexed(text, mode, &x);
	canonical(text, mode, &x);
	hash(text, mode, &x, facts(text, mode));
	other_literals(text, mode, &x);
	pieces(text, mode);
	bind(text, mode);
	today(text, mode);
	iobuf_init(&b, 0);
	must(sql_digest_json(text, mode, &b) == RC_OK);
	iobuf_reset(&b);
	return 0;
}
