/*
 * monitor_impl.h - the monitor's own room: what its files share. Others use monitor.h.
 *
 * monitor.c          threads, settings, when to check
 * monitor_check.c    one check of one server, and what follows from it
 * monitor_login.c    as whom it asks, and where
 * monitor_greeting.c the first packet of a server, read without logging in
 * monitor_aurora.c   discovery: aurora
 * monitor_lag.c      how far a replica is behind
 * monitor_quiet.c    when there is nothing to ask
 */
#ifndef SUIMON_MONITOR_IMPL_H
#define SUIMON_MONITOR_IMPL_H

#include "monitor.h"
#include "sqlconn.h"
#include "ticker.h"

/* What the checks need of the settings. */
struct monitor_conf {
	char user[256];          /* empty: any account a client has proven */
	struct secret *password; /* reference */
	uint64_t interval_ns, max_lag_ns, connect_ns;
	struct tls_policy tls;
	bool compress;
	uint64_t generation; /* of the settings */
	char aurora_host[256]; /* with a ?; empty: no discovery. Does not change */
};

/* When the primary was first seen at a position: what an unprivileged account can measure a replica's lag by. */
#define LAG_MARKS 256
struct lag_mark {
	uint64_t seen_ns;
	uint64_t asked_ns; /* before it was last asked and still there: all committed by then is in pos */
	struct gtid_pos pos;
};
struct lag_history {
	struct lag_mark at[LAG_MARKS]; /* a ring */
	size_t first, n;
	const struct backend *of; /* whose positions they are */
};

struct monitor;

/* One server and the thread that looks after it. */
struct watch {
	struct monitor *m;
	struct backend *b;
	struct ticker ticker;
	struct sqlconn *conn; /* owned */
	struct stats_sink *sink;
	struct monitor_conf conf; /* of the present check; password borrowed from the reference held here */
	uint64_t denied_login;    /* whom the server refused: 0 nobody, */
	uint64_t denied_ns;       /* and when */
	uint64_t resolve_ns;      /* when to resolve the name again */
	bool resolve_failed;      /* it was not possible last time */
	uint64_t replicating_ns;  /* when replication was last seen to run */
	unsigned within_lag;      /* checks in a row that found it within max_lag, after it was beyond */
	bool beyond_lag;          /* it was, and has not come back for good */
	bool plain_variables;     /* the server knows only the oldest of the variables asked for */
	uint64_t looked_ns, asked_of; /* the topology's, and the settings' generation, of the last check */
	bool told_up;             /* what primary_changed was last called with */
	bool told;
	bool said_aurora, said_denied, said_privilege, said_read_only;
};

struct monitor {
	struct topology *topology;
	struct accounts *accounts;
	struct monitor_hooks hooks;
	pthread_mutex_t lock; /* guards conf and history */
	struct monitor_conf conf;
	struct lag_history history;
	struct watch *watches; /* owned; a place in the topology each */
	size_t n;
	size_t started; /* of them, in order; under lock, as */
	bool stopping;
};

/* Starts the watches of servers that have joined the topology. RC_ERROR: no thread to be had. */
enum rc monitor_follow(struct monitor *m);

/* One check of w->b, with all that follows from it. */
void monitor_check(struct watch *w);

/* As whom to ask; login names the choice (0: nobody). account is a reference, or NULL. */
struct login_as {
	const char *user;
	struct secret *password;
	uint64_t login;
	struct account *account;
};
/* RC_DECLINED: nobody is known. */
enum rc monitor_choose(struct watch *w, struct login_as *as) must_check;
/* RC_DECLINED: the server is there, but does not let this account in. */
enum rc monitor_log_in(struct watch *w, const struct login_as *as) must_check;
void monitor_refused(struct watch *w, const struct login_as *as); /* ... says so, and it is not tried again for a while */
/* Shortly after a refusal the same account is not tried again, unless workers have found the server lost since. */
bool monitor_is_pointless(const struct watch *w, const struct login_as *as) must_check;
/* Names are resolved again from time to time, and after a failure. RC_ERROR: no address at all. */
enum rc monitor_resolve(struct watch *w) must_check;

/* True: this check needs no question. Once a check. */
bool monitor_is_quiet(struct watch *w) must_check;
/* After a check: the connection goes, if clients' own show as much. */
void monitor_hush(struct watch *w);

/* Reads the greeting of the server and closes. RC_DECLINED: the server answered with an error (its text in problem). */
enum rc monitor_greeting(struct backend *b, uint64_t limit_ns, struct ticker *t, char *problem, size_t cap) must_check;

/* What a replica says of its replication. */
struct lag {
	bool known; /* lag_ns is */
	uint64_t lag_ns;
	bool stopped;      /* a thread of it was stopped, or there is none: no reads */
	bool disconnected; /* it applies, but has no link to its source */
	bool asked;        /* what follows is known */
	bool denied;       /* the account may not ask */
	bool replicates;   /* it has a source, whatever its state */
	uint64_t age_ns;   /* of what it says, if exact */
	bool exact;        /* lag_ns says all: nothing can be on its way that it does not count */
	char why[128];
};
/* Asks w's server. RC_ERROR: the connection failed. */
enum rc monitor_lag_ask(struct watch *w, struct lag *out) must_check;
/* The same of an Aurora server, which also lists its cluster: that goes to the topology. RC_DECLINED: it lists none. */
enum rc monitor_aurora_ask(struct watch *w, struct lag *own) must_check;
/* asked_ns: before the primary was asked for its position. */
void lag_history_saw(struct lag_history *h, const struct gtid_pos *primary, uint64_t asked_ns, uint64_t now_ns);
/* Until when (monotonic) all that the primary had committed is in this position; 0: nothing is known. */
uint64_t lag_history_fresh(const struct lag_history *h, const struct gtid_pos *replica) must_check;
/* How long ago the primary was past this position. RC_DECLINED: nothing is known of the primary's. */
enum rc lag_history_measure(const struct lag_history *h, const struct gtid_pos *replica, uint64_t now_ns,
			    uint64_t *lag_ns) must_check;

#endif
