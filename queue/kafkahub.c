/*
 * kafkahub.c - see kafkahub.h.
 */
#include "kafkahub.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "kafkalog.h"
#include "log.h"
#include "mem.h"
#include "sigthread.h"

#define POLL_MS 100
#define LAST_WORDS_MS 1000
#define MAKE_AGAIN_NS (3 * NS_PER_SEC) /* what failed for good may do so again at once */
#define READY_PATIENCE_NS (5 * NS_PER_SEC)

static struct kafkahub *self(struct queue_hub *hub)
{
	return container_of(hub, struct kafkahub, hub);
}

/* ---- handles ---- */

/* librdkafka's own words; its levels are syslog's. Disconnections are normal life: no more than warnings. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	char quoted[512];

	if (!log_enabled(level <= 4 ? LOG_LEVEL_WARN : level <= 5 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG))
		return;
	log_write(level <= 4 ? LOG_LEVEL_WARN : level <= 5 ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "queue", "Kafka", "what=%s text=%s",
		  facility, log_quote(quoted, sizeof(quoted), span_str(text)));
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafkahub *h = opaque;
	char quoted[512];

	if (err == RD_KAFKA_RESP_ERR__FATAL)
		atomic_store(&h->fatal, true);
	else
		log_debug("queue", "Kafka", "error=%s reason=%s", rd_kafka_err2name((rd_kafka_resp_err_t)err),
			  log_quote(quoted, sizeof(quoted), span_str(reason)));
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	struct kafkahub *h = opaque;

	kafkalog_delivered(h->lane[message->partition], message);
}

/* Ends at an error; what was asked of it is a mistake of ours, or a file of theirs. */
static bool set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char err[256], quoted[300];

	if (!value || rd_kafka_conf_set(conf, name, value, err, sizeof(err)) == RD_KAFKA_CONF_OK)
		return true;
	log_error("queue", "Kafka's library refuses a setting", "name=%s reason=%s", name,
		  log_quote(quoted, sizeof(quoted), span_str(err)));
	return false;
}

static bool set_all(rd_kafka_conf_t *conf, const char *const pairs[][2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!set(conf, pairs[i][0], pairs[i][1]))
			return false;
	return true;
}

static bool secure(const struct kafka_url *u, rd_kafka_conf_t *conf)
{
	const char *const pairs[][2] = {
		{"security.protocol", u->user ? u->tls ? "sasl_ssl" : "sasl_plaintext" : u->tls ? "ssl" : "plaintext"},
		{"sasl.mechanisms", u->sasl},
		{"sasl.username", u->user},
		{"sasl.password", u->user ? secret_text(u->password).p : NULL},
		{"ssl.ca.location", u->ca},
		{"ssl.certificate.location", u->cert},
		{"ssl.key.location", u->key},
		{"enable.ssl.certificate.verification", u->verify ? NULL : "false"},
	};

	return set_all(conf, pairs, countof(pairs));
}

static rd_kafka_conf_t *new_conf(struct kafkahub *h)
{
	const char *const pairs[][2] = {
		{"client.id", "suimon"},
		{"bootstrap.servers", h->url.brokers},
		{"reconnect.backoff.ms", "50"},
		{"reconnect.backoff.max.ms", "1000"},
		{"socket.timeout.ms", "10000"},
		{"socket.connection.setup.timeout.ms", "5000"},
		{"socket.keepalive.enable", "true"},
		{"socket.nagle.disable", "true"},
		{"topic.metadata.refresh.interval.ms", "30000"},
		{"topic.metadata.refresh.fast.interval.ms", "100"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_opaque(conf, h);
	rd_kafka_conf_set_log_cb(conf, on_log);
	rd_kafka_conf_set_error_cb(conf, on_error);
	if (set_all(conf, pairs, countof(pairs)) && secure(&h->url, conf))
		return conf;
	rd_kafka_conf_destroy(conf);
	return NULL;
}

static void close_client(struct kafkahub_client *c)
{
	if (c->rkt)
		rd_kafka_topic_destroy(c->rkt);
	if (c->rk)
		rd_kafka_destroy(c->rk);
	*c = (struct kafkahub_client){.rk = NULL};
}

/* Takes conf, which may be NULL. */
static enum rc open_client(struct kafkahub *h, rd_kafka_type_t type, rd_kafka_conf_t *conf, struct kafkahub_client *out)
{
	struct kafkahub_client made = {.rk = NULL};
	char err[256] = "", quoted[300];

	if (!conf)
		return RC_ERROR;
	made.rk = rd_kafka_new(type, conf, err, sizeof(err));
	if (!made.rk)
		rd_kafka_conf_destroy(conf);
	else
		made.rkt = rd_kafka_topic_new(made.rk, h->url.topic, NULL);
	*out = made;
	if (made.rkt)
		return RC_OK;
	log_error("queue", "Kafka's library cannot be started", "reason=%s", log_quote(quoted, sizeof(quoted), span_str(err)));
	close_client(out);
	return RC_ERROR;
}

/* A prefetch of so many KiB for each lane that is read. */
static enum rc open_consumer(struct kafkahub *h, const char *prefetch, struct kafkahub_client *out)
{
	const char *const pairs[][2] = {
		{"auto.offset.reset", "error"}, /* a place that is not there any more is a loss, to be told */
		{"enable.auto.commit", "false"},
		{"check.crcs", "true"},
		{"fetch.error.backoff.ms", "100"},
		{"fetch.wait.max.ms", "100"}, /* of a partition without news; what is new comes at once */
		{"queued.max.messages.kbytes", prefetch},
	};
	rd_kafka_conf_t *conf = new_conf(h);

	if (conf && !set_all(conf, pairs, countof(pairs))) {
		rd_kafka_conf_destroy(conf);
		return RC_ERROR;
	}
	return open_client(h, RD_KAFKA_CONSUMER, conf, out);
}

static enum rc open_producer(struct kafkahub *h, struct kafkahub_client *out)
{
	static const char *const pairs[][2] = {
		{"enable.idempotence", "true"},
		{"acks", "all"},
		{"retry.backoff.ms", "50"},
		{"message.timeout.ms", "10000"},
		{"linger.ms", "0"}, /* what comes while a batch is under way is the next one */
		{"message.max.bytes", "1048576"},
		{"queue.buffering.max.kbytes", "65536"},
	};
	rd_kafka_conf_t *conf = new_conf(h);

	if (conf && !set_all(conf, pairs, countof(pairs))) {
		rd_kafka_conf_destroy(conf);
		return RC_ERROR;
	}
	if (conf)
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
	return open_client(h, RD_KAFKA_PRODUCER, conf, out);
}

enum rc kafkahub_peeker(struct kafkahub *h)
{
	return h->peek.rk ? RC_OK : open_consumer(h, "1024", &h->peek);
}

/* ---- the poller ---- */

/* Each of its messages has its answer then, the doubtful ones that they are in doubt. */
static void end_producer(struct kafkahub *h)
{
	struct kafkahub_client old;

	pthread_rwlock_wrlock(&h->producing);
	old = h->out;
	h->out = (struct kafkahub_client){.rk = NULL};
	pthread_rwlock_unlock(&h->producing);
	if (!old.rk)
		return;
	rd_kafka_purge(old.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	if (rd_kafka_flush(old.rk, LAST_WORDS_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		log_error("queue", "Kafka's library still holds messages", "n=%d", rd_kafka_outq_len(old.rk));
	close_client(&old);
}

static void make_producer(struct kafkahub *h)
{
	struct kafkahub_client made;

	h->made_ns = clock_mono_ns();
	if (open_producer(h, &made) != RC_OK)
		return; /* again, after a while */
	atomic_store(&h->fatal, false);
	pthread_rwlock_wrlock(&h->producing);
	h->out = made;
	pthread_rwlock_unlock(&h->producing);
	pthread_mutex_lock(&h->lock);
	h->ready = true;
	pthread_cond_broadcast(&h->work);
	pthread_mutex_unlock(&h->lock);
}

static void say_fatal(struct kafkahub *h)
{
	char why[256] = "", quoted[300];

	(void)rd_kafka_fatal_error(h->out.rk, why, sizeof(why));
	log_error("queue", "Kafka's producer has failed and is made anew: the outcome of what was under way is unknown", "reason=%s",
		  log_quote(quoted, sizeof(quoted), span_str(why)));
}

/* Only this thread changes out: it may read it without the lock. */
static void poll_once(struct kafkahub *h, bool usable, bool overdue)
{
	if (!h->out.rk && usable && (!h->made_ns || clock_mono_ns() - h->made_ns > MAKE_AGAIN_NS))
		make_producer(h);
	if (!h->out.rk) {
		struct timespec nap = {.tv_nsec = POLL_MS * (long)NS_PER_MS};

		nanosleep(&nap, NULL);
		return;
	}
	if (overdue)
		rd_kafka_purge(h->out.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_poll(h->out.rk, POLL_MS);
	if (atomic_load(&h->fatal)) {
		say_fatal(h);
		end_producer(h);
	}
}

static void *poller_run(void *arg)
{
	struct kafkahub *h = arg;
	bool usable, overdue;

	pthread_mutex_lock(&h->lock);
	while (!h->ending) {
		usable = h->usable;
		overdue = h->stop_until_ns && clock_mono_ns() > h->stop_until_ns;
		pthread_mutex_unlock(&h->lock);
		poll_once(h, usable, overdue);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	end_producer(h);
	return NULL;
}

void kafkahub_hurry(struct kafkahub *h, uint64_t until_ns)
{
	pthread_mutex_lock(&h->lock);
	if (!h->stop_until_ns)
		h->stop_until_ns = until_ns;
	pthread_mutex_unlock(&h->lock);
}

bool kafkahub_running(struct kafkahub *h)
{
	bool running;

	pthread_mutex_lock(&h->lock);
	running = h->running;
	pthread_mutex_unlock(&h->lock);
	return running;
}

/* ---- the hub ---- */

static void kafkahub_stop(struct queue_hub *hub)
{
	struct kafkahub *h = self(hub);
	bool running;

	pthread_mutex_lock(&h->lock);
	running = h->running;
	h->running = false;
	h->ending = true;
	pthread_cond_broadcast(&h->work);
	pthread_mutex_unlock(&h->lock);
	if (!running)
		return;
	pthread_join(h->looker, NULL);
	pthread_join(h->poller, NULL);
	for (unsigned i = 0; i < h->hub.lanes; i++)
		kafkalog_quiet(h->lane[i]);
}

/* The first writes are to find it open, if it answers at all. */
static void await_ready(struct kafkahub *h)
{
	uint64_t until = clock_mono_ns() + READY_PATIENCE_NS;

	pthread_mutex_lock(&h->lock);
	while (!h->ready && clock_mono_ns() < until)
		sigthread_wait_until(&h->work, &h->lock, until);
	pthread_mutex_unlock(&h->lock);
}

/* RC_ERROR: none of them runs. */
static enum rc start_threads(struct kafkahub *h)
{
	if (sigthread_start(&h->poller, "kafka-poll", poller_run, h) != RC_OK)
		return RC_ERROR;
	h->running = sigthread_start(&h->looker, "kafka-look", kafkalook_run, h) == RC_OK;
	if (h->running)
		return RC_OK;
	pthread_mutex_lock(&h->lock);
	h->ending = true;
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->poller, NULL);
	return RC_ERROR;
}

static enum rc kafkahub_start(struct queue_hub *hub)
{
	struct kafkahub *h = self(hub);

	if (open_consumer(h, "4096", &h->in) != RC_OK)
		return RC_ERROR;
	if (h->url.user && !h->url.tls && strcmp(h->url.sasl, "PLAIN") == 0)
		log_warn("queue", "the password for Kafka crosses the network as it is", "do=\"kafkas://, or sasl=scram-sha-512\"");
	if (start_threads(h) != RC_OK)
		return RC_ERROR;
	await_ready(h);
	return RC_OK;
}

static void kafkahub_close(struct queue_hub *hub)
{
	struct kafkahub *h = self(hub);

	kafkahub_stop(hub);
	close_client(&h->peek);
	close_client(&h->in);
	kafka_url_reset(&h->url);
	pthread_cond_destroy(&h->work);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->peeking);
	pthread_rwlock_destroy(&h->producing);
	mem_free(h);
}

static struct queue_hub *kafkahub_open(const char *url, char *err, size_t cap)
{
	struct kafkahub *h = mem_zalloc(sizeof(*h));
	const char *fault;

	if (!h || sigthread_cond_init(&h->work) != RC_OK) {
		mem_free(h);
		snprintf(err, cap, "out of memory");
		return NULL;
	}
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->peeking, NULL);
	pthread_rwlock_init(&h->producing, NULL);
	atomic_store(&h->fault, "the queue's Kafka has not answered yet");
	fault = kafka_url_parse(url, &h->url);
	if (fault) {
		snprintf(err, cap, "queue.url: %s", fault);
		kafkahub_close(&h->hub);
		return NULL;
	}
	/* Whatever their number, a lane is its partition: two who disagree about the number apply nothing twice. */
	h->hub = (struct queue_hub){
		.ops = &kafkahub_ops, .name = h->url.topic, .host = h->url.brokers, .lanes = h->url.lanes, .seed = KAFKA_LANES_MAX + 1};
	return &h->hub;
}

static struct queue_engine *kafkahub_lane(struct queue_hub *h, const struct queue_lane_options *opt)
{
	return kafkalog_open(self(h), opt);
}

const struct queue_hub_ops kafkahub_ops = {
	.open = kafkahub_open,
	.lane = kafkahub_lane,
	.start = kafkahub_start,
	.stop = kafkahub_stop,
	.close = kafkahub_close,
};
