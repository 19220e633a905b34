/*
 * lex.c - what sql_lex costs a statement, and what parsing its facts costs once a digest.
 *
 * usage: bench_lex [rounds]
 * Prints a line a statement: bytes, nanoseconds of processor time (the best of five runs) for sql_lex, sql_facts_parse
 * and sql_canonical, and a mean over all. Processor time, because machines are shared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "digest.h"
#include "facts.h"

#define RUNS 5

static const struct {
	const char *name, *text;
} statements[] = {
	{"sysbench point select", "SELECT c FROM sbtest1 WHERE id=5012"},
	{"100 bytes", "SELECT id, name, price FROM products WHERE category_id = 17 AND price < 9.99 ORDER BY price LIMIT 10"},
	{"prepared", "SELECT `users`.* FROM `users` WHERE `users`.`id` = ? LIMIT ?"},
	{"orm", "SELECT `shop_order`.`id`, `shop_order`.`customer_id`, `shop_order`.`total`, `shop_order`.`created_at` FROM "
		"`shop_order` INNER JOIN `shop_customer` ON (`shop_order`.`customer_id` = `shop_customer`.`id`) WHERE "
		"(`shop_customer`.`email` = 'someone@example.com' AND `shop_order`.`status` IN ('new', 'paid', 'sent')) ORDER "
		"BY `shop_order`.`created_at` DESC LIMIT 21 /*controller='orders',action='index'*/"},
	{"insert", "INSERT INTO access_log (request, customer_id, path, milliseconds, seen_at) VALUES "
		   "('0f8fad5b-d9cb-469f-a165-70867728950e', 1, '/readme', 3, NOW(6))"},
	{"insert of rows", "INSERT INTO t (a, b, c) VALUES (1, 'first row of many', 1.5), (2, 'second row of many', 2.5), "
			   "(3, 'third row of many', 3.5), (4, 'fourth row of many', 4.5), (5, 'fifth', 5.5)"},
	{"update", "UPDATE sbtest1 SET k=k+1, c='83868641912-28773972837-60736120486-75162659906-27563526494' WHERE id=49"},
	{"long in", "SELECT a FROM t WHERE id IN (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27)"},
	{"begin", "BEGIN"},
	{"aggregate", "SELECT d.name, COUNT(*) AS n, SUM(s.amount) FROM departments d LEFT JOIN sales s ON s.dept = d.id AND "
		      "s.sold_at BETWEEN '2024-01-01' AND '2024-12-31' GROUP BY d.name HAVING n > 5 ORDER BY n DESC"},
};

static volatile uint64_t sink; /* so that nothing is left out */

static void lex(struct span s)
{
	struct sql_lexed x;

	sql_lex(s, 0, &x);
	sink += x.digest + x.literals;
}

static void facts(struct span s)
{
	struct sql_facts f;

	if (sql_facts_parse(s, 0, &f) != RC_OK)
		abort();
	sink += f.flags;
	sql_facts_free(&f);
}

static struct iobuf canonical_text;

static void canonical(struct span s)
{
	iobuf_consume(&canonical_text, iobuf_len(&canonical_text));
	if (sql_canonical(s, 0, &canonical_text) != RC_OK)
		abort();
	sink += iobuf_len(&canonical_text);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double best_of(void (*fn)(struct span), struct span s, unsigned rounds)
{
	double best = 1e18;

	for (int run = 0; run < RUNS; run++) {
		uint64_t from = cpu_ns();
		double one;

		for (unsigned i = 0; i < rounds; i++)
			fn(s);
		one = (double)(cpu_ns() - from) / rounds;
		best = one < best ? one : best;
	}
	return best;
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
	double sum[3] = {0}, bytes = 0;

	iobuf_init(&canonical_text, 0);
	printf("%-22s %6s %9s %9s %9s\n", "statement", "bytes", "lex", "facts", "canonical");
	for (size_t i = 0; i < countof(statements); i++) {
		struct span s = span_str(statements[i].text);
		double ns[3] = {best_of(lex, s, rounds), best_of(facts, s, rounds / 4 + 1),
				best_of(canonical, s, rounds / 4 + 1)};

		printf("%-22s %6zu %6.0f ns %6.0f ns %6.0f ns\n", statements[i].name, s.len, ns[0], ns[1], ns[2]);
		for (int k = 0; k < 3; k++)
			sum[k] += ns[k];
		bytes += (double)s.len;
	}
	printf("%-22s %6.0f %6.0f ns %6.0f ns %6.0f ns\n", "mean", bytes / countof(statements), sum[0] / countof(statements),
	       sum[1] / countof(statements), sum[2] / countof(statements));
	iobuf_reset(&canonical_text);
	return 0;
}
