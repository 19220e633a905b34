/*
 * digests.c - a flood of statements that are all different: what counting each costs, what memory it takes, and how long
 * a reader takes to merge what the threads have counted.
 *
 * usage: bench_digests [statements]
 * Processor time, because machines are shared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "iobuf.h"
#include "stats.h"

#define SINKS 8
#define DIGESTS 5000
#define MOST 10000000

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static double resident_mib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (f && fscanf(f, "%*s %ld", &pages) != 1)
		pages = 0;
	if (f)
		(void)fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

static void normalise(const struct stats_event *e, void *into)
{
	if (iobuf_append(into, e->text.p, e->text.len) != RC_OK)
		return;
}

static struct stats_event event(void)
{
	return (struct stats_event){.verb = "select",
				    .text = span_str("select a, b, c from something where a = 1 and b = 2 order by c limit 10"),
				    .normalise = normalise,
				    .schema = span_str("shop"),
				    .user = span_str("app"),
				    .table = span_str("something"),
				    .start_ns = clock_mono_ns(),
				    .total_ns = NS_PER_MS,
				    .is_read = true,
				    .route = STATS_PRIMARY};
}

static struct stats *begin(struct stats_sink *sink[SINKS])
{
	struct stats_options opt = {.slow_ns = 200 * NS_PER_MS, .digests = DIGESTS, .samples = true, .nplus1_repeats = 8,
				    .nplus1_window_ns = NS_PER_SEC};
	struct stats *s = stats_new(&opt);

	for (int i = 0; s && i < SINKS; i++) {
		sink[i] = stats_sink_new(s, true);
		if (!sink[i])
			exit(1);
	}
	if (!s)
		exit(1);
	return s;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double merge_ms(struct stats *s)
{
	uint64_t start = now();
	struct iobuf out;

	iobuf_init(&out, 0);
	if (stats_json_queries(s, STATS_BY_TOTAL_TIME, 50, (struct stats_of){NULL}, &out) != RC_OK)
		exit(1);
	iobuf_reset(&out);
	return (double)(now() - start) / 1e6;
}

static void flood(size_t n)
{
	struct stats_sink *sink[SINKS];
	struct stats *s = begin(sink);
	struct stats_event e = event();
	uint64_t *took = malloc(n * sizeof(*took)), all = 0;
	double before = resident_mib();

	if (!took)
		exit(1);
	for (size_t i = 0; i < n; i++) {
		uint64_t start;

		e.digest = e.literals = 1000 + i * 7919;
		start = now();
		stats_record(sink[i % SINKS], NULL, &e);
		took[i] = now() - start;
		all += took[i];
	}
	/* took's own pages are touched meanwhile */
	printf("%zu different statements: %.1f MiB more; a statement takes %.2f us, ", n,
	       resident_mib() - before - (double)(n * sizeof(*took)) / 1048576, (double)all / (double)n / 1e3);
	qsort(took, n, sizeof(*took), by_size);
	printf("p99 %.1f us, p99.9 %.1f us, the longest %.0f us; merged in %.1f ms\n", (double)took[n / 100 * 99] / 1e3,
	       (double)took[n / 1000 * 999] / 1e3, (double)took[n - 1] / 1e3, merge_ms(s));
	free(took);
	stats_free(s);
}

static void full(void)
{
	struct stats_sink *sink[SINKS];
	struct stats *s = begin(sink);
	struct stats_event e = event();
	double before = resident_mib();

	for (int i = 0; i < SINKS; i++) {
		for (uint64_t n = 0; n < DIGESTS; n++) {
			e.digest = 1000 + n * 7919;
			stats_record(sink[i], NULL, &e);
		}
	}
	printf("%d statements that each of %d threads knows: %.1f MiB; merged in %.1f ms\n", DIGESTS, SINKS,
	       resident_mib() - before, merge_ms(s));
	stats_free(s);
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;

	if (n < 1000 || n > MOST) {
		(void)fprintf(stderr, "usage: bench_digests [statements, 1000 to %d]\n", MOST);
		return 1;
	}
	flood(n);
	full();
	return 0;
}
