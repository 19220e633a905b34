/*
 * login_impl.h - what the files of a client's login share.
 */
#ifndef SUIMON_LOGIN_IMPL_H
#define SUIMON_LOGIN_IMPL_H

#include "request.h"

enum login_step {
	LOGIN_FIRST,       /* the client's login packet */
	LOGIN_SWITCHED,    /* the answer to an AuthSwitch */
	LOGIN_FULL,        /* caching_sha2: a request for the key, or the password */
	LOGIN_KEY,         /* our key is being made */
	LOGIN_CIPHER,      /* the password under our key */
	LOGIN_ASKING,      /* the primary is being asked */
	LOGIN_LATE,        /* it has failed, and is told so later (throttle.h) */
};

struct login_state {
	enum login_step step;
	bool change_user;
	bool sent_password;      /* for "using password: YES" */
	bool asked;              /* ... and the server was asked whether its password has expired */
	bool proving;            /* no server has accepted the account of late: this login asks one */
	bool fast_pending;       /* the fast answer was right; the server must confirm before we say so */
	char *user, *schema;     /* owned */
	size_t schema_len;
	uint8_t zstd_level;      /* asked for by the client */
	char *kept;              /* change_user: the schema so far, for a session that stays as it was; owned */
	size_t kept_len;
	char plugin[64];         /* the one the client answers with */
	struct account *account; /* the one being proven; reference */
	struct reply_own *late;  /* LOGIN_LATE: what it is told, owned, */
	uint64_t late_ns;        /* and when */
	struct session *session; /* LOGIN_KEY: whose it is, */
	struct list_node waits;  /* among its worker's key_wait.logins */
};

/* login.c: the end of it, with the server's error or one in its words; with one of suimon's own; with 1045. */
void login_refused(struct session *s, const struct err_packet *e);
void login_refuse(struct session *s, uint16_t code, const char *state, const char *text);
void login_deny(struct session *s, struct span user, bool password);
static inline bool login_by_socket(const struct session *s) { return strcmp(s->peer, "unix") == 0; }

/* login_auth.c */
void login_decide(struct session *s, struct span auth);           /* the client's answer to the scramble */
void login_take_full(struct session *s, struct span payload);     /* LOGIN_FULL: a request for the key, or the password */
void login_take_cipher(struct session *s, struct span payload);   /* LOGIN_CIPHER */
void login_send_more(struct session *s, char byte);               /* AuthMoreData of one byte */

#endif
