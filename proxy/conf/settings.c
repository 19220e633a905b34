/*
 * settings.c - the life of a configuration: loaded whole, checked, shared by reference, freed with the last.
 */
#include "settings.h"

#include "mem.h"
#include "settings_rows.h"

static void settings_free(struct settings *s)
{
	conf_drop(&settings_table, s);
	tls_unref(s->listen.tls_context);
	tls_unref(s->backend.tls_context);
	mem_free(s->proxy_networks);
	mem_free(s->file);
	mem_free(s->shared);
	mem_free(s);
}

bool settings_wants_queue(const struct settings *s)
{
	return s->queue.nrules || (s->config.source && *s->queue.user.name);
}

/* Ends the run; s is freed if it had a fault. */
static struct settings *finish(struct conf_ctx *c, struct settings *s)
{
	if (conf_close(c) == RC_OK)
		return s;
	if (s)
		settings_free(s);
	return NULL;
}

#define NEXT_OF_ONE_MATCH (UINT64_C(1) << 33) /* rules that have one match follow each other: the upper half of the number tells them apart */

static uint64_t id_of(const struct settings_match *m)
{
	return settings_match_id(m) | UINT64_C(1) << 32;
}

static void number_rules(struct settings *s)
{
	for (size_t i = 0; i < s->routing.nrules; i++)
		s->routing.denies |= s->routing.rules[i].to == TO_DENY;
	for (size_t i = 0; i < s->routing.nrules && s->routing.denies; i++)
		s->routing.patterns |= s->routing.rules[i].match.query != NULL;
	for (size_t i = 0; i < s->cache.nrules; i++) {
		struct settings_cache_rule *r = &s->cache.rules[i];

		r->id = id_of(&r->match);
		for (size_t k = 0; k < i; k++)
			r->id += (uint64_t)(s->cache.rules[k].id == r->id) * NEXT_OF_ONE_MATCH;
	}
	for (size_t i = 0; i < s->limits.nrules; i++) {
		struct settings_limit_rule *r = &s->limits.rules[i];

		s->routing.patterns |= r->match.query != NULL;
		r->id = id_of(&r->match);
		for (size_t k = 0; k < i; k++)
			r->id += (uint64_t)(s->limits.rules[k].id == r->id) * NEXT_OF_ONE_MATCH;
	}
}

static void lay_over(struct conf_ctx *c, struct settings *s, const struct settings_shared *shared)
{
	struct iobuf names;

	iobuf_init(&names, 0);
	conf_overlay(c, &settings_table, shared->origin, shared->text, &names);
	s->shared = mem_dup(iobuf_data(&names), iobuf_len(&names));
	if (!s->shared)
		conf_no_memory(c);
	iobuf_reset(&names);
}

static struct settings *fill(struct conf_ctx *c, const char *file, const struct settings_shared *shared, const char *primary)
{
	struct settings *s = mem_zalloc(sizeof(*s));

	if (!s) {
		conf_no_memory(c);
		return finish(c, NULL);
	}
	s->refs = 1;
	if (file) {
		s->file = mem_strdup(file);
		if (!s->file)
			conf_no_memory(c);
	}
	if (shared)
		lay_over(c, s, shared);
	if (primary)
		conf_set(c, "primary", primary, "--primary");
	if (conf_fill(c, &settings_table, s) == RC_OK || conf_sound(c)) {
		settings_check(c, s);
		settings_tls_load(c, s);
	}
	s->proxy_networks = mem_zalloc((s->listen.nproxy_protocol + 1) * sizeof(*s->proxy_networks));
	for (size_t i = 0; s->proxy_networks && i < s->listen.nproxy_protocol; i++)
		if (!s->listen.proxy_protocol[i] || cidr_parse(s->listen.proxy_protocol[i], &s->proxy_networks[i]) != RC_OK)
			s->proxy_networks[i] = (struct cidr){.bits = 128}; /* its fault is reported: these settings are dropped */
	number_rules(s);
	if (!s->proxy_networks)
		conf_no_memory(c);
	return finish(c, s);
}

struct settings *settings_load_shared(const char *file, const struct settings_shared *shared, const char *primary, struct iobuf *faults)
{
	struct conf_ctx *c = file ? conf_open_file(file, faults) : conf_open_text("(no file)", span_str(""), faults);

	return c ? fill(c, file, shared, primary) : NULL;
}

struct settings *settings_load(const char *file, const char *primary, struct iobuf *faults)
{
	return settings_load_shared(file, NULL, primary, faults);
}

struct settings *settings_parse(const char *yaml, size_t len, const char *name, const char *primary,
				struct iobuf *faults)
{
	struct conf_ctx *c = conf_open_text(name ? name : "(no file)", span_of(yaml, len), faults);

	return c ? fill(c, name, NULL, primary) : NULL;
}

struct settings *settings_ref(struct settings *s)
{
	if (s)
		__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void settings_unref(struct settings *s)
{
	if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		settings_free(s);
}

enum rc settings_print(const struct settings *s, struct iobuf *out)
{
	return conf_print(&settings_table, s, out);
}

enum rc settings_manual(struct iobuf *out)
{
	return conf_manual(&settings_table, out);
}

enum rc settings_manpage(struct iobuf *out)
{
	return conf_manpage(&settings_table, out);
}

enum rc settings_reload_check(const struct settings *now, const struct settings *next, struct iobuf *out)
{
	return conf_fixed_differ(&settings_table, now, next, out);
}
