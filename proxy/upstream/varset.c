#include "varset.h"

#include <ctype.h>
#include <string.h>

#include <mysql.h>

#include "clock.h"
#include "mem.h"
#include "varlater.h"

static uint64_t next_id(void)
{
	static _Atomic uint64_t id = 1;

	return id++;
}

static bool varset_eq(const struct map_node *node, const void *key)
{
	return span_eq(container_of(node, struct varset, node)->bytes, *(const struct span *)key);
}

void varsets_init(struct varsets *t)
{
	memset(t, 0, sizeof(*t));
	map_init(&t->sets, varset_eq);
}

void varsets_reset(struct varsets *t)
{
	map_reset(&t->sets);
	mem_free((char *)(uintptr_t)t->mode_text.p);
	t->mode_text = span_of(NULL, 0);
}

/* ---- building ---- */

struct draft { /* a set being put together, not yet interned */
	struct varsets *table;
	struct span schema;
	struct varset_var vars[VARSET_MOST];
	uint16_t n;
};

/* Is `word` one of the comma-separated words of list? */
static bool has_word(struct span list, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= list.len; i++)
		if ((i == 0 || list.p[i - 1] == ',') && strncasecmp(list.p + i, word, len) == 0 &&
		    (i + len == list.len || list.p[i + len] == ','))
			return true;
	return false;
}

static uint16_t collation_number(struct span v)
{
	unsigned n = 0;

	for (size_t i = 0; i < v.len && n < 10000; i++)
		n = n * 10 + (unsigned)(v.p[i] - '0');
	return (uint16_t)n;
}

uint16_t varset_login_collation(const struct varset *s)
{
	return collation_number(varset_get(s, VARSET_LOGIN_COLLATION));
}

/* The character set the session's statements are written in: what was set last, else its login's. */
static struct span client_charset(const struct varset *s)
{
	struct span set = varset_get(s, "character_set_client"), names = varset_get(s, VARSET_NAMES);
	const MARIADB_CHARSET_INFO *cs;
	const char *blank;

	if (set.len)
		return set;
	blank = names.len ? memchr(names.p, ' ', names.len) : NULL;
	if (blank)
		return span_of(names.p, (size_t)(blank - names.p));
	cs = mariadb_get_charset_by_nr(varset_login_collation(s));
	return span_str(cs ? cs->csname : "");
}

static bool has_wide_trail(struct span set)
{
	static const char *const sets[] = {"sjis", "cp932", "gbk", "gb18030", "big5"};

	for (size_t i = 0; i < countof(sets); i++)
		if (span_ieq(set, span_str(sets[i])))
			return true;
	return false;
}

/* swe7's { is ä; filename writes it @00e4. */
static bool has_other_ascii(struct span set)
{
	return span_ieq(set, span_str("swe7")) || span_ieq(set, span_str("filename"));
}

static bool is_on(struct span value)
{
	return span_ieq(value, span_str("on")) || span_eq(value, span_str("1"));
}

/* The former name of a variable, or its present one. */
static struct span either(const struct varset *s, const char *former, const char *present)
{
	struct span value = varset_get(s, former);

	return value.len ? value : varset_get(s, present);
}

/* In seconds, as the server reports it; what is no number is none. */
static uint64_t wait_timeout(struct span v)
{
	uint64_t n = 0;

	if (v.len > 8) /* a year has that many; the server allows no more */
		return 0;
	for (size_t i = 0; i < v.len; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	return n * NS_PER_SEC;
}

struct varset_mode varset_mode_of(struct span sql_mode)
{
	static const char *const quoting[] = {"ANSI_QUOTES", "ANSI", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"};
	struct varset_mode m = {.no_backslash = has_word(sql_mode, "NO_BACKSLASH_ESCAPES"), .oracle = has_word(sql_mode, "ORACLE"),
				.strict = has_word(sql_mode, "STRICT_TRANS_TABLES") || has_word(sql_mode, "STRICT_ALL_TABLES")};

	for (size_t i = 0; i < countof(quoting); i++)
		m.ansi_quotes |= has_word(sql_mode, quoting[i]);
	return m;
}

void varsets_begin_with(struct varsets *t, struct span sql_mode)
{
	struct varset_mode m = varset_mode_of(sql_mode);
	bool plain = !m.no_backslash && !m.ansi_quotes && !m.oracle;
	char *text = NULL;

	t->mode.strict = m.strict; /* changes nothing in how text reads */
	if (plain ? !t->mode_text.len : span_eq(t->mode_text, sql_mode))
		return;
	if (!plain) {
		text = mem_alloc(sql_mode.len);
		if (!text)
			return;
		memcpy(text, sql_mode.p, sql_mode.len);
	}
	mem_free((char *)(uintptr_t)t->mode_text.p);
	t->mode_text = span_of(text, text ? sql_mode.len : 0);
	t->mode = m;
	t->mode_serial++;
}

struct span varset_mode_text(const struct varset *s)
{
	return s->has_mode ? varset_get(s, "sql_mode") : s->table->mode_text;
}

/* IGNORE_SPACE makes names of functions reserved, NO_ZERO_DATE refuses a literal, a COLLATE does not go with every character set. */
static uint64_t reading_of(const struct varset *s)
{
	static const char *const names[] = {VARSET_LOGIN_COLLATION, VARSET_NAMES,  "character_set_client", "character_set_connection",
					    "collation_connection",  "old_mode",    "sql_mode"};
	uint64_t hash = 0;

	for (size_t i = 0; i < countof(names); i++) {
		struct span value = varset_get(s, names[i]);
		uint64_t parts[] = {hash, i, value.p ? map_hash(value.p, value.len) : 0};

		hash = map_hash(parts, sizeof(parts));
	}
	return hash;
}

static void derive(struct varset *s)
{
	struct span mode = varset_get(s, "sql_mode"), autocommit = varset_get(s, "autocommit");
	struct span isolation = either(s, "tx_isolation", "transaction_isolation");

	s->has_mode = mode.p;
	s->mode = varset_mode_of(mode);
	s->isolation = isolation.len;
	s->dirty_reads = span_ieq(isolation, span_str("READ-UNCOMMITTED"));
	s->sees_anew = s->dirty_reads || span_ieq(isolation, span_str("READ-COMMITTED"));
	s->serializable = span_ieq(isolation, span_str("SERIALIZABLE"));
	s->reads_only = is_on(either(s, "tx_read_only", "transaction_read_only"));
	s->stays = is_on(varset_get(s, "sql_auto_is_null")) || has_word(varset_get(s, "optimizer_trace"), "enabled=on");
	s->wide_trail = has_wide_trail(client_charset(s));
	s->other_ascii = has_other_ascii(client_charset(s));
	s->not_later = s->reads_only;
	for (uint16_t i = 0; i < s->n; i++)
		s->not_later |= varlater_of(s->vars[i].name) == VARLATER_DIRECT;
	s->reading = reading_of(s);
	s->wait_ns = wait_timeout(varset_get(s, "wait_timeout"));
	s->autocommit_off = autocommit.len && (span_ieq(autocommit, span_str("off")) || span_eq(autocommit, span_str("0")));
}

static enum rc put_field(struct iobuf *b, struct span s)
{
	uint32_t len = (uint32_t)s.len;

	if (iobuf_append(b, &len, sizeof(len)) != RC_OK)
		return RC_ERROR;
	return iobuf_append(b, s.p, s.len);
}

static enum rc serialise(const struct draft *d, struct iobuf *out)
{
	if (put_field(out, d->schema) != RC_OK)
		return RC_ERROR;
	for (uint16_t i = 0; i < d->n; i++)
		if (put_field(out, d->vars[i].name) != RC_OK || put_field(out, d->vars[i].value) != RC_OK)
			return RC_ERROR;
	return iobuf_len(out) > VARSET_MOST_BYTES ? RC_ERROR : RC_OK;
}

static struct span take_field(const char **p)
{
	uint32_t len;
	struct span s;

	memcpy(&len, *p, sizeof(len));
	s = span_of(*p + sizeof(len), len);
	*p += sizeof(len) + len;
	return s;
}

static const struct varset *make(struct varsets *t, struct span bytes, uint16_t n, uint64_t hash)
{
	struct varset *s = mem_zalloc(sizeof(*s) + n * sizeof(s->vars[0]) + bytes.len);
	char *memory;
	const char *p;

	if (!s)
		return NULL;
	memory = (char *)&s->vars[n];
	memcpy(memory, bytes.p, bytes.len);
	s->table = t;
	s->refs = 1;
	s->n = n;
	s->id = next_id();
	s->bytes = span_of(memory, bytes.len);
	p = memory;
	s->schema = take_field(&p);
	for (uint16_t i = 0; i < n; i++) {
		s->vars[i].name = take_field(&p);
		s->vars[i].value = take_field(&p);
	}
	derive(s);
	if (map_insert(&t->sets, &s->node, hash) != RC_OK) {
		mem_free(s);
		return NULL;
	}
	t->made++;
	return s;
}

static const struct varset *intern(const struct draft *d)
{
	struct iobuf b;
	const struct varset *s = NULL;

	iobuf_init(&b, 0);
	if (serialise(d, &b) == RC_OK) {
		struct span bytes = span_of(iobuf_data(&b), iobuf_len(&b));
		uint64_t hash = map_hash(bytes.p, bytes.len);
		struct map_node *n = map_find(&d->table->sets, hash, &bytes);

		if (n) {
			s = varset_ref(container_of(n, struct varset, node));
			d->table->hits++;
		} else {
			s = make(d->table, bytes, d->n, hash);
		}
	}
	iobuf_reset(&b);
	return s;
}

static void draft_of(const struct varset *s, struct draft *d)
{
	d->table = s->table;
	d->schema = s->schema;
	d->n = s->n;
	memcpy(d->vars, s->vars, s->n * sizeof(s->vars[0]));
}

/* ---- the interface ---- */

const struct varset *varset_empty(struct varsets *t)
{
	struct draft d = {.table = t};

	return intern(&d);
}

const struct varset *varset_ref(const struct varset *s)
{
	((struct varset *)(uintptr_t)s)->refs++;
	return s;
}

void varset_unref(const struct varset *cs)
{
	struct varset *s = (struct varset *)(uintptr_t)cs;

	if (!s || --s->refs)
		return;
	map_remove(&s->table->sets, &s->node);
	iobuf_reset(&s->environment);
	mem_free(s);
}

static int compare_names(struct span a, struct span b)
{
	int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

const struct varset *varset_with(const struct varset *s, struct span name, struct span value)
{
	struct draft d;
	char lower[64];
	uint16_t at = 0;

	if (name.len == 0 || name.len > sizeof(lower))
		return NULL;
	for (size_t i = 0; i < name.len; i++)
		lower[i] = (char)tolower((unsigned char)name.p[i]);
	name = span_of(lower, name.len);
	draft_of(s, &d);
	while (at < d.n && compare_names(d.vars[at].name, name) < 0)
		at++;
	if (at == d.n || !span_eq(d.vars[at].name, name)) {
		if (d.n == VARSET_MOST)
			return NULL;
		memmove(&d.vars[at + 1], &d.vars[at], (d.n - at) * sizeof(d.vars[0]));
		d.n++;
	}
	d.vars[at] = (struct varset_var){.name = name, .value = value};
	return intern(&d);
}

const struct varset *varset_without(const struct varset *s, struct span name)
{
	struct draft d;

	draft_of(s, &d);
	for (uint16_t i = 0; i < d.n; i++) {
		if (!span_ieq(d.vars[i].name, name))
			continue;
		memmove(&d.vars[i], &d.vars[i + 1], (size_t)(d.n - i - 1) * sizeof(d.vars[0]));
		d.n--;
		break;
	}
	return intern(&d);
}

const struct varset *varset_with_schema(const struct varset *s, struct span schema)
{
	struct draft d;

	draft_of(s, &d);
	d.schema = schema;
	return intern(&d);
}

struct span varset_get(const struct varset *s, const char *name)
{
	struct span key = span_str(name);

	for (uint16_t i = 0; i < s->n; i++)
		if (span_eq(s->vars[i].name, key))
			return s->vars[i].value;
	return span_of(NULL, 0);
}

/* ---- as SQL ---- */

static bool is_number(struct span v)
{
	size_t i = v.len && v.p[0] == '-';
	bool digits = false, point = false;

	for (; i < v.len; i++) {
		if (v.p[i] >= '0' && v.p[i] <= '9')
			digits = true;
		else if (v.p[i] == '.' && !point)
			point = true;
		else
			return false;
	}
	return digits;
}

/* Quoted so that it reads the same whether or not backslashes escape: a value with one is written in hexadecimal. */
static enum rc put_value(struct iobuf *b, struct span v)
{
	if (is_number(v))
		return iobuf_append(b, v.p, v.len);
	if (v.len && (memchr(v.p, '\\', v.len) || memchr(v.p, 0, v.len))) {
		if (iobuf_append(b, "x'", 2) != RC_OK)
			return RC_ERROR;
		for (size_t i = 0; i < v.len; i++)
			if (iobuf_printf(b, "%02x", (unsigned char)v.p[i]) != RC_OK)
				return RC_ERROR;
		return iobuf_append(b, "'", 1);
	}
	if (iobuf_append(b, "'", 1) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < v.len; i++)
		if ((v.p[i] == '\'' && iobuf_append(b, "'", 1) != RC_OK) || iobuf_append(b, v.p + i, 1) != RC_OK)
			return RC_ERROR;
	return iobuf_append(b, "'", 1);
}

/* What a login's collation means, said in SQL: it is that of results, too, which the three variables cannot say. Of the
 * names, utf8mb3's are too new for some servers; their numbers are known to all. */
static enum rc put_collation(struct iobuf *b, uint16_t number, const char *comma)
{
	const MARIADB_CHARSET_INFO *cs = mariadb_get_charset_by_nr(number);
	const char *set = cs ? cs->csname : "utf8mb4"; /* what the library does not know is newer than it, and utf8mb4 */

	if (cs && strcmp(set, "utf8mb3") != 0 && strcmp(set, "utf8") != 0)
		return iobuf_printf(b, "%sNAMES %s COLLATE %s", comma, set, cs->name);
	return iobuf_printf(b, "%scharacter_set_client=%s,character_set_results=%s,collation_connection=%u", comma, set,
			    set, number);
}

/* What servers report and take as a word alone: NULL is reported as the empty string. NULL: it is a value. */
static const char *word_of(const struct varset_var *v)
{
	static const struct { const char *name, *reported, *word; } words[] = {
		{"character_set_results", "", "NULL"},		 {"default_tmp_storage_engine", "", "NULL"},
		{"enforce_storage_engine", "", "NULL"},		 {"innodb_ft_user_stopword_table", "", "NULL"},
		{"innodb_tmpdir", "", "NULL"},			 {"system_versioning_asof", "DEFAULT", "DEFAULT"},
	};

	for (size_t i = 0; i < countof(words); i++)
		if (span_eq(v->name, span_str(words[i].name)) && span_eq(v->value, span_str(words[i].reported)))
			return words[i].word;
	return NULL;
}

static enum rc put_assignment(struct iobuf *b, const struct varset_var *v, bool first)
{
	const char *comma = first ? "" : ",", *word;

	if (span_eq(v->name, span_str(VARSET_LOGIN_COLLATION)))
		return put_collation(b, collation_number(v->value), comma);
	if (span_eq(v->name, span_str(VARSET_NAMES)))
		return iobuf_printf(b, "%sNAMES " SPAN_FMT, comma, SPAN_ARG(v->value));
	if (iobuf_printf(b, "%s" SPAN_FMT "=", comma, SPAN_ARG(v->name)) != RC_OK)
		return RC_ERROR;
	word = word_of(v);
	return word ? iobuf_append(b, word, strlen(word)) : put_value(b, v->value);
}

/* Said again whenever the login's collation or the names are, which overwrite it. */
static bool is_about_charsets(struct span name)
{
	return span_eq(name, span_str(VARSET_NAMES)) || (name.len > 10 && memcmp(name.p, "character_", 10) == 0) ||
	       (name.len > 10 && memcmp(name.p, "collation_", 10) == 0);
}

enum rc varset_difference(const struct varset *from, const struct varset *to, struct iobuf *out)
{
	uint16_t i = 0;
	bool first = true, collation_again;

	for (uint16_t j = 0; j < from->n; j++) {
		while (i < to->n && compare_names(to->vars[i].name, from->vars[j].name) < 0)
			i++;
		if (i == to->n || !span_eq(to->vars[i].name, from->vars[j].name))
			return RC_DECLINED;
	}
	/* The login's collation comes first ('@' sorts before letters) and overwrites the character sets, so when it
	 * differs those must be said again behind it. */
	collation_again = !span_eq(varset_get(from, VARSET_LOGIN_COLLATION), varset_get(to, VARSET_LOGIN_COLLATION)) ||
			  !span_eq(varset_get(from, VARSET_NAMES), varset_get(to, VARSET_NAMES));
	for (i = 0; i < to->n; i++) {
		bool found = false;

		for (uint16_t j = 0; j < from->n && !found; j++)
			found = span_eq(from->vars[j].name, to->vars[i].name) &&
				span_eq(from->vars[j].value, to->vars[i].value);
		if (found && !(collation_again && is_about_charsets(to->vars[i].name)))
			continue;
		if (first && iobuf_append(out, "SET ", 4) != RC_OK)
			return RC_ERROR;
		if (put_assignment(out, &to->vars[i], first) != RC_OK)
			return RC_ERROR;
		first = false;
	}
	return RC_OK;
}

static enum rc put_environment(const struct varset *s, struct iobuf *out)
{
	for (uint16_t i = 0; i < s->n; i++)
		if (varlater_of(s->vars[i].name) == VARLATER_MEANING &&
		    put_assignment(out, &s->vars[i], iobuf_len(out) == 0) != RC_OK)
			return RC_ERROR;
	if (s->has_mode || !s->table->mode_text.len)
		return RC_OK;
	return put_assignment(out, &(struct varset_var){.name = span_str("sql_mode"), .value = s->table->mode_text}, iobuf_len(out) == 0);
}

enum rc varset_environment(const struct varset *cs, struct span *out)
{
	struct varset *s = (struct varset *)(uintptr_t)cs;

	if (!s->has_environment || s->environment_serial != s->table->mode_serial) {
		iobuf_reset(&s->environment); /* of an attempt that memory failed */
		if (put_environment(s, &s->environment) != RC_OK)
			return RC_ERROR;
		s->has_environment = true;
		s->environment_serial = s->table->mode_serial;
	}
	*out = span_of(iobuf_data(&s->environment), iobuf_len(&s->environment));
	return RC_OK;
}
