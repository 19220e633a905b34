/*
 * cli_text.h - JSON for people: sizes, times, tables. What came from elsewhere reaches no terminal uncleaned.
 */
#ifndef SUIMON_CLI_TEXT_H
#define SUIMON_CLI_TEXT_H

#include <stdbool.h>

#include <jansson.h>

#include "iobuf.h"
#include "rc.h"

#define CLI_TEXT_MAX 512 /* bytes of a cell */

/* Each writes to out (cap bytes, NUL-terminated) and returns it. */
const char *cli_bytes(double n, char *out, size_t cap);          /* "1.5 MiB" */
const char *cli_seconds(const json_t *v, char *out, size_t cap); /* "12.3 ms"; "-" for null */
const char *cli_count(double n, char *out, size_t cap);          /* "950", "12.3k", "4.5M" */
const char *cli_time(const json_t *v, char *out, size_t cap);    /* seconds since 1970 as local time */
/* One line: white space runs and control characters become a space; cut at cap, at a character's border. NULL: "". */
const char *cli_line(const char *text, char *out, size_t cap);
/* Appends text as it is, line ends and tabs kept, other control characters as a space. */
enum rc cli_put_text(struct iobuf *out, const char *text) must_check;

/* A member's value, or what stands for a missing one. */
double cli_number(const json_t *object, const char *key);           /* 0 */
const char *cli_string(const json_t *object, const char *key);      /* "" */
/* The members of an array of strings, with ", " between them. */
const char *cli_joined(const json_t *array, char *out, size_t cap); /* "" */

struct cli_column {
	const char *title;
	bool right;
	/* Writes the cell of a row to out. */
	void (*cell)(const json_t *row, char *out, size_t cap);
};
/* Appends rows (an array) under their titles; columns as wide as they need, the last up to the line's width.
 * title NULL ends columns. most: rows shown. */
enum rc cli_table(struct iobuf *out, const struct cli_column *columns, const json_t *rows, size_t most, size_t width) must_check;

#endif
