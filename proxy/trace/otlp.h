/*
 * otlp.h - statements as spans for a collector of OpenTelemetry, by OTLP over HTTP with JSON (OpenTelemetry Protocol
 * Specification 1.x, "OTLP/HTTP", "JSON Protobuf Encoding").
 *
 *   a worker ── otlp_add ──▶ pending spans, as JSON ── a thread ── one POST a second at most ──▶ the collector
 *
 * A worker never waits for the collector: it writes a span into a bounded buffer under a lock. What does not fit, and what the
 * collector does not take, is dropped and counted: spans are a sample anyhow. No literal value is in one.
 */
#ifndef SUIMON_TRACE_OTLP_H
#define SUIMON_TRACE_OTLP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "span.h"
#include "stats.h"

#define OTLP_PENDING_MAX (1024 * 1024) /* bytes */

struct otlp;

/* A statement. Spans of bytes are copied. */
struct otlp_span {
	uint8_t trace[16], id[8], parent[8]; /* parent all 0: none */
	uint64_t start_us;                   /* since 1970 */
	uint64_t total_ns, digest, rows_sent, rows_affected;
	const char *verb, *route;
	struct span table, text, schema, user, server; /* text: normalised; each may be empty */
	uint16_t error; /* 0: none */
	bool mariadb;   /* the servers are, rather than MySQL */
};

struct otlp *otlp_new(struct stats *stats) must_check;
void otlp_free(struct otlp *o); /* NULL is fine */
enum rc otlp_start(struct otlp *o) must_check;
void otlp_stop(struct otlp *o); /* sends what is pending, for a second at most */
/* url: "" ends it; share: of the traces, 0 to 1. RC_ERROR: no memory, all stays as it was. Any thread. */
enum rc otlp_configure(struct otlp *o, const char *url, double share) must_check;

/* Is a span of this trace wanted? By its last bytes, so that all who go by the same share keep the same traces. */
bool otlp_wants(const struct otlp *o, const uint8_t trace[16]);
bool otlp_is_on(const struct otlp *o);
void otlp_add(struct otlp *o, struct stats_sink *k, const struct otlp_span *s); /* k: the caller's */

#endif
