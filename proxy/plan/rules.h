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
	const struct sql_facts *facts;
	struct span schema;     /* the session's */
	struct span user;
	const struct sql_lexed *lexed; /* for tags; may be NULL */
};

bool rule_matches(const struct settings_match *m, const struct rule_subject *s);
/* The first rule that matches, or NULL. */
const struct settings_route_rule *rule_route(const struct settings *cfg, const struct rule_subject *s);
const struct settings_cache_rule *rule_cache(const struct settings *cfg, const struct rule_subject *s);
const struct settings_queue_rule *rule_queue(const struct settings *cfg, const struct rule_subject *s);
const struct settings_limit_rule *rule_limit(const struct settings *cfg, const struct rule_subject *s);
/* True if no rule of cfg looks at tags: the verdict for a digest, schema and user then holds until the next reload. */
bool rule_verdicts_last(const struct settings *cfg);

#endif
