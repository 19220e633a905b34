/*
 * sqscred.c - see sqscred.h.
 */
#include "sqscred.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"
#include "sqsreply.h"

#define ASK_SECONDS 5L
#define REPLY_MAX (64u << 10)
#define EARLY_NS (300 * NS_PER_SEC)
#define UNTIL_MOST_US (UINT64_C(366) * 86400 * 1000000)
#define REFUSED_PAUSE_NS (10 * NS_PER_SEC)
#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"
#define TOKEN_FILE_MAX (16u << 10)

static const char *from_env(const char *name)
{
	const char *v = secret_env(name);

	return v && *v ? v : NULL;
}

static void forget_keys(struct sqscred *c)
{
	secret_unref(c->key_id);
	secret_unref(c->secret);
	secret_unref(c->session);
	c->key_id = c->secret = c->session = NULL;
}

void sqscred_close(struct sqscred *c)
{
	sqshttp_call_close(&c->call);
	forget_keys(c);
	secret_unref(c->token);
	c->token = NULL;
}

bool sqscred_ready(const struct sqscred *c)
{
	return c->key_id && (!c->until_ns || clock_mono_ns() < c->until_ns);
}

void sqscred_refused(struct sqscred *c)
{
	c->again = c->source != SQSCRED_ENVIRONMENT;
}

/* ---- asking ---- */

/* The keys there are stay until others come or they end. */
static void failed(struct sqscred *c, const char *why)
{
	uint64_t now = clock_mono_ns();
	char quoted[200];

	c->step = SQSCRED_IDLE;
	c->ask_ns = now + backoff_failed(&c->backoff, now);
	if (!c->told)
		log_warn("queue", "no credentials for SQS: none in the environment, and who gives them out does not", "url=%s reason=%s",
			 c->url, log_quote(quoted, sizeof(quoted), span_str(why)));
	c->told = true;
}

/* By the monotonic clock. Those that have just been given out and are over by ours are shown all the same: it is more likely
 * this clock that is wrong, and SQS will say. */
static uint64_t end_of(uint64_t until_us)
{
	uint64_t wall = clock_wall_us();

	if (until_us && until_us <= wall)
		log_warn("queue", "the credentials for SQS that were given out just now have ended, by this host's clock", "ago=%" PRIu64 "s",
			 (wall - until_us) / 1000000);
	if (until_us <= wall || until_us - wall > UNTIL_MOST_US)
		return 0;
	return clock_mono_ns() + (until_us - wall) * 1000;
}

static void take_keys(void *arg, const struct sqsreply_keys *got)
{
	struct sqscred *c = arg;
	struct secret *id = secret_new(got->key_id), *secret = secret_new(got->secret);
	struct secret *session = got->token.len ? secret_new(got->token) : NULL;

	if (!id || !secret || (!session && got->token.len)) {
		secret_unref(id);
		secret_unref(secret);
		secret_unref(session);
		return;
	}
	forget_keys(c);
	c->key_id = id;
	c->secret = secret;
	c->session = session;
	c->until_ns = end_of(got->until_us);
	c->ask_ns = clock_mono_ns() + REFUSED_PAUSE_NS;
	c->step = SQSCRED_IDLE;
	c->told = c->again = false;
	backoff_good(&c->backoff, clock_mono_ns());
	log_info("queue", "credentials for SQS", "source=%s", c->source == SQSCRED_CONTAINER ? "container" : "instance");
}

/* ECS and EKS have one in the environment or in a file, which changes. */
static enum rc put_container_token(struct sqscred *c)
{
	const char *text = from_env("AWS_CONTAINER_AUTHORIZATION_TOKEN"), *file = from_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	char *from_file;
	size_t len = 0;
	FILE *f;
	enum rc rc;

	if (!file)
		return text ? sqshttp_header(&c->call, "Authorization", span_str(text)) : RC_OK;
	f = fopen(file, "re");
	from_file = f ? secret_pages(TOKEN_FILE_MAX) : NULL;
	if (from_file)
		len = fread(from_file, 1, TOKEN_FILE_MAX, f);
	if (f)
		fclose(f);
	while (len && (from_file[len - 1] == '\n' || from_file[len - 1] == '\r'))
		len--;
	rc = len ? sqshttp_header(&c->call, "Authorization", span_of(from_file, len)) : RC_ERROR;
	secret_pages_free(from_file, TOKEN_FILE_MAX);
	return rc;
}

static enum rc ask(struct sqscred *c, enum sqscred_step step)
{
	char url[sizeof(c->url) + sizeof(ROLE_PATH) + sizeof(c->role)];
	struct sqshttp_how how = {.method = "GET", .url = url, .seconds = ASK_SECONDS, .direct = true};
	enum rc rc = RC_ERROR;

	c->step = step;
	switch (step) {
	case SQSCRED_ASK_CONTAINER:
		snprintf(url, sizeof(url), "%s", c->url);
		rc = put_container_token(c);
		break;
	case SQSCRED_ASK_TOKEN:
		snprintf(url, sizeof(url), "%s/latest/api/token", c->url);
		how.method = "PUT";
		rc = sqshttp_header(&c->call, "X-aws-ec2-metadata-token-ttl-seconds", span_str("21600"));
		break;
	case SQSCRED_ASK_ROLE:
	case SQSCRED_ASK_KEYS:
		snprintf(url, sizeof(url), "%s" ROLE_PATH "%s", c->url, step == SQSCRED_ASK_KEYS ? c->role : "");
		rc = sqshttp_header(&c->call, "X-aws-ec2-metadata-token", secret_text(c->token));
		break;
	case SQSCRED_IDLE:
		break;
	}
	if (rc == RC_OK)
		return sqshttp_begin(&c->call, &how);
	sqshttp_forget(&c->call);
	return rc;
}

/* The role's name: the first line. */
static enum rc take_role(struct sqscred *c, struct span text)
{
	size_t len = 0;

	while (len < text.len && text.p[len] > ' ' && text.p[len] <= '~' && !strchr("/?#%", text.p[len]))
		len++;
	if (!len || len >= sizeof(c->role) || (len < text.len && text.p[len] > ' '))
		return RC_ERROR;
	memcpy(c->role, text.p, len);
	c->role[len] = '\0';
	return ask(c, SQSCRED_ASK_KEYS);
}

static enum rc take_token(struct sqscred *c, struct span text)
{
	secret_unref(c->token);
	c->token = text.len && text.len < 4096 ? secret_new(text) : NULL;
	return c->token ? ask(c, SQSCRED_ASK_ROLE) : RC_ERROR;
}

static void on_answer(void *arg, struct sqshttp_call *call)
{
	struct sqscred *c = arg;
	enum sqscred_step step = c->step;
	struct span text = sqshttp_reply(call);
	char why[64];
	enum rc rc;

	if (call->status != 200) {
		snprintf(why, sizeof(why), "status %ld", call->status);
		failed(c, call->status ? why : call->error);
		return;
	}
	if (step == SQSCRED_ASK_TOKEN)
		rc = take_token(c, text);
	else if (step == SQSCRED_ASK_ROLE)
		rc = take_role(c, text);
	else
		rc = sqsreply_credentials(text, take_keys, c);
	if (rc != RC_OK || (c->step == step && !c->call.busy))
		failed(c, "an answer that was not understood");
}

static bool due(const struct sqscred *c)
{
	if (c->source == SQSCRED_NONE || c->source == SQSCRED_ENVIRONMENT || c->step != SQSCRED_IDLE || clock_mono_ns() < c->ask_ns)
		return false;
	return !c->key_id || c->again || (c->until_ns && clock_mono_ns() + EARLY_NS >= c->until_ns);
}

void sqscred_turn(struct sqscred *c)
{
	if (c->source == SQSCRED_NONE && !c->told) {
		log_warn("queue", "no credentials for SQS: none in the environment, and the instance's are not to be asked for", NULL);
		c->told = true;
	}
	if (due(c) && ask(c, c->source == SQSCRED_CONTAINER ? SQSCRED_ASK_CONTAINER : SQSCRED_ASK_TOKEN) != RC_OK)
		failed(c, "it cannot be asked");
}

/* ---- the environment ---- */

/* Over plain HTTP only to where nobody else listens. */
static bool may_be_asked(const char *url)
{
	static const char *const near[] = {"http://127.0.0.1", "http://localhost", "http://[::1]", CONTAINER_HOST,
					   "http://169.254.170.23", "http://[fd00:ec2::23]"};

	if (strncmp(url, "https://", 8) == 0)
		return true;
	for (size_t i = 0; i < countof(near); i++) {
		size_t len = strlen(near[i]);

		if (strncmp(url, near[i], len) == 0 && (url[len] == ':' || url[len] == '/' || !url[len]) && !strchr(url, '@'))
			return true;
	}
	return false;
}

static enum rc take_environment(struct sqscred *c, const char *id, const char *secret, const char *session)
{
	c->source = SQSCRED_ENVIRONMENT;
	c->key_id = secret_new(span_str(id));
	c->secret = secret_new(span_str(secret));
	if (session)
		c->session = secret_new(span_str(session));
	return c->key_id && c->secret && (c->session || !session) ? RC_OK : RC_ERROR;
}

/* RC_ERROR: it says what nobody is to be asked. */
static enum rc take_places(struct sqscred *c)
{
	const char *relative = from_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), *full = from_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *instance = from_env("AWS_EC2_METADATA_SERVICE_ENDPOINT"), *none = from_env("AWS_EC2_METADATA_DISABLED");
	size_t len;

	if (relative || full) {
		c->source = SQSCRED_CONTAINER;
		snprintf(c->url, sizeof(c->url), "%s%s", relative ? CONTAINER_HOST : "", relative ? relative : full);
		return may_be_asked(c->url) && (!relative || *relative == '/') ? RC_OK : RC_ERROR;
	}
	if (none && strcasecmp(none, "true") == 0)
		return RC_OK;
	c->source = SQSCRED_INSTANCE;
	snprintf(c->url, sizeof(c->url), "%s", instance ? instance : INSTANCE_HOST);
	len = strlen(c->url);
	if (c->url[len - 1] == '/')
		c->url[len - 1] = '\0';
	return RC_OK;
}

enum rc sqscred_open(struct sqscred *c, struct sqshttp *http, char *err, size_t cap)
{
	const char *id = from_env("AWS_ACCESS_KEY_ID"), *secret = from_env("AWS_SECRET_ACCESS_KEY");

	*c = (struct sqscred){.source = SQSCRED_NONE};
	snprintf(err, cap, "out of memory");
	if (id && secret)
		return take_environment(c, id, secret, from_env("AWS_SESSION_TOKEN"));
	if (take_places(c) == RC_OK)
		return sqshttp_call_open(http, &c->call, REPLY_MAX, on_answer, c);
	snprintf(err, cap,
		 "AWS_CONTAINER_CREDENTIALS_…: allowed are https://… and http:// on this host or at the container's own endpoint");
	return RC_ERROR;
}
