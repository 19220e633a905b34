/*
 * conf_run.h - what the files of the configuration engine share with each other and with nobody else.
 */
#ifndef SUIMON_CONF_RUN_H
#define SUIMON_CONF_RUN_H

#include "conf.h"

struct conf_node {
	enum conf_kind kind;
	bool plain;         /* a scalar without quotes */
	bool resolved;      /* variables replaced, members checked */
	bool bad;           /* a variable in it is missing: it has its fault already */
	unsigned line;      /* from 1 */
	const char *origin; /* file it stands in */
	const char *text;   /* scalar: NUL-terminated; in the arena */
	size_t len;
	const char *shown; /* scalar: as it stands in the file */
	struct conf_edge *first, *last;
	size_t count;
	size_t weight; /* nodes below and with it, aliases expanded */
};

/* One ${…} or word of the document; the text that libyaml sees has a marker in its place. */
struct conf_ref {
	enum { CONF_REF_ENV, CONF_REF_LITERAL, CONF_REF_BAD } kind;
	struct span raw;       /* as written, into the document */
	struct span name, def; /* ENV; def.p NULL: none. LITERAL: def is what it stands for */
};

struct conf_chunk;

struct conf_fault {
	struct conf_fault *next; /* in order of lines */
	unsigned line;
	const char *origin, *path, *text;
};

struct conf_ctx {
	const char *file;
	struct iobuf *out;         /* the caller's */
	struct conf_node *root;    /* a mapping; NULL: the document is empty or broken */
	struct conf_chunk *chunks; /* everything below lives here, out of core dumps, and is wiped at the end */
	size_t bytes;
	struct conf_ref *refs;
	size_t nrefs;
	struct conf_fault *faults;
	size_t nfaults;
	bool no_memory, broken;
	bool foreign; /* what is read is not this host's: variables of its environment are none of its business */
	size_t path_len;
	char path[512];
};

/* Memory that lives as long as the run. NULL: no_memory is set. */
void *conf_alloc(struct conf_ctx *c, size_t size) must_check;
char *conf_keep(struct conf_ctx *c, struct span text) must_check; /* NUL-terminated copy */
struct conf_node *conf_scalar_node(struct conf_ctx *c, const char *text, unsigned line, const char *origin) must_check;

/* A fault of the document as a whole: nothing of it is used. */
void conf_broken(struct conf_ctx *c, unsigned line, const char *key, const char *fmt, ...) printf_like(4, 5);

/* All faults to the caller's buffer, in order of lines. */
enum rc conf_faults_write(const struct conf_ctx *c) must_check;

/* The document's mapping, made where it has none; NULL: no_memory is set. */
struct conf_node *conf_need_root(struct conf_ctx *c) must_check;
/* key NULL: a list's member. RC_ERROR: no_memory is set. */
enum rc conf_edge_add(struct conf_ctx *c, struct conf_node *into, struct conf_node *key, struct conf_node *value) must_check;
/* A table's row of that name; NULL: none. */
const struct conf_opt *conf_row(const struct conf_table *t, const char *key) must_check;

/* Text → c->root. */
void conf_read(struct conf_ctx *c, struct span text);
/* Replaces every ${…}, and every word, by a marker that may stand anywhere in YAML. p NULL: no memory. */
struct span conf_env_mark(struct conf_ctx *c, struct span text) must_check;
/* What a service manager handed over under this name; in the arena. RC_DECLINED: nothing. RC_ERROR: a fault was reported. */
enum rc conf_credential(struct conf_ctx *c, const struct conf_node *n, const char *name, const char **value) must_check;
/* Replaces the markers in every scalar and reports duplicate keys. */
void conf_env_resolve(struct conf_ctx *c, struct conf_node *n);

/* "mysql, http, tls": a table's keys. */
void conf_key_list(const struct conf_table *t, char *buf, size_t cap);
/* A fault for each member of n that no row has. */
void conf_refuse_unknown(struct conf_ctx *c, const struct conf_table *t, const struct conf_node *n);

/* What a row takes, for faults and the manual: "a whole number from 1 to 64". */
void conf_allowed(const struct conf_opt *o, char *buf, size_t cap);
/* A scalar's text by the row's type. RC_DECLINED: wrong type; RC_ERROR: out of range or memory. */
enum rc conf_scalar_parse(const struct conf_opt *o, const char *text, void *at) must_check;

#endif
