/*
 * rules.h - does a rule's match hold for a statement? All that is given must.
 */
#ifndef SUIMON_RULES_H
#define SUIMON_RULES_H

#include "digest.h"
#include "facts.h"
#include "settings.h"

/* A statement as rules see it. Spans are the caller's. */
struct rule_subject {
	uint64_t digest;
	struct span text;       /* normalised */
	bool cut;               /* ... of which this is only the beginning: a pattern of `to: deny` or `limits` holds */
	const struct sql_facts *facts;
	struct span schema;     /* the session's */
	struct span user;
	const struct sql_lexed *lexed; /* for tags; may be NULL */
	uint64_t *time_left_ns; /* processor time that patterns may take yet, with those of other subjects: RULES_TIME_NS at first; NULL: not bound */
};

#define RULES_TIME_NS UINT64_C(1000000000) /* for all that one command holds; the pattern that uses it up may go on for as long once more */

bool rule_matches(const struct settings_match *m, const struct rule_subject *s);
/* The first rule that matches, or NULL. What is not known of a statement (SQL_F_UNKNOWN: its tables; its verb, where another statement may
 * stand behind the first word) matches where a rule denies or limits, and nowhere else; but not that of several statements, a body or
 * EXECUTE, which hold others. A pattern that cannot be matched, for the time or the memory it would take, or as there is no time left, matches where a rule denies
 * or limits, and nowhere else. */
const struct settings_route_rule *rule_route(const struct settings *cfg, const struct rule_subject *s);
const struct settings_cache_rule *rule_cache(const struct settings *cfg, const struct rule_subject *s);
const struct settings_queue_rule *rule_queue(const struct settings *cfg, const struct rule_subject *s);
const struct settings_limit_rule *rule_limit(const struct settings *cfg, const struct rule_subject *s);
/* Of a statement of which only the beginning is here: facts are the beginning's, digest, text and lexed are not looked at. A rule holds
 * unless what is here says that it does not: by account, by verb, or, for INSERT and REPLACE, by the table that is written; by digest or
 * query these two are never meant. */
bool rule_may_deny(const struct settings *cfg, const struct rule_subject *s);
const struct settings_limit_rule *rule_may_limit(const struct settings *cfg, const struct rule_subject *s); /* NULL: none */
/* True if no rule of cfg looks at tags: the verdict for a digest, schema and user then holds until the next reload. */
bool rule_verdicts_last(const struct settings *cfg);

#endif
