/* R2: a session's reads do not go back in time, whichever server answers: the invariant of seen.h, by chosen and by random
 * interleavings of commits, applies, checks, reads, and crashes that lose what was applied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "clock.h"
#include "log.h"
#include "seen.h"

#define SERVERS 3 /* the primary and two replicas */

/* A world of one counter: what a server has is how far it has come. */
struct server {
	uint64_t has;
	uint64_t ready_ns;      /* the one connection to it */
	uint64_t asked_ns, told; /* a check that has its answer, and is not judged yet; asked_ns 0: none */
};

struct mark { uint64_t asked_ns, pos; };

static struct settings *settings;
static struct topology *t;
static struct server at[SERVERS];
static struct mark marks[4096]; /* what the primary told, when */
static size_t nmarks;
static uint64_t now;
static bool looks; /* a read waits for a look at the primary */
static unsigned long nreads[2]; /* that ended: on the primary, on a replica */

static void begin(void)
{
	static const char yaml[] = "primary: a:1\nreplicas: [b:1, c:1]\n";
	struct iobuf faults;

	iobuf_init(&faults, 0);
	settings = settings_parse(yaml, strlen(yaml), "test", NULL, &faults);
	assert_non_null(settings);
	iobuf_reset(&faults);
	t = topology_new(settings);
	assert_non_null(t);
	memset(at, 0, sizeof(at));
	now = clock_mono_ns();
	nmarks = 0;
	for (size_t i = 0; i < SERVERS; i++) {
		at[i] = (struct server){.has = 1, .ready_ns = ++now};
		backend_set_state(t->all[i], BACKEND_UP, "test");
	}
}

static int end(void **state)
{
	topology_free(t);
	settings_unref(settings);
	t = NULL;
	settings = NULL;
	return 0;
}

/* ---- what happens ---- */

static void commit(void) { at[0].has++; }

static void apply(size_t i)
{
	if (at[i].has < at[0].has)
		at[i].has++;
}

static void ask(size_t i)
{
	at[i].asked_ns = ++now;
	at[i].told = at[i].has;
	now++;
}

static struct gtid_pos position(uint64_t seq)
{
	return (struct gtid_pos){.at = {{0, 1, seq}}, .n = 1};
}

/* As monitor_check.c: judge_primary, judge_replica. */
static void judge(size_t i)
{
	struct gtid_pos pos = position(at[i].told);
	uint64_t fresh = 0;

	if (!at[i].asked_ns)
		return;
	backend_at_position(t->all[i], &pos, at[i].asked_ns);
	if (i == 0 && nmarks < countof(marks))
		marks[nmarks++] = (struct mark){at[i].asked_ns, at[i].told};
	for (size_t m = nmarks; i > 0 && m > 0 && !fresh; m--)
		if (at[i].told >= marks[m - 1].pos)
			fresh = marks[m - 1].asked_ns;
	if (i > 0)
		backend_set_fresh(t->all[i], fresh, at[i].asked_ns);
	at[i].asked_ns = 0;
}

static void check(size_t i)
{
	ask(i);
	judge(i);
}

/* The connection is lost, and opened again. */
static void reconnect(size_t i) { at[i].ready_ns = ++now; }

/* The process dies and loses what it had not written through. What it has answered before may be judged later. */
static void crash(size_t i, uint64_t loses)
{
	at[i].has = at[i].has > loses ? at[i].has - loses : 1;
	reconnect(i);
}

struct reading {
	struct seen seen;
	uint64_t value;     /* of the last read */
	size_t on;          /* the one under way: where, */
	uint64_t sent_ns, got; /* ... since when, and what the server has answered */
};

/* As replica.c and hidden.c: choose, prove, wait for the position in vain or not, else the primary. */
static size_t choose(struct reading *r)
{
	struct backend *b = seen_choose(&r->seen, t, UINT64_MAX);
	struct gtid_pos floor = {.n = 0};

	if (!b && looks)
		check(0);
	if (!b && seen_bounded(&r->seen, t))
		b = topology_replica(t, NULL);
	if (!b)
		return 0;
	switch (seen_prove(&r->seen, t, b, at[b->slot].ready_ns, UINT64_MAX, &floor)) {
	case SEEN_PROVEN:
		return b->slot;
	case SEEN_BY_POSITION:
		if (backend_has_position(b, &floor, at[b->slot].ready_ns))
			return b->slot;
		return at[b->slot].has >= floor.at[0].seq ? b->slot : 0; /* asked, on the connection */
	case SEEN_UNKNOWN:
		break;
	}
	return 0;
}

static void sent(struct reading *r)
{
	r->on = choose(r);
	r->sent_ns = ++now;
}

static void answer(struct reading *r) { r->got = at[r->on].has; }

static void receive(struct reading *r)
{
	if (r->got < r->value)
		fail_msg("read %lu after %lu, on %zu", (unsigned long)r->got, (unsigned long)r->value, r->on);
	r->value = r->got;
	nreads[r->on > 0]++;
	seen_read(&r->seen, t->all[r->on], r->sent_ns, ++now);
	now++;
}

static uint64_t read_now(struct reading *r)
{
	sent(r);
	answer(r);
	receive(r);
	return r->value;
}

static void use(size_t i, bool on)
{
	backend_set_state(t->all[i], on ? BACKEND_UNKNOWN : BACKEND_DISABLED, "test");
	if (on)
		backend_set_state(t->all[i], BACKEND_UP, "test");
}

/* ---- chosen ---- */

/* The replica it read from goes, the primary answers, the replica comes back and is behind that. */
static void a_replica_that_comes_back_is_behind_what_the_primary_has_shown(void **state)
{
	struct reading r = {.value = 0};

	begin();
	use(2, false);
	for (size_t i = 0; i < SERVERS; i++)
		check(i);
	assert_int_equal(read_now(&r), 1);
	assert_int_equal(r.on, 1);
	use(1, false);
	commit();
	assert_int_equal(read_now(&r), 2);
	assert_int_equal(r.on, 0);
	use(1, true);
	assert_int_equal(read_now(&r), 2);
	assert_int_equal(r.on, 0);
	apply(1);
	check(0);
	assert_int_equal(read_now(&r), 2);
	assert_int_equal(r.on, 1);
}

/* The primary was asked before the read had ended: what it told then bounds nothing. */
static void a_position_from_before_the_read_proves_nothing(void **state)
{
	struct reading r = {.value = 0};

	begin();
	use(2, false);
	sent(&r);
	ask(0);
	commit();
	apply(1);
	answer(&r);
	receive(&r);
	assert_int_equal(r.on, 1);
	assert_int_equal(r.value, 2);
	judge(0);
	use(1, false);
	use(2, true);
	check(2); /* it has all that was told */
	assert_int_equal(read_now(&r), 2);
	assert_int_equal(r.on, 0);
}

static void a_replica_that_has_lost_something_is_not_believed(void **state)
{
	struct reading r = {.value = 0};

	begin();
	use(2, false);
	commit();
	apply(1);
	check(0);
	check(1);
	read_now(&r);
	read_now(&r);
	assert_int_equal(r.on, 1);
	crash(1, 1); /* nobody has noticed but the connection */
	assert_int_equal(read_now(&r), 2);
	assert_int_equal(r.on, 0);
	check(0);
	check(1);
	assert_int_equal(read_now(&r), 2);
	apply(1);
	check(0);
	assert_int_equal(read_now(&r), 2);
	assert_int_equal(r.on, 1);
}

/* Nor by what the monitor knew of it, where another replica's reader goes there. */
static void what_the_monitor_found_is_true_of_the_process_it_asked(void **state)
{
	struct reading r = {.value = 0};

	begin();
	use(1, false);
	commit();
	apply(2);
	check(0);
	read_now(&r);
	assert_int_equal(r.on, 2);
	apply(1);
	check(0);
	check(1);
	use(2, false);
	use(1, true);
	crash(1, 1);
	assert_int_equal(read_now(&r), 2); /* neither fresh, nor at the position */
	assert_int_equal(r.on, 0);
}

/* A connection that is merely new costs a look, not the replica. */
static void a_new_connection_is_proven_by_position(void **state)
{
	struct reading r = {.value = 0};

	begin();
	use(2, false);
	check(0);
	check(1);
	read_now(&r);
	reconnect(1);
	assert_int_equal(read_now(&r), 1);
	assert_int_equal(r.on, 0);
	check(0);
	assert_int_equal(read_now(&r), 1);
	assert_int_equal(r.on, 1);
}

/* ---- random ---- */

static uint64_t random_below(uint64_t *state, uint64_t n)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % n;
}

#define SESSIONS 3

/* A process dies, or a connection. A read that was under way there fails, and is none. */
static void fail_there(uint64_t *rnd, size_t replica, const struct reading *sessions, unsigned char *step)
{
	for (size_t k = 0; k < SESSIONS; k++)
		if (sessions[k].on == replica)
			step[k] = 0;
	if (random_below(rnd, 2))
		crash(replica, random_below(rnd, 3));
	else
		reconnect(replica);
}

static void go_on(struct reading *r, unsigned char *step)
{
	static void (*const steps[])(struct reading *) = {sent, answer, receive};

	steps[*step](r);
	*step = (unsigned char)((*step + 1) % countof(steps));
}

static void happen(uint64_t *rnd, struct reading *sessions, unsigned char *step)
{
	size_t replica = 1 + random_below(rnd, SERVERS - 1), s = random_below(rnd, SESSIONS);
	uint64_t what = random_below(rnd, 40);

	if (what < 4)
		commit();
	else if (what < 11)
		at[replica].has += random_below(rnd, at[0].has - at[replica].has + 1);
	else if (what < 15)
		ask(random_below(rnd, SERVERS));
	else if (what < 19)
		judge(random_below(rnd, SERVERS));
	else if (what == 19)
		use(replica, backend_state(t->all[replica]) != BACKEND_UP);
	else if (what == 20)
		fail_there(rnd, replica, sessions, step);
	else
		go_on(&sessions[s], &step[s]);
}

static void no_interleaving_takes_a_reader_back(void **state)
{
	nreads[0] = nreads[1] = 0;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct reading sessions[SESSIONS] = {{.value = 0}};
		unsigned char step[SESSIONS] = {0};
		uint64_t rnd = seed * UINT64_C(0x9e3779b97f4a7c15);

		looks = seed % 2;
		begin();
		check(0); /* without positions a crash cannot be told from a pause */
		for (unsigned i = 0; i < 1000; i++)
			happen(&rnd, sessions, step);
		(void)end(NULL);
	}
	looks = false;
	assert_true(nreads[1] > 2000); /* it is no answer to read from the primary alone */
}

static uint64_t acked(struct backend *b)
{
	struct gtid_pos pos = {.n = 0};

	backend_acked(b, &pos);
	return pos.n ? pos.at[0].seq : 0;
}

static void what_was_acknowledged_counts_until_the_server_counts_anew(void **state)
{
	struct gtid_pos written = position(900), told = position(899), now_at;
	struct backend *b;

	begin();
	b = t->all[0];
	assert_int_equal(acked(b), 0);
	backend_saw_position(b, &written);
	backend_at_position(b, &told, now); /* asked before, answered after */
	backend_position(b, &now_at);
	assert_int_equal(now_at.at[0].seq, 900);
	assert_int_equal(acked(b), 900);
	told = position(950); /* others write, too */
	backend_at_position(b, &told, clock_mono_ns());
	assert_int_equal(acked(b), 900);
	told = position(17);
	backend_at_position(b, &told, clock_mono_ns());
	backend_position(b, &now_at);
	assert_int_equal(now_at.at[0].seq, 17);
	assert_int_equal(acked(b), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_replica_that_comes_back_is_behind_what_the_primary_has_shown, end),
		cmocka_unit_test_teardown(a_position_from_before_the_read_proves_nothing, end),
		cmocka_unit_test_teardown(a_replica_that_has_lost_something_is_not_believed, end),
		cmocka_unit_test_teardown(what_the_monitor_found_is_true_of_the_process_it_asked, end),
		cmocka_unit_test_teardown(a_new_connection_is_proven_by_position, end),
		cmocka_unit_test_teardown(no_interleaving_takes_a_reader_back, end),
		cmocka_unit_test_teardown(what_was_acknowledged_counts_until_the_server_counts_anew, end),
	};

	log_setup(LOG_LEVEL_FATAL, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
