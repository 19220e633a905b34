/*
 * snapshot_fuzz.c - whatever stands in a file of statistics, taking it stays within bounds, and what is taken can be shown and
 * written again (F2). The input is what stands behind the header; its checksum is made right.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "mem.h"
#include "snapshot.h"

#define INPUT_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(struct stats *s)
{
	struct iobuf out;

	iobuf_init(&out, 0);
	if (stats_json_queries(s, STATS_BY_P99, 100, (struct stats_of){NULL}, &out) != RC_OK || stats_json_findings(s, true, &out) != RC_OK ||
	    stats_json_costs(s, &out) != RC_OK)
		abort();
	iobuf_reset(&out);
	if (snapshot_put(s, &out) != RC_OK)
		abort();
	iobuf_reset(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stats_options opt = {.digests = 16, .samples = true, .nplus1_repeats = 8, .nplus1_window_ns = NS_PER_SEC};
	struct stats *s = stats_new(&opt);
	struct stats_sink *k = s ? stats_sink_new(s, true) : NULL;
	uint8_t *file = malloc(SNAPSHOT_HEADER + size);
	uint64_t field[3] = {SNAPSHOT_VERSION, size, XXH3_64bits(data, size)};
	const char *why;
	bool values;

	if (!k || !file)
		abort();
	memcpy(file, SNAPSHOT_MAGIC, 8);
	memcpy(file + 8, field, sizeof(field));
	if (size)
		memcpy(file + SNAPSHOT_HEADER, data, size);
	if (size <= INPUT_MAX && snapshot_take(k, span_of(file, SNAPSHOT_HEADER + size), &values, &why) == RC_OK)
		show(s);
	free(file);
	stats_free(s);
	return 0;
}
