/*
 * sqs_url.c - see sqs_url.h.
 */
#include "sqs_url.h"

#include <stdio.h>
#include <stdlib.h>

#include "urltext.h"

#define LANE_WORD "{lane}"
#define LANE_DIGITS_MAX 2
#define FIFO ".fifo"

static bool is_word(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return s.len > 0;
}

static enum rc take_text(struct span value, char *out, size_t cap)
{
	if (!value.len || value.len >= cap)
		return RC_ERROR;
	memcpy(out, value.p, value.len);
	out[value.len] = '\0';
	return RC_OK;
}

static enum rc take_option(struct sqs_url *u, struct span key)
{
	struct span value;

	if (!urltext_cut(&key, '=', &value))
		return RC_ERROR;
	if (span_eq(key, span_str("lanes")))
		return urltext_number(value, SQS_URL_LANES_MAX, &u->lanes) == RC_OK && u->lanes ? RC_OK : RC_ERROR;
	if (span_eq(key, span_str("region")))
		return is_word(value) ? take_text(value, u->region, sizeof(u->region)) : RC_ERROR;
	if (span_eq(key, span_str("ca")))
		return take_text(value, u->ca, sizeof(u->ca));
	return RC_ERROR;
}

static enum rc take_options(struct sqs_url *u, struct span left)
{
	struct span rest;
	bool more;

	do {
		more = urltext_cut(&left, '&', &rest);
		if (take_option(u, left) != RC_OK)
			return RC_ERROR;
		left = rest;
	} while (more);
	return RC_OK;
}

/* sqs.REGION.amazonaws.com, vpce-….sqs.REGION.vpce.amazonaws.com; else as AWS's own tools do. */
static enum rc find_region(struct sqs_url *u)
{
	const char *at = strncmp(u->host, "sqs.", 4) == 0 ? u->host : strstr(u->host, ".sqs."), *env = getenv("AWS_REGION");
	struct span s;

	if (u->region[0])
		return RC_OK;
	if (at && strstr(at, "amazonaws.com")) {
		at += *at == '.' ? 5 : 4;
		s = span_of(at, strcspn(at, "."));
	} else {
		s = span_str(env && *env ? env : getenv("AWS_DEFAULT_REGION"));
	}
	return is_word(s) ? take_text(s, u->region, sizeof(u->region)) : RC_ERROR;
}

/* {lane}, once at most, and with several lanes. */
static bool braces_fit(const struct sqs_url *u)
{
	const char *at = strstr(u->text, LANE_WORD);

	if (strcspn(u->text, "{}") != (at ? (size_t)(at - u->text) : strlen(u->text)))
		return false;
	return (at && !strpbrk(at + strlen(LANE_WORD), "{}") && u->lanes > 1) || (!at && u->lanes == 1);
}

static bool is_path(struct span path)
{
	size_t fifo = strlen(FIFO);

	for (size_t i = 0; i < path.len; i++)
		if (!is_word(span_of(path.p + i, 1)) && !memchr("/.{}", path.p[i], 4))
			return false;
	return path.len > fifo + 1 && memcmp(path.p + path.len - fifo, FIFO, fifo) == 0;
}

const char *sqs_url_parse(const char *url, struct sqs_url *out)
{
	size_t len = strcspn(url, "?");
	const char *host = strstr(url, "://"), *path;

	*out = (struct sqs_url){.lanes = 1, .tls = strncmp(url, "https://", 8) == 0};
	if ((!out->tls && strncmp(url, "http://", 7) != 0) || len + LANE_DIGITS_MAX >= sizeof(out->text))
		return "not the URL of a queue of SQS, allowed is https://sqs.REGION.amazonaws.com/ACCOUNT/NAME.fifo";
	host += 3;
	path = host + strcspn(host, "/?");
	if (take_text(span_of(host, (size_t)(path - host)), out->host, sizeof(out->host)) != RC_OK || strpbrk(out->host, "@ \t{}") ||
	    !is_path(span_of(path, (size_t)(url + len - path))))
		return "not the URL of a FIFO queue of SQS, allowed is https://sqs.REGION.amazonaws.com/ACCOUNT/NAME.fifo";
	snprintf(out->text, sizeof(out->text), "%.*s", (int)len, url);
	snprintf(out->endpoint, sizeof(out->endpoint), "%.*s/", (int)(path - url), url);
	if (url[len] && take_options(out, span_str(url + len + 1)) != RC_OK)
		return "wrong behind ?, allowed are lanes=1 to 64, region=NAME and ca=FILE";
	if (find_region(out) != RC_OK)
		return "it does not say the region, and neither does AWS_REGION, allowed is ?region=NAME";
	if (!braces_fit(out))
		return "lanes without {lane} or the other way round: several lanes are several queues, allowed is NAME-{lane}.fifo?lanes=2 to 64";
	snprintf(out->name, sizeof(out->name), "%s%.*s", out->region, (int)(url + len - path), path);
	return NULL;
}

void sqs_url_lane(const struct sqs_url *u, unsigned lane, char out[SQS_URL_MAX])
{
	const char *at = strstr(u->text, LANE_WORD);

	if (at)
		snprintf(out, SQS_URL_MAX, "%.*s%u%s", (int)(at - u->text), u->text, lane, at + strlen(LANE_WORD));
	else
		snprintf(out, SQS_URL_MAX, "%s", u->text);
}
