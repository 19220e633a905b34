/*
 * otlp_json.c - spans in OTLP's JSON: identifiers in hexadecimal, 64-bit numbers as strings; attributes by OpenTelemetry's
 * semantic conventions for database client spans.
 */
#include "otlp_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "jsonw.h"

#define KIND_CLIENT 3
#define STATUS_ERROR 2
#define TEXT_MOST 2048

static void put_hex(struct jsonw *w, const char *key, const uint8_t *p, size_t n)
{
	char hex[33];

	for (size_t i = 0; i < n; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", p[i]);
	jsonw_text(w, key, hex);
}

static void put_text(struct jsonw *w, const char *key, struct span v)
{
	if (!v.len)
		return;
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "key", key);
	jsonw_open(w, "value", '{');
	jsonw_str(w, "stringValue", v);
	jsonw_close(w, '}');
	jsonw_close(w, '}');
}

static void put_number(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_open(w, NULL, '{');
	jsonw_text(w, "key", key);
	jsonw_open(w, "value", '{');
	jsonw_printf(w, "intValue", "%" PRIu64, v);
	jsonw_close(w, '}');
	jsonw_close(w, '}');
}

static void put_attributes(struct jsonw *w, const struct otlp_span *s)
{
	char digest[24], code[8];

	(void)snprintf(digest, sizeof(digest), "0x%016" PRIx64, s->digest);
	(void)snprintf(code, sizeof(code), "%u", s->error);
	jsonw_open(w, "attributes", '[');
	put_text(w, "db.system", span_str("mysql"));
	put_text(w, "db.namespace", s->schema);
	put_text(w, "db.operation.name", span_str(s->verb));
	put_text(w, "db.collection.name", s->table);
	put_text(w, "db.query.text", span_of(s->text.p, s->text.len < TEXT_MOST ? s->text.len : TEXT_MOST));
	put_text(w, "db.user", s->user);
	put_text(w, "server.address", s->server);
	if (s->error)
		put_text(w, "error.type", span_str(code));
	put_text(w, "suimon.digest", span_str(digest));
	put_text(w, "suimon.route", span_str(s->route));
	put_number(w, "db.response.returned_rows", s->rows_sent);
	put_number(w, "suimon.rows_affected", s->rows_affected);
	jsonw_close(w, ']');
}

enum rc otlp_put_span(const struct otlp_span *s, struct iobuf *out)
{
	static const uint8_t none[8];
	uint64_t end_us = s->start_us + s->total_ns / 1000;
	struct jsonw w;

	if (iobuf_append(out, ",", 1) != RC_OK)
		return RC_ERROR;
	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	put_hex(&w, "traceId", s->trace, sizeof(s->trace));
	put_hex(&w, "spanId", s->id, sizeof(s->id));
	if (memcmp(s->parent, none, sizeof(none)) != 0)
		put_hex(&w, "parentSpanId", s->parent, sizeof(s->parent));
	jsonw_printf(&w, "name", "%s" "%s" SPAN_FMT, s->verb, s->table.len ? " " : "", SPAN_ARG(s->table));
	jsonw_uint(&w, "kind", KIND_CLIENT);
	jsonw_printf(&w, "startTimeUnixNano", "%" PRIu64, s->start_us * 1000);
	jsonw_printf(&w, "endTimeUnixNano", "%" PRIu64 "%03u", end_us, (unsigned)(s->total_ns % 1000));
	put_attributes(&w, s);
	jsonw_open(&w, "status", '{');
	if (s->error)
		jsonw_uint(&w, "code", STATUS_ERROR);
	jsonw_close(&w, '}');
	jsonw_close(&w, '}');
	return jsonw_end(&w);
}

static void put_resource(struct jsonw *w)
{
	char host[256] = "";

	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	jsonw_open(w, "resource", '{');
	jsonw_open(w, "attributes", '[');
	put_text(w, "service.name", span_str("suimon"));
	put_text(w, "service.version", span_str(SUIMON_VERSION));
	put_text(w, "host.name", span_str(host));
	jsonw_close(w, ']');
	jsonw_close(w, '}');
}

enum rc otlp_put_body(const struct iobuf *spans, struct iobuf *out)
{
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	jsonw_open(&w, "resourceSpans", '[');
	jsonw_open(&w, NULL, '{');
	put_resource(&w);
	jsonw_open(&w, "scopeSpans", '[');
	jsonw_open(&w, NULL, '{');
	jsonw_open(&w, "scope", '{');
	jsonw_text(&w, "name", "suimon");
	jsonw_close(&w, '}');
	jsonw_open(&w, "spans", '[');
	jsonw_raw(&w, NULL, span_of(iobuf_data(spans) + 1, iobuf_len(spans) - 1)); /* without the first comma */
	jsonw_close(&w, ']');
	jsonw_close(&w, '}');
	jsonw_close(&w, ']');
	jsonw_close(&w, '}');
	jsonw_close(&w, ']');
	jsonw_close(&w, '}');
	return jsonw_end(&w);
}
