/*
 * plans_doc.c - golden plans: what is done with a statement, and why, in a plain session and in others.
 *
 * Rules: reads of shop.products are cached for a minute, inserts into shop.access_log are queued, statements that match
 * "reports" stay on the primary. The session's schema is shop; there is a replica.
 */
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "plan.h"

static const char rules[] =
	"primary: 127.0.0.1:3306\n"
	"users: [{name: app, password: x}]\n"
	"routing: {rules: [{match: {query: reports}, to: primary}]}\n"
	"cache: {rules: [{match: {table: shop.products}, ttl: 60s}]}\n"
	"queue: {user: {name: app, password: x}, rules: [{match: {table: shop.access_log, verb: insert}}]}\n";

static const struct {
	const char *name;
	struct plan_session state;
} sessions[] = {
	{"plain", {.autocommit = true, .has_replicas = true, .tracked = true, .tracks_reads = true}},
	{"in a transaction",
	 {.autocommit = true, .has_replicas = true, .tracked = true, .tracks_reads = true, .in_transaction = true,
	  .pins = PIN_TRANSACTION}},
	{"autocommit off", {.has_replicas = true, .tracked = true, .tracks_reads = true}},
	{"without replicas", {.autocommit = true, .tracked = true, .tracks_reads = true}},
};

static struct settings *settings;

/* One line a session; those that plan as the plain one does are left out. */
static enum rc plan_text(struct span statement, unsigned mode, struct iobuf *out)
{
	struct sql_lexed lexed;
	struct sql_facts facts;
	struct plan_verdict verdict;
	char plain[512] = "";
	enum rc rc = sql_facts_parse(statement, mode, &facts);

	if (rc != RC_OK)
		return rc;
	sql_lex(statement, mode, &lexed);
	plan_verdict(settings,
		     &(struct rule_subject){.digest = lexed.digest, .text = statement, .facts = &facts,
					    .schema = span_str("shop"), .user = span_str("app"), .lexed = &lexed},
		     &verdict);
	for (size_t i = 0; i < countof(sessions) && rc == RC_OK; i++) {
		struct iobuf line;
		struct plan plan;

		iobuf_init(&line, sizeof(plain) - 1);
		plan_make(settings, &verdict, &facts, &lexed, &sessions[i].state, &plan);
		rc = plan_print(&plan, &line);
		if (i == 0)
			snprintf(plain, sizeof(plain), "%.*s", (int)iobuf_len(&line), (const char *)iobuf_data(&line));
		if (rc == RC_OK && (i == 0 || !span_eq(span_str(plain), span_of(iobuf_data(&line), iobuf_len(&line)))))
			rc = iobuf_printf(out, "%s%s: %.*s", i ? "\n" : "", sessions[i].name, (int)iobuf_len(&line),
					  (const char *)iobuf_data(&line));
		iobuf_reset(&line);
	}
	sql_facts_free(&facts);
	return rc;
}

int main(int argc, char **argv)
{
	struct iobuf faults;
	int code;

	iobuf_init(&faults, 0);
	settings = settings_parse(rules, strlen(rules), "plans", NULL, &faults);
	if (!settings) {
		fprintf(stderr, "%.*s", (int)iobuf_len(&faults), (const char *)iobuf_data(&faults));
		return 1;
	}
	code = cases_main(argc, argv, plan_text);
	settings_unref(settings);
	iobuf_reset(&faults);
	return code;
}
