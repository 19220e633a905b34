/*
 * queue_sqs_test.c - the SQS engine's parts: signatures (against AWS's published examples), messages, answers, URLs; and the
 * credentials, which a server of the test's own gives out as a container's and as an instance's (Q1, Q2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "sqs_url.h"
#include "sqscred.h"
#include "sqsmsg.h"
#include "sqsreply.h"
#include "sqssign.h"

/* ---- signatures ---- */

#define TIME "20150830T123600Z"
#define TOKEN                                                                                                                               \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"         \
	"qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u"  \
	"0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

struct vector {
	const char *name, *method, *query, *body, *service;
	const char *headers[5][2];
	const char *signature;
};

#define HOST {"host", "example.amazonaws.com"}
#define DATE {"x-amz-date", TIME}

/* AWS's Signature Version 4 test suite, and the example of its General Reference. */
static const struct vector vectors[] = {
	{"get-vanilla", "GET", "", "", "service", {HOST, DATE}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"post-vanilla", "POST", "", "", "service", {HOST, DATE}, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"post-x-www-form-urlencoded", "POST", "", "Param1=value1", "service",
	 {{"content-type", "application/x-www-form-urlencoded"}, HOST, DATE},
	 "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	{"get-vanilla-query-order-key-case", "GET", "Param1=value1&Param2=value2", "", "service", {HOST, DATE},
	 "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-header-value-trim", "GET", "", "", "service", {HOST, {"my-header1", " value1"}, {"my-header2", " \"a   b   c\" "}, DATE},
	 "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"post-sts-header-before", "POST", "", "", "service", {HOST, DATE, {"x-amz-security-token", TOKEN}},
	 "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	{"ListUsers", "GET", "Action=ListUsers&Version=2010-05-08", "", "iam",
	 {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}, {"host", "iam.amazonaws.com"}, DATE},
	 "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
};

static void a_request_is_signed_as_aws_has_it(void **state)
{
	for (size_t i = 0; i < countof(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct sqssign_header headers[5];
		struct sqssign_request r = {.method = span_str(v->method), .path = span_str("/"), .query = span_str(v->query),
					    .headers = headers, .body = span_str(v->body)};
		struct sqssign_scope s = {.region = span_str("us-east-1"), .service = span_str(v->service),
					  .key_id = span_str("AKIDEXAMPLE"), .secret = span_str("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
					  .time = TIME};
		struct iobuf out;

		for (; r.nheaders < countof(headers) && v->headers[r.nheaders][0]; r.nheaders++)
			headers[r.nheaders] = (struct sqssign_header){span_str(v->headers[r.nheaders][0]), span_str(v->headers[r.nheaders][1])};
		iobuf_init(&out, 0);
		assert_int_equal(sqssign_authorize(&r, &s, &out), RC_OK);
		assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
		if (!strstr((const char *)iobuf_data(&out), v->signature))
			fail_msg("%s: %s", v->name, (const char *)iobuf_data(&out));
		assert_memory_equal(iobuf_data(&out), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/", 59);
		iobuf_reset(&out);
	}
}

static void the_time_is_as_signatures_have_it(void **state)
{
	char time[SQSSIGN_TIME_MAX];

	sqssign_time(time, UINT64_C(1440938160) * 1000000);
	assert_string_equal(time, TIME);
}

/* ---- messages ---- */

static void put_record(struct iobuf *b, const char *text)
{
	uint8_t length[4] = {(uint8_t)strlen(text)};

	assert_int_equal(iobuf_append(b, length, 4), RC_OK);
	assert_int_equal(iobuf_append(b, text, strlen(text)), RC_OK);
}

/* Its text, of three records. */
static struct iobuf message(void)
{
	struct sqsmsg m = {.queue = 7, .lane = 3, .producer = UINT64_MAX, .number = 9, .before = 8, .count = 3};
	struct iobuf records, text;

	iobuf_init(&records, 0);
	iobuf_init(&text, 0);
	put_record(&records, "one");
	put_record(&records, "two");
	put_record(&records, "three");
	m.records = span_of(iobuf_data(&records), iobuf_len(&records));
	assert_int_equal(sqsmsg_encode(&m, &text), RC_OK);
	iobuf_reset(&records);
	return text;
}

static void a_message_comes_back_as_it_was(void **state)
{
	static const char *const bodies[] = {"one", "two", "three"};
	struct iobuf text = message(), raw;
	struct sqsmsg m;
	struct span body;
	const char *why;

	iobuf_init(&raw, 0);
	assert_int_equal(sqsmsg_decode(span_of(iobuf_data(&text), iobuf_len(&text)), &raw, &m, &why), RC_OK);
	assert_true(m.queue == 7 && m.lane == 3 && m.producer == UINT64_MAX && m.number == 9 && m.before == 8 && m.count == 3);
	for (size_t i = 0; i < countof(bodies); i++) {
		assert_int_equal(sqsmsg_next(&m.records, &body), RC_OK);
		assert_true(span_eq(body, span_str(bodies[i])));
	}
	assert_int_equal(sqsmsg_next(&m.records, &body), RC_ERROR);
	iobuf_reset(&raw);
	iobuf_reset(&text);
}

static void a_message_with_any_byte_changed_is_refused(void **state)
{
	struct iobuf text = message(), raw;
	size_t len = iobuf_len(&text);
	struct sqsmsg m;
	const char *why;
	char *copy = malloc(len);

	assert_non_null(copy);
	iobuf_init(&raw, 0);
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, iobuf_data(&text), len);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		why = NULL;
		assert_int_equal(sqsmsg_decode(span_of(copy, len), &raw, &m, &why), RC_DECLINED);
		assert_non_null(why);
		assert_int_equal(sqsmsg_decode(span_of(iobuf_data(&text), i), &raw, &m, &why), RC_DECLINED);
	}
	free(copy);
	iobuf_reset(&raw);
	iobuf_reset(&text);
}

/* ---- answers ---- */

static void sequence_numbers_keep_their_order_in_63_bits(void **state)
{
	/* As fauxqs counts, as AWS's documentation shows them, as AWS will have them in 2200. */
	static const char *const ascending[] = {"00000000000000000001", "00000000000000000002", "00000000000000001000", "18849496460467696128",
						"18849496460467696384", "18865617483829233664", "20250000000000000000"};
	static const char *const none[] = {"", "-1", "1a", " 1", "1234567890123456789012345678901234567890"};
	uint64_t seq, last = 0;

	for (size_t i = 0; i < countof(ascending); i++) {
		assert_int_equal(sqsreply_number(span_str(ascending[i]), &seq), RC_OK);
		assert_true(seq > last && seq <= INT64_MAX);
		assert_true(i > 2 || seq - last >= SQSMSG_RECORDS_MAX); /* room for a message's records */
		last = seq;
	}
	for (size_t i = 0; i < countof(none); i++)
		assert_int_equal(sqsreply_number(span_str(none[i]), &seq), RC_ERROR);
}

static enum rc count_message(void *arg, struct span receipt, struct span body, uint64_t seq)
{
	unsigned *n = arg;

	++*n;
	return span_eq(body, span_str("stop")) ? RC_DECLINED : RC_OK;
}

static void answers_are_read_and_hostile_ones_refused(void **state)
{
	static const char one[] = "{\"ReceiptHandle\":\"r\",\"Body\":\"b\",\"Attributes\":{\"SequenceNumber\":\"5\"}}";
	static const char *const hostile[] = {"", "{", "[]", "null", "{\"Messages\":1}", "{\"Messages\":[1]}", "{\"Messages\":[{}]}",
					      "{\"Messages\":[{\"ReceiptHandle\":\"\",\"Attributes\":{\"SequenceNumber\":\"5\"}}]}",
					      "{\"Messages\":[{\"ReceiptHandle\":\"a\\u0000b\",\"Attributes\":{\"SequenceNumber\":\"5\"}}]}",
					      "{\"Messages\":[{\"ReceiptHandle\":\"r\",\"Attributes\":{\"SequenceNumber\":5}}]}",
					      "{\"Messages\":[{\"ReceiptHandle\":\"r\",\"Attributes\":7}]}", "\xff\xfe", "{\"Messages\":[[[[["};
	struct sqsreply_attributes a;
	struct sqsreply_error e;
	char json[4096];
	unsigned n = 0;
	uint64_t seq;

	assert_int_equal(sqsreply_messages(span_str("{}"), count_message, &n), RC_OK);
	assert_int_equal(n, 0);
	snprintf(json, sizeof(json), "{\"Messages\":[%s,%s]}", one, one);
	assert_int_equal(sqsreply_messages(span_str(json), count_message, &n), RC_OK);
	assert_int_equal(n, 2);
	snprintf(json, sizeof(json), "{\"Messages\":[%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s]}", one, one, one, one, one, one, one, one, one, one, one);
	assert_int_equal(sqsreply_messages(span_str(json), count_message, &n), RC_ERROR);
	for (size_t i = 0; i < countof(hostile); i++) {
		assert_int_equal(sqsreply_messages(span_str(hostile[i]), count_message, &n), RC_ERROR);
		assert_int_equal(sqsreply_sent(span_str(hostile[i]), &seq), RC_ERROR);
		assert_int_equal(sqsreply_look(span_str(hostile[i]), &a), RC_ERROR);
		sqsreply_fault(span_str(hostile[i]), &e);
		assert_string_equal(e.type, "");
	}
	assert_int_equal(n, 2);
	assert_int_equal(sqsreply_sent(span_str("{\"SequenceNumber\":\"00000000000000000001\"}"), &seq), RC_OK);
	assert_int_equal(sqsreply_look(span_str("{\"Attributes\":{\"FifoQueue\":\"true\",\"MaximumMessageSize\":\"262144\","
						"\"RedrivePolicy\":\"{}\",\"ApproximateNumberOfMessages\":\"-3\"}}"), &a), RC_OK);
	assert_true(a.fifo && a.redrive && a.message_bytes == 262144 && a.visible == 0 && a.retention_seconds == 0);
	sqsreply_fault(span_str("{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"no\"}"), &e);
	assert_string_equal(e.type, "QueueDoesNotExist");
	assert_string_equal(e.text, "no");
}

/* ---- URLs ---- */

static void the_url_names_the_queues(void **state)
{
	struct sqs_url u;
	char lane[SQS_URL_MAX];

	unsetenv("AWS_REGION");
	unsetenv("AWS_DEFAULT_REGION");
	assert_null(sqs_url_parse("https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo", &u));
	assert_string_equal(u.region, "eu-west-1");
	assert_string_equal(u.endpoint, "https://sqs.eu-west-1.amazonaws.com/");
	assert_string_equal(u.name, "eu-west-1/123456789012/q.fifo");
	assert_int_equal(u.lanes, 1);
	assert_null(sqs_url_parse("https://vpce-1-a.sqs.eu-west-1.vpce.amazonaws.com/123456789012/q.fifo", &u));
	assert_string_equal(u.name, "eu-west-1/123456789012/q.fifo"); /* the same, by another address */
	assert_null(sqs_url_parse("http://127.0.0.1:4566/0/q-{lane}.fifo?lanes=12&region=x-1&ca=/etc/ca.pem", &u));
	assert_true(u.lanes == 12 && !u.tls);
	assert_string_equal(u.host, "127.0.0.1:4566");
	assert_string_equal(u.ca, "/etc/ca.pem");
	sqs_url_lane(&u, 11, lane);
	assert_string_equal(lane, "http://127.0.0.1:4566/0/q-11.fifo");
}

static void a_wrong_url_is_refused_with_what_is_allowed(void **state)
{
	static const char *const wrong[] = {"", "sqs://h/0/q.fifo", "https://sqs.r.amazonaws.com/0/q", "https:///0/q.fifo", "http://h/0/q.fifo",
					    "https://u:p@sqs.r.amazonaws.com/0/q.fifo", "https://sqs.r.amazonaws.com/0/q.fifo?lanes=8",
					    "https://sqs.r.amazonaws.com/0/q-{lane}.fifo", "https://sqs.r.amazonaws.com/0/q-{lane}.fifo?lanes=65",
					    "https://sqs.r.amazonaws.com/0/q-{lane}{lane}.fifo?lanes=2", "https://sqs.r.amazonaws.com/0/q{.fifo",
					    "https://sqs.r.amazonaws.com/0/q.fifo?x=1", "https://sqs.r.amazonaws.com/0/q.fifo?region=a b",
					    "https://sqs.r.amazonaws.com/0/q.fifo?", "http://{lane}/0/q.fifo?lanes=2&region=r"};
	struct sqs_url u;

	for (size_t i = 0; i < countof(wrong); i++) {
		const char *fault = sqs_url_parse(wrong[i], &u);

		if (!fault || !strstr(fault, "allowed"))
			fail_msg("%s: %s", wrong[i], fault ? fault : "taken");
	}
}

/* ---- credentials ---- */

struct giver {
	int fd;
	uint16_t port;
	pthread_t thread;
	char seen[8][600]; /* requests, as they came */
	unsigned n;
};

#define KEYS_UNTIL(year) "{\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"SECRET\",\"Token\":\"SESSION\",\"Expiration\":\"" year "-01-01T00:00:00Z\"}"

static const char *answer_to(const char *request)
{
	if (strncmp(request, "PUT /latest/api/token ", 22) == 0)
		return "IMDS-TOKEN";
	if (strncmp(request, "GET /latest/meta-data/iam/security-credentials/ ", 48) == 0)
		return "my-role\n";
	if (strncmp(request, "GET /latest/meta-data/iam/security-credentials/my-role ", 55) == 0 || strncmp(request, "GET /given ", 11) == 0)
		return KEYS_UNTIL("2999");
	return strncmp(request, "GET /ended ", 11) == 0 ? KEYS_UNTIL("2001") : NULL;
}

static void *give(void *arg)
{
	struct giver *g = arg;

	for (int c; (c = accept(g->fd, NULL, NULL)) >= 0; close(c)) {
		char *request = g->seen[g->n++ % countof(g->seen)], reply[1024];
		const char *text;
		size_t len = 0;
		ssize_t got = 1;

		while (got > 0 && len < sizeof(g->seen[0]) - 1 && !memmem(request, len, "\r\n\r\n", 4)) {
			got = read(c, request + len, sizeof(g->seen[0]) - 1 - len);
			len += got > 0 ? (size_t)got : 0;
		}
		request[len] = '\0';
		text = answer_to(request);
		snprintf(reply, sizeof(reply), "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", text ? "200 OK" : "404 No",
			 text ? strlen(text) : 0, text ? text : "");
		if (write(c, reply, strlen(reply)) < 0)
			break;
	}
	return NULL;
}

static void start_giver(struct giver *g)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	*g = (struct giver){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	assert_true(g->fd >= 0);
	assert_int_equal(bind(g->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(g->fd, 8), 0);
	assert_int_equal(getsockname(g->fd, (struct sockaddr *)&a, &len), 0);
	g->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&g->thread, NULL, give, g), 0);
}

static void stop_giver(struct giver *g)
{
	shutdown(g->fd, SHUT_RDWR);
	pthread_join(g->thread, NULL);
	close(g->fd);
}

static void forget_environment(void)
{
	static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
					    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
					    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
					    "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED"};

	for (size_t i = 0; i < countof(names); i++)
		unsetenv(names[i]);
}

/* Until there are keys, or somebody was told that there are none. */
static void ask_for_keys(struct sqshttp *http, struct sqscred *c)
{
	uint64_t until = clock_mono_ns() + 60 * NS_PER_SEC;

	while (!sqscred_ready(c) && !c->told) {
		assert_true(clock_mono_ns() < until);
		sqscred_turn(c);
		sqshttp_turn(http, 20);
	}
}

static void expect_keys(const struct sqscred *c, const char *id, const char *secret, const char *session)
{
	assert_true(sqscred_ready(c));
	assert_true(span_eq(secret_text(c->key_id), span_str(id)));
	assert_true(span_eq(secret_text(c->secret), span_str(secret)));
	assert_true(span_eq(secret_text(c->session), span_str(session)));
}

static void keys_come_from_the_environment_first(void **state)
{
	struct sqshttp http = {0};
	struct sqscred c;
	char err[256];

	forget_environment();
	setenv("AWS_ACCESS_KEY_ID", "A", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "B", 1);
	setenv("AWS_SESSION_TOKEN", "C", 1);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/", 1);
	assert_int_equal(sqshttp_open(&http), RC_OK);
	assert_int_equal(sqscred_open(&c, &http, err, sizeof(err)), RC_OK);
	expect_keys(&c, "A", "B", "C");
	sqscred_refused(&c);
	sqscred_turn(&c);
	assert_false(c.call.busy); /* there is nobody to ask for others */
	sqscred_close(&c);
	sqshttp_close(&http);
}

static void a_container_gives_keys(void **state)
{
	char url[64], file[] = "/tmp/suimon-sqs-XXXXXX", err[256];
	struct sqshttp http = {0};
	struct sqscred c;
	struct giver g;
	int fd = mkstemp(file);

	assert_true(fd >= 0 && write(fd, "FROM-FILE\n", 10) == 10);
	close(fd);
	start_giver(&g);
	forget_environment();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/given", g.port);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file, 1);
	assert_int_equal(sqshttp_open(&http), RC_OK);
	assert_int_equal(sqscred_open(&c, &http, err, sizeof(err)), RC_OK);
	assert_false(sqscred_ready(&c));
	ask_for_keys(&http, &c);
	expect_keys(&c, "AKID", "SECRET", "SESSION");
	assert_non_null(strstr(g.seen[0], "Authorization: FROM-FILE\r\n"));
	/* Those that are about to end are fetched anew, and serve until then. */
	c.until_ns = clock_mono_ns() + 60 * NS_PER_SEC;
	c.ask_ns = 0;
	sqscred_turn(&c);
	assert_true(c.call.busy && sqscred_ready(&c));
	sqscred_close(&c);
	sqshttp_close(&http);
	stop_giver(&g);
	unlink(file);
}

/* The wall clock may be ahead: SQS is to say whether they are good. */
static void keys_that_have_ended_by_this_clock_are_shown_all_the_same(void **state)
{
	struct sqshttp http = {0};
	char url[64], err[256];
	struct sqscred c;
	struct giver g;

	start_giver(&g);
	forget_environment();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ended", g.port);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	assert_int_equal(sqshttp_open(&http), RC_OK);
	assert_int_equal(sqscred_open(&c, &http, err, sizeof(err)), RC_OK);
	ask_for_keys(&http, &c);
	expect_keys(&c, "AKID", "SECRET", "SESSION");
	c.ask_ns = 0;
	sqscred_turn(&c);
	assert_false(c.call.busy);
	sqscred_refused(&c);
	sqscred_turn(&c);
	assert_true(c.call.busy && sqscred_ready(&c));
	sqscred_close(&c);
	sqshttp_close(&http);
	stop_giver(&g);
}

static void an_instance_gives_keys_by_a_session(void **state)
{
	struct sqshttp http = {0};
	char url[64], err[256];
	struct sqscred c;
	struct giver g;

	start_giver(&g);
	forget_environment();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", g.port);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url, 1);
	assert_int_equal(sqshttp_open(&http), RC_OK);
	assert_int_equal(sqscred_open(&c, &http, err, sizeof(err)), RC_OK);
	ask_for_keys(&http, &c);
	expect_keys(&c, "AKID", "SECRET", "SESSION");
	assert_int_equal(g.n, 3);
	assert_non_null(strstr(g.seen[0], "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"));
	assert_non_null(strstr(g.seen[2], "X-aws-ec2-metadata-token: IMDS-TOKEN\r\n"));
	sqscred_close(&c);
	sqshttp_close(&http);
	stop_giver(&g);
}

static void who_gives_none_is_told_and_asked_again(void **state)
{
	struct sqshttp http = {0};
	char url[64], err[256];
	struct sqscred c;
	struct giver g;

	start_giver(&g);
	forget_environment();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/elsewhere", g.port);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	assert_int_equal(sqshttp_open(&http), RC_OK);
	assert_int_equal(sqscred_open(&c, &http, err, sizeof(err)), RC_OK);
	ask_for_keys(&http, &c);
	assert_true(c.told && !sqscred_ready(&c) && c.ask_ns > clock_mono_ns() - 60 * NS_PER_SEC);
	sqscred_close(&c);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/", 1); /* nobody who listens is to see the token */
	assert_int_equal(sqscred_open(&c, &http, err, sizeof(err)), RC_ERROR);
	assert_non_null(strstr(err, "allowed"));
	sqscred_close(&c);
	sqshttp_close(&http);
	stop_giver(&g);
	forget_environment();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_signed_as_aws_has_it),
		cmocka_unit_test(the_time_is_as_signatures_have_it),
		cmocka_unit_test(a_message_comes_back_as_it_was),
		cmocka_unit_test(a_message_with_any_byte_changed_is_refused),
		cmocka_unit_test(sequence_numbers_keep_their_order_in_63_bits),
		cmocka_unit_test(answers_are_read_and_hostile_ones_refused),
		cmocka_unit_test(the_url_names_the_queues),
		cmocka_unit_test(a_wrong_url_is_refused_with_what_is_allowed),
		cmocka_unit_test(keys_come_from_the_environment_first),
		cmocka_unit_test(a_container_gives_keys),
		cmocka_unit_test(keys_that_have_ended_by_this_clock_are_shown_all_the_same),
		cmocka_unit_test(an_instance_gives_keys_by_a_session),
		cmocka_unit_test(who_gives_none_is_told_and_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
