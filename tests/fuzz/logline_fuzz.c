/*
 * logline_fuzz.c - whatever a tail holds, a text line is one line without control characters and a JSON line parses
 * (F2); a quoted value comes back from JSON as it was, as far as it is UTF-8.
 */
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "logline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "logline: %s\n", what);
	abort();
}

static void check_text(const struct logline *l)
{
	char line[LOGLINE_MAX];
	size_t n = logline_text(line, l);

	must(n > 0 && n <= sizeof(line) && line[n - 1] == '\n', "a line ends in a newline");
	for (size_t i = 0; i + 1 < n; i++)
		must((uint8_t)line[i] >= 0x20 && line[i] != 0x7f, "no control characters");
}

static json_t *parse_json(const struct logline *l)
{
	char line[LOGLINE_MAX];
	size_t n = logline_json(line, l);
	json_t *j = json_loadb(line, n, JSON_ALLOW_NUL, NULL);

	must(n > 0 && line[n - 1] == '\n', "a JSON line ends in a newline");
	must(json_is_object(j), "a JSON line is an object");
	return j;
}

/* A value of printable ASCII must come through quoting and JSON unchanged. */
static void check_round_trip(struct span value)
{
	struct logline l = {.level = "INFO", .subsystem = "fuzz", .text = "t"};
	char quoted[600], tail[700];
	json_t *j;

	if (value.len > 128)
		value.len = 128;
	for (size_t i = 0; i < value.len; i++) {
		if ((uint8_t)value.p[i] >= 0x80 || value.p[i] == '\0')
			return;
	}
	l.tail = span_of(tail, (size_t)snprintf(tail, sizeof(tail), "v=%s after=1",
						logline_quote(quoted, sizeof(quoted), value)));
	j = parse_json(&l);
	must(span_eq(span_str(json_string_value(json_object_get(j, "v"))), value), "a quoted value is unchanged");
	must(json_integer_value(json_object_get(j, "after")) == 1, "and what follows it too");
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct logline l = {
		.level = "INFO", .subsystem = "fuzz", .text = "some text", .wall_us = 1, .repeats = size % 3};

	l.tail = span_of(data, size);
	check_text(&l);
	json_decref(parse_json(&l));
	check_round_trip(l.tail);
	return 0;
}
