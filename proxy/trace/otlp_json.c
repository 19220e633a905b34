/*
 * otlp_json.c - spans in OTLP's JSON: identifiers in hexadecimal, 64-bit numbers as strings; attributes by OpenTelemetry's
 * stable semantic conventions for database client spans (MySQL, MariaDB). These have no name for the account any more.
 */
#include "otlp_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "jsonw.h"

#define KIND_CLIENT 3
#define STATUS_ERROR 2
#define TEXT_MOST 2048
#define SUMMARY_MOST 256 /* by the conventions 255 characters */

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

/* "db1:3306", "[::1]:3306" or "unix:/path" as address and port; that has none. */
static void put_server(struct jsonw *w, struct span server)
{
	static const char unix_path[] = "unix:";
	const char *colon = server.len ? memrchr(server.p, ':', server.len) : NULL;
	bool is_path = server.len >= sizeof(unix_path) && memcmp(server.p, unix_path, sizeof(unix_path) - 1) == 0;
	struct span host = server;
	uint64_t port = 0;

	if (is_path) {
		host = span_of(server.p + sizeof(unix_path) - 1, server.len - sizeof(unix_path) + 1);
	} else if (colon) {
		host.len = (size_t)(colon - server.p);
		for (const char *p = colon + 1; p < server.p + server.len && *p >= '0' && *p <= '9' && port < 65536; p++)
			port = port * 10 + (uint64_t)(*p - '0');
	}
	if (!is_path && host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = span_of(host.p + 1, host.len - 2);
	put_text(w, "server.address", host);
	if (port)
		put_number(w, "server.port", port);
}

/* What it does to which table: a name that does not vary with each query. */
static struct span summary(const struct otlp_span *s, char *buf, size_t cap)
{
	int n = snprintf(buf, cap, "%s%s" SPAN_FMT, s->verb, s->table.len ? " " : "", SPAN_ARG(s->table));

	return span_of(buf, n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1);
}

static void put_attributes(struct jsonw *w, const struct otlp_span *s)
{
	char digest[24], code[8], what[SUMMARY_MOST];

	(void)snprintf(digest, sizeof(digest), "0x%016" PRIx64, s->digest);
	(void)snprintf(code, sizeof(code), "%u", s->error);
	jsonw_open(w, "attributes", '[');
	put_text(w, "db.system.name", span_str(s->mariadb ? "mariadb" : "mysql"));
	put_text(w, "db.namespace", s->schema);
	put_text(w, "db.operation.name", span_str(s->verb));
	put_text(w, "db.collection.name", s->table);
	put_text(w, "db.query.summary", summary(s, what, sizeof(what)));
	put_text(w, "db.query.text", span_of(s->text.p, s->text.len < TEXT_MOST ? s->text.len : TEXT_MOST));
	put_server(w, s->server);
	if (s->error) {
		put_text(w, "db.response.status_code", span_str(code));
		put_text(w, "error.type", span_str(code));
	}
	put_text(w, "suimon.user", s->user);
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
	char what[SUMMARY_MOST];
	struct jsonw w;

	if (iobuf_append(out, ",", 1) != RC_OK)
		return RC_ERROR;
	jsonw_init(&w, out);
	jsonw_open(&w, NULL, '{');
	put_hex(&w, "traceId", s->trace, sizeof(s->trace));
	put_hex(&w, "spanId", s->id, sizeof(s->id));
	if (memcmp(s->parent, none, sizeof(none)) != 0)
		put_hex(&w, "parentSpanId", s->parent, sizeof(s->parent));
	jsonw_str(&w, "name", summary(s, what, sizeof(what)));
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
