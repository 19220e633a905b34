#include "rules.h"

#include <pthread.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* PCRE2's match limits keep a hostile statement from holding the worker: so many steps from one place of the text on, fewer the more places
 * there are. */
#define MATCH_LIMIT 100000
#define MATCH_STEPS 400000000 /* all places together: most of a second, where the pattern is of the worst */
#define STACK_LEAST ((size_t)32 << 10)
#define STACK_MOST ((size_t)1 << 20)

/* Scratch memory for matching: made once a thread, freed when the thread ends. */
struct matcher { pcre2_match_data *data; pcre2_match_context *context; pcre2_jit_stack *stack; };

static pthread_key_t matcher_key;
static pthread_once_t matcher_once = PTHREAD_ONCE_INIT;

static void matcher_free(void *p)
{
	struct matcher *m = p;

	pcre2_match_data_free(m->data);
	pcre2_match_context_free(m->context);
	pcre2_jit_stack_free(m->stack);
	mem_free(m);
}

static void matcher_init(void)
{
	if (pthread_key_create(&matcher_key, matcher_free) != 0)
		log_fatal("plan", "no thread-specific key left", NULL);
}

static struct matcher *matcher_get(void)
{
	struct matcher *m;

	pthread_once(&matcher_once, matcher_init);
	m = pthread_getspecific(matcher_key);
	if (m)
		return m;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return NULL;
	m->data = pcre2_match_data_create(1, NULL);
	m->context = pcre2_match_context_create(NULL);
	if (!m->data || !m->context || pthread_setspecific(matcher_key, m) != 0) {
		matcher_free(m);
		return NULL;
	}
	m->stack = pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL); /* without it there are 32 KiB */
	pcre2_jit_stack_assign(m->context, NULL, m->stack);
	return m;
}

static uint64_t processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* RC_ERROR: it cannot be told: the pattern takes too much time or memory for this text. */
static enum rc regex_matches(const struct settings_match *match, struct span text)
{
	struct matcher *m = matcher_get();
	size_t limit = text.len > MATCH_STEPS / MATCH_LIMIT ? MATCH_STEPS / text.len : MATCH_LIMIT;
	char pattern[200];
	int got = PCRE2_ERROR_NOMEMORY;

	if (m) {
		pcre2_set_match_limit(m->context, (uint32_t)limit + 1);
		got = pcre2_match(match->query_re, (PCRE2_SPTR)text.p, text.len, 0, 0, m->data, m->context);
	}
	if (got >= 0) /* 0: matched, the one pair of offsets was too few for its groups */
		return RC_OK;
	if (likely(got == PCRE2_ERROR_NOMATCH))
		return RC_DECLINED;
	log_warn("rules", "whether a pattern matches a statement cannot be told", "pattern=%s bytes=%zu code=%d",
		 log_quote(pattern, sizeof(pattern), span_str(match->query)), text.len, got);
	return RC_ERROR;
}

/* Each text has its bound; a command may hold thousands. */
static enum rc regex_matches_in_time(const struct settings_match *m, const struct rule_subject *s)
{
	uint64_t took;
	enum rc rc;

	if (!s->time_left_ns)
		return regex_matches(m, s->text);
	if (unlikely(!*s->time_left_ns))
		return RC_ERROR;
	took = processor_ns();
	rc = regex_matches(m, s->text);
	took = processor_ns() - took;
	if (unlikely(took >= *s->time_left_ns))
		log_warn("rules", "patterns have taken too much time for one command: whether they match the rest of it cannot be told", "bytes=%zu", s->text.len);
	*s->time_left_ns -= took < *s->time_left_ns ? took : *s->time_left_ns;
	return rc;
}

/* What forbids or holds back does so also where it cannot be told (strict). */
static bool query_matches(const struct settings_match *m, const struct rule_subject *s, bool strict)
{
	enum rc rc = regex_matches_in_time(m, s);

	return rc == RC_OK || (strict && (rc == RC_ERROR || s->cut));
}

/* "schema.table" or "table"; compared without regard to case, as most servers fold names. */
static bool table_matches(const char *want, const struct sql_table *t, struct span session_schema)
{
	const char *dot = strchr(want, '.');
	struct span schema = t->schema.len ? t->schema : session_schema;

	if (!dot)
		return span_ieq(span_str(want), t->name);
	return span_ieq(span_str(dot + 1), t->name) && span_ieq(span_of(want, (size_t)(dot - want)), schema);
}

static bool any_table_matches(const char *want, const struct rule_subject *s)
{
	for (uint16_t i = 0; i < s->facts->ntables; i++)
		if (table_matches(want, &s->facts->tables[i], s->schema))
			return true;
	return false;
}

static bool schema_matches(const char *want, const struct rule_subject *s)
{
	for (uint16_t i = 0; i < s->facts->ntables; i++) {
		struct span schema = s->facts->tables[i].schema.len ? s->facts->tables[i].schema : s->schema;

		if (span_ieq(span_str(want), schema))
			return true;
	}
	return s->facts->ntables == 0 && span_ieq(span_str(want), s->schema);
}

/* Is the tag's key or value, as it was meant, this text? */
static bool tag_is(struct span tag, const char *text)
{
	char c;

	while (sql_tag_next(&tag, &c))
		if (*text == '\0' || *text++ != c)
			return false;
	return *text == '\0';
}

static bool tag_matches(const struct settings_match *m, const struct sql_lexed *lexed)
{
	for (uint16_t i = 0; lexed && i < lexed->ntags; i++)
		if (tag_is(lexed->tags[i].key, m->tag_key) && tag_is(lexed->tags[i].value, m->tag_value))
			return true;
	return false;
}

/* It was not understood to its end, so its tables are not known. What it holds, several statements or a body, and what EXECUTE is given, is
 * looked at by itself, where that can be told. */
static bool may_be_about_any(const struct sql_facts *f)
{
	return f->flags & SQL_F_UNKNOWN && !(f->flags & SQL_F_MULTI) && f->verb != SQL_COMPOUND && f->verb != SQL_EXECUTE;
}

/* Its first word does not say what it does: another statement may stand behind it. */
static bool may_have_any_verb(const struct sql_facts *f)
{
	return may_be_about_any(f) && (f->verb == SQL_OTHER || f->verb == SQL_EXPLAIN || f->verb == SQL_SET);
}

static bool is_verb(const char *want, enum sql_verb v)
{
	return span_ieq(span_str(want), span_str(sql_verb_name(v)));
}

/* ANALYZE, which runs a statement, is that one, too. */
static bool verb_matches(const char *want, const struct sql_facts *f)
{
	if (is_verb(want, f->verb))
		return true;
	if (likely(f->verb != SQL_EXPLAIN) || f->flags & SQL_F_MULTI)
		return false;
	for (unsigned v = 0; v < SQL_VERBS; v++)
		if (f->verbs & SQL_VERB(v) && is_verb(want, (enum sql_verb)v))
			return true;
	return false;
}

static bool matches(const struct settings_match *m, const struct rule_subject *s, bool strict)
{
	bool about_any = strict && may_be_about_any(s->facts), any_verb = strict && may_have_any_verb(s->facts);

	return (!m->has_digest || m->digest == s->digest) && (!m->table || about_any || any_table_matches(m->table, s)) &&
	       (!m->schema || about_any || schema_matches(m->schema, s)) && (!m->user || span_eq(span_str(m->user), s->user)) &&
	       (!m->verb || any_verb || verb_matches(m->verb, s->facts)) &&
	       (!m->tag_key || tag_matches(m, s->lexed)) && (!m->query || query_matches(m, s, strict));
}

bool rule_matches(const struct settings_match *m, const struct rule_subject *s)
{
	return matches(m, s, false);
}

#define FIRST_MATCH(list, n, strict)                                                                                           \
	do {                                                                                                           \
		for (size_t i = 0; i < (n); i++)                                                                       \
			if (matches(&(list)[i].match, s, strict))                                                         \
				return &(list)[i];                                                                     \
		return NULL;                                                                                           \
	} while (0)

/* The verb is known from the first word on; what a rule asks beyond it may come yet. */
static bool may_match(const struct settings_match *m, const struct rule_subject *s)
{
	enum sql_verb verb = s->facts->verb;
	bool fills = verb == SQL_INSERT || verb == SQL_REPLACE;

	if (m->user && !span_eq(span_str(m->user), s->user))
		return false;
	if (m->verb && verb != SQL_OTHER && !span_ieq(span_str(m->verb), span_str(sql_verb_name(verb))))
		return false;
	if (!fills)
		return true;
	return !m->has_digest && !m->query && (!m->table || any_table_matches(m->table, s)) && (!m->schema || schema_matches(m->schema, s));
}

static bool surely_matches(const struct settings_match *m, const struct rule_subject *s)
{
	return !m->has_digest && !m->query && !m->tag_key && !m->schema && (!m->verb || s->facts->verb != SQL_OTHER) && rule_matches(m, s);
}

bool rule_may_deny(const struct settings *cfg, const struct rule_subject *s)
{
	for (size_t i = 0; i < cfg->routing.nrules; i++) {
		const struct settings_route_rule *rule = &cfg->routing.rules[i];

		if (surely_matches(&rule->match, s))
			return rule->to == TO_DENY;
		if (rule->to == TO_DENY && may_match(&rule->match, s))
			return true;
	}
	return false;
}

const struct settings_limit_rule *rule_may_limit(const struct settings *cfg, const struct rule_subject *s)
{
	for (size_t i = 0; i < cfg->limits.nrules; i++)
		if (may_match(&cfg->limits.rules[i].match, s))
			return &cfg->limits.rules[i];
	return NULL;
}

const struct settings_route_rule *rule_route(const struct settings *cfg, const struct rule_subject *s)
{
	FIRST_MATCH(cfg->routing.rules, cfg->routing.nrules, cfg->routing.rules[i].to == TO_DENY);
}

const struct settings_cache_rule *rule_cache(const struct settings *cfg, const struct rule_subject *s)
{
	FIRST_MATCH(cfg->cache.rules, cfg->cache.nrules, false);
}

const struct settings_queue_rule *rule_queue(const struct settings *cfg, const struct rule_subject *s)
{
	FIRST_MATCH(cfg->queue.rules, cfg->queue.nrules, false);
}

const struct settings_limit_rule *rule_limit(const struct settings *cfg, const struct rule_subject *s)
{
	FIRST_MATCH(cfg->limits.rules, cfg->limits.nrules, true);
}

bool rule_verdicts_last(const struct settings *cfg)
{
	for (size_t i = 0; i < cfg->routing.nrules; i++)
		if (cfg->routing.rules[i].match.tag_key)
			return false;
	for (size_t i = 0; i < cfg->cache.nrules; i++)
		if (cfg->cache.rules[i].match.tag_key)
			return false;
	for (size_t i = 0; i < cfg->queue.nrules; i++)
		if (cfg->queue.rules[i].match.tag_key)
			return false;
	for (size_t i = 0; i < cfg->limits.nrules; i++)
		if (cfg->limits.rules[i].match.tag_key)
			return false;
	return true;
}
