/*
 * cases.c - reads golden files of statements, compares or writes them anew.
 */
#include "cases.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "facts.h"

struct file {
	const char *path;
	FILE *in;
	struct iobuf statement; /* lines of the statement being read */
	struct iobuf expected;  /* its expectation, lines without their tabs */
	struct iobuf written;   /* the file anew */
	unsigned mode;
	size_t line, cases, wrong;
	make_fn *make;
};

static void must(enum rc rc)
{
	if (rc == RC_OK)
		return;
	fputs("out of memory\n", stderr);
	exit(2);
}

static struct span held(const struct iobuf *b)
{
	return span_of(b->data ? (const char *)iobuf_data(b) : "", iobuf_len(b));
}

static void add_line(struct iobuf *b, const char *p, size_t len)
{
	if (iobuf_len(b))
		must(iobuf_append(b, "\n", 1));
	must(iobuf_append(b, p, len));
}

/* What was made, each line behind a tab. */
static void put_made(struct iobuf *to, struct span made)
{
	while (made.len) {
		const char *nl = memchr(made.p, '\n', made.len);
		size_t n = nl ? (size_t)(nl - made.p) : made.len;

		must(iobuf_printf(to, "\t" SPAN_FMT "\n", (int)n, made.p));
		n += nl ? 1 : 0;
		made = (struct span){.p = made.p + n, .len = made.len - n};
	}
}

static void end_of_case(struct file *f)
{
	struct iobuf made;

	if (!iobuf_len(&f->statement))
		return;
	iobuf_init(&made, 0);
	must(f->make(held(&f->statement), f->mode, &made));
	f->cases++;
	if (!span_eq(held(&made), held(&f->expected))) {
		f->wrong++;
		fprintf(stderr, "%s:%zu: " SPAN_FMT "\n  is      " SPAN_FMT "\n  should  " SPAN_FMT "\n", f->path,
			f->line, SPAN_ARG(held(&f->statement)), SPAN_ARG(held(&made)), SPAN_ARG(held(&f->expected)));
	}
	put_made(&f->written, held(&made));
	iobuf_reset(&made);
	iobuf_consume(&f->statement, iobuf_len(&f->statement));
	iobuf_consume(&f->expected, iobuf_len(&f->expected));
}

static unsigned mode_of(const char *words)
{
	static const struct {
		const char *word;
		unsigned bit;
	} modes[] = {
		{"ansi_quotes", SQL_MODE_ANSI_QUOTES},
		{"no_backslash_escapes", SQL_MODE_NO_BACKSLASH_ESCAPES},
		{"oracle", SQL_MODE_ORACLE},
		{"wide_trail", SQL_MODE_WIDE_TRAIL},
	};
	unsigned mode = 0;

	for (size_t i = 0; i < countof(modes); i++)
		if (strstr(words, modes[i].word))
			mode |= modes[i].bit;
	return mode;
}

static void line(struct file *f, const char *p, size_t len)
{
	f->line++;
	if (len && *p == '\t') {
		add_line(&f->expected, p + 1, len - 1);
		return;
	}
	end_of_case(f);
	must(iobuf_append(&f->written, p, len));
	must(iobuf_append(&f->written, "\n", 1));
	if (len && *p == '@')
		f->mode = mode_of(p);
	else if (len && *p != '#')
		add_line(&f->statement, p, len);
}

/* A statement of several lines goes on while no expectation has been read. */
static void any_line(struct file *f, const char *p, size_t len)
{
	bool more = len && *p != '\t' && iobuf_len(&f->statement) && !iobuf_len(&f->expected);

	if (!more) {
		line(f, p, len);
		return;
	}
	f->line++;
	must(iobuf_printf(&f->written, SPAN_FMT "\n", (int)len, p));
	add_line(&f->statement, p, len);
}

static bool run_file(const char *path, make_fn *make, bool writing, size_t *cases, size_t *wrong)
{
	struct file f = {.path = path, .make = make, .in = fopen(path, "rb")};
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f.in)
		return false;
	iobuf_init(&f.statement, 0);
	iobuf_init(&f.expected, 0);
	iobuf_init(&f.written, 0);
	while ((n = getline(&text, &cap, f.in)) > 0)
		any_line(&f, text, (size_t)n - (text[n - 1] == '\n'));
	end_of_case(&f);
	free(text);
	fclose(f.in);
	*cases += f.cases;
	*wrong += f.wrong;
	if (writing) {
		FILE *out = fopen(path, "wb");
		struct span s = held(&f.written);

		if (!out || fwrite(s.p, 1, s.len, out) != s.len || fclose(out) != 0)
			return false;
	}
	iobuf_reset(&f.statement);
	iobuf_reset(&f.expected);
	iobuf_reset(&f.written);
	return true;
}

int cases_main(int argc, char **argv, make_fn *make)
{
	bool writing = argc > 2 && strcmp(argv[2], "--write") == 0;
	size_t cases = 0, wrong = 0;
	DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
	struct dirent *e;

	if (!dir) {
		fprintf(stderr, "usage: %s FOLDER [--write]\n", argv[0]);
		return 2;
	}
	while ((e = readdir(dir))) {
		const char *dot = strrchr(e->d_name, '.');
		char path[4096];

		if (!dot || strcmp(dot, ".txt") != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
		if (!run_file(path, make, writing, &cases, &wrong)) {
			fprintf(stderr, "%s: cannot be read or written\n", path);
			wrong++;
		}
	}
	closedir(dir);
	printf("%zu statements, %zu not as expected\n", cases, wrong);
	return !cases || (wrong && !writing);
}
