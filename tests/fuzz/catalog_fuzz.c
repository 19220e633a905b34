/*
 * catalog_fuzz.c - definitions of views, bodies of triggers and routines, lines of SHOW GRANTS: whatever a schema holds
 * (F2). What is not understood says so; what is understood has its pieces inside the text. The first byte says what the
 * rest is, a NUL ends a routine's parameters.
 */
#include <stdlib.h>

#include "catalog_body.h"
#include "catalog_load.h"
#include "catalog_rights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static enum rc piece_lies_inside(void *arg, struct span text, enum catalog_piece piece)
{
	const struct span *body = arg;

	must(text.len && text.p >= body->p && text.p + text.len <= body->p + body->len);
	return RC_OK;
}

static enum rc count(void *arg, struct span schema, struct span table)
{
	must(schema.len && table.len);
	(*(size_t *)arg)++;
	return RC_OK;
}

/* Whatever was taken in, asking about it ends. */
static void ask(const struct entity *e)
{
	const char *why;
	size_t n = 0;

	for (int mode = SNAPSHOT_READ; mode <= SNAPSHOT_WRITE; mode++)
		must(snapshot_closure(e, (enum snapshot_walk)mode, count, &n, &why) == RC_OK || why);
}

static void try_definition(uint8_t what, struct span text)
{
	struct snapshot *s = snapshot_new(what & 4);
	struct entity *e = s ? snapshot_get(s, span_str("shop"), span_str("t")) : NULL;
	struct entity *f = s ? snapshot_get_routine(s, span_str("shop"), span_str("f"), false) : NULL;
	const char *nul = text.len ? memchr(text.p, '\0', text.len) : NULL;
	struct span mode = span_str(what & 8 ? "ANSI_QUOTES,NO_BACKSLASH_ESCAPES" : ""), parameters = {0}, body = text;

	must(e && f);
	if (nul) {
		parameters = span_of(text.p, (size_t)(nul - text.p));
		body = span_of(nul + 1, text.len - parameters.len - 1);
	}
	e->kind = what % 4 == 0 ? CATALOG_VIEW : CATALOG_TABLE;
	f->kind = CATALOG_ROUTINE;
	if (what % 4 == 0 && text.len)
		must(catalog_take_view(s, e, text) == RC_OK);
	else if (what % 4 == 1)
		must(catalog_take_trigger(s, e, body, mode) == RC_OK);
	else
		must(catalog_take_routine(s, f, body, parameters, mode) == RC_OK);
	must(catalog_body_walk(body, what & 3, piece_lies_inside, &body) != RC_AGAIN);
	ask(e);
	ask(f);
	snapshot_unref(s);
}

static void try_grant(struct span line)
{
	struct rights r = {0};

	must(rights_add(&r, line) == RC_OK);
	must(!rights_see_all(&r, span_str("shop"), true) || r.everywhere || r.granted);
	rights_reset(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text;

	if (!size)
		return 0;
	text = span_of(data + 1, size - 1);
	if (data[0] % 4 == 3)
		try_grant(text);
	else
		try_definition(data[0], text);
	return 0;
}
