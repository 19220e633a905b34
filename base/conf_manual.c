/*
 * conf_manual.c - the reference in Markdown, made of the table: what the program does and what the page says cannot differ.
 */
#include <stdio.h>
#include <string.h>

#include "conf_run.h"

#define PATH_MAX_TEXT 160

static const char *const header = "| key | default | allowed | reload | what it does |\n|---|---|---|---|---|\n";

/* A bar would end the table's cell. */
static enum rc put_cell(struct iobuf *out, const char *text)
{
	enum rc rc = RC_OK;

	for (; *text && rc == RC_OK; text++)
		rc = *text == '|' ? iobuf_append(out, "\\|", 2) : iobuf_append(out, text, 1);
	return rc;
}

static enum rc put_default(const struct conf_opt *o, struct iobuf *out)
{
	if (!o->def)
		return iobuf_printf(out, "%s", o->given ? "none" : "required");
	return iobuf_printf(out, "`%s`", *o->def ? o->def : "\"\"");
}

static enum rc put_row(const struct conf_opt *o, const char *path, bool reload, struct iobuf *out)
{
	char allowed[512];
	enum rc rc = iobuf_printf(out, "| `%s` | ", path);

	conf_allowed(o, allowed, sizeof(allowed));
	if (rc == RC_OK)
		rc = put_default(o, out);
	if (rc == RC_OK)
		rc = iobuf_append(out, " | ", 3);
	if (rc == RC_OK)
		rc = put_cell(out, allowed);
	if (rc == RC_OK)
		rc = iobuf_printf(out, " | %s | ", reload ? "yes" : "no");
	if (rc == RC_OK)
		rc = put_cell(out, o->help);
	if (rc == RC_OK && o->absent)
		rc = iobuf_printf(out, " Not available in this build: %s; allowed is %s.", o->absent->what,
				  o->absent->allowed);
	return rc == RC_OK ? iobuf_append(out, " |\n", 3) : rc;
}

/* in_list: the rows describe a member of that list, which a reload changes as a whole or not at all. */
static enum rc put_rows(const struct conf_table *t, const char *above, const struct conf_opt *in_list,
			struct iobuf *out)
{
	enum rc rc = RC_OK;

	for (const struct conf_opt *o = t->opts; o->name && rc == RC_OK; o++) {
		const struct conf_table *members = o->type == CONF_LIST && o->item->table ? o->item->table : o->table;
		char path[PATH_MAX_TEXT];
		size_t len;

		snprintf(path, sizeof(path), "%s%s%s", above, *above ? "." : "", o->name);
		if (o->type != CONF_TABLE)
			rc = put_row(o, path, in_list ? in_list->reload : o->reload, out);
		len = strlen(path);
		if (members && o->type != CONF_TABLE)
			snprintf(path + len, sizeof(path) - len, "[]");
		if (rc == RC_OK && members)
			rc = put_rows(members, path, o->type == CONF_TABLE ? in_list : o, out);
	}
	return rc;
}

static enum rc put_section(const struct conf_opt *o, struct iobuf *out)
{
	enum rc rc = iobuf_printf(out, "\n### %s\n\n%s\n\n%s", o->name, o->help, header);

	return rc == RC_OK ? put_rows(o->table, o->name, NULL, out) : rc;
}

enum rc conf_manual(const struct conf_table *t, struct iobuf *out)
{
	enum rc rc = iobuf_printf(out, "### %s\n\n%s", t->name, header);

	for (const struct conf_opt *o = t->opts; o->name && rc == RC_OK; o++) {
		if (o->type == CONF_TABLE)
			continue;
		const struct conf_opt one[] = {*o, {.name = NULL}};
		const struct conf_table single = {.name = t->name, .opts = one};

		rc = put_rows(&single, "", NULL, out);
	}
	for (const struct conf_opt *o = t->opts; o->name && rc == RC_OK; o++)
		if (o->type == CONF_TABLE)
			rc = put_section(o, out);
	return rc;
}
