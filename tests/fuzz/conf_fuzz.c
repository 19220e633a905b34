/*
 * conf_fuzz.c - whatever stands in a configuration, it is refused with faults of one line each, or it is taken and then
 * what is printed of it is taken again and prints the same (F2).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "conf: %s\n", what);
	abort();
}

/* "FILE:LINE: key.path: what is wrong, what is allowed" */
static void check_faults(const struct iobuf *faults)
{
	const char *p = (const char *)iobuf_data(faults), *end = p + iobuf_len(faults);

	must(p < end && end[-1] == '\n', "faults are lines");
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)(newline - p);

		must(memmem(p, len, ": ", 2) != NULL, "a fault has a place");
		must(memmem(p, len, "allowed", 7) != NULL || memmem(p, len, "needed", 6) != NULL,
		     "a fault says what is allowed");
		for (const char *c = p; c < newline; c++)
			must((unsigned char)*c >= 0x20 && *c != 0x7f, "a fault has no control characters");
		p = newline + 1;
	}
}

static void check_printed(const struct settings *s)
{
	struct iobuf first, second, json, faults;
	struct settings *again;

	iobuf_init(&first, 0);
	iobuf_init(&second, 0);
	iobuf_init(&json, 0);
	iobuf_init(&faults, 0);
	must(settings_print(s, &first) == RC_OK && settings_print_json(s, &json) == RC_OK,
	     "what is taken can be printed");
	again = settings_parse((const char *)iobuf_data(&first), iobuf_len(&first), "again", NULL, &faults);
	/* A document near the bound may print longer than it was. */
	if (again || iobuf_len(&first) < 512 * 1024) {
		if (!again)
			fwrite(iobuf_data(&faults), 1, iobuf_len(&faults), stderr);
		must(again != NULL, "what is printed is taken");
		must(settings_print(again, &second) == RC_OK, "and can be printed");
		must(iobuf_len(&first) == iobuf_len(&second) &&
			     memcmp(iobuf_data(&first), iobuf_data(&second), iobuf_len(&first)) == 0,
		     "and prints the same");
	}
	settings_unref(again);
	iobuf_reset(&first);
	iobuf_reset(&second);
	iobuf_reset(&json);
	iobuf_reset(&faults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iobuf faults;
	struct settings *s;

	setenv("A", "value", 0); /* set anew, it would be moved anew */
	unsetenv("B");
	iobuf_init(&faults, 0);
	s = settings_parse((const char *)data, size, "fuzz", "127.0.0.1:3306", &faults);
	if (s) {
		must(iobuf_len(&faults) == 0, "what is taken has no fault");
		check_printed(s);
	} else {
		check_faults(&faults);
	}
	settings_unref(s);
	iobuf_consume(&faults, iobuf_len(&faults));
	s = settings_load_shared(NULL, &(struct settings_shared){"shared", span_of(data, size)}, "127.0.0.1:3306", &faults);
	if (s) {
		must(!s->admin_token && !s->nusers, "no secret and no account comes from what is shared");
		check_printed(s);
	} else {
		check_faults(&faults);
	}
	settings_unref(s);
	iobuf_reset(&faults);
	return 0;
}
