/*
 * settings_doc.c - what people read about the configuration is what the program does: the reference in
 * docs/configuration.md is the table's, deploy/suimon.yaml is all defaults, and effective values look as written down.
 *
 * golden_settings FOLDER [--write]; FOLDER is tests/golden/settings. --write makes the files anew.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "settings.h"

static const char *const begin_mark = "<!-- reference: begin -->\n", *const end_mark = "<!-- reference: end -->\n";
static bool writing;
static int failures;

/* NULL: not readable. */
static char *read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;
	long size = -1;

	if (f && fseek(f, 0, SEEK_END) == 0)
		size = ftell(f);
	if (size >= 0 && fseek(f, 0, SEEK_SET) == 0)
		text = mem_zalloc((size_t)size + 1);
	if (text && fread(text, 1, (size_t)size, f) != (size_t)size) {
		mem_free(text);
		text = NULL;
	}
	if (f)
		fclose(f);
	return text;
}

static void fail(const char *path, const char *why)
{
	fprintf(stderr, "%s: %s\n", path, why);
	failures++;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "wb");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		fail(path, "cannot be written");
}

/* Shows the first line that differs. */
static void compare(const char *path, const char *is, const char *should)
{
	const char *line = is, *other = should;
	size_t number = 1;

	if (strcmp(is, should) == 0)
		return;
	if (writing) {
		write_file(path, should);
		return;
	}
	for (const char *a = is, *b = should; *a && *a == *b; a++, b++)
		if (*a == '\n') {
			line = a + 1;
			other = b + 1;
			number++;
		}
	fprintf(stderr, "%s:%zu: differs from the program\n  file:    %.*s\n  program: %.*s\n", path, number,
		(int)strcspn(line, "\n"), line, (int)strcspn(other, "\n"), other);
	fail(path, "make it anew with: build/golden_settings tests/golden/settings --write");
}

static char *text_of(struct iobuf *out)
{
	char *text = iobuf_len(out) ? mem_dup(iobuf_data(out), iobuf_len(out)) : NULL;

	iobuf_reset(out);
	return text ? text : mem_strdup("");
}

static void check_manual(const char *path)
{
	char *page = read_file(path), *begin = page ? strstr(page, begin_mark) : NULL,
	     *end = begin ? strstr(begin, end_mark) : NULL;
	struct iobuf out;
	char *manual, *should;

	iobuf_init(&out, 0);
	if (!end || settings_manual(&out) != RC_OK) {
		fail(path, "no reference between its markers");
		mem_free(page);
		return;
	}
	manual = text_of(&out);
	begin += strlen(begin_mark);
	should = mem_printf("%.*s\n%s\n%s", (int)(begin - page), page, manual, end);
	compare(path, page, should);
	mem_free(should);
	mem_free(manual);
	mem_free(page);
}

/* The effective values of a file, or its faults. */
static char *effective(const char *path, const char *primary)
{
	struct iobuf out;
	struct settings *s;

	iobuf_init(&out, 0);
	s = settings_load(path, primary, &out);
	if (!s)
		fail(path ? path : "defaults", "has faults");
	else if (settings_print(s, &out) != RC_OK)
		fail(path ? path : "defaults", "cannot be printed");
	settings_unref(s);
	return text_of(&out);
}

static void check_sample(const char *path)
{
	char *is = effective(path, NULL), *should = effective(NULL, "127.0.0.1:3306");

	if (strcmp(is, should) != 0)
		fail(path, "is not all defaults");
	mem_free(is);
	mem_free(should);
}

static void check_effective(const char *path, const char *expected)
{
	char *is = read_file(expected), *should = effective(path, NULL);

	if (!is && !writing)
		fail(expected, "cannot be read");
	else
		compare(expected, is ? is : "", should);
	mem_free(is);
	mem_free(should);
}

int main(int argc, char **argv)
{
	char *page, *sample, *full, *expected;

	writing = argc == 3 && strcmp(argv[2], "--write") == 0;
	if (argc != 2 && !writing) {
		fprintf(stderr, "usage: %s FOLDER [--write]\n", argv[0]);
		return 2;
	}
	unsetenv("SUIMON_PRIMARY");
	unsetenv("TABLE");
	page = mem_printf("%s/../../../docs/configuration.md", argv[1]);
	sample = mem_printf("%s/../../../deploy/suimon.yaml", argv[1]);
	full = mem_printf("%s/full.yaml", argv[1]);
	expected = mem_printf("%s/full.expected", argv[1]);
	check_manual(page);
	check_sample(sample);
	check_effective(full, expected);
	mem_free(page);
	mem_free(sample);
	mem_free(full);
	mem_free(expected);
	return failures ? 1 : 0;
}
