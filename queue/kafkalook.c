/*
 * kafkalook.c - the looker: once a second it asks how the topic is and how far each lane goes.
 */
#include <string.h>
#include <xxhash.h>

#include "clock.h"
#include "kafkalog.h"
#include "kafkatopic.h"
#include "log.h"
#include "sigthread.h"

#define LOOK_EVERY_NS NS_PER_SEC
#define EAGER_NS (100 * NS_PER_MS) /* until it has answered for the first time */
#define METADATA_MS 3000
#define ENDS_MS 3000

static void note_all_down(struct kafkahub *h)
{
	for (unsigned i = 0; i < h->hub.lanes; i++)
		kafkalog_note_down(h->lane[i]);
}

/* The ends of the lanes that one broker leads. */
static void look_at_broker(struct kafkahub *h, const rd_kafka_metadata_topic_t *topic, int32_t leader)
{
	rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_new((int)h->hub.lanes);
	uint64_t applied[KAFKA_LANES_MAX];
	rd_kafka_resp_err_t rc;

	for (int i = 0; i < topic->partition_cnt; i++) {
		const rd_kafka_metadata_partition_t *p = &topic->partitions[i];

		if (p->leader != leader || p->id < 0 || (unsigned)p->id >= h->hub.lanes)
			continue;
		applied[p->id] = kafkalog_applied(h->lane[p->id]);
		rd_kafka_topic_partition_list_add(asked, h->url.topic, p->id)->offset = RD_KAFKA_OFFSET_END;
	}
	rc = leader < 0 ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE : rd_kafka_offsets_for_times(h->in.rk, asked, ENDS_MS);
	for (int i = 0; i < asked->cnt; i++) {
		const rd_kafka_topic_partition_t *p = &asked->elems[i];

		if (rc == RD_KAFKA_RESP_ERR_NO_ERROR && p->err == RD_KAFKA_RESP_ERR_NO_ERROR && p->offset >= 0)
			kafkalog_note_end(h->lane[p->partition], (uint64_t)p->offset, applied[p->partition]);
		else
			kafkalog_note_down(h->lane[p->partition]);
	}
	rd_kafka_topic_partition_list_destroy(asked);
}

/* A broker that does not answer must not hide what others say: each is asked alone. */
static void look_at_lanes(struct kafkahub *h, const rd_kafka_metadata_topic_t *topic)
{
	for (int i = 0; i < topic->partition_cnt; i++) {
		bool first = true;

		for (int k = 0; k < i; k++)
			first &= topic->partitions[k].leader != topic->partitions[i].leader;
		if (first)
			look_at_broker(h, topic, topic->partitions[i].leader);
	}
}

static void set_usable(struct kafkahub *h)
{
	pthread_mutex_lock(&h->lock);
	h->usable = true;
	pthread_mutex_unlock(&h->lock);
}

/* Of one that has no id: the same for all of these. */
static void take_mark(struct kafkahub *h)
{
	char *id = rd_kafka_clusterid(h->in.rk, 0);

	if (id && *id)
		atomic_store(&h->mark, XXH3_64bits(id, strlen(id)) | 1);
	else if (!atomic_load(&h->mark))
		atomic_store(&h->mark, 1);
	if (id)
		rd_kafka_mem_free(h->in.rk, id);
}

static enum rc look(struct kafkahub *h, struct kafkatopic *t)
{
	const struct rd_kafka_metadata *md = NULL;
	enum rc rc;

	rd_kafka_poll(h->in.rk, 0);
	kafkatopic_hear(t);
	if (rd_kafka_metadata(h->in.rk, 0, h->in.rkt, &md, METADATA_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		note_all_down(h);
		return RC_AGAIN;
	}
	rc = kafkatopic_check(t, md);
	if (rc == RC_OK) {
		take_mark(h);
		set_usable(h);
		look_at_lanes(h, &md->topics[0]);
		kafkatopic_judge(t, &md->topics[0]);
		kafkatopic_remove_applied(t);
	}
	rd_kafka_metadata_destroy(md);
	return rc;
}

static bool sleep_on(struct kafkahub *h, uint64_t ns)
{
	uint64_t until = clock_mono_ns() + ns;
	bool ending;

	pthread_mutex_lock(&h->lock);
	while (!h->ending && clock_mono_ns() < until)
		sigthread_wait_until(&h->work, &h->lock, until);
	ending = h->ending;
	pthread_mutex_unlock(&h->lock);
	return !ending;
}

void *kafkalook_run(void *arg)
{
	struct kafkahub *h = arg;
	struct kafkatopic topic;
	bool known = false, told = false;
	enum rc rc;

	kafkatopic_init(&topic, h);
	do {
		rc = look(h, &topic);
		if (rc == RC_AGAIN && !told)
			log_warn("queue", "Kafka does not answer", "brokers=%s", h->url.brokers);
		told = rc == RC_AGAIN;
		known |= rc == RC_OK;
	} while (sleep_on(h, known ? LOOK_EVERY_NS : EAGER_NS));
	kafkatopic_reset(&topic);
	return NULL;
}
