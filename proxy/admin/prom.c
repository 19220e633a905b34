#include "prom.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "clock.h"
#include "span.h"

static void put(struct prom *p, const char *text, size_t len)
{
	if (p->rc == RC_OK)
		p->rc = iobuf_append(p->out, text, len);
}

static void put_text(struct prom *p, const char *text)
{
	put(p, text, strlen(text));
}

static void put_escaped(struct prom *p, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\')
			put_text(p, "\\\\");
		else if (*value == '"')
			put_text(p, "\\\"");
		else if (*value == '\n')
			put_text(p, "\\n");
		else
			put(p, value, 1);
	}
}

static void put_label(struct prom *p, const char *name, const char *value, bool first)
{
	put_text(p, first ? "{" : ",");
	put_text(p, name);
	put_text(p, "=\"");
	put_escaped(p, value);
	put_text(p, "\"");
}

/* extra, where it has a name, is one more label. */
static void put_series(struct prom *p, const struct prom_label *labels, struct prom_label extra)
{
	bool first = true;

	put_text(p, "suimon_");
	put_text(p, p->name);
	for (; labels && labels->name; labels++, first = false)
		put_label(p, labels->name, labels->value, first);
	if (extra.name) {
		put_label(p, extra.name, extra.value, first);
		first = false;
	}
	put_text(p, first ? " " : "} ");
}

void prom_family(struct prom *p, const char *name, const char *type, const char *help)
{
	p->name = name;
	if (p->rc == RC_OK)
		p->rc = iobuf_printf(p->out, "# HELP suimon_%s %s\n# TYPE suimon_%s %s\n", name, help, name, type);
}

void prom_uint(struct prom *p, const struct prom_label *labels, uint64_t v)
{
	put_series(p, labels, (struct prom_label){NULL, NULL});
	if (p->rc == RC_OK)
		p->rc = iobuf_printf(p->out, "%" PRIu64 "\n", v);
}

void prom_seconds(struct prom *p, const struct prom_label *labels, uint64_t ns)
{
	put_series(p, labels, (struct prom_label){NULL, NULL});
	if (p->rc == RC_OK)
		p->rc = iobuf_printf(p->out, "%" PRIu64 ".%09" PRIu64 "\n", ns / NS_PER_SEC, ns % NS_PER_SEC);
}

void prom_gauge(struct prom *p, const char *name, const char *help, uint64_t v)
{
	prom_family(p, name, "gauge", help);
	prom_uint(p, NULL, v);
}

void prom_state(struct prom *p, const struct prom_label *labels, const char *state, const char *is)
{
	put_series(p, labels, (struct prom_label){"state", state});
	put_text(p, strcmp(state, is) == 0 ? "1\n" : "0\n");
}

/* Is there another family of this name? OpenMetrics allows each once. */
static bool is_taken(const struct iobuf *text, struct span name)
{
	static const char before[] = "# TYPE ";
	const uint8_t *p = iobuf_data(text), *end = p + iobuf_len(text);

	while ((p = memmem(p, (size_t)(end - p), before, sizeof(before) - 1)) != NULL) {
		p += sizeof(before) - 1;
		if ((size_t)(end - p) > name.len && memcmp(p, name.p, name.len) == 0 && p[name.len] == ' ')
			return true;
	}
	return false;
}

/* "# HELP name text" or "# TYPE name kind", name without _total, and text escaped. A counter that is called as a gauge is, but for that, stays
 * what it is called, and of no kind. */
static enum rc put_comment(const struct iobuf *text, struct iobuf *out, struct span line)
{
	static const char suffix[] = "_total";
	size_t kind = strlen("# HELP "), name = 0, len = sizeof(suffix) - 1, cut;
	enum rc rc;

	while (kind + name < line.len && line.p[kind + name] != ' ')
		name++;
	cut = name > len && memcmp(line.p + kind + name - len, suffix, len) == 0 ? len : 0;
	if (cut && is_taken(text, span_of(line.p + kind, name - cut))) {
		if (line.p[2] == 'T')
			return iobuf_append(out, line.p, kind + name) == RC_OK ? iobuf_printf(out, " unknown\n") : RC_ERROR;
		cut = 0;
	}
	rc = iobuf_append(out, line.p, kind + name - cut);
	for (size_t i = kind + name; i < line.len && rc == RC_OK; i++) {
		if (line.p[i] == '"')
			rc = iobuf_append(out, "\\", 1);
		if (rc == RC_OK)
			rc = iobuf_append(out, line.p + i, 1);
	}
	return rc == RC_OK ? iobuf_append(out, "\n", 1) : rc;
}

enum rc prom_openmetrics(const struct iobuf *text, struct iobuf *out)
{
	struct span left = span_of(iobuf_data(text), iobuf_len(text));
	enum rc rc = RC_OK;

	while (left.len && rc == RC_OK) {
		const char *nl = memchr(left.p, '\n', left.len);
		size_t len = nl ? (size_t)(nl - left.p) : left.len, whole = nl ? len + 1 : len;

		rc = *left.p == '#' ? put_comment(text, out, span_of(left.p, len)) : iobuf_append(out, left.p, whole);
		left = span_of(left.p + whole, left.len - whole);
	}
	return rc == RC_OK ? iobuf_printf(out, "# EOF\n") : rc;
}
