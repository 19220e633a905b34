/*
 * conf_env.c - ${NAME} and ${NAME:-text} in strings, and what must hold for every value of a document.
 *
 *   text ─ conf_env_mark ─→ text with markers ─ libyaml ─→ nodes ─ conf_env_resolve ─→ nodes with values
 *
 * Braces mean a mapping in YAML's flow style, so {password: ${PW}} would not parse. Before libyaml sees the text each
 * reference is replaced by a marker: a private-use character and the reference's number in letters. What a variable
 * holds is therefore never read as YAML, and a reference in a comment is never looked up.
 *
 * Words get markers too: any may be a password, and libyaml, as it reads on, frees what it has outgrown without wiping it.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf_run.h"
#include "secret.h"

#define MARK "\xee\x80\x80" /* U+E000 */
#define MARK_LEN 3
#define SHOWN_MAX 60
#define WORD_LEAST 5 /* bytes; longer than null, which libyaml's reader has to see */
#define DIGITS 5 /* base 16, letters a to p: more than a document has room for */

static bool starts(struct span s, size_t at, const char *what)
{
	size_t n = strlen(what);

	return n <= s.len - at && memcmp(s.p + at, what, n) == 0;
}

/* ---- marking ---- */

/* One of a word's characters: they mean themselves wherever in YAML they stand behind a word's first one. */
static bool in_word(struct span s, size_t at)
{
	return s.p[at] > ' ' && s.p[at] <= '~' && !strchr("'\"\\,[]{}?", s.p[at]) && !starts(s, at, "${") && !starts(s, at, "$${");
}

/* The length of the word that begins at `at`; 0: none that is long enough, or one that may be YAML's own (an anchor, a tag). */
static size_t word_at(struct span s, size_t at)
{
	char before = at ? s.p[at - 1] : '\n';
	bool quoted = before == '"' || before == '\'';
	size_t n = 0;

	if (!quoted && !isspace((unsigned char)before) && !strchr(",[]{}?", before))
		return 0;
	if (strchr(quoted ? ":" : "-:#&*!|>%@`", s.p[at]))
		return 0;
	while (at + n < s.len && in_word(s, at + n))
		n++;
	while (n > 0 && s.p[at + n - 1] == ':')
		n--;
	return n < WORD_LEAST ? 0 : n;
}

static size_t count_refs(struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += starts(s, i, "${") || starts(s, i, MARK) || word_at(s, i) > 0;
	return n;
}

static bool is_name(struct span s)
{
	if (s.len == 0 || isdigit((unsigned char)s.p[0]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_')
			return false;
	return true;
}

/* The ${…} at `at`, up to the first } of its line. */
static struct conf_ref env_ref(struct span s, size_t at)
{
	struct conf_ref ref = {.kind = CONF_REF_BAD, .raw = span_of(s.p + at, 2)};
	size_t end = at + 2, sep;

	while (end < s.len && s.p[end] != '}' && s.p[end] != '\n')
		end++;
	if (end == s.len || s.p[end] != '}')
		return ref;
	for (sep = at + 2; sep < end; sep++)
		if (starts(s, sep, ":-"))
			break;
	ref.name = span_of(s.p + at + 2, sep - at - 2);
	if (!is_name(ref.name))
		return ref;
	ref.kind = CONF_REF_ENV;
	ref.raw = span_of(s.p + at, end + 1 - at);
	if (sep < end)
		ref.def = span_of(s.p + sep + 2, end - sep - 2);
	return ref;
}

/* Is there something at `at` that must not reach libyaml as it stands? */
static bool ref_at(struct span s, size_t at, struct conf_ref *ref)
{
	size_t word;

	if (starts(s, at, "$${"))
		*ref = (struct conf_ref){.kind = CONF_REF_LITERAL, .raw = span_of(s.p + at, 3), .def = span_str("${")};
	else if (starts(s, at, "${"))
		*ref = env_ref(s, at);
	else if (starts(s, at, MARK))
		*ref = (struct conf_ref){
			.kind = CONF_REF_LITERAL, .raw = span_of(s.p + at, MARK_LEN), .def = span_str(MARK)};
	else if ((word = word_at(s, at)) > 0)
		*ref = (struct conf_ref){
			.kind = CONF_REF_LITERAL, .raw = span_of(s.p + at, word), .def = span_of(s.p + at, word)};
	else
		return false;
	return true;
}

static size_t put_mark(char *out, size_t index)
{
	memcpy(out, MARK, MARK_LEN);
	for (size_t i = 0; i < DIGITS; i++)
		out[MARK_LEN + i] = (char)('a' + (index >> (4 * (DIGITS - 1 - i)) & 15));
	return MARK_LEN + DIGITS;
}

struct span conf_env_mark(struct conf_ctx *c, struct span text)
{
	size_t most = count_refs(text), n = 0;
	char *out;

	if (most == 0)
		return text.p ? text : span_str("");
	out = conf_alloc(c, text.len + most * (MARK_LEN + DIGITS));
	c->refs = conf_alloc(c, most * sizeof(*c->refs));
	if (!out || !c->refs)
		return span_of(NULL, 0);
	for (size_t i = 0; i < text.len;) {
		struct conf_ref *ref = &c->refs[c->nrefs];

		if (c->nrefs < most && ref_at(text, i, ref)) {
			n += put_mark(out + n, c->nrefs++);
			i += ref->raw.len;
		} else {
			out[n++] = text.p[i++];
		}
	}
	return span_of(out, n);
}

/* ---- resolving ---- */

static const struct conf_ref *ref_of(const struct conf_ctx *c, struct span s, size_t at)
{
	size_t index = 0;

	if (!starts(s, at, MARK) || s.len - at < MARK_LEN + DIGITS)
		return NULL;
	for (size_t i = 0; i < DIGITS; i++) {
		unsigned digit = (unsigned)s.p[at + MARK_LEN + i] - 'a';

		if (digit > 15)
			return NULL;
		index = index << 4 | digit;
	}
	return index < c->nrefs ? &c->refs[index] : NULL;
}

/* UTF-8 as RFC 3629 has it: a variable's bytes were not seen by libyaml. */
static bool is_utf8(struct span s)
{
	for (size_t i = 0; i < s.len;) {
		unsigned char b = (unsigned char)s.p[i];
		size_t n = b < 0x80              ? 1
			 : b >= 0xc2 && b < 0xe0 ? 2
			 : (b & 0xf0) == 0xe0    ? 3
			 : b >= 0xf0 && b < 0xf5 ? 4
						 : 0;
		uint32_t cp = n == 1 ? b : b & (0xffu >> (n + 1));

		if (n == 0 || n > s.len - i)
			return false;
		for (size_t k = 1; k < n; k++) {
			if (((unsigned char)s.p[i + k] & 0xc0) != 0x80)
				return false;
			cp = cp << 6 | ((unsigned char)s.p[i + k] & 0x3f);
		}
		if ((n == 3 && cp < 0x800) || (n == 4 && (cp < 0x10000 || cp > 0x10ffff)) ||
		    (cp >= 0xd800 && cp < 0xe000))
			return false;
		i += n;
	}
	return true;
}

/* What the reference stands for; a fault where it stands for nothing. */
static struct span ref_value(struct conf_ctx *c, const struct conf_node *n, const struct conf_ref *ref)
{
	char name[128];
	const char *value;

	if (ref->kind == CONF_REF_LITERAL)
		return ref->def;
	if (ref->kind == CONF_REF_BAD || ref->name.len >= sizeof(name)) {
		conf_fault(c, n,
			   "${ without a variable's name, allowed are ${NAME}, ${NAME:-text}, and $${ for these two "
			   "characters");
		return span_of(NULL, 0);
	}
	if (c->foreign) {
		conf_fault(c, n, "a variable is a host's own, allowed in a document that instances share are $${ and text without variables");
		return span_of(NULL, 0);
	}
	memcpy(name, ref->name.p, ref->name.len);
	name[ref->name.len] = '\0';
	value = secret_env(name);
	if (!value && conf_credential(c, n, name, &value) == RC_ERROR)
		return span_of(NULL, 0);
	if ((!value || !*value) && ref->def.p)
		return ref->def;
	if (!value)
		conf_fault(c, n, "environment variable %s is not set, allowed are set ones and ${%s:-text}", name,
			   name);
	else if (!is_utf8(span_str(value)))
		conf_fault(c, n, "environment variable %s holds bytes that are not UTF-8, allowed is UTF-8", name);
	else
		return span_str(value);
	return span_of(NULL, 0);
}

/* As the file says it. */
static struct span ref_raw(struct conf_ctx *c, const struct conf_node *n, const struct conf_ref *ref)
{
	return ref->raw;
}

/* The scalar with what `pick` gives for each reference, into out; out NULL: only its length. */
static size_t expand(struct conf_ctx *c, const struct conf_node *n, char *out,
		     struct span (*pick)(struct conf_ctx *, const struct conf_node *, const struct conf_ref *))
{
	struct span s = span_of(n->text, n->len);
	size_t len = 0;

	for (size_t i = 0; i < s.len;) {
		const struct conf_ref *ref = ref_of(c, s, i);
		struct span part = ref ? pick(c, n, ref) : span_of(s.p + i, 1);

		if (out && part.len)
			memcpy(out + len, part.p, part.len);
		len += part.len;
		i += ref ? MARK_LEN + DIGITS : 1;
	}
	return len;
}

/* A fault cites a value's beginning; a character is not cut in two. */
static void shorten(struct conf_ctx *c, struct conf_node *n)
{
	size_t len = SHOWN_MAX;
	char *cut;

	if (strnlen(n->shown, SHOWN_MAX + 1) <= SHOWN_MAX)
		return;
	while (len > 0 && ((unsigned char)n->shown[len] & 0xc0) == 0x80)
		len--;
	cut = conf_alloc(c, len + sizeof("…"));
	if (!cut)
		return;
	memcpy(cut, n->shown, len);
	memcpy(cut + len, "…", sizeof("…"));
	n->shown = cut;
}

static void resolve_refs(struct conf_ctx *c, struct conf_node *n)
{
	size_t faults = c->nfaults, len;
	char *shown, *text;

	if (!memmem(n->text, n->len, MARK, MARK_LEN))
		return;
	shown = conf_alloc(c, expand(c, n, NULL, ref_raw) + 1);
	len = expand(c, n, NULL, ref_value);
	n->bad = c->nfaults > faults;
	text = n->bad ? NULL : conf_alloc(c, len + 1);
	if (shown)
		(void)expand(c, n, shown, ref_raw);
	if (text)
		(void)expand(c, n, text, ref_value);
	n->plain = false;
	n->shown = shown ? shown : "";
	n->text = text ? text : "";
	n->len = text ? len : 0;
}

/* ---- what holds for every mapping and list ---- */

static int by_key_then_line(const void *a, const void *b)
{
	const struct conf_edge *x = *(const struct conf_edge *const *)a, *y = *(const struct conf_edge *const *)b;
	int cmp = strcmp(x->key->text, y->key->text);

	return cmp ? cmp : (x->key->line > y->key->line) - (x->key->line < y->key->line);
}

static void refuse_twins(struct conf_ctx *c, const struct conf_node *n)
{
	const struct conf_edge **sorted = conf_alloc(c, n->count * sizeof(*sorted));
	size_t count = 0, first = 0;

	if (!sorted)
		return;
	for (const struct conf_edge *e = n->first; e; e = e->next)
		if (!e->key->bad)
			sorted[count++] = e;
	qsort(sorted, count, sizeof(*sorted), by_key_then_line);
	for (size_t i = 1; i < count; i++) {
		size_t mark;

		if (strcmp(sorted[i]->key->text, sorted[first]->key->text) != 0) {
			first = i;
			continue;
		}
		mark = conf_enter(c, sorted[i]->key->shown);
		conf_fault(c, sorted[i]->key, "given twice, allowed is once (it stands in line %u too)",
			   sorted[first]->key->line);
		conf_leave(c, mark);
	}
}

static void resolve_member(struct conf_ctx *c, struct conf_edge *e, size_t index)
{
	size_t mark;

	if (e->key)
		conf_env_resolve(c, e->key);
	mark = e->key ? conf_enter(c, e->key->shown) : conf_enter_index(c, index);
	conf_env_resolve(c, e->value);
	conf_leave(c, mark);
}

void conf_env_resolve(struct conf_ctx *c, struct conf_node *n)
{
	size_t index = 0;

	if (n->resolved || c->no_memory)
		return;
	n->resolved = true;
	if (n->kind == CONF_SCALAR) {
		resolve_refs(c, n);
		shorten(c, n);
		return;
	}
	for (struct conf_edge *e = n->first; e; e = e->next)
		resolve_member(c, e, index++);
	if (n->kind == CONF_MAP && n->count > 1)
		refuse_twins(c, n);
}
