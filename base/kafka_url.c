/*
 * kafka_url.c - see kafka_url.h.
 */
#include "kafka_url.h"

#include <string.h>

#include "mem.h"
#include "urltext.h"

#define DEFAULT_PORT 9092
#define DEFAULT_LANES 8
#define REPLICAS_MAX 9
#define TOPIC_MAX 249 /* Kafka's own */

static enum rc add_broker(struct span s, struct kafka_url *out)
{
	char *host, *joined;
	uint16_t port;

	if (urltext_host(s, DEFAULT_PORT, &host, &port) != RC_OK)
		return RC_ERROR;
	joined = strpbrk(host, ", \t") ? NULL
				       : mem_printf(strchr(host, ':') ? "%s%s[%s]:%u" : "%s%s%s:%u", out->brokers ? out->brokers : "",
						    out->brokers ? "," : "", host, port);
	mem_free(host);
	if (!joined)
		return RC_ERROR;
	mem_free(out->brokers);
	out->brokers = joined;
	return RC_OK;
}

static enum rc parse_brokers(struct span s, struct kafka_url *out)
{
	struct span next = s;

	for (unsigned n = 0; next.len; n++) {
		s = next;
		if (!urltext_cut(&s, ',', &next))
			next.len = 0;
		if (n == KAFKA_BROKERS_MAX || add_broker(s, out) != RC_OK)
			return RC_ERROR;
	}
	return out->brokers ? RC_OK : RC_ERROR;
}

static enum rc parse_topic(struct span s, struct kafka_url *out)
{
	if (!s.len || s.len > TOPIC_MAX || span_eq(s, span_str(".")) || span_eq(s, span_str("..")))
		return RC_ERROR;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && !(c && strchr("-_.", c)))
			return RC_ERROR;
	}
	out->topic = mem_dup(s.p, s.len);
	return out->topic ? RC_OK : RC_ERROR;
}

static enum rc take_number(struct span value, unsigned most, unsigned *out)
{
	return urltext_number(value, most, out) == RC_OK && *out ? RC_OK : RC_ERROR;
}

static enum rc take_sasl(struct span value, struct kafka_url *out)
{
	static const char *const words[][2] = {
		{"plain", "PLAIN"}, {"scram-sha-256", "SCRAM-SHA-256"}, {"scram-sha-512", "SCRAM-SHA-512"}};

	for (size_t i = 0; i < countof(words); i++)
		if (span_eq(value, span_str(words[i][0])))
			out->sasl = words[i][1];
	return out->sasl && out->user ? RC_OK : RC_ERROR;
}

static enum rc take_file(struct span value, char **out)
{
	size_t len;

	if (!value.len || *out)
		return RC_ERROR;
	*out = urltext_decode(value, &len);
	return *out ? RC_OK : RC_ERROR;
}

static enum rc take_option(struct span key, struct span value, struct kafka_url *out)
{
	if (span_eq(key, span_str("lanes")))
		return take_number(value, KAFKA_LANES_MAX, &out->lanes);
	if (span_eq(key, span_str("replicas")))
		return take_number(value, REPLICAS_MAX, &out->replicas);
	if (span_eq(key, span_str("sasl")))
		return out->sasl ? RC_ERROR : take_sasl(value, out);
	if (!out->tls)
		return RC_ERROR;
	if (span_eq(key, span_str("ca")))
		return take_file(value, &out->ca);
	if (span_eq(key, span_str("cert")))
		return take_file(value, &out->cert);
	if (span_eq(key, span_str("key")))
		return take_file(value, &out->key);
	out->verify = false;
	return span_eq(key, span_str("verify")) && span_eq(value, span_str("none")) ? RC_OK : RC_ERROR;
}

static enum rc parse_options(struct span s, struct kafka_url *out)
{
	struct span next, value;

	for (; s.len; s = next) {
		if (!urltext_cut(&s, '&', &next))
			next.len = 0;
		if (!urltext_cut(&s, '=', &value) || take_option(s, value, out) != RC_OK)
			return RC_ERROR;
	}
	/* A certificate is of no use without its key. */
	return !out->cert == !out->key ? RC_OK : RC_ERROR;
}

static const char *parse(struct span rest, struct kafka_url *out)
{
	struct span login, topic = {.len = 0}, options = {.len = 0};

	if (urltext_cut_login(&rest, &login) && (urltext_login(login, &out->user, &out->password) != RC_OK || !out->user))
		return "the part before @ is not user:password (percent-encode what is not a letter or digit)";
	(void)urltext_cut(&rest, '?', &options);
	if (parse_options(options, out) != RC_OK)
		return "behind ? are allowed lanes=1 to 64, replicas=1 to 9; with a user sasl=plain, scram-sha-256 or scram-sha-512; "
		       "with kafkas:// ca=FILE, verify=none, cert=FILE and key=FILE";
	(void)urltext_cut(&rest, '/', &topic);
	if (parse_topic(topic, out) != RC_OK)
		return "the topic behind / is missing or no name of one (letters, digits, - _ and .)";
	if (parse_brokers(rest, out) != RC_OK)
		return "one to sixteen host:port joined by commas are allowed as brokers";
	if (out->user && !out->sasl)
		out->sasl = "SCRAM-SHA-512";
	return NULL;
}

const char *kafka_url_parse(const char *url, struct kafka_url *out)
{
	bool tls = strncmp(url, "kafkas://", 9) == 0;
	const char *fault = "not a URL of Kafka, allowed are kafka://[user:password@]host:port,host:port/topic and kafkas://…";

	*out = (struct kafka_url){.lanes = DEFAULT_LANES, .tls = tls, .verify = true};
	if (tls || strncmp(url, "kafka://", 8) == 0)
		fault = parse(span_str(strstr(url, "://") + 3), out);
	if (fault)
		kafka_url_reset(out);
	return fault;
}

void kafka_url_reset(struct kafka_url *u)
{
	mem_free(u->brokers);
	mem_free(u->topic);
	mem_free(u->user);
	secret_unref(u->password);
	mem_free(u->ca);
	mem_free(u->cert);
	mem_free(u->key);
	*u = (struct kafka_url){.brokers = NULL};
}
