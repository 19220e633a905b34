/*
 * bus.pml - the protocol between instances (docs/cache.md, section 3), for spin.
 *
 * One database value, which a writer raises from 0 to 1. Writer W may be killed at any step. Reader R has a store of its own
 * and the second level, Redis. Redis holds a token (0: absent), one value with the token it was stored under, and the
 * ledger's entry of W. R hears messages in order, late at will. A replica applies the write at any time after the commit.
 *
 * Checked: when nothing is left to happen, neither R's store nor a value in Redis that its token makes good is older than
 * the database. (What goes on inside one instance, all orders of it, is run by cache_versions_test on the real code.)
 *
 * Each of these breaks it, and spin must find out:
 *   -DSILENT    the write is not announced: W killed between COMMIT and its script leaves the old value for good
 *   -DLATE      it is announced, but after it was sent
 *   -DAPART     PUBLISH and DEL are two steps, PUBLISH first
 *   -DHASTY     a fill does not wait for its barrier
 *   -DONCE      what a dead one had in hand is invalidated once, and a commit still on its way is missed
 */
#define OLD 0
#define NEW 1
#define NONE 2 /* nothing stored */

byte database = OLD, replica = OLD;
bool sent, committed, server_done;   /* the server has the write; has committed it; will do nothing more */
bool w_dead, w_over;                 /* killed; at its end, one way or the other */

/* Redis */
byte token = 1, next_token = 2;      /* 0: absent */
byte value = NONE, value_token;
bool entry;                          /* of W in the ledger */
chan bus = [6] of { bool };          /* to R: true: an invalidation that says which position must be applied */

/* R */
byte r_store = NONE;
byte r_version = 1, r_entry_version; /* local */
bool r_needs;                        /* the replica must have applied the write for a fill */
byte fills = 2;                      /* look-ups that go to the database */

inline fresh_token() { token = next_token; next_token++ }

inline settle() {
#ifdef APART
	bus!true;
	token = 0
#else
	atomic { token = 0; bus!true }
#endif
}

/* The server: what it was sent it commits, though who sent it may be gone. */
proctype server() {
	if
	:: sent -> atomic { database = NEW; committed = true }
	:: w_over && !sent -> skip
	fi;
	server_done = true
}

proctype applier() {
	if
	:: committed -> replica = NEW
	:: server_done && !committed -> skip
	fi
}

#define STEP if :: skip :: w_dead = true; goto over fi

proctype writer() {
	STEP;
#if !defined(SILENT) && !defined(LATE)
	entry = true;
	STEP;
#endif
	sent = true;
	STEP;
#ifdef LATE
	entry = true;
	STEP;
#endif
	committed;
	STEP;
	settle();
	STEP;
	entry = false;
over:
	w_over = true
}

/* Whoever hears: messages bump the version and say what a replica must have applied. */
proctype hearer() {
	bool m;
end:
	do
	:: atomic { bus?m -> r_version++; r_needs = true; r_store = (r_entry_version == r_version -> r_store : NONE) }
	od
}

/* A dead one's entry is invalidated, and again, until the server cannot have anything of it any more. */
proctype takeover() {
	bool more = true;

	(w_over);
	if
	:: w_dead && entry ->
#ifdef ONCE
		settle()
#else
		settle();
		(server_done);
		settle();
		entry = false
#endif
	:: !w_dead || !entry -> skip
	fi
}

/* A miss that is filled: tokens and version, a server, the barrier, and then only if nothing has moved. */
proctype reader() {
	byte t, v, got;
	bool needs;

	do
	:: fills > 0 ->
		fills--;
		v = r_version;
		atomic { /* the look-up in Redis */
			if
			:: value != NONE && token != 0 && value_token == token -> got = value
			:: else -> got = NONE
			fi;
			if
			:: token == 0 -> fresh_token()
			:: else -> skip
			fi;
			t = token
		};
		if
		:: got != NONE -> /* a hit, which the own store keeps */
			atomic {
				if
				:: v == r_version -> r_store = got; r_entry_version = v
				:: else -> skip
				fi
			};
			goto next
		:: got == NONE -> skip
		fi;
		needs = r_needs;
		if
		:: got = database
		:: replica == NEW || !needs -> got = replica
		fi;
		atomic {
			if
			:: v == r_version -> r_store = got; r_entry_version = v
			:: else -> skip
			fi
		};
#ifndef HASTY
		(empty(bus)); /* the barrier: all that was published before the tokens were read has been heard */
#endif
		atomic {
			if
			:: v == r_version -> value = got; value_token = t
			:: else -> skip
			fi
		};
next:		skip
	:: fills == 0 -> break
	od
}

/* The claim, in the end: nothing that would be served is older than the database. */
proctype judge() {
	timeout;
	assert(r_store == NONE || r_store == database);
	assert(value == NONE || token == 0 || value_token != token || value == database)
}

init {
	atomic {
		/* What was there before: the old value, in R's store and in Redis. */
		r_store = OLD; r_entry_version = 1; value = OLD; value_token = 1;
		run server(); run applier(); run writer(); run hearer(); run takeover(); run reader(); run judge()
	}
}
