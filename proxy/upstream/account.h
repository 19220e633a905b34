/*
 * account.h - who may log in, and with what suimon logs in for them. Shared by all threads, under one lock; only
 * logins touch it.
 *
 * A configured account has its password from the file. A passed-through one is learnt when a client proves a
 * password that the primary accepts; it is trusted without asking for ACCOUNT_TRUST_NS, then proven anew.
 */
#ifndef SUIMON_ACCOUNT_H
#define SUIMON_ACCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "auth.h"
#include "crowd.h"
#include "map.h"
#include "rc.h"
#include "secret.h"
#include "settings.h"

#define ACCOUNT_TRUST_NS (UINT64_C(20) * 1000000000) /* a changed password stops working within 30 s */

#define ACCOUNT_SCHEMAS 8

struct account {
	char *user;               /* owned */
	size_t user_len;
	struct secret *password;  /* owned; immutable: a new password makes a new account */
	struct secret *verifiers; /* owned: what clients' answers are checked against; account_native, account_sha2 */
	bool configured;
	_Atomic uint64_t verified_ns; /* when the primary last accepted it; 0 never */
	_Atomic uint64_t replica_verified_ns; /* when a replica did, while there was no primary; that counts for so long as there is none */
	_Atomic bool expired;         /* its password was, when it was proven or used last: a server answers it 1820 */
	struct crowd crowd;       /* the servers have no connection left for it */
	uint64_t id;              /* unique in the process */
	struct { _Atomic uint64_t hash, ns; } schemas[ACCOUNT_SCHEMAS]; /* the primary let it choose these, when */
	_Atomic int refs;
	struct map_node node;
};

struct accounts;
struct accounts *accounts_new(const struct settings *s) must_check;
void accounts_free(struct accounts *as);
/* Replaces the configured accounts but those whose password is the same: what is known of them stays. Sessions that are logged in keep
 * what they have. RC_ERROR: no memory, nothing changed. */
enum rc accounts_configure(struct accounts *as, const struct settings *s) must_check;

/* A reference, or NULL: not known (with passthrough: to be asked for its password). */
struct account *accounts_find(struct accounts *as, struct span user) must_check;
bool accounts_passthrough(struct accounts *as);
/* An account for a password a client has sent and no server has seen yet. Not in the table until accounts_learn. */
struct account *account_new(struct span user, struct span password) must_check;
void accounts_learn(struct accounts *as, struct account *a, bool at_primary); /* a server accepted it: find gives it from now on */
void accounts_forget(struct accounts *as, struct account *a); /* a server refused it */
/* Accounts, their rights or their databases have changed: each is put to a server before it is trusted again. Any thread. */
void accounts_changed(struct accounts *as);
/* What a login finds has changed (global rights, global variables): connections that logged in before serve no session
 * that does later. Any thread. accounts_changed does it, too. */
void accounts_renew(struct accounts *as);
#define ACCOUNTS_FIRST_EPOCH 1
uint64_t accounts_epoch(struct accounts *as); /* goes up each time; never 0 */
/* A login under this name has failed: the next one is put to a server, which counts failures and may have news. */
void accounts_doubt(struct accounts *as, struct span user);
/* Any account that a server has accepted and whose password has not expired, for the background work of an instance without a monitor account. */
struct account *accounts_any(struct accounts *as) must_check;

bool account_is_trusted(const _Atomic uint64_t *verified_ns); /* one of the account's two: no longer ago than ACCOUNT_TRUST_NS */
/* Has the primary let the account choose this schema within ACCOUNT_TRUST_NS? Any thread. */
bool account_schema_known(struct account *a, struct span schema);
void account_saw_schema(struct account *a, struct span schema);

static inline const uint8_t *account_native(const struct account *a)
{
	return (const uint8_t *)secret_text(a->verifiers).p;
}
static inline const uint8_t *account_sha2(const struct account *a) { return account_native(a) + AUTH_NATIVE_LEN; }

struct account *account_ref(struct account *a);
void account_unref(struct account *a);

#endif
