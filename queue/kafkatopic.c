/*
 * kafkatopic.c - see kafkatopic.h.
 */
#include "kafkatopic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "kafkalog.h"
#include "log.h"

#define ADMIN_MS 5000
#define MAKE_EVERY_NS (10 * NS_PER_SEC)
#define REMOVE_AGAIN_NS (60 * NS_PER_SEC) /* after a refusal */
#define REPLICAS_WANTED 3u

/* What a topic of the queue's own is made with: nothing goes before it is applied, and no broker alone says what is stored. */
static const char *const own_config[][2] = {
	{"cleanup.policy", "delete"},
	{"retention.ms", "-1"},
	{"retention.bytes", "-1"},
	{"unclean.leader.election.enable", "false"},
};

static rd_kafka_AdminOptions_t *options_for(struct kafkatopic *t, rd_kafka_admin_op_t op)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(t->hub->in.rk, op);
	char err[128];

	(void)!rd_kafka_AdminOptions_set_request_timeout(options, ADMIN_MS, err, sizeof(err));
	return options;
}

/* ---- making it ---- */

static unsigned replicas_of(const struct kafkahub *h, const rd_kafka_metadata_t *md)
{
	unsigned brokers = md->broker_cnt > 0 ? (unsigned)md->broker_cnt : 1;

	if (h->url.replicas)
		return h->url.replicas;
	return brokers < REPLICAS_WANTED ? brokers : REPLICAS_WANTED;
}

static const char *min_insync(unsigned replicas)
{
	return replicas >= REPLICAS_WANTED ? "2" : "1";
}

static void make_topic(struct kafkatopic *t, const rd_kafka_metadata_t *md)
{
	struct kafkahub *h = t->hub;
	char err[256];
	rd_kafka_AdminOptions_t *options;
	rd_kafka_NewTopic_t *topic;

	if (t->made_ns && clock_mono_ns() - t->made_ns < MAKE_EVERY_NS)
		return;
	t->made_ns = clock_mono_ns();
	t->replicas = replicas_of(h, md);
	topic = rd_kafka_NewTopic_new(h->url.topic, (int)h->hub.lanes, (int)t->replicas, err, sizeof(err));
	options = options_for(t, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	for (size_t i = 0; i < countof(own_config); i++)
		(void)!rd_kafka_NewTopic_set_config(topic, own_config[i][0], own_config[i][1]);
	(void)!rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", min_insync(t->replicas));
	rd_kafka_CreateTopics(h->in.rk, &topic, 1, options, t->answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_NewTopic_destroy(topic);
}

static void hear_made(struct kafkatopic *t, rd_kafka_event_t *event)
{
	struct kafkahub *h = t->hub;
	rd_kafka_resp_err_t why = rd_kafka_event_error(event);
	const rd_kafka_topic_result_t **made;
	size_t n = 0;

	if (why == RD_KAFKA_RESP_ERR_NO_ERROR) {
		made = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
		why = n == 1 ? rd_kafka_topic_result_error(made[0]) : RD_KAFKA_RESP_ERR__BAD_MSG;
	}
	if (why == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return;
	if (why == RD_KAFKA_RESP_ERR_NO_ERROR)
		log_info("queue", "made the topic in Kafka", "topic=%s partitions=%u replicas=%u", h->url.topic, h->hub.lanes, t->replicas);
	else if (!t->told_command)
		log_error("queue", "the topic in Kafka is missing and may not be made; run its command as an administrator",
			  "error=%s do=\"kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %u --replication-factor %u "
			  "--config cleanup.policy=delete --config retention.ms=-1 --config retention.bytes=-1 --config "
			  "unclean.leader.election.enable=false --config min.insync.replicas=%s\"",
			  rd_kafka_err2name(why), h->url.brokers, h->url.topic, h->hub.lanes, t->replicas, min_insync(t->replicas));
	t->told_command = why != RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- what it can lose ---- */

static long long number_of(const char *value)
{
	return value ? strtoll(value, NULL, 10) : 0;
}

static void judge_setting(const char *name, const char *value)
{
	if (!value)
		return;
	if (strcmp(name, "min.insync.replicas") == 0 && number_of(value) < 2)
		log_warn("queue", "Kafka acknowledges with one replica in sync: the loss of one broker may lose the last writes",
			 "min.insync.replicas=%s do=\"min.insync.replicas=2\"", value);
	else if (strcmp(name, "unclean.leader.election.enable") == 0 && strcmp(value, "true") == 0)
		log_warn("queue", "Kafka may make a replica the leader that has not all records: the last writes may be lost",
			 "do=\"unclean.leader.election.enable=false\"");
	else if ((strcmp(name, "retention.ms") == 0 || strcmp(name, "retention.bytes") == 0) && number_of(value) >= 0)
		log_warn("queue", "Kafka removes records by age or size, applied or not: a long outage of the database may lose them",
			 "%s=%s do=\"%s=-1\"", name, value, name);
	else if (strcmp(name, "cleanup.policy") == 0 && strcmp(value, "delete") != 0)
		log_warn("queue", "Kafka compacts the queue's topic, which refuses records or loses them",
			 "cleanup.policy=%s do=\"cleanup.policy=delete\"", value);
}

static void hear_settings(rd_kafka_event_t *event)
{
	size_t n = 0, entries = 0;
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entry;

	if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		log_warn("queue", "what the topic's settings in Kafka can lose is not seen: this account may not read them",
			 "error=%s do=\"min.insync.replicas=2, retention.ms=-1, unclean.leader.election.enable=false\"",
			 rd_kafka_err2name(rd_kafka_event_error(event)));
		return;
	}
	resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
	entry = n ? rd_kafka_ConfigResource_configs(resources[0], &entries) : NULL;
	for (size_t i = 0; i < entries; i++)
		judge_setting(rd_kafka_ConfigEntry_name(entry[i]), rd_kafka_ConfigEntry_value(entry[i]));
}

static void ask_settings(struct kafkatopic *t)
{
	rd_kafka_ConfigResource_t *topic = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, t->hub->url.topic);
	rd_kafka_AdminOptions_t *options = options_for(t, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);

	rd_kafka_DescribeConfigs(t->hub->in.rk, &topic, 1, options, t->answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy(topic);
}

void kafkatopic_judge(struct kafkatopic *t, const rd_kafka_metadata_topic_t *topic)
{
	int least = topic->partitions[0].replica_cnt;

	if (t->looked)
		return;
	t->looked = true;
	for (int i = 1; i < topic->partition_cnt; i++)
		least = topic->partitions[i].replica_cnt < least ? topic->partitions[i].replica_cnt : least;
	if (least < 2)
		log_warn("queue", "the topic in Kafka has one replica: the loss of a broker's disk loses what is acknowledged and not applied",
			 "topic=%s do=\"a replication factor of 3\"", topic->topic);
	ask_settings(t);
}

/* ---- is it as it must be ---- */

static const char *judge(const rd_kafka_metadata_topic_t *topic, unsigned lanes)
{
	switch (topic ? topic->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
	case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE: /* of some partitions, maybe: each lane knows */
		break;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		return "the queue's topic in Kafka is missing";
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		return "the account may not see the queue's topic in Kafka";
	default:
		return "Kafka does not show the queue's topic";
	}
	if (!topic->partition_cnt)
		return "the queue's topic in Kafka has no partitions yet";
	return topic->partition_cnt == (int)lanes ? NULL : "the queue's topic in Kafka has another number of partitions than queue.url has lanes";
}

enum rc kafkatopic_check(struct kafkatopic *t, const rd_kafka_metadata_t *md)
{
	struct kafkahub *h = t->hub;
	const rd_kafka_metadata_topic_t *topic = md->topic_cnt == 1 ? &md->topics[0] : NULL;
	const char *fault = judge(topic, h->hub.lanes);

	if (!topic || topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		make_topic(t, md);
	if (fault && fault != t->fault)
		log_error("queue", fault, "topic=%s error=%s partitions=%d lanes=%u", h->url.topic,
			  rd_kafka_err2name(topic ? topic->err : RD_KAFKA_RESP_ERR_NO_ERROR), topic ? topic->partition_cnt : 0, h->hub.lanes);
	t->fault = fault;
	atomic_store(&h->fault, fault);
	return fault ? RC_DECLINED : RC_OK;
}

/* ---- what is applied goes ---- */

static bool refused(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
	       err == RD_KAFKA_RESP_ERR_POLICY_VIOLATION || err == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
}

static void note_refused(struct kafkatopic *t, rd_kafka_resp_err_t err)
{
	if (!refused(err))
		return; /* another time */
	t->refused_ns = clock_mono_ns();
	t->cannot_remove = err == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
	if (!t->told_kept)
		log_warn("queue", "what is applied cannot be removed from the topic in Kafka: its retention must do it",
			 "error=%s do=\"allow this account to delete records, or set retention.ms well above the longest outage\"",
			 rd_kafka_err2name(err));
	t->told_kept = true;
}

static void hear_removed(struct kafkatopic *t, rd_kafka_event_t *event)
{
	struct kafkahub *h = t->hub;
	const rd_kafka_topic_partition_list_t *done;

	t->removing = false;
	if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		note_refused(t, rd_kafka_event_error(event));
		return;
	}
	done = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
	for (int i = 0; i < done->cnt; i++) {
		const rd_kafka_topic_partition_t *p = &done->elems[i];

		if (p->err != RD_KAFKA_RESP_ERR_NO_ERROR)
			note_refused(t, p->err);
		else if (p->partition >= 0 && (unsigned)p->partition < h->hub.lanes && p->offset > 0)
			kafkalog_note_removed(h->lane[p->partition], (uint64_t)p->offset);
	}
}

static void ask_removed(struct kafkatopic *t, rd_kafka_topic_partition_list_t *offsets)
{
	rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(offsets);
	rd_kafka_AdminOptions_t *options = options_for(t, RD_KAFKA_ADMIN_OP_DELETERECORDS);

	rd_kafka_DeleteRecords(t->hub->in.rk, &records, 1, options, t->answers);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_DeleteRecords_destroy(records);
	t->removing = true;
}

void kafkatopic_remove_applied(struct kafkatopic *t)
{
	struct kafkahub *h = t->hub;
	rd_kafka_topic_partition_list_t *offsets;

	if (t->removing || t->cannot_remove || (t->refused_ns && clock_mono_ns() - t->refused_ns < REMOVE_AGAIN_NS))
		return;
	offsets = rd_kafka_topic_partition_list_new((int)h->hub.lanes);
	for (unsigned i = 0; i < h->hub.lanes; i++) {
		uint64_t seq = kafkalog_removable(h->lane[i]);

		if (seq)
			rd_kafka_topic_partition_list_add(offsets, h->url.topic, (int32_t)i)->offset = (int64_t)seq;
	}
	if (offsets->cnt)
		ask_removed(t, offsets);
	rd_kafka_topic_partition_list_destroy(offsets);
}

/* ---- answers ---- */

void kafkatopic_init(struct kafkatopic *t, struct kafkahub *h)
{
	*t = (struct kafkatopic){.hub = h, .answers = rd_kafka_queue_new(h->in.rk)};
}

void kafkatopic_reset(struct kafkatopic *t)
{
	rd_kafka_queue_destroy(t->answers);
	t->answers = NULL;
}

void kafkatopic_hear(struct kafkatopic *t)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(t->answers, 0)) != NULL) {
		switch (rd_kafka_event_type(event)) {
		case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
			hear_made(t, event);
			break;
		case RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT:
			hear_settings(event);
			break;
		case RD_KAFKA_EVENT_DELETERECORDS_RESULT:
			hear_removed(t, event);
			break;
		}
		rd_kafka_event_destroy(event);
	}
}
