/*
 * upstream_login.c - suimon's side of a login on a server.
 *
 *   greeting → [SSLRequest → TLS] → our login with the answer to its scramble → [AuthSwitch → answer] →
 *   [caching_sha2: fast, or the password by RSA, or in clear over TLS or a unix socket; sha256: not fast; clear: nothing but the latter] → OK
 */
#include <stdio.h>
#include <string.h>

#include "lease.h"
#include "log.h"
#include "upstream.h"

/* What clients call it. */
#define CR_SSL_CONNECTION 2026
#define CR_SECURE_AUTH 2049
#define ER_NOT_SUPPORTED_AUTH_MODE 1251 /* "client does not support ..., consider upgrading" */

static enum rc fail(struct upstream *u, uint16_t code, const char *state, const char *text)
{
	u->err_code = code;
	u->err_theirs = false;
	snprintf(u->err_state, sizeof(u->err_state), "%s", state);
	snprintf(u->err_text, sizeof(u->err_text), "%s", text);
	return RC_ERROR;
}

static enum rc server_error(struct upstream *u, struct span payload)
{
	struct err_packet e;

	if (packet_parse_err(payload, &e) != RC_OK)
		return fail(u, 0, "08S01", "the server's error could not be read");
	u->err_code = e.code;
	u->err_theirs = e.code != 0;
	memcpy(u->err_state, e.sqlstate, sizeof(u->err_state));
	snprintf(u->err_text, sizeof(u->err_text), SPAN_FMT, SPAN_ARG(e.message));
	return RC_ERROR;
}

/* Nobody else can listen on the way. */
static bool is_private(const struct upstream *u)
{
	return u->backend->is_unix || u->ch.stream.tls;
}

/* The answer of a plugin to the scramble at hand. RC_DECLINED: a plugin we do not speak, or not here. */
static enum rc answer(struct upstream *u, struct span scramble, uint8_t out[AUTH_RESPONSE_MOST], size_t *len)
{
	struct span password = secret_text(u->account->password);

	*len = 0;
	if (strcmp(u->plugin, AUTH_ED25519) == 0) {
		if (scramble.len != AUTH_ED25519_SCRAMBLE)
			return RC_DECLINED;
		*len = AUTH_ED25519_LEN;
		return auth_ed25519_response(password, scramble, out);
	}
	if (strcmp(u->plugin, AUTH_NATIVE) == 0) {
		if (password.len == 0)
			return RC_OK;
		*len = AUTH_NATIVE_LEN;
		return auth_native_response(password, u->scramble, out);
	}
	if (strcmp(u->plugin, AUTH_SHA2) == 0) {
		if (password.len == 0)
			return RC_OK;
		*len = AUTH_SHA2_LEN;
		return auth_sha2_response(password, u->scramble, out);
	}
	if (strcmp(u->plugin, AUTH_OLD) == 0) {
		if (password.len == 0)
			return RC_OK;
		if (!is_private(u)) /* the password is soon found from it */
			return RC_DECLINED;
		auth_old_response(password, u->scramble, out);
		out[AUTH_OLD_LEN] = 0;
		*len = AUTH_OLD_LEN + 1;
		return RC_OK;
	}
	return RC_DECLINED;
}

static enum rc send_packet(struct upstream *u, struct iobuf *b, enum rc built)
{
	enum rc rc = built;

	if (rc == RC_OK)
		rc = channel_put(&u->ch, iobuf_data(b), iobuf_len(b));
	if (rc == RC_OK && channel_flush(&u->ch) == RC_ERROR)
		rc = RC_ERROR;
	b->wipes = true;
	iobuf_reset(b);
	return rc == RC_OK ? RC_AGAIN : fail(u, 0, "08S01", "the login could not be sent");
}

/* ---- the greeting, and TLS ---- */

static enum rc send_login(struct upstream *u)
{
	struct login l = {.caps = u->caps, .max_packet = 1u << 30};
	uint8_t response[AUTH_RESPONSE_MOST];
	size_t len = 0;
	struct iobuf b;
	enum rc rc;

	if (answer(u, span_of(u->scramble, SCRAMBLE_LEN), response, &len) != RC_OK) {
		/* The server will ask for the plugin it wants. */
		snprintf(u->plugin, sizeof(u->plugin), "%s", AUTH_NATIVE);
		if (answer(u, span_of(u->scramble, SCRAMBLE_LEN), response, &len) != RC_OK)
			return fail(u, 0, "08S01", "the login could not be computed");
	}
	l.collation = u->collation && u->collation < 256 ? (uint8_t)u->collation : u->server_collation;
	l.user = span_str(u->account->user);
	l.auth = span_of(response, len);
	l.plugin = span_str(u->plugin);
	l.zstd_level = UPSTREAM_ZSTD_LEVEL;
	iobuf_init(&b, 0);
	rc = handshake_put_login(&b, &u->seq, &l);
	u->state = UPSTREAM_AUTH;
	return send_packet(u, &b, rc);
}

/* Asks for TLS; the login follows when it stands. */
static enum rc send_ssl_request(struct upstream *u)
{
	struct login l = {.caps = u->caps | CLIENT_SSL, .max_packet = 1u << 30, .ssl_request = true};
	struct iobuf b;
	enum rc rc;

	l.collation = u->collation && u->collation < 256 ? (uint8_t)u->collation : u->server_collation;
	iobuf_init(&b, 0);
	rc = send_packet(u, &b, handshake_put_login(&b, &u->seq, &l));
	if (rc != RC_AGAIN)
		return rc;
	u->state = UPSTREAM_SECURING;
	if (channel_secure(&u->ch, u->pool->limits.tls, u->backend->host) != RC_OK)
		return fail(u, 0, "08S01", "TLS could not be begun");
	return RC_AGAIN;
}

enum rc upstream_login_secured(struct upstream *u)
{
	stats_count(u->pool->sink, STATS_C_UPSTREAM_TLS, 1);
	u->caps |= CLIENT_SSL;
	return send_login(u);
}

/* A refused certificate is an answer, and clients hear it at once; a cut link is not. */
void upstream_login_unsecured(struct upstream *u)
{
	char why[160], text[256], quoted[320];

	tls_why(u->ch.stream.tls, why, sizeof(why));
	snprintf(text, sizeof(text), "TLS with %s failed: %s", u->backend->text, why);
	(void)fail(u, tls_cut(u->ch.stream.tls) ? 0 : CR_SSL_CONNECTION, "HY000", text);
	stats_count(u->pool->sink, STATS_C_UPSTREAM_TLS_FAILURES, 1);
	log_warn("upstream", "a TLS handshake failed", "addr=%s why=%s", u->backend->text, log_quote(quoted, sizeof(quoted), span_str(why)));
}

static uint64_t compression(const struct upstream *u, uint64_t offered)
{
	switch (u->pool->limits.compress) {
	case SETTINGS_COMPRESS_ZSTD:
		if (offered & CLIENT_ZSTD_COMPRESSION)
			return CLIENT_ZSTD_COMPRESSION;
		return offered & CLIENT_COMPRESS;
	case SETTINGS_COMPRESS_ZLIB:
		return offered & CLIENT_COMPRESS;
	case SETTINGS_COMPRESS_CLIENT: /* in wire */
	case SETTINGS_COMPRESS_OFF:
		break;
	}
	return 0;
}

static void take_greeting(struct upstream *u, const struct greeting *g)
{
	struct backend_identity id = {.caps = g->caps, .collation = g->collation, .mariadb = g->mariadb};

	memcpy(id.version, g->version, sizeof(id.version));
	backend_identify(u->backend, &id);
	u->mariadb = g->mariadb;
	u->thread_id = g->thread_id;
	u->server_collation = g->collation;
	memcpy(u->scramble, g->scramble, SCRAMBLE_LEN);
	snprintf(u->plugin, sizeof(u->plugin), "%s", g->plugin[0] ? g->plugin : AUTH_NATIVE);
	u->caps = (CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH | CLIENT_SESSION_TRACK | u->wire) &
		  (g->caps | CLIENT_PROTOCOL_41);
	if (!g->mariadb)
		u->caps = (u->caps & UINT32_MAX) | CLIENT_LONG_PASSWORD;
	u->caps |= compression(u, g->caps);
	u->tracks = u->caps & CLIENT_SESSION_TRACK && !u->plain;
}

static enum rc on_greeting(struct upstream *u, struct span payload)
{
	const struct lease_limits *limits = &u->pool->limits;
	struct greeting g;
	char text[256];
	enum rc rc = handshake_parse_greeting(payload, &g);

	if (rc == RC_DECLINED)
		return server_error(u, payload);
	if (rc != RC_OK)
		return fail(u, 0, "08S01", "the server's greeting could not be read");
	take_greeting(u, &g);
	if (u->wire & UPSTREAM_FORM_CAPS & ~u->caps) { /* an older replica: the primary is asked */
		snprintf(text, sizeof(text), "%s lacks a form of the protocol that the primary offered this client", u->backend->text);
		return fail(u, ER_NOT_SUPPORTED_AUTH_MODE, "08004", text);
	}
	if (!limits->tls || u->backend->is_unix)
		return send_login(u);
	if (g.caps & CLIENT_SSL)
		return send_ssl_request(u);
	if (limits->tls_mode == TLS_PREFERRED)
		return send_login(u);
	snprintf(text, sizeof(text), "%s does not offer TLS, which backend.tls.mode insists on", u->backend->text);
	return fail(u, CR_SSL_CONNECTION, "HY000", text);
}

/* ---- its questions ---- */

/* What mysql_clear_password and sha256_password want, and caching_sha2_password after the fast answer was not enough. */
static enum rc send_password(struct upstream *u, struct span pem)
{
	struct span password = secret_text(u->account->password);
	uint8_t out[512];
	size_t len = sizeof(out);
	struct iobuf b;
	enum rc rc;

	iobuf_init(&b, 0);
	if (is_private(u) || !password.len) { /* the password and its NUL */
		rc = packet_put(&b, &u->seq, password.p, password.len + 1);
	} else {
		if (auth_rsa_encrypt(pem, password, u->scramble, out, &len) != RC_OK)
			return fail(u, 0, "08S01", "the server's public key could not be used");
		rc = packet_put(&b, &u->seq, out, len);
	}
	return send_packet(u, &b, rc);
}

static enum rc ask_key(struct upstream *u, uint8_t request)
{
	struct iobuf b;
	enum rc rc;

	u->asked_key = true;
	iobuf_init(&b, 0);
	rc = packet_put(&b, &u->seq, &request, 1);
	return send_packet(u, &b, rc);
}

/* It has no fast answer. MySQL asks for it of names that it does not know, too, so that nobody learns which there are. */
static enum rc on_sha256(struct upstream *u)
{
	if (is_private(u) || !secret_text(u->account->password).len)
		return send_password(u, span_of(NULL, 0));
	return ask_key(u, SHA256_REQUEST_PUBLIC_KEY);
}

static enum rc on_clear_password(struct upstream *u)
{
	if (is_private(u))
		return send_password(u, span_of(NULL, 0));
	return fail(u, CR_SECURE_AUTH, "HY000",
		    "the server wants the password in clear, which it gets over TLS and unix sockets only: see backend.tls");
}

static enum rc on_auth_switch(struct upstream *u, struct span payload)
{
	struct auth_switch s;
	struct iobuf b;
	uint8_t response[AUTH_RESPONSE_MOST];
	char text[256];
	size_t len;
	enum rc rc;

	if (payload.len == 1) /* from the time when there were two ways: the older one, for the scramble at hand */
		s = (struct auth_switch){.plugin = span_str(AUTH_OLD)};
	else if (handshake_parse_auth_switch(payload, &s) != RC_OK || s.plugin.len >= sizeof(u->plugin))
		return fail(u, 0, "08S01", "the server asked for an authentication that could not be read");
	memcpy(u->plugin, s.plugin.p, s.plugin.len);
	u->plugin[s.plugin.len] = '\0';
	if (s.data.len < SCRAMBLE_LEN &&
	    (strcmp(u->plugin, AUTH_NATIVE) == 0 || strcmp(u->plugin, AUTH_SHA2) == 0 || strcmp(u->plugin, AUTH_SHA256) == 0))
		return fail(u, 0, "08S01", "the server's scramble is too short");
	if (s.data.len >= SCRAMBLE_LEN)
		memcpy(u->scramble, s.data.p, SCRAMBLE_LEN);
	else if (s.data.len >= AUTH_OLD_LEN && strcmp(u->plugin, AUTH_OLD) == 0)
		memcpy(u->scramble, s.data.p, AUTH_OLD_LEN);
	if (strcmp(u->plugin, AUTH_CLEAR) == 0)
		return on_clear_password(u);
	if (strcmp(u->plugin, AUTH_SHA256) == 0)
		return on_sha256(u);
	rc = answer(u, s.data, response, &len);
	if (rc == RC_DECLINED && strcmp(u->plugin, AUTH_OLD) == 0)
		return fail(u, CR_SECURE_AUTH, "HY000",
			    "the server wants the password in the way from before MySQL 4.1, which gives it away on a connection "
			    "without TLS: give the account another plugin, or see backend.tls");
	if (rc == RC_DECLINED) {
		snprintf(text, sizeof(text),
			 "the server wants authentication plugin '%s', which suimon does not speak: give the "
			 "account mysql_native_password, caching_sha2_password or ed25519",
			 u->plugin);
		return fail(u, 2059, "HY000", text);
	}
	if (rc != RC_OK)
		return fail(u, 0, "08S01", "the login could not be computed");
	iobuf_init(&b, 0);
	rc = packet_put(&b, &u->seq, response, len);
	return send_packet(u, &b, rc);
}

static enum rc on_auth_more(struct upstream *u, struct span payload)
{
	if (u->asked_key && payload.len >= 2) {
		u->asked_key = false;
		return send_password(u, span_of(payload.p + 1, payload.len - 1));
	}
	if (strcmp(u->plugin, AUTH_SHA2) != 0 || payload.len < 2)
		return fail(u, 0, "08S01", "the server sent authentication data that was not asked for");
	if (payload.p[1] == SHA2_FAST_OK)
		return RC_AGAIN;
	if (payload.p[1] != SHA2_FULL)
		return fail(u, 0, "08S01", "the server sent unknown authentication data");
	if (is_private(u))
		return send_password(u, span_of(NULL, 0));
	return ask_key(u, SHA2_REQUEST_PUBLIC_KEY);
}

enum rc upstream_login_packet(struct upstream *u, struct span payload, uint8_t seq)
{
	u->seq = (uint8_t)(seq + 1);
	if (u->state == UPSTREAM_GREETING)
		return on_greeting(u, payload);
	if (++u->auth_step > 8)
		return fail(u, 0, "08S01", "the server's authentication does not end");
	switch (payload.len ? (uint8_t)payload.p[0] : 0xff) {
	case 0x00:
		return RC_OK;
	case 0x01:
		return on_auth_more(u, payload);
	case 0xfe:
		return on_auth_switch(u, payload);
	default:
		return server_error(u, payload);
	}
}
