/*
 * settings_target.c - where a routing rule sends: the primary, the replicas, a named group of them, or nowhere.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "mem.h"
#include "settings_rows.h"

#define GROUP_MAX 32

static const char *const words[] = {[TO_PRIMARY] = "primary", [TO_REPLICA] = "replica", [TO_GROUP] = "", [TO_DENY] = "deny"};

static bool is_word(const char *text)
{
	for (size_t i = 0; i < countof(words); i++)
		if (strcmp(words[i], text) == 0)
			return true;
	return false;
}

const char *settings_target_check_group(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	if (*text && (text[len] || len > GROUP_MAX || is_word(text)))
		return "no name for a group, allowed are up to 32 of a-z, 0-9, _ and -, but not primary, replica or deny";
	return NULL;
}

enum rc settings_target_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	struct settings_route_rule *r = container_of(at, struct settings_route_rule, to);
	const char *text = conf_text(n);

	for (int i = 0; i < (int)countof(words); i++)
		if (*text && strcmp(words[i], text) == 0) {
			r->to = i;
			return RC_OK;
		}
	if (!*text || settings_target_check_group(text)) {
		conf_fault(c, n, "%s is no target, allowed is %s", conf_shown(n), o->unit);
		return RC_ERROR;
	}
	r->to = TO_GROUP;
	r->group = mem_strdup(text);
	if (r->group)
		return RC_OK;
	conf_no_memory(c);
	return RC_ERROR;
}

void settings_target_print(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	const struct settings_route_rule *r = container_of(at, const struct settings_route_rule, to);

	conf_put_text(s, r->to == TO_GROUP ? r->group : words[r->to]);
}

void settings_target_drop(void *at)
{
	struct settings_route_rule *r = container_of(at, struct settings_route_rule, to);

	mem_free(r->group);
	r->group = NULL;
}

unsigned settings_group(const struct settings *s, struct span name)
{
	for (size_t i = 0; name.len && i < s->nreplicas; i++)
		if (s->replicas[i].group && span_eq(span_str(s->replicas[i].group), name))
			return (unsigned)i + 1;
	return 0;
}

void settings_target_check(struct conf_ctx *c, const struct settings *s)
{
	char path[64];

	for (size_t i = 0; i < s->routing.nrules; i++) {
		const struct settings_route_rule *r = &s->routing.rules[i];

		if (r->to != TO_GROUP || !r->group || settings_group(s, span_str(r->group)) || conf_faulted(c, "replicas"))
			continue;
		(void)snprintf(path, sizeof(path), "routing.rules[%zu].to", i);
		conf_fault_at(c, path, "no replica is of the group %s, allowed are primary, replica, deny, or a group that replicas name",
			      r->group);
	}
}
