/*
 * login_auth.c - what a client's answer proves, and which question comes next.
 */
#include <stdio.h>

#include "clock.h"
#include "login_impl.h"
#include "mem.h"

static void deny(struct session *s)
{
	login_deny(s, span_str(s->login->user), s->login->sent_password);
}

/* ---- packets out ---- */

static void send_packet(struct session *s, struct iobuf *b, enum rc rc)
{
	if (rc == RC_OK)
		rc = channel_put(&s->ch, iobuf_data(b), iobuf_len(b));
	iobuf_reset(b);
	if (rc != RC_OK)
		session_close(s, CLOSE_MEMORY, "a login packet could not be sent");
}

static void send_more(struct session *s, struct span data)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	send_packet(s, &b, handshake_put_auth_more(&b, &s->seq, data));
}

void login_send_more(struct session *s, char byte)
{
	send_more(s, span_of(&byte, 1));
}

static void send_switch(struct session *s, const char *plugin)
{
	struct iobuf b;

	if (auth_scramble(s->scramble) != RC_OK) {
		session_close(s, CLOSE_MEMORY, "no randomness");
		return;
	}
	snprintf(s->login->plugin, sizeof(s->login->plugin), "%s", plugin);
	s->login->step = LOGIN_SWITCHED;
	session_set_state(s, SESSION_AUTH);
	iobuf_init(&b, 0);
	send_packet(s, &b, handshake_put_auth_switch(&b, &s->seq, plugin, s->scramble));
}

/* ---- the decision ---- */

/* The account is proven as far as we can: let the primary say the rest (password by pass-through, schema). */
static void ask_primary(struct session *s)
{
	struct span schema = login_schema(s);

	s->login->step = LOGIN_ASKING;
	s->login->proving = login_wants_proof(s);
	session_set_state(s, SESSION_RUNNING);
	if (!s->login->proving && (schema.len == 0 || account_schema_known(s->login->account, schema))) {
		const struct varset *vars = varset_with_schema(s->vars, schema);

		if (!vars) {
			session_close(s, CLOSE_MEMORY, "login");
			return;
		}
		session_set_vars(s, vars);
		login_done(s, true, NULL);
		return;
	}
	command_begin(s, NULL, 0, 0, false);
}

static void learn_password(struct session *s, struct span password)
{
	struct login_state *l = s->login;

	account_unref(l->account);
	l->account = account_new(span_str(l->user), password);
	if (!l->account)
		session_close(s, CLOSE_MEMORY, "no memory for an account");
	else
		ask_primary(s);
}

static void decide_configured(struct session *s, struct span auth)
{
	struct login_state *l = s->login;
	struct account *a = l->account;
	bool sha2 = strcmp(l->plugin, AUTH_SHA2) == 0, native = strcmp(l->plugin, AUTH_NATIVE) == 0, ok;

	if (secret_text(a->password).len == 0)
		ok = auth.len == 0;
	else if (sha2)
		ok = auth_sha2_check(auth, s->scramble, account_sha2(a));
	else if (l->step == LOGIN_FIRST && (s->caps & CLIENT_PLUGIN_AUTH) && (!native || auth.len == 0)) {
		/* Where the greeting named another plugin than its own, libmariadb (--default-auth) proves nothing until asked. */
		send_switch(s, AUTH_NATIVE);
		return;
	} else
		ok = native && auth_native_check(auth, s->scramble, account_native(a));
	if (!ok) {
		deny(s);
		return;
	}
	if (sha2 && auth.len)
		l->fast_pending = true;
	ask_primary(s);
}

/* Without a password there is nothing to verify: whether the server still wants none, it says at the next proof. */
static bool known_without_password(const struct login_state *l)
{
	return l->account && secret_text(l->account->password).len == 0;
}

static void decide_passthrough(struct session *s, struct span auth)
{
	struct login_state *l = s->login;

	if (strcmp(l->plugin, AUTH_SHA2) != 0) {
		if (l->step == LOGIN_FIRST && (s->caps & CLIENT_PLUGIN_AUTH))
			send_switch(s, AUTH_SHA2);
		else
			login_refuse(s, 1251, "08004", "this client does not support caching_sha2_password, which pass-through accounts "
						       "need: list the account under `users`, or use a newer client");
		return;
	}
	if (auth.len == 0) {
		if (known_without_password(l))
			ask_primary(s);
		else
			learn_password(s, auth);
		return;
	}
	if (l->account && auth_sha2_check(auth, s->scramble, account_sha2(l->account))) {
		l->fast_pending = true;
		ask_primary(s);
		return;
	}
	l->step = LOGIN_FULL;
	if (s->state != SESSION_AUTH)
		session_set_state(s, SESSION_AUTH);
	login_send_more(s, SHA2_FULL);
}

void login_decide(struct session *s, struct span auth)
{
	struct login_state *l = s->login;

	l->sent_password = auth.len > 0;
	if (l->account && l->account->configured)
		decide_configured(s, auth);
	else if (accounts_passthrough(s->worker->in->accounts))
		decide_passthrough(s, auth);
	else
		deny(s);
}

/* ---- the full exchange ---- */

static void take_clear(struct session *s, struct span payload)
{
	size_t len = payload.len && payload.p[payload.len - 1] == '\0' ? payload.len - 1 : payload.len;

	learn_password(s, span_of(payload.p, len));
}

void login_take_cipher(struct session *s, struct span payload)
{
	uint8_t password[512];
	size_t len;

	struct auth_rsa *rsa = login_key_made(s->worker->in->login_key);

	channel_scratch_send(s->worker->scratch); /* it would wait for the arithmetic */
	if (rsa && auth_rsa_decrypt(rsa, payload, s->scramble, password, &len) == RC_OK)
		learn_password(s, span_of(password, len));
	else
		deny(s);
	secret_wipe(password, sizeof(password));
}

/* Nobody else can listen on the way: clients send the password as it is over TLS and unix sockets, and some over loopback. */
static bool is_private(const struct session *s)
{
	if (s->ch.stream.tls || login_by_socket(s))
		return true;
	return !s->proxied && (strncmp(s->peer, "127.", 4) == 0 || strcmp(s->peer, "::1") == 0);
}

static void send_key(struct session *s, const struct auth_rsa *rsa)
{
	s->login->step = LOGIN_CIPHER;
	send_more(s, auth_rsa_public_pem(rsa));
}

bool login_awaits_key(const struct session *s)
{
	return s->login && s->login->step == LOGIN_KEY;
}

void login_key_told(struct login_key_wait *w)
{
	struct worker *worker = container_of(w, struct worker, key_wait);
	const struct auth_rsa *rsa = login_key_made(worker->in->login_key);
	struct list_node *n;

	while ((n = list_first(&w->logins))) {
		struct session *s = container_of(n, struct login_state, waits)->session;

		list_remove(&w->logins, n);
		if (!rsa) {
			session_close(s, CLOSE_MEMORY, "no key for a password");
			continue;
		}
		s->active_ns = clock_mono_ns(); /* its own time begins again: the wait was ours */
		send_key(s, rsa);
		if (s->state != SESSION_CLOSED)
			(void)channel_flush(&s->ch);
	}
}

static void ask_for_key(struct session *s)
{
	struct login_key_wait *w = &s->worker->key_wait;
	struct auth_rsa *rsa;

	switch (login_key_get(s->worker->in->login_key, w, &rsa)) {
	case RC_OK:
		send_key(s, rsa);
		break;
	case RC_AGAIN:
		s->login->step = LOGIN_KEY;
		s->login->session = s;
		list_push_back(&w->logins, &s->login->waits);
		break;
	default:
		session_close(s, CLOSE_MEMORY, "no key for a password");
	}
}

void login_take_full(struct session *s, struct span payload)
{
	if (payload.len == 1 && payload.p[0] == SHA2_REQUEST_PUBLIC_KEY) {
		ask_for_key(s);
	} else if (payload.len && payload.p[payload.len - 1] == '\0' && is_private(s)) {
		take_clear(s, payload);
	} else {
		login_take_cipher(s, payload); /* from a client that has our key already, or it is denied */
	}
}
