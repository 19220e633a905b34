/*
 * conf.h - YAML into a struct, one table row an option; every fault is reported with file, line and key, not only the first.
 *
 * The engine knows types and tables, no option of the product. A table describes one mapping; a row's value is
 * stored at `offset` in the struct the table describes (a nested mapping may describe the same struct: its row's
 * offset is then 0).
 *
 *   conf_open_file ─→ conf_set (command line) ─→ conf_fill ─→ the caller's own checks (conf_fault_at) ─→ conf_close
 *     libyaml events → nodes → ${NAME} replaced → rows parsed, defaults filled in → faults sorted by line
 *
 * A fault reads "FILE:LINE: key.path: what is wrong, what is allowed". One thread a run.
 * Sources: conf_read.c (YAML), conf_overlay.c (a second document), conf_env.c (${NAME}), conf_value.c (scalars), conf_fill.c, conf_keys.c (tables), conf_fault.c,
 * conf_print.c and conf_yaml.c (effective values), conf_manual.c (reference).
 */
#ifndef SUIMON_CONF_H
#define SUIMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iobuf.h"
#include "rc.h"
#include "span.h"

#define CONF_MAX_BYTES (1024 * 1024) /* a document */
#define CONF_MAX_NODES 100000        /* values in it, with every alias counted as what it stands for */
#define CONF_MAX_DEPTH 32            /* mappings and lists inside each other */

enum conf_type {
	CONF_STRING,   /* char *, owned; NULL only where a row without default is left out */
	CONF_SECRET,   /* struct secret *, owned reference; NULL when empty; masked when printed */
	CONF_URL,      /* the same; but only the password in its user:password@ is masked */
	CONF_BOOL,     /* bool: true false on off yes no */
	CONF_CHOICE,   /* bool, one of two `words`: the second is true */
	CONF_INT,      /* int64_t, range min..max */
	CONF_DOUBLE,   /* double, range min..max */
	CONF_DURATION, /* uint64_t nanoseconds: 250ms 5s 10m 1h (also us, d); 0 alone is allowed */
	CONF_SIZE,     /* uint64_t bytes: 64KiB 256MiB 4GiB, bare numbers are bytes; 0 alone is allowed */
	CONF_ENUM,     /* int, one of `words` */
	CONF_TABLE,    /* a nested mapping, `table` describes it, stored in place */
	CONF_LIST,     /* struct conf_list of `item` */
	CONF_CUSTOM,   /* `parse` decides (a union such as "string | mapping") */
};

/* A caller's struct may hold `thing *things; size_t nthings;` in this order instead. */
struct conf_list {
	void *items; /* owned array of elements of item->size bytes */
	size_t count;
};

struct conf_ctx;  /* one run of the parser: file name, faults */
struct conf_node; /* a YAML node with its line */
struct conf_sink; /* where printing goes */

/* What of an option this build cannot do: choosing it is a fault, and the manual says so. */
struct conf_absent {
	const char *what;               /* "queue engines other than file" */
	const char *allowed;            /* "file" */
	bool (*chosen)(const void *in); /* is it asked for in this struct, the one the row's table describes? */
};

struct conf_opt {
	const char *name;
	enum conf_type type;
	size_t offset;
	const char *def; /* default as YAML text; NULL = required (CONF_TABLE: each of its rows has its own) */
	bool (*given)(
		const void *at);  /* instead of a default: the row may be left out, this says whether it is there */
	int64_t min, max;         /* INT, DOUBLE, DURATION (ns), SIZE; both 0 = not limited. LIST: max members */
	const char *zero;         /* INT, DURATION, SIZE: a word that stands for 0, whatever min says ("auto") */
	const char *const *words; /* CONF_ENUM, CONF_CHOICE: NULL-terminated */
	const struct conf_table *table; /* CONF_TABLE, CONF_LIST of mappings; CONF_CUSTOM: for the manual only */
	const struct conf_opt *item;    /* CONF_LIST: describes one element (name NULL, offset 0) */
	size_t size;                    /* in an item row: bytes an element */
	bool single;                    /* CONF_LIST: one element alone may stand for a list of it */
	bool hides_query;               /* CONF_STRING: a URL, of whose query only the names are printed */
	const char *(*check)(const char *text); /* CONF_STRING, CONF_URL: NULL, or "what is wrong, what is allowed" */
	/* CONF_CUSTOM: stores at `at` (zeroed) or reports a fault and leaves there what drop can free. */
	enum rc (*parse)(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at);
	void (*print)(struct conf_sink *s, const struct conf_opt *o,
		      const void *at);    /* CONF_CUSTOM: one value by conf_put_* */
	void (*drop)(void *at);           /* CONF_CUSTOM: frees what parse stored */
	const struct conf_absent *absent; /* NULL: all of it is built in */
	const char *unit;                 /* for the manual and for faults: "host:port", "connections", … */
	bool reload;                      /* SIGHUP may change it */
	bool shared;                      /* so may a document that instances share (conf_overlay) */
	const char *help;                 /* one sentence */
};

struct conf_table {
	const char *name;            /* of the outermost table: heads the manual's options that are in no section */
	size_t size;                 /* of the struct described */
	const struct conf_opt *opts; /* name NULL ends it (an item row has name NULL too but stands alone) */
};

/* ---- a run ---- */

/* Reads and parses; a file that cannot be read or a broken document is a fault of the run, not NULL.
 * NULL: out of memory (said in faults if there was room). faults is the caller's and outlives the run. */
struct conf_ctx *conf_open_file(const char *path, struct iobuf *faults) must_check;
/* The same from memory; name stands for the file in faults. text and name must outlive the run. */
struct conf_ctx *conf_open_text(const char *name, struct span text, struct iobuf *faults) must_check;
/* Lets text stand for the top-level key, whatever the document says; origin stands for the file in faults. */
void conf_set(struct conf_ctx *c, const char *key, const char *text, const char *origin);
/* Lays a document over the one that was read: what many instances share over what is a host's own. Only options whose row says
 * `shared` may stand in it, and no variables: these are faults. origin stands for the file in its faults; both must outlive the
 * run. names (may be NULL) gets the key paths it sets, one a line. */
void conf_overlay(struct conf_ctx *c, const struct conf_table *t, const char *origin, struct span text, struct iobuf *names);
/* Fills the zeroed struct at `at`. Rows with a fault have their default, lists with a fault the members that are
 * good and rests of the others, required rows that are missing stay zero.
 * RC_ERROR: at least one fault so far. The struct is to be freed with conf_drop either way. */
enum rc conf_fill(struct conf_ctx *c, const struct conf_table *t, void *at) must_check;
/* True when the document could be read and memory did not run out: only then is a filled struct worth checking further. */
bool conf_sound(const struct conf_ctx *c);
/* Writes the faults to the iobuf in order of lines and ends the run. RC_ERROR: there were some. */
enum rc conf_close(struct conf_ctx *c) must_check;
/* Frees what conf_fill stored and zeroes it. */
void conf_drop(const struct conf_table *t, void *at);

/* ---- faults ---- */

/* At the key where the run stands, line of n. fmt: "what is wrong, what is allowed". */
void conf_fault(struct conf_ctx *c, const struct conf_node *n, const char *fmt, ...) printf_like(3, 4);
/* At a key path such as "queue.rules[0].match": for checks after conf_fill. Says nothing when that key, one above or
 * one below has a fault already (it would only be its echo). */
void conf_fault_at(struct conf_ctx *c, const char *path, const char *fmt, ...) printf_like(3, 4);
/* Has that key, one above or one below a fault already? */
bool conf_faulted(const struct conf_ctx *c, const char *path);
void conf_no_memory(struct conf_ctx *c);

/* ---- nodes, for CONF_CUSTOM ---- */

enum conf_kind { CONF_SCALAR, CONF_SEQ, CONF_MAP };
struct conf_edge {
	struct conf_node *key; /* NULL in a list; always a scalar */
	struct conf_node *value;
	struct conf_edge *next;
};
enum conf_kind conf_kind(const struct conf_node *n);
bool conf_is_null(const struct conf_node *n);      /* nothing after the colon, ~ or null */
const char *conf_text(const struct conf_node *n);  /* a scalar's text, variables replaced; "" for others */
const char *conf_shown(const struct conf_node *n); /* the same as it stands in the file, short, for faults */
const struct conf_edge *conf_first(const struct conf_node *n); /* members; NULL for scalars */
size_t conf_count(const struct conf_node *n);
const struct conf_node *conf_get(const struct conf_node *n, const char *key); /* NULL: not there */
/* The key path grows by .key or [index] until conf_leave(mark). */
size_t conf_enter(struct conf_ctx *c, const char *key) must_check;
size_t conf_enter_index(struct conf_ctx *c, size_t index) must_check;
void conf_leave(struct conf_ctx *c, size_t mark);
/* One value by a row, one mapping by a table, into zeroed memory. RC_ERROR: a fault was reported. */
enum rc conf_fill_opt(struct conf_ctx *c, const struct conf_opt *o, const struct conf_node *n, void *at) must_check;
enum rc conf_fill_table(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n, void *at) must_check;
void conf_drop_opt(const struct conf_opt *o, void *at);

/* ---- scalars ---- */

enum rc conf_duration(struct span text, uint64_t *ns) must_check;
enum rc conf_size(struct span text, uint64_t *bytes) must_check;
enum rc conf_int(struct span text, int64_t *out) must_check;
#define CONF_TEXT 32
void conf_duration_text(uint64_t ns, char out[CONF_TEXT]); /* "90s" */
void conf_size_text(uint64_t bytes, char out[CONF_TEXT]);  /* "64MiB" */

/* ---- printing ---- */

struct conf_scalar {
	enum conf_type type; /* STRING, BOOL, INT, DOUBLE, DURATION or SIZE */
	struct span text;    /* STRING: what may be shown ("***" for a secret) */
	struct span secret;  /* STRING: what text hides; only for telling values apart, never shown */
	bool on;
	int64_t i;
	uint64_t u; /* DURATION (ns), SIZE */
	double d;
};

struct conf_sink_ops {
	enum rc (*open)(struct conf_sink *s, bool map);
	enum rc (*close)(struct conf_sink *s);
	enum rc (*key)(struct conf_sink *s, const char *key);
	enum rc (*scalar)(struct conf_sink *s, const struct conf_scalar *v);
};
struct conf_sink {
	const struct conf_sink_ops *ops;
	enum rc rc; /* the first failure; nothing is written after it */
};

void conf_put_map(struct conf_sink *s);
void conf_put_list(struct conf_sink *s);
void conf_put_end(struct conf_sink *s);
void conf_put_key(struct conf_sink *s, const char *key);
void conf_put_text(struct conf_sink *s, const char *text);
void conf_put_bool(struct conf_sink *s, bool on);
/* A row's value, or the mapping a table describes. */
void conf_put_opt(struct conf_sink *s, const struct conf_opt *o, const void *at);
void conf_put_table(struct conf_sink *s, const struct conf_table *t, const void *at);

/* All effective values as YAML that can be loaded again, secrets as "***". */
enum rc conf_print(const struct conf_table *t, const void *at, struct iobuf *out) must_check;
/* The options that differ and that a reload may not change: a line each, its key path first. RC_OK with out empty: none. */
enum rc conf_fixed_differ(const struct conf_table *t, const void *a, const void *b, struct iobuf *out) must_check;
/* The table as Markdown: a section a top-level mapping, a line an option. */
enum rc conf_manual(const struct conf_table *t, struct iobuf *out) must_check;
/* The same in the macros of man(7), without a page's head and foot. */
enum rc conf_manpage(const struct conf_table *t, struct iobuf *out) must_check;

#endif
