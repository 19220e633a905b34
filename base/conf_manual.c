/*
 * conf_manual.c - the reference, made of the table: what the program does and what the page says cannot differ.
 *
 * One walk over the rows, two formats: Markdown for docs/configuration.md, man(7) for suimon.yaml(5).
 */
#include <stdio.h>
#include <string.h>

#include "conf_run.h"

#define PATH_MAX_TEXT 160

struct format {
	/* name: of the section, help: what it is for, or NULL for the options that are in none. */
	enum rc (*section)(const char *name, const char *help, struct iobuf *out);
	/* whole: the row that a reload changes as a whole or not at all; o, or the list it describes a member of. */
	enum rc (*row)(const struct conf_opt *o, const char *path, const struct conf_opt *whole, struct iobuf *out);
};

/* in_list: the rows describe a member of that list, which a reload changes as a whole or not at all. */
static enum rc put_rows(const struct format *f, const struct conf_table *t, const char *above,
			const struct conf_opt *in_list, struct iobuf *out)
{
	enum rc rc = RC_OK;

	for (const struct conf_opt *o = t->opts; o->name && rc == RC_OK; o++) {
		const struct conf_table *members = o->type == CONF_LIST && o->item->table ? o->item->table : o->table;
		char path[PATH_MAX_TEXT];
		size_t len;

		snprintf(path, sizeof(path), "%s%s%s", above, *above ? "." : "", o->name);
		if (o->type != CONF_TABLE)
			rc = f->row(o, path, in_list ? in_list : o, out);
		len = strlen(path);
		if (members && o->type != CONF_TABLE)
			snprintf(path + len, sizeof(path) - len, "[]");
		if (rc == RC_OK && members)
			rc = put_rows(f, members, path, o->type == CONF_TABLE ? in_list : o, out);
	}
	return rc;
}

static enum rc walk(const struct format *f, const struct conf_table *t, struct iobuf *out)
{
	enum rc rc = f->section(t->name, NULL, out);

	for (const struct conf_opt *o = t->opts; o->name && rc == RC_OK; o++) {
		const struct conf_opt one[] = {*o, {.name = NULL}};
		const struct conf_table single = {.name = t->name, .opts = one};

		if (o->type != CONF_TABLE)
			rc = put_rows(f, &single, "", NULL, out);
	}
	for (const struct conf_opt *o = t->opts; o->name && rc == RC_OK; o++) {
		if (o->type != CONF_TABLE)
			continue;
		rc = f->section(o->name, o->help, out);
		if (rc == RC_OK)
			rc = put_rows(f, o->table, o->name, NULL, out);
	}
	return rc;
}

static const char *default_of(const struct conf_opt *o)
{
	if (!o->def)
		return o->given ? "none" : "required";
	return *o->def ? o->def : "\"\"";
}

/* ---- Markdown ---- */

static enum rc md_section(const char *name, const char *help, struct iobuf *out)
{
	static const char header[] = "| key | default | allowed | reload | what it does |\n|---|---|---|---|---|\n";

	if (!help)
		return iobuf_printf(out, "### %s\n\n%s", name, header);
	return iobuf_printf(out, "\n### %s\n\n%s\n\n%s", name, help, header);
}

/* A bar would end the table's cell. */
static enum rc md_cell(struct iobuf *out, const char *text)
{
	enum rc rc = RC_OK;

	for (; *text && rc == RC_OK; text++)
		rc = *text == '|' ? iobuf_append(out, "\\|", 2) : iobuf_append(out, text, 1);
	return rc;
}

static enum rc md_row(const struct conf_opt *o, const char *path, const struct conf_opt *whole, struct iobuf *out)
{
	const char *quote = o->def ? "`" : "";
	char allowed[512];
	enum rc rc = iobuf_printf(out, "| `%s` | %s%s%s | ", path, quote, default_of(o), quote);

	conf_allowed(o, allowed, sizeof(allowed));
	if (rc == RC_OK)
		rc = md_cell(out, allowed);
	if (rc == RC_OK)
		rc = iobuf_printf(out, " | %s | ", whole->shared ? "shared" : whole->reload ? "yes" : "no");
	if (rc == RC_OK)
		rc = md_cell(out, o->help);
	if (rc == RC_OK && o->absent)
		rc = iobuf_printf(out, " Not available in this build: %s; allowed is %s.", o->absent->what,
				  o->absent->allowed);
	return rc == RC_OK ? iobuf_append(out, " |\n", 3) : rc;
}

enum rc conf_manual(const struct conf_table *t, struct iobuf *out)
{
	static const struct format markdown = {md_section, md_row};

	return walk(&markdown, t, out);
}

/* ---- man(7) ---- */

/* A backslash and what begins a request mean something to roff; a pair of backquotes is Markdown's for a word as typed. */
static enum rc man_text(struct iobuf *out, const char *text)
{
	bool typed = false;
	enum rc rc = *text == '.' || *text == '\'' ? iobuf_append(out, "\\&", 2) : RC_OK;

	for (; *text && rc == RC_OK; text++) {
		if (*text == '\\')
			rc = iobuf_append(out, "\\e", 2);
		else if (*text == '-')
			rc = iobuf_append(out, "\\-", 2);
		else if (*text == '`')
			rc = iobuf_append(out, (typed = !typed) ? "\\fB" : "\\fR", 3);
		else
			rc = iobuf_append(out, text, 1);
	}
	return rc;
}

static enum rc man_line(struct iobuf *out, const char *before, const char *text, const char *after)
{
	enum rc rc = iobuf_printf(out, "%s", before);

	if (rc == RC_OK)
		rc = man_text(out, text);
	return rc == RC_OK ? iobuf_printf(out, "%s", after) : rc;
}

static enum rc man_section(const char *name, const char *help, struct iobuf *out)
{
	enum rc rc = man_line(out, ".SS \"", name, "\"\n");

	return rc == RC_OK && help ? man_line(out, "", help, "\n") : rc;
}

static enum rc man_row(const struct conf_opt *o, const char *path, const struct conf_opt *whole, struct iobuf *out)
{
	char allowed[512];
	enum rc rc = man_line(out, ".TP\n.B ", path, "\n");

	conf_allowed(o, allowed, sizeof(allowed));
	if (rc == RC_OK)
		rc = man_line(out, "", o->help, "\n");
	if (rc == RC_OK && o->absent)
		rc = iobuf_printf(out, "Not available in this build: %s; allowed is %s.\n", o->absent->what, o->absent->allowed);
	if (rc == RC_OK)
		rc = man_line(out, ".br\nAllowed: ", allowed, ".\n");
	if (rc == RC_OK)
		rc = man_line(out, "Default: ", default_of(o), ".\n");
	return rc == RC_OK ? iobuf_printf(out, "A reload %s it%s.\n", whole->reload ? "changes" : "does not change",
					 whole->shared ? "; it may stand in what instances share" : "") : rc;
}

enum rc conf_manpage(const struct conf_table *t, struct iobuf *out)
{
	static const struct format man = {man_section, man_row};

	return walk(&man, t, out);
}
