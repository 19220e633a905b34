/*
 * bus.pml - the protocol between instances (docs/cache.md, section 3), for spin.
 *
 * One database value, which a writer raises from 0 to 1. Writer W may be killed at any step. Reader R has a store of its own
 * and the second level, Redis. Redis holds a token (0: absent), one value with the token it was stored under, and the
 * ledger's entry of W. R hears messages in order, late at will. A replica applies the write at any time after the commit.
 *
 * Redis has a replica, which nothing has reached since the beginning. It is promoted, and all of that is lost; then the
 * old primary, by now the replica's replica, has its place back, and what had not reached it is lost. Whoever was connected
 * is not any more. Each promotion begins a run; a value counts in the run it was stored in. (A writer that dies is not met by a
 * promotion that loses its announcement: that is one of docs/cache.md's limits.)
 *
 * Checked: when nothing is left to happen, neither R's store nor a value in Redis that its token makes good is older than
 * the database. (What goes on inside one instance, all orders of it, is run by cache_versions_test on the real code.)
 *
 * Each of these breaks it, and spin must find out:
 *   -DSILENT    the write is not announced: W killed between COMMIT and its script leaves the old value for good
 *   -DLATE      it is announced, but after it was sent
 *   -DAPART     PUBLISH and DEL are two steps, PUBLISH first
 *   -DHASTY     a fill does not wait for its barrier
 *   -DPROCESS   a run is told by the process alone: the old primary's values count again when it has its place back
 *   -DDEAF      whoever connects anew goes on with what it had: what was published meanwhile is missed
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
byte value = NONE, value_token, value_run;
byte reign = 1;
byte copy_token, copy_value = NONE, copy_value_token, copy_value_run; /* of its replica */
bool copy_entry;
bool entry;                          /* of W in the ledger */
chan bus = [6] of { bool };          /* to R: true: an invalidation that says which position must be applied */

/* R */
byte r_store = NONE;
byte r_version = 1, r_entry_version; /* local */
byte r_run = 1;                      /* the run its connections are to */
bool r_needs;                        /* the replica must have applied the write for a fill */
byte fills = 2;                      /* look-ups that go to the database */

inline fresh_token() { token = next_token; next_token++ }

inline copy() {
	copy_token = token; copy_value = value; copy_value_token = value_token; copy_value_run = value_run; copy_entry = entry
}

inline promote(next_run) {
	token = copy_token; value = copy_value; value_token = copy_value_token; value_run = copy_value_run;
	entry = (copy_entry || entry); /* its heartbeat brings it back, before the bus is live */
	do
	:: nempty(bus) -> bus?_ /* who listened is cut off */
	:: empty(bus) -> break
	od;
	reign = next_run
}

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

/* Replication, a failover, replication the other way, the failback. Any of it may never come. */
proctype redis() {
	if
	:: atomic { promote(2); copy() } /* nothing since the beginning had reached it */
	:: goto done
	fi;
	if
	:: atomic { copy() }
	:: skip
	fi;
	if
#ifdef PROCESS
	:: atomic { promote(1) }
#else
	:: atomic { promote(3) }
#endif
	:: skip
	fi;
done:	skip
}

/* What was connected to a run that is over connects anew: nothing stored before is served again, and a write may have been missed. */
proctype reconnect() {
end:
	do
	:: atomic { r_run != reign -> r_run = reign;
#ifndef DEAF
		r_version++; r_needs = true; r_store = NONE
#endif
	}
	od
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
	byte t, v, got, asked;
	bool needs;

	do
	:: fills > 0 ->
		fills--;
		v = r_version;
		atomic { /* the look-up in Redis */
			asked = r_run;
			if
			:: r_run == reign && value != NONE && token != 0 && value_token == token && value_run == reign -> got = value
			:: else -> got = NONE
			fi;
			if
			:: r_run == reign && token == 0 -> fresh_token()
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
			:: v == r_version && asked == reign && r_run == reign -> value = got; value_token = t; value_run = reign
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
	assert(value == NONE || token == 0 || value_token != token || value_run != reign || value == database)
}

init {
	atomic {
		/* What was there before: the old value, in R's store and in Redis. */
		r_store = OLD; r_entry_version = 1; value = OLD; value_token = 1; value_run = 1;
		copy();
		run server(); run applier(); run writer(); run hearer(); run takeover(); run reader(); run redis(); run reconnect(); run judge()
	}
}
