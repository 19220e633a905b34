#include "backend.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "clock.h"
#include "log.h"
#include "map.h"
#include "mem.h"

static const char *const state_names[] = {"unknown", "up", "lagging", "down", "disabled", "gone"};

const char *backend_state_name(enum backend_state s)
{
	return state_names[s];
}

const char *backend_role_name(const struct backend *b)
{
	if (atomic_load_explicit(&b->role, memory_order_acquire) == BACKEND_PRIMARY)
		return "primary";
	return b->endpoint ? "endpoint" : "replica";
}

void backend_free(struct backend *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	mem_free(b->text);
	mem_free(b->host);
	mem_free(b->group_name);
	mem_free(b);
}

struct backend *backend_new(const struct settings_addr *addr, enum backend_role role, int64_t weight)
{
	struct backend *b = mem_zalloc(sizeof(*b));

	if (!b)
		return NULL;
	pthread_mutex_init(&b->lock, NULL);
	b->text = mem_strdup(addr->text);
	b->host = mem_strdup(addr->host);
	b->port = addr->port;
	b->is_unix = addr->is_unix;
	b->weight = weight;
	b->role = role;
	b->lag_ns = BACKEND_LAG_UNKNOWN;
	b->state_since_ns = clock_mono_ns();
	if (!b->text || !b->host) {
		backend_free(b);
		return NULL;
	}
	b->text_len = strlen(b->text);
	b->text_hash = map_hash(b->text, b->text_len);
	return b;
}

enum rc backend_join_group(struct backend *b, const struct settings *s, const char *name)
{
	b->group = settings_group(s, span_str(name));
	if (!b->group)
		return RC_OK;
	b->group_name = mem_strdup(name);
	return b->group_name ? RC_OK : RC_ERROR;
}

#define TOLD_WITHIN_NS (60 * NS_PER_SEC)
#define TOLD_MOST 10 /* in that time */
#define SILENT_NS (2 * NS_PER_SEC)

static bool told_long_ago(struct backend *b)
{
	return clock_mono_ns() - atomic_load_explicit(&b->told_since_ns, memory_order_relaxed) >= TOLD_WITHIN_NS;
}

/* A server may go up and down every moment. Then the log has the first changes, that more follow, and in the end how it came out. */
static bool may_tell(struct backend *b)
{
	uint32_t n;

	if (told_long_ago(b)) {
		atomic_store_explicit(&b->told_since_ns, clock_mono_ns(), memory_order_relaxed);
		atomic_store_explicit(&b->told, 0, memory_order_relaxed);
	}
	n = atomic_fetch_add_explicit(&b->told, 1, memory_order_relaxed);
	if (n == TOLD_MOST)
		log_warn("backend", "goes up and down: its state is told again in a minute", "addr=%s", b->text);
	if (n < TOLD_MOST)
		return true;
	atomic_fetch_add_explicit(&b->untold, 1, memory_order_relaxed);
	return false;
}

static void tell(struct backend *b, enum backend_state s, int old, const char *why)
{
	char quoted[320], untold[48] = "";
	uint32_t n;

	if (!may_tell(b))
		return;
	n = atomic_exchange_explicit(&b->untold, 0, memory_order_relaxed);
	if (n)
		(void)snprintf(untold, sizeof(untold), " changes_not_told=%u", (unsigned)n);
	if (s == BACKEND_UP)
		log_info("backend", "up", "addr=%s was=%s%s", b->text, state_names[old], untold);
	else if (s == BACKEND_UNKNOWN)
		log_info("backend", "looked at anew", "addr=%s was=%s why=%s%s", b->text, state_names[old],
			 log_quote(quoted, sizeof(quoted), span_str(why)), untold);
	else
		log_warn("backend", state_names[s], "addr=%s was=%s why=%s%s", b->text, state_names[old],
			 log_quote(quoted, sizeof(quoted), span_str(why)), untold);
}

void backend_set_state(struct backend *b, enum backend_state s, const char *why)
{
	int old = atomic_load_explicit(&b->state, memory_order_acquire);

	do { /* what an operator has disabled only an operator enables, which makes it unknown; what is gone discovery alone brings back */
		if (old == (int)s && atomic_load_explicit(&b->untold, memory_order_relaxed) && told_long_ago(b))
			tell(b, s, old, why);
		if (old == (int)s || ((old == BACKEND_DISABLED || old == BACKEND_GONE) && s != BACKEND_UNKNOWN))
			return;
	} while (!atomic_compare_exchange_weak_explicit(&b->state, &old, (int)s, memory_order_acq_rel, memory_order_acquire));
	atomic_store_explicit(&b->state_since_ns, clock_mono_ns(), memory_order_relaxed);
	tell(b, s, old, why);
}

bool backend_is_silent(const struct backend *b, uint64_t now_ns)
{
	uint64_t since = atomic_load_explicit(&b->state_since_ns, memory_order_relaxed);

	return backend_state(b) == BACKEND_DOWN && now_ns > since && now_ns - since >= SILENT_NS;
}

void backend_disable(struct backend *b, bool disable, const char *who)
{
	char why[80];

	if (!disable && backend_state(b) != BACKEND_DISABLED)
		return;
	(void)snprintf(why, sizeof(why), "%s%s", disable ? "" : "enabled ", who);
	backend_set_state(b, disable ? BACKEND_DISABLED : BACKEND_UNKNOWN, why);
}

static enum rc resolve_unix(struct backend *b)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (strlen(b->host) >= sizeof(sun.sun_path))
		return RC_ERROR;
	memcpy(sun.sun_path, b->host, strlen(b->host) + 1);
	pthread_mutex_lock(&b->lock);
	memcpy(&b->addr, &sun, sizeof(sun));
	b->addr_len = sizeof(sun);
	pthread_mutex_unlock(&b->lock);
	return RC_OK;
}

enum rc backend_resolve(struct backend *b)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
	char service[8], text[256];
	int rc;

	if (b->is_unix)
		return resolve_unix(b);
	snprintf(service, sizeof(service), "%u", b->port);
	rc = getaddrinfo(b->host, service, &hints, &list);
	if (rc != 0) {
		snprintf(text, sizeof(text), "cannot resolve %s: %s", b->host, gai_strerror(rc));
		backend_problem(b, text);
		return RC_ERROR;
	}
	pthread_mutex_lock(&b->lock);
	memcpy(&b->addr, list->ai_addr, list->ai_addrlen);
	b->addr_len = list->ai_addrlen;
	pthread_mutex_unlock(&b->lock);
	freeaddrinfo(list);
	return RC_OK;
}

enum rc backend_address(struct backend *b, struct sockaddr_storage *out, socklen_t *len)
{
	pthread_mutex_lock(&b->lock);
	*out = b->addr;
	*len = b->addr_len;
	pthread_mutex_unlock(&b->lock);
	return *len ? RC_OK : RC_DECLINED;
}

void backend_identify(struct backend *b, const struct backend_identity *id)
{
	pthread_mutex_lock(&b->lock);
	b->identity = *id;
	b->identified = true;
	pthread_mutex_unlock(&b->lock);
}

bool backend_identity(struct backend *b, struct backend_identity *out)
{
	bool known;

	pthread_mutex_lock(&b->lock);
	known = b->identified;
	*out = b->identity;
	pthread_mutex_unlock(&b->lock);
	return known;
}

void backend_saw_position(struct backend *b, const struct gtid_pos *pos)
{
	pthread_mutex_lock(&b->lock);
	gtid_merge(&b->pos, pos);
	gtid_merge(&b->acked, pos);
	b->acked_ns = clock_mono_ns();
	pthread_mutex_unlock(&b->lock);
}

void backend_acked(struct backend *b, struct gtid_pos *pos)
{
	pthread_mutex_lock(&b->lock);
	gtid_merge(pos, &b->acked);
	pthread_mutex_unlock(&b->lock);
}

void backend_at_position(struct backend *b, const struct gtid_pos *pos, uint64_t asked_ns)
{
	pthread_mutex_lock(&b->lock);
	b->pos = *pos;
	if (b->acked_ns >= asked_ns)
		gtid_merge(&b->pos, &b->acked); /* came while the answer was under way */
	else if (!gtid_reached(pos, &b->acked))
		b->acked = (struct gtid_pos){.n = 0}; /* it counts anew, or was put back to an earlier state */
	atomic_store_explicit(&b->asked_ns, gtid_empty(pos) || pos->overflow ? 0 : asked_ns, memory_order_release);
	pthread_mutex_unlock(&b->lock);
}

bool backend_has_position(struct backend *b, const struct gtid_pos *wanted, uint64_t ready_ns)
{
	bool has;

	pthread_mutex_lock(&b->lock);
	has = ready_ns <= backend_asked(b) && gtid_reached(&b->pos, wanted);
	pthread_mutex_unlock(&b->lock);
	return has;
}

bool backend_position_since(struct backend *b, uint64_t ns, struct gtid_pos *pos)
{
	bool known;

	pthread_mutex_lock(&b->lock);
	known = backend_asked(b) && backend_asked(b) >= ns;
	if (known)
		gtid_merge(pos, &b->pos);
	pthread_mutex_unlock(&b->lock);
	return known;
}

void backend_set_fresh(struct backend *b, uint64_t fresh_ns, uint64_t asked_ns)
{
	pthread_mutex_lock(&b->lock);
	b->fresh_asked_ns = asked_ns;
	atomic_store_explicit(&b->fresh_ns, fresh_ns, memory_order_relaxed);
	pthread_mutex_unlock(&b->lock);
}

bool backend_was_fresh(struct backend *b, uint64_t ns, uint64_t ready_ns)
{
	bool was;

	if (backend_fresh(b) < ns)
		return false;
	pthread_mutex_lock(&b->lock);
	was = backend_fresh(b) >= ns && ready_ns <= b->fresh_asked_ns;
	pthread_mutex_unlock(&b->lock);
	return was;
}

void backend_position(struct backend *b, struct gtid_pos *out)
{
	pthread_mutex_lock(&b->lock);
	*out = b->pos;
	pthread_mutex_unlock(&b->lock);
}

void backend_problem(struct backend *b, const char *text)
{
	pthread_mutex_lock(&b->lock);
	snprintf(b->problem, sizeof(b->problem), "%s", text);
	pthread_mutex_unlock(&b->lock);
}
