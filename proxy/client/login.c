/*
 * login.c - the connection phase with a client.
 *
 *   greeting → [SSLRequest → TLS] → login → by account:
 *     configured:   native or fast caching_sha2 against the password of the file
 *     passthrough:  caching_sha2: fast against a verifier that a server has confirmed within ACCOUNT_TRUST_NS, else
 *                   the full exchange (RSA, or in clear over TLS and unix sockets); the password it yields logs in to the primary
 *   → a request (COM_CONNECT) asks the primary where it must be asked, or while there is none a replica → OK or the server's refusal
 *
 * Here are the packets' order and the two ends; what is decided by them is in login_auth.c.
 */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "login_impl.h"
#include "mem.h"

#define OFFERED                                                                                                        \
	(CLIENT_LONG_PASSWORD | CLIENT_FOUND_ROWS | CLIENT_LONG_FLAG | CLIENT_CONNECT_WITH_DB | CLIENT_NO_SCHEMA |     \
	 CLIENT_ODBC | CLIENT_LOCAL_FILES | CLIENT_IGNORE_SPACE | CLIENT_PROTOCOL_41 | CLIENT_INTERACTIVE |            \
	 CLIENT_IGNORE_SIGPIPE | CLIENT_TRANSACTIONS | CLIENT_RESERVED | CLIENT_SECURE_CONNECTION |                    \
	 CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS | CLIENT_PS_MULTI_RESULTS | CLIENT_PLUGIN_AUTH |               \
	 CLIENT_CONNECT_ATTRS | CLIENT_PLUGIN_AUTH_LENENC | CLIENT_SESSION_TRACK | CLIENT_DEPRECATE_EOF |              \
	 CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION | CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS | UPSTREAM_FORM_CAPS |         \
	 MARIADB_CLIENT_EXTENDED_METADATA | MARIADB_CLIENT_STMT_BULK_OPERATIONS | MARIADB_CLIENT_PROGRESS)

void login_free(struct login_state *l)
{
	if (!l)
		return;
	if (list_linked(&l->waits))
		list_remove(&l->session->worker->key_wait.logins, &l->waits);
	mem_free(l->user);
	mem_free(l->schema);
	mem_free(l->kept);
	mem_free(l->late);
	account_unref(l->account);
	mem_free(l);
}

struct account *login_account(struct session *s)
{
	return s->login ? s->login->account : s->account;
}

struct span login_schema(struct session *s)
{
	return span_of(s->login->schema, s->login->schema_len);
}

bool login_wants_proof(struct session *s)
{
	struct account *a = s->login->account;

	if (account_is_trusted(&a->verified_ns))
		return false;
	return topology_primary_usable(s->worker->in->topology) || !account_is_trusted(&a->replica_verified_ns);
}

/* Whose password has expired a server may let in all the same, to refuse all but a new password; at the login it says nothing of it. */
bool login_asks_expiry(struct session *s)
{
	bool ask = s->login->proving && !s->login->asked;

	s->login->asked = true;
	return ask;
}

void login_expiry_told(struct request *r)
{
	bool expired = r->s->up->track.error == ER_MUST_CHANGE_PASSWORD;

	atomic_store_explicit(&login_account(r->s)->expired, expired, memory_order_relaxed);
	r->s->up->condemned |= expired;
	r->hidden = HIDDEN_NONE;
	exec_resume(r, STEP_END);
}

enum rc login_greet(struct session *s)
{
	struct instance *in = s->worker->in;
	struct backend_identity id;
	struct greeting g = {0};
	struct iobuf b;
	enum rc rc;

	if (!backend_identity(topology_primary(in->topology), &id))
		return RC_AGAIN; /* the worker's tick asks again until failover_hold is over */
	s->worker->tracked = id.caps & CLIENT_SESSION_TRACK;
	s->login = mem_zalloc(sizeof(*s->login));
	if (!s->login || auth_scramble(s->scramble) != RC_OK)
		return RC_ERROR;
	memcpy(g.version, id.version, sizeof(g.version));
	g.thread_id = session_number(s);
	memcpy(g.scramble, s->scramble, SCRAMBLE_LEN);
	/* Nothing is offered that the server behind could not honour. */
	g.caps = OFFERED & (id.caps | CLIENT_LONG_PASSWORD | CLIENT_PLUGIN_AUTH | CLIENT_CONNECT_WITH_DB | CLIENT_RESERVED);
	if (s->worker->settings->listen.tls_context)
		g.caps |= CLIENT_SSL;
	g.mariadb = id.mariadb;
	if (id.mariadb)
		g.caps &= ~CLIENT_LONG_PASSWORD;
	g.collation = id.collation;
	g.status = STATUS_AUTOCOMMIT;
	snprintf(g.plugin, sizeof(g.plugin), "%s", accounts_passthrough(in->accounts) ? AUTH_SHA2 : AUTH_NATIVE);
	s->caps = g.caps;
	iobuf_init(&b, 0);
	rc = handshake_put_greeting(&b, &s->seq, &g);
	if (rc == RC_OK)
		rc = channel_put(&s->ch, iobuf_data(&b), iobuf_len(&b));
	if (rc == RC_OK && channel_flush(&s->ch) == RC_ERROR)
		rc = RC_ERROR;
	iobuf_reset(&b);
	return rc;
}

/* ---- refusals ---- */

/* Also of a login that a replica denied, and that fails in the end because there is no primary. */
void login_guess_spent(struct session *s, uint16_t code)
{
	if (code == 1045) /* not a server that is full, or a schema that is not there */
		throttle_failed(s->worker->in->throttle, s->peer, clock_mono_ns());
}

static void count_failure(struct session *s, uint16_t code)
{
	stats_count(s->worker->sink, STATS_C_AUTH_FAILURES, 1);
	login_guess_spent(s, code);
}

/* After so many COM_CHANGE_USERs that were denied MariaDB takes none of a connection any more, not even a good one: it would be a
 * fast way to try passwords (MDEV-3915). Servers that hang up at the first have no need. */
#define REFUSED_CHANGES_MOST 3

/* A user that cannot be changed to leaves a session of MariaDB's with the one it had; other servers hang up. */
static bool goes_on(const struct session *s)
{
	struct backend_identity id;

	return s->login->change_user && s->account &&
	       backend_identity(topology_primary(s->worker->in->topology), &id) && id.mariadb;
}

static void tell_refusal(struct session *s, const struct err_packet *e)
{
	struct login_state *l = s->login;
	const struct varset *vars;

	reply_server_error(s, e);
	vars = goes_on(s) ? varset_with_schema(s->vars, span_of(l->kept, l->kept_len)) : NULL;
	if (!vars) {
		session_close(s, CLOSE_AUTH, "refused");
		return;
	}
	s->refused_changes += e->code == 1045 && s->refused_changes < REFUSED_CHANGES_MOST;
	session_set_vars(s, vars);
	login_free(l);
	s->login = NULL;
	(void)channel_flush(&s->ch);
	session_next(s);
}

/* What the client sends meanwhile waits. False: it is told at once. */
static bool tells_late(struct session *s, const struct err_packet *e)
{
	struct login_state *l = s->login;
	uint64_t now = clock_mono_ns(), delay = e->code == 1045 ? throttle_delay(s->worker->in->throttle, s->peer, now) : 0;

	if (!delay)
		return false;
	l->late = mem_alloc(sizeof(*l->late));
	if (!l->late)
		return false;
	reply_make_own(l->late, e->code, e->sqlstate, "%.*s", (int)e->message.len, e->message.p);
	stats_count(s->worker->sink, STATS_C_AUTH_THROTTLED, 1);
	l->step = LOGIN_LATE;
	l->late_ns = now + delay;
	if (s->state != SESSION_RUNNING)
		session_set_state(s, SESSION_RUNNING);
	return true;
}

void login_tick(struct session *s, uint64_t now)
{
	if (s->login && s->login->step == LOGIN_LATE && now >= s->login->late_ns)
		tell_refusal(s, &s->login->late->packet);
}

void login_refused(struct session *s, const struct err_packet *e)
{
	char user[256];

	count_failure(s, e->code);
	log_warn("session", "a login was refused", "id=%lu peer=%s user=%s code=%u", (unsigned long)s->id, s->peer,
		 log_quote(user, sizeof(user), span_str(s->login->user)), e->code);
	accounts_doubt(s->worker->in->accounts, span_str(s->login->user));
	if (!tells_late(s, e))
		tell_refusal(s, e);
}

/* Too many were denied: the session stays as it is. */
static void takes_no_change(struct session *s, uint8_t seq)
{
	struct err_packet e = {.code = 1047, .sqlstate = "08S01", .message = span_str("Unknown command")};

	s->seq = (uint8_t)(seq + 1);
	reply_server_error(s, &e);
	(void)channel_flush(&s->ch);
	session_next(s);
}

void login_refuse(struct session *s, uint16_t code, const char *state, const char *text)
{
	struct reply_own own;

	reply_make_own(&own, code, state, "%s", text);
	login_refused(s, &own.packet);
}

/* What a server calls the client's host: it looks up the name of the loopback addresses alone, and a socket has none. */
static const char *host_of(const struct session *s)
{
	bool local = login_by_socket(s) || strcmp(s->peer, "127.0.0.1") == 0 || strcmp(s->peer, "::1") == 0;

	return local ? "localhost" : s->peer;
}

void login_deny(struct session *s, struct span user, bool password)
{
	char text[512];
	struct err_packet e = {.code = 1045, .sqlstate = "28000"};

	(void)snprintf(text, sizeof(text), "Access denied for user '%.*s'@'%s' (using password: %s)", (int)user.len, user.p,
		       host_of(s), password ? "YES" : "NO");
	e.message = span_str(text);
	login_refused(s, &e);
}

void login_malformed(struct session *s, uint8_t seq, const char *detail)
{
	struct err_packet e = {.code = 1043, .sqlstate = "08S01", .message = span_str("Bad handshake")};

	s->seq = (uint8_t)(seq + 1);
	reply_server_error(s, &e);
	session_close(s, CLOSE_MALFORMED, detail);
}

/* ---- the first packet ---- */

/* utf8mb4_0900_ai_ci and those that came with it */
#define MYSQL_0900_FIRST 255
#define MYSQL_0900_LAST 323

/* MySQL's newer collations mean nothing to MariaDB, which takes its own default where a client logs in with one. */
static uint64_t known_collation(struct session *s, uint64_t wanted)
{
	struct backend_identity id;

	if (!backend_identity(topology_primary(s->worker->in->topology), &id))
		return wanted ? wanted : 45;
	return wanted == 0 || (id.mariadb && wanted >= MYSQL_0900_FIRST && wanted <= MYSQL_0900_LAST) ? id.collation : wanted;
}

static bool begin(struct session *s, struct span user, struct span schema, struct span plugin, uint64_t collation)
{
	struct login_state *l = s->login;
	struct varset const *vars;
	char number[8];

	l->user = mem_dup(user.p, user.len);
	l->schema = mem_dup(schema.p, schema.len);
	l->schema_len = schema.len;
	snprintf(l->plugin, sizeof(l->plugin), SPAN_FMT, SPAN_ARG(plugin));
	snprintf(number, sizeof(number), "%u", (unsigned)known_collation(s, collation));
	vars = varset_with(s->worker->leases->empty, span_str(VARSET_LOGIN_COLLATION), span_str(number));
	if (!l->user || !l->schema || !vars) {
		varset_unref(vars);
		session_close(s, CLOSE_MEMORY, "login");
		return false;
	}
	session_set_vars(s, vars);
	l->account = accounts_find(s->worker->in->accounts, user);
	s->epoch = s->chose_epoch = accounts_epoch(s->worker->in->accounts);
	return true;
}

/* The client's SSLRequest: its login comes again, and whole, when the handshake is done. */
static void go_secure(struct session *s, uint8_t seq)
{
	struct tls_context *c = s->worker->settings->listen.tls_context;

	if (!(s->caps & CLIENT_SSL) || !c || s->ch.stream.tls)
		login_malformed(s, seq, "a request for TLS that was not offered");
	else if (channel_secure(&s->ch, c, NULL) != RC_OK)
		session_close(s, CLOSE_MEMORY, "TLS");
}

static bool is_refused_plain(struct session *s, const struct login *l)
{
	if (s->ch.stream.tls || login_by_socket(s))
		return false;
	if (unlikely(atomic_load_explicit(&s->worker->in->secure_only, memory_order_relaxed))) {
		login_deny(s, l->user, l->auth.len > 0); /* as a server with require_secure_transport does */
		return true;
	}
	if (!s->worker->settings->listen.tls.require)
		return false;
	login_refuse(s, 3159, "HY000", "connections without TLS are refused here (listen.tls.require): switch TLS on in "
				       "the client, e.g. --ssl-mode=REQUIRED or --ssl");
	return true;
}

/* backend.compress: client. Of the two, the one that is used with the client (begin_compression). */
static uint64_t compression_passed_on(const struct session *s)
{
	if (s->worker->settings->backend.compress != SETTINGS_COMPRESS_CLIENT)
		return 0;
	return s->caps & CLIENT_COMPRESS ? CLIENT_COMPRESS : s->caps & CLIENT_ZSTD_COMPRESSION;
}

static void first_packet(struct session *s, struct span payload, uint8_t seq)
{
	struct login l;

	if (handshake_parse_login(payload, s->caps, &l) != RC_OK || !(l.caps & CLIENT_PROTOCOL_41) || l.user.len > 128 ||
	    l.schema.len > 256) {
		login_malformed(s, seq, "login");
		return;
	}
	if (l.ssl_request) {
		go_secure(s, seq);
		return;
	}
	if (is_refused_plain(s, &l))
		return;
	s->caps &= (l.caps | CLIENT_LONG_PASSWORD) & ~CLIENT_SSL;
	s->wire = (s->caps & UPSTREAM_WIRE_CAPS) | compression_passed_on(s);
	if (!begin(s, l.user, l.schema, l.plugin.len ? l.plugin : span_str(AUTH_NATIVE), l.collation))
		return;
	s->login->zstd_level = l.zstd_level;
	login_decide(s, l.auth);
}

void login_packet(struct session *s, struct span payload, uint8_t seq)
{
	if (!s->login) {
		login_malformed(s, seq, "a packet before the greeting");
		return;
	}
	if (seq != s->seq) {
		login_malformed(s, seq, "login packets out of order");
		return;
	}
	s->seq = (uint8_t)(seq + 1);
	switch (s->login->step) {
	case LOGIN_FIRST:
		first_packet(s, payload, seq);
		break;
	case LOGIN_SWITCHED:
		login_decide(s, payload);
		break;
	case LOGIN_FULL:
		login_take_full(s, payload);
		break;
	case LOGIN_CIPHER:
		login_take_cipher(s, payload);
		break;
	case LOGIN_KEY:
	case LOGIN_ASKING:
	case LOGIN_LATE:
		login_malformed(s, seq, "a packet while the login is being decided");
	}
}

void login_change_user(struct session *s, struct span payload, uint8_t seq)
{
	struct change_user c;
	struct login_state *l;
	uint64_t collation = 45;
	struct span now = varset_get(s->vars, VARSET_LOGIN_COLLATION);

	if (s->refused_changes >= REFUSED_CHANGES_MOST) {
		takes_no_change(s, seq);
		return;
	}
	l = mem_zalloc(sizeof(*l));
	for (size_t i = 0; i < now.len; i++)
		collation = (i ? collation * 10 : 0) + (uint64_t)(now.p[i] - '0');
	if (!l || handshake_parse_change_user(payload, s->caps, &c) != RC_OK || c.user.len > 128 || c.schema.len > 256) {
		mem_free(l);
		if (l)
			login_malformed(s, seq, "COM_CHANGE_USER");
		else
			session_close(s, CLOSE_MEMORY, "COM_CHANGE_USER");
		return;
	}
	if (entry_is_blocked(s)) {
		mem_free(l);
		return;
	}
	l->kept = mem_dup(s->vars->schema.p, s->vars->schema.len);
	l->kept_len = l->kept ? s->vars->schema.len : 0;
	session_forget(s);
	login_free(s->login);
	s->login = l;
	s->seq = (uint8_t)(seq + 1);
	l->change_user = true;
	if (begin(s, c.user, c.schema, c.plugin.len ? c.plugin : span_str(AUTH_NATIVE), c.collation ? c.collation : collation))
		login_decide(s, c.auth);
}

/* ---- the end ---- */

/* Compression is between the client and us: the first byte behind the login's OK is compressed, either way. */
static void begin_compression(struct session *s, const struct login_state *l)
{
	bool zstd = !(s->caps & CLIENT_COMPRESS);

	if (l->change_user || !(s->caps & (CLIENT_COMPRESS | CLIENT_ZSTD_COMPRESSION)))
		return;
	if (channel_compress(&s->ch, zstd ? ZIPPED_ZSTD : ZIPPED_ZLIB, zstd && l->zstd_level ? l->zstd_level : 3) != RC_OK)
		session_close(s, CLOSE_MEMORY, "compression");
	else
		stats_count(s->worker->sink, STATS_C_CLIENT_COMPRESSED, 1);
}

void login_done(struct session *s, bool ok, const struct err_packet *refusal)
{
	struct login_state *l = s->login;
	struct accounts *as = s->worker->in->accounts;

	if (!ok) {
		if (refusal->code == 1045 && l->fast_pending && !l->account->configured) {
			/* The password known here is no longer the server's: ask the client for its own. */
			accounts_forget(as, l->account);
			l->fast_pending = false;
			l->step = LOGIN_FULL;
			session_set_state(s, SESSION_AUTH);
			login_send_more(s, SHA2_FULL);
			(void)channel_flush(&s->ch);
			return;
		}
		login_refused(s, refusal);
		return;
	}
	if (l->fast_pending)
		login_send_more(s, SHA2_FAST_OK);
	if (s->state == SESSION_CLOSED)
		return;
	if (l->proving)
		accounts_learn(as, l->account, s->on_primary);
	if (l->schema_len && s->on_primary && !atomic_load_explicit(&l->account->expired, memory_order_relaxed))
		account_saw_schema(l->account, login_schema(s));
	account_unref(s->account);
	s->account = account_ref(l->account);
	s->expired = atomic_load_explicit(&l->account->expired, memory_order_relaxed);
	stats_count(s->worker->sink, STATS_C_AUTH_OK, 1);
	throttle_cleared(s->worker->in->throttle, s->peer);
	s->login = NULL;
	replica_session_begins(s);
	reply_login(s);
	(void)channel_flush(&s->ch);
	begin_compression(s, l);
	login_free(l);
	if (s->state != SESSION_CLOSED)
		session_next(s);
}
