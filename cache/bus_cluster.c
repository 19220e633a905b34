/*
 * bus_cluster.c - with Redis Cluster: which node owns the keys of ours. All of them share one hash tag, and so one slot of the
 * cluster and one primary; after a failover, or when the slot has moved, the bus ends and the owner is asked for anew.
 */
#include <string.h>

#include "bus_impl.h"
#include "mem.h"

#define SCOUT_REPLY_MAX (1024 * 1024)
#define SCOUT_OUTPUT_MAX (64 * 1024)

/* Nothing: it is where the one is that says so (cluster-preferred-endpoint-type unknown-endpoint). */
static bool takes_host(const struct redis_reply *reply, struct bus_node *out)
{
	out->host[0] = '\0';
	if (redis_reply_is(reply, REDIS_REPLY_NIL))
		return true;
	if (!redis_reply_is(reply, REDIS_REPLY_STRING) || reply->len >= sizeof(out->host))
		return false;
	memcpy(out->host, reply->str, reply->len + 1);
	return true;
}

/* A row of CLUSTER SLOTS: first slot, last slot, the primary (address, port, ...), its replicas. */
static bool owns(const struct redis_reply *row, uint16_t slot, struct bus_node *out)
{
	const struct redis_reply *primary;

	if (!redis_reply_is(row, REDIS_REPLY_ARRAY) || row->n < 3 || !redis_reply_is(row->element[0], REDIS_REPLY_INTEGER) ||
	    !redis_reply_is(row->element[1], REDIS_REPLY_INTEGER) || row->element[0]->integer > slot ||
	    row->element[1]->integer < slot)
		return false;
	primary = row->element[2];
	if (!redis_reply_is(primary, REDIS_REPLY_ARRAY) || primary->n < 2 || !takes_host(primary->element[0], out) ||
	    !redis_reply_is(primary->element[1], REDIS_REPLY_INTEGER) || primary->element[1]->integer < 1 ||
	    primary->element[1]->integer > UINT16_MAX)
		return false;
	out->port = (uint16_t)primary->element[1]->integer;
	return true;
}

static void on_slots(void *arg, struct redis_reply *reply)
{
	struct bus *b = arg;
	struct bus_node owner = {.port = 0};

	for (size_t i = 0; redis_reply_is(reply, REDIS_REPLY_ARRAY) && i < reply->n && !owner.port; i++)
		(void)owns(reply->element[i], b->opt.keys->cluster_slot, &owner);
	redis_reply_free(reply);
	if (!reply || b->state != BUS_ASKING)
		return;
	if (!owner.port) {
		bus_fail(b, "no node of the cluster owns the slot of our keys");
		return;
	}
	if (!owner.host[0]) /* the one we asked, by the name we know it by */
		memcpy(owner.host, b->asked.host, sizeof(owner.host));
	bus_find(b, &owner); /* first: from now on the end of the scout's connection is no failure */
	redis_close(b->scout, "it has answered");
}

static void on_up(void *arg)
{
	struct bus *b = arg;

	if (redis_send(b->scout, 2, (const struct span[]){span_str("CLUSTER"), span_str("SLOTS")}, on_slots, b) != RC_OK)
		bus_fail(b, "out of memory");
}

static void on_down(void *arg, const char *why)
{
	struct bus *b = arg;

	if (b->state == BUS_ASKING && !b->found)
		bus_fail(b, why);
}

static void on_push(void *arg, struct redis_reply *reply)
{
	redis_reply_free(reply); /* never subscribed */
}

static const struct redis_ops scout_ops = {.up = on_up, .down = on_down, .push = on_push};

enum rc bus_make_scout(struct bus *b)
{
	struct redis_options opt = {.url = b->opt.url, .ops = &scout_ops, .arg = b, .reply_max = SCOUT_REPLY_MAX,
				    .output_max = SCOUT_OUTPUT_MAX};

	b->scout = redis_new(loop_base(b->opt.loop), &opt);
	return b->scout ? RC_OK : RC_ERROR;
}
