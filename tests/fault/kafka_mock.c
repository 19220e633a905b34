/*
 * kafka_mock.c - a Kafka cluster of librdkafka's own mock, in a process of its own so that several suimons can share it.
 *
 *   kafka_mock BROKERS          says "ready HOST:PORT,HOST:PORT", then "ok" or "no" for each line of stdin:
 *     topic NAME PARTITIONS REPLICAS
 *     down BROKER | up BROKER           its connections end and none are taken
 *     errors API N CODE                 the next N requests of this kind are answered so, and do nothing
 *     clear API
 *     rtt BROKER MS                     answers come so late
 *     fault NAME CODE                   the topic is said to be so; 0: it is not
 *     leader NAME PARTITION BROKER
 *
 * It keeps 5 MiB of each partition in memory, and knows no administration: topics are made here, and nothing is deleted.
 */
#include <stdio.h>
#include <string.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define ERRORS_MAX 1000

static rd_kafka_resp_err_t push_errors(rd_kafka_mock_cluster_t *c, int api, int n, int code)
{
	rd_kafka_resp_err_t errors[ERRORS_MAX];

	if (n < 1 || n > ERRORS_MAX)
		return RD_KAFKA_RESP_ERR__INVALID_ARG;
	for (int i = 0; i < n; i++)
		errors[i] = (rd_kafka_resp_err_t)code;
	rd_kafka_mock_push_request_errors_array(c, (int16_t)api, (size_t)n, errors);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t obey(rd_kafka_mock_cluster_t *c, const char *line)
{
	char name[256];
	int a, b, n;

	if (sscanf(line, "topic %255s %d %d", name, &a, &b) == 3)
		return rd_kafka_mock_topic_create(c, name, a, b);
	if (sscanf(line, "down %d", &a) == 1)
		return rd_kafka_mock_broker_set_down(c, a);
	if (sscanf(line, "up %d", &a) == 1)
		return rd_kafka_mock_broker_set_up(c, a);
	if (sscanf(line, "errors %d %d %d", &a, &n, &b) == 3)
		return push_errors(c, a, n, b);
	if (sscanf(line, "clear %d", &a) == 1) {
		rd_kafka_mock_clear_request_errors(c, (int16_t)a);
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	if (sscanf(line, "fault %255s %d", name, &a) == 2) {
		rd_kafka_mock_topic_set_error(c, name, (rd_kafka_resp_err_t)a);
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	if (sscanf(line, "rtt %d %d", &a, &n) == 2)
		return rd_kafka_mock_broker_set_rtt(c, a, n);
	if (sscanf(line, "leader %255s %d %d", name, &n, &a) == 3)
		return rd_kafka_mock_partition_set_leader(c, name, n, a);
	return RD_KAFKA_RESP_ERR__INVALID_ARG;
}

int main(int argc, char **argv)
{
	char err[256], line[512];
	int brokers = 0;
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *rk;

	if (argc != 2 || sscanf(argv[1], "%d", &brokers) != 1)
		return 1;
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), err, sizeof(err));
	cluster = rk ? rd_kafka_mock_cluster_new(rk, brokers) : NULL;
	if (!cluster)
		return 2;
	printf("ready %s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		rd_kafka_resp_err_t rc = obey(cluster, line);

		printf("%s %s\n", rc == RD_KAFKA_RESP_ERR_NO_ERROR ? "ok" : "no", rd_kafka_err2name(rc));
		fflush(stdout);
	}
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
	return 0;
}
