/* R4: who waits for a connection to a server that goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "account.h"
#include "channel.h"
#include "clock.h"
#include "lease.h"
#include "log.h"

static struct settings *settings;
static struct topology *t;
static struct accounts *accounts;
static struct account *account;
static struct stats *stats;
static struct loop *loop;
static struct channel_scratch *scratch;
static struct lease_pool *pool;
static int server; /* it takes connections and says nothing */

struct wait {
	struct lease_request r;
	bool over;
	enum rc rc;
};

static int begin(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct stats_options so = {.digests = 100};
	struct lease_limits limits = {.max = 10, .idle_timeout_ns = NS_PER_SEC, .max_age_ns = NS_PER_SEC,
				      .connect_timeout_ns = 30 * NS_PER_SEC, .unheard_ns = 30 * NS_PER_SEC};
	socklen_t len = sizeof(a);
	struct iobuf faults;
	char yaml[64];

	server = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(server, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(server, 16), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&a, &len), 0);
	snprintf(yaml, sizeof(yaml), "primary: 127.0.0.1:%u\n", ntohs(a.sin_port));
	iobuf_init(&faults, 0);
	settings = settings_parse(yaml, strlen(yaml), "test", NULL, &faults);
	assert_non_null(settings);
	iobuf_reset(&faults);
	t = topology_new(settings);
	accounts = accounts_new(settings);
	account = account_new(span_str("app"), span_str("app"));
	stats = stats_new(&so);
	loop = loop_new("test");
	scratch = channel_scratch_new(loop);
	assert_true(t && accounts && account && stats && scratch);
	assert_int_equal(backend_resolve(t->all[0]), RC_OK);
	pool = lease_pool_new(loop, scratch, t, accounts, stats_sink_new(stats, false), &limits);
	assert_non_null(pool);
	return 0;
}

static void stop(evutil_socket_t fd, short what, void *arg)
{
	loop_stop(loop);
}

static void run_for(unsigned ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	assert_int_equal(event_base_once(loop_base(loop), -1, EV_TIMEOUT, stop, NULL, &tv), 0);
	assert_int_equal(loop_run(loop), 0);
}

static int end(void **state)
{
	lease_pool_close(pool);
	run_for(1);
	lease_pool_free(pool);
	channel_scratch_free(scratch);
	loop_free(loop);
	stats_free(stats);
	account_unref(account);
	accounts_free(accounts);
	topology_free(t);
	settings_unref(settings);
	return 0;
}

static void on_done(struct lease_request *r, enum rc rc, struct upstream *u)
{
	struct wait *w = container_of(r, struct wait, r);

	w->over = true;
	w->rc = rc;
}

static void ask(struct wait *w, bool impatient)
{
	struct upstream *u;

	*w = (struct wait){.r = {.backend = t->all[0], .account = account, .impatient = impatient, .done = on_done,
				 .deadline_ns = clock_mono_ns() + 60 * NS_PER_SEC}};
	assert_int_equal(lease_acquire(pool, &w->r, &u), RC_AGAIN);
	assert_non_null(w->r.opening);
}

/* Its connection was given to one who had waited for longer; before the next could be opened the server died, and refuses at once. */
static void one_who_has_somewhere_else_to_go_goes_there(void **state)
{
	struct wait impatient, patient;

	ask(&impatient, true);
	ask(&patient, false);
	impatient.r.opening = patient.r.opening = NULL;
	close(server);
	run_for(1000);
	assert_true(impatient.over);
	assert_int_equal(impatient.rc, RC_DECLINED);
	assert_false(patient.over);
	lease_cancel(pool, &patient.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_who_has_somewhere_else_to_go_goes_there, begin, end),
	};

	log_setup(LOG_LEVEL_FATAL, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
