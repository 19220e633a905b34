/*
 * gtid_fuzz.c - positions as servers report them (F2): what is read is printed and read again as the same, and has
 * reached itself. Two lists, a NUL between them.
 */
#include <stdlib.h>
#include <string.h>

#include "gtid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void one(const struct gtid_pos *pos)
{
	char text[GTID_TEXT_CAP];
	struct gtid_pos again;
	size_t len = gtid_print(pos, text);

	must(len < sizeof text && text[len] == '\0' && pos->n <= GTID_DOMAINS);
	if (pos->overflow)
		return;
	must(gtid_parse(span_of(text, len), &again) == RC_OK && gtid_reached(&again, pos) && gtid_reached(pos, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, '\0', size) : NULL;
	size_t first = nul ? (size_t)(nul - data) : size;
	struct gtid_pos a, b;
	bool ok = gtid_parse(span_of(data, first), &a) == RC_OK;

	if (ok)
		one(&a);
	if (!nul || gtid_parse(span_of(nul + 1, size - first - 1), &b) != RC_OK)
		return 0;
	one(&b);
	if (!ok)
		return 0;
	gtid_merge(&a, &b);
	one(&a);
	must(a.overflow || gtid_reached(&a, &b));
	return 0;
}
