/*
 * backend.h - one server behind suimon, as all threads see it: address, role, state, lag, position, load.
 *
 * Made from the configuration, or by discovery; topology.h keeps the list and decides the roles. What changes at run time is atomic or under the backend's small lock. Written by
 * the monitor and, where an error proves something, by the workers; read by all.
 */
#ifndef SUIMON_BACKEND_H
#define SUIMON_BACKEND_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "crowd.h"
#include "backend_load.h"
#include "gtid.h"
#include "rc.h"
#include "settings.h"

enum backend_role { BACKEND_PRIMARY, BACKEND_REPLICA };

enum backend_state {
	BACKEND_UNKNOWN,  /* nothing is known yet: may be tried */
	BACKEND_UP,       /* answered its last check */
	BACKEND_LAGGING,  /* a replica too far behind, or not replicating: no reads */
	BACKEND_DOWN,     /* did not answer */
	BACKEND_DISABLED, /* by an operator */
	BACKEND_GONE,     /* discovery lists it no more */
};
const char *backend_state_name(enum backend_state s);

enum backend_access { BACKEND_ACCESS_UNKNOWN, BACKEND_WRITABLE, BACKEND_READ_ONLY };
enum backend_source { BACKEND_SOURCE_UNKNOWN, BACKEND_HAS_SOURCE, BACKEND_NO_SOURCE }; /* does it replicate? */

#define BACKEND_LAG_UNKNOWN UINT64_MAX

/* What a server says of itself in its greeting: shown to clients as suimon's own (the primary's). */
struct backend_identity {
	char version[128];
	uint64_t caps;
	uint8_t collation;
	bool mariadb;
};

struct backend {
	char *text;              /* host:port or unix:/path; owned */
	size_t text_len;
	uint64_t text_hash;      /* map_hash() of it, for the statistics */
	char *host;              /* owned */
	uint16_t port;
	bool is_unix;
	int64_t weight;
	unsigned group;          /* settings_group; 0: serves every read. Others only what is sent to their group */
	char *group_name;        /* owned; NULL: of none */
	size_t slot;             /* its place in the topology */
	bool endpoint;           /* a cluster's name, not a server's: used while no server of it is known by its own */
	unsigned unlisted;       /* how often discovery has missed it; under the topology's lock */
	struct backend *next_retired;
	_Atomic int role;        /* enum backend_role; changed by topology.c alone */
	_Atomic int access;      /* enum backend_access: as last seen; topology.c's */
	_Atomic uint64_t read_only_ns; /* since when it has been read-only; 0: is not */
	bool was_read_only;      /* since it was last the primary; under the topology's lock, as */
	enum backend_source source;
	_Atomic int state;       /* enum backend_state; changed by backend_set_state alone */
	_Atomic uint64_t state_since_ns;
	_Atomic uint64_t told_since_ns; /* the log is told of so many changes a minute; since when, */
	_Atomic uint32_t told, untold;  /* how many it was told of, and how many not */
	_Atomic uint64_t lag_ns; /* BACKEND_LAG_UNKNOWN */
	/* It is known to have all that the primary had committed by then (monotonic); 0: nothing is known. Changed under lock. */
	_Atomic uint64_t fresh_ns;
	/* The server was asked for its position then, and all it had by then is in pos; 0: it has told none. Changed under lock. */
	_Atomic uint64_t asked_ns;
	_Atomic uint64_t latency_ns; /* of the last check */
	/* Load, kept by the workers. */
	_Atomic uint32_t connections; /* open or being opened, all workers */
	_Atomic uint32_t waiting;     /* requests waiting for one */
	_Atomic uint64_t owed_ns;     /* when that one has asked which waits longest, and long, for a place that others have; 0: none does (lease_pool.c) */
	_Atomic uint64_t given_ns;    /* when a worker has last given up a place for such a one */
	struct backend_load loads[BACKEND_LOADS];
	struct crowd crowd;           /* it has no connection left for anybody */

	pthread_mutex_t lock;    /* guards what follows */
	struct sockaddr_storage addr;
	socklen_t addr_len;      /* 0: not resolved yet */
	struct backend_identity identity;
	bool identified;
	struct gtid_pos pos;     /* known to be applied, by the process that was asked at asked_ns */
	struct gtid_pos acked;   /* of that, what our clients know of: the writes that went through this process */
	uint64_t acked_ns;       /* when the last of them was told */
	uint64_t fresh_asked_ns; /* when it was asked what fresh_ns follows from */
	char problem[256];       /* of the last failed check, for people */
};

const char *backend_role_name(const struct backend *b); /* primary, replica, or endpoint */
/* Owned by the topology. NULL: no memory, also for a NULL addr. */
struct backend *backend_new(const struct settings_addr *addr, enum backend_role role, int64_t weight) must_check;
enum rc backend_join_group(struct backend *b, const struct settings *s, const char *name) must_check; /* before it is shared; "": none */
void backend_free(struct backend *b);

/* Changes the state and logs the change with its reason (for people). */
void backend_set_state(struct backend *b, enum backend_state s, const char *why);
/* As an operator wishes: out of use, or back, to be looked at anew. who: of what kind of wish, for the log. */
void backend_disable(struct backend *b, bool disable, const char *who);
static inline enum backend_state backend_state(const struct backend *b) { return (enum backend_state)atomic_load_explicit(&b->state, memory_order_acquire); }
static inline bool backend_usable(const struct backend *b)
{
	enum backend_state s = backend_state(b);

	return s == BACKEND_UP || s == BACKEND_UNKNOWN;
}
static inline uint64_t backend_fresh(const struct backend *b) { return atomic_load_explicit(&b->fresh_ns, memory_order_relaxed); }
static inline bool backend_is_read_only(const struct backend *b) { return atomic_load_explicit(&b->access, memory_order_acquire) == BACKEND_READ_ONLY; }
/* It has not answered for a while: longer than a slow moment, or one connection that could not be opened, makes it down. */
bool backend_is_silent(const struct backend *b, uint64_t now_ns);
/* Resolves the name (blocking: never on a worker) and keeps the address. */
enum rc backend_resolve(struct backend *b) must_check;
/* RC_DECLINED: not resolved yet. */
enum rc backend_address(struct backend *b, struct sockaddr_storage *out, socklen_t *len) must_check;
void backend_identify(struct backend *b, const struct backend_identity *id);
bool backend_identity(struct backend *b, struct backend_identity *out); /* false: not known yet */
/* A statement of ours was answered with it: merged into what is known. */
void backend_saw_position(struct backend *b, const struct gtid_pos *pos);
/* Advances pos by all that backend_saw_position was told. */
void backend_acked(struct backend *b, struct gtid_pos *pos);
/* The server itself says so, asked at asked_ns: replaces what is known. */
void backend_at_position(struct backend *b, const struct gtid_pos *pos, uint64_t asked_ns);
/* Known to be there, seen from a connection that has been open since ready_ns: what an earlier process had may be lost. */
bool backend_has_position(struct backend *b, const struct gtid_pos *wanted, uint64_t ready_ns);
void backend_position(struct backend *b, struct gtid_pos *out);
static inline uint64_t backend_asked(const struct backend *b) { return atomic_load_explicit(&b->asked_ns, memory_order_acquire); }
/* Advances pos by its position, if that is known as of ns or later. */
bool backend_position_since(struct backend *b, uint64_t ns, struct gtid_pos *pos) must_check;
/* Asked at asked_ns, it had all that the primary had committed by fresh_ns. */
void backend_set_fresh(struct backend *b, uint64_t fresh_ns, uint64_t asked_ns);
/* Known to have all that the primary had committed by ns, seen from a connection that has been open since ready_ns. */
bool backend_was_fresh(struct backend *b, uint64_t ns, uint64_t ready_ns);
void backend_problem(struct backend *b, const char *text);

#endif
