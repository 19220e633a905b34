/*
 * stats_helper.h - what the tests of the statistics share: statistics with one sink, events, the output parsed.
 */
#ifndef SUIMON_TESTS_STATS_HELPER_H
#define SUIMON_TESTS_STATS_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "clock.h"
#include "iobuf.h"
#include "mem.h"
#include "stats.h"

static inline struct stats *helper_stats(uint64_t digests)
{
	struct stats_options opt = {.slow_ns = 200 * NS_PER_MS,
				    .digests = digests,
				    .samples = true,
				    .nplus1_repeats = 8,
				    .nplus1_window_ns = NS_PER_SEC,
				    .explain = true};
	struct stats *s = stats_new(&opt);

	assert_non_null(s);
	return s;
}

static inline struct stats_sink *helper_sink(struct stats *s)
{
	struct stats_sink *k = stats_sink_new(s, true);

	assert_non_null(k);
	return k;
}

/* Numbers to ?: enough of normalising. */
static inline void helper_normalise(const struct stats_event *e, void *into)
{
	for (size_t i = 0; i < e->text.len; i++) {
		bool digit = e->text.p[i] >= '0' && e->text.p[i] <= '9';

		if (digit && i > 0 && e->text.p[i - 1] >= '0' && e->text.p[i - 1] <= '9')
			continue;
		if (iobuf_append(into, digit ? "?" : &e->text.p[i], 1) != RC_OK)
			return;
	}
}

/* A read of one row of shop.products by the user app, 1 ms, from the primary. */
static inline struct stats_event helper_event(uint64_t digest, const char *text)
{
	return (struct stats_event){.digest = digest,
				    .literals = 1,
				    .verb = "select",
				    .text = span_str(text),
				    .normalise = helper_normalise,
				    .schema = span_str("shop"),
				    .user = span_str("app"),
				    .table = span_str("products"),
				    .start_ns = clock_mono_ns(),
				    .total_ns = NS_PER_MS,
				    .rows_sent = 1,
				    .is_read = true,
				    .route = STATS_PRIMARY};
}

static inline json_t *helper_parse(struct iobuf *out)
{
	json_error_t why;
	json_t *j = json_loadb((const char *)iobuf_data(out), iobuf_len(out), 0, &why);

	if (!j)
		print_error("%s at %d: " SPAN_FMT "\n", why.text, why.position, (int)iobuf_len(out),
			    (const char *)iobuf_data(out));
	assert_non_null(j);
	iobuf_reset(out);
	return j;
}

static inline json_t *helper_queries_of(struct stats *s, enum stats_sort sort, unsigned limit, struct stats_of of)
{
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(stats_json_queries(s, sort, limit, of, &out), RC_OK);
	return helper_parse(&out);
}

static inline json_t *helper_queries(struct stats *s, enum stats_sort sort, unsigned limit)
{
	return helper_queries_of(s, sort, limit, (struct stats_of){NULL});
}

/* NULL: not known. */
static inline json_t *helper_query(struct stats *s, uint64_t digest, bool samples)
{
	struct iobuf out;
	enum rc rc;

	iobuf_init(&out, 0);
	rc = stats_json_query(s, digest, samples, &out);
	if (rc == RC_DECLINED)
		return NULL;
	assert_int_equal(rc, RC_OK);
	return helper_parse(&out);
}

static inline json_t *helper_findings(struct stats *s, bool samples)
{
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(stats_json_findings(s, samples, &out), RC_OK);
	return helper_parse(&out);
}

static inline uint64_t helper_uint(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v))
		print_error("no integer: %s\n", key);
	assert_true(json_is_integer(v));
	return (uint64_t)json_integer_value(v);
}

static inline double helper_number(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_number(v))
		print_error("no number: %s\n", key);
	assert_true(json_is_number(v));
	return json_number_value(v);
}

static inline const char *helper_text(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		print_error("no string: %s\n", key);
	assert_true(json_is_string(v));
	return json_string_value(v);
}

/* The first finding of this kind; NULL: none. Borrowed. */
static inline json_t *helper_finding(const json_t *findings, const char *kind)
{
	size_t i;
	json_t *f;

	json_array_foreach(json_object_get(findings, "findings"), i, f)
	{
		if (strcmp(helper_text(f, "kind"), kind) == 0)
			return f;
	}
	return NULL;
}

#endif
