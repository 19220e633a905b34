#include "cli_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MOST 16

/* ---- values ---- */

double cli_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

const char *cli_string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static const char *scaled(double n, double step, const char *const *units, size_t nunits, const char *gap, char *out,
			  size_t cap)
{
	size_t unit = 0;

	while (n >= step && unit + 1 < nunits) {
		n /= step;
		unit++;
	}
	(void)snprintf(out, cap, unit == 0 || n >= 100 ? "%.0f%s%s" : "%.1f%s%s", n, units[unit][0] ? gap : "",
		       units[unit]);
	return out;
}

const char *cli_bytes(double n, char *out, size_t cap)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};

	return scaled(n, 1024, units, countof(units), " ", out, cap);
}

const char *cli_count(double n, char *out, size_t cap)
{
	static const char *const units[] = {"", "k", "M", "G", "T"};

	return scaled(n, 1000, units, countof(units), "", out, cap);
}

const char *cli_seconds(const json_t *v, char *out, size_t cap)
{
	double s = json_number_value(v);

	if (!json_is_number(v))
		(void)snprintf(out, cap, "-");
	else if (s == 0)
		(void)snprintf(out, cap, "0");
	else if (s < 1e-3)
		(void)snprintf(out, cap, "%.0f us", s * 1e6);
	else if (s < 1)
		(void)snprintf(out, cap, s < 0.1 ? "%.1f ms" : "%.0f ms", s * 1e3);
	else if (s < 120)
		(void)snprintf(out, cap, "%.1f s", s);
	else if (s < 7200)
		(void)snprintf(out, cap, "%.0f min", s / 60);
	else
		(void)snprintf(out, cap, "%.1f h", s / 3600);
	return out;
}

const char *cli_time(const json_t *v, char *out, size_t cap)
{
	time_t t = (time_t)json_number_value(v);
	struct tm tm;

	if (!json_is_number(v) || !localtime_r(&t, &tm) || strftime(out, cap, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		(void)snprintf(out, cap, "-");
	return out;
}

/* ---- text ---- */

/* Bytes of the character at s that may reach a terminal; 0: none may. The C1 controls are two bytes in UTF-8. */
static size_t printable(const char *s)
{
	unsigned char c = (unsigned char)s[0];
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;

	if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)s[1] < 0xa0))
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

const char *cli_line(const char *text, char *out, size_t cap)
{
	size_t n = 0;

	while (text && *text) {
		size_t len = printable(text);

		if (len == 0 || *text == ' ') {
			if (n > 0 && out[n - 1] != ' ' && n + 1 < cap)
				out[n++] = ' ';
			text++;
			continue;
		}
		if (n + len >= cap)
			break;
		memcpy(out + n, text, len);
		n += len;
		text += len;
	}
	out[n] = '\0';
	return out;
}

enum rc cli_put_text(struct iobuf *out, const char *text)
{
	enum rc rc = RC_OK;

	while (*text && rc == RC_OK) {
		size_t len = printable(text);

		if (len == 0 && *text != '\n' && *text != '\t')
			rc = iobuf_append(out, " ", 1);
		else
			rc = iobuf_append(out, text, len ? len : 1);
		text += len ? len : 1;
	}
	return rc;
}

const char *cli_joined(const json_t *array, char *out, size_t cap)
{
	char cell[CLI_TEXT_MAX];
	const json_t *v;
	size_t i, n = 0;

	out[0] = '\0';
	json_array_foreach(array, i, v) {
		int more = snprintf(out + n, cap - n, "%s%s", i ? ", " : "",
				    cli_line(json_string_value(v), cell, sizeof(cell)));

		if (more < 0 || (size_t)more >= cap - n)
			break;
		n += (size_t)more;
	}
	return out;
}

/* ---- tables ---- */

/* Characters of UTF-8 text: what it takes of a line, near enough. */
static size_t width_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* The bytes of the first n characters. */
static int bytes_of(const char *s, size_t n)
{
	const char *p = s;

	for (; *p; p++)
		if (((unsigned char)*p & 0xc0) != 0x80 && n-- == 0)
			break;
	return (int)(p - s);
}

static size_t measure(const struct cli_column *c, const json_t *rows, size_t most)
{
	size_t widest = width_of(c->title), i;
	char cell[CLI_TEXT_MAX];
	const json_t *row;

	json_array_foreach(rows, i, row) {
		if (i == most)
			break;
		c->cell(row, cell, sizeof(cell));
		widest = width_of(cell) > widest ? width_of(cell) : widest;
	}
	return widest;
}

/* A cell, padded to its column's width, behind what the line of cap bytes has. Returns the line's bytes. */
static size_t put_cell(char *line, size_t n, size_t cap, const struct cli_column *c, const char *text, size_t wide)
{
	size_t has = width_of(text), pad = wide > has ? wide - has : 0;
	bool last = !c[1].title;
	int more = snprintf(line + n, cap - n, "%*s%s%*s%s", c->right ? (int)pad : 0, "", text,
			    c->right || last ? 0 : (int)pad, "", last ? "" : "  ");

	return more < 0 ? n : (size_t)more < cap - n ? n + (size_t)more : cap - 1;
}

/* row NULL: the titles. */
static enum rc put_row(struct iobuf *out, const struct cli_column *columns, const json_t *row, const size_t *widths,
		       size_t width)
{
	char cell[CLI_TEXT_MAX], line[4096];
	size_t n = 0;

	line[0] = '\0';
	for (size_t i = 0; columns[i].title; i++) {
		if (row)
			columns[i].cell(row, cell, sizeof(cell));
		else
			(void)snprintf(cell, sizeof(cell), "%s", columns[i].title);
		n = put_cell(line, n, sizeof(line), &columns[i], cell, widths[i]);
	}
	return iobuf_printf(out, "%.*s\n", bytes_of(line, width), line);
}

enum rc cli_table(struct iobuf *out, const struct cli_column *columns, const json_t *rows, size_t most, size_t width)
{
	size_t widths[COLUMNS_MOST], i;
	const json_t *row;
	enum rc rc;

	for (i = 0; columns[i].title && i < COLUMNS_MOST; i++)
		widths[i] = measure(&columns[i], rows, most);
	rc = put_row(out, columns, NULL, widths, width);
	json_array_foreach(rows, i, row) {
		if (i == most || rc != RC_OK)
			break;
		rc = put_row(out, columns, row, widths, width);
	}
	return rc;
}
