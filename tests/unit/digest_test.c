/*
 * The same statement has the same digest, another has another; comments speak; the cache's text keeps what can be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#include "digest.h"
#include "inner.h"
#include "norm.h"

static struct sql_lexed lex(const char *text, unsigned mode)
{
	struct sql_lexed x;

	sql_lex(span_str(text), mode, &x);
	return x;
}

#define same_digest(a, b) assert_true(lex(a, 0).digest == lex(b, 0).digest)
#define other_digest(a, b) assert_true(lex(a, 0).digest != lex(b, 0).digest)

static void digests_leave_out_literals(void **state)
{
	same_digest("SELECT a FROM t WHERE b = 1", "select a  from t where b = 'x'");
	same_digest("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b IN(2,3 , 4)");
	same_digest("INSERT INTO t VALUES (1, 2)", "INSERT INTO t VALUES (3, 4), (5, 6)");
	same_digest("INSERT INTO t VALUES (NOW(), 1)", "INSERT INTO t VALUES (NOW(), 2), (NOW(), 3)");
	same_digest("SELECT /* a */ 1 /* b */;", "SELECT 2");
	same_digest("SELECT a FROM t WHERE b = -1", "SELECT a FROM t WHERE b = 5");
	other_digest("SELECT a FROM t", "SELECT a FROM u");
	other_digest("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b IN (c)");
}

/* Facts are kept by digest: what differs in its facts must differ in its digest (C5). */
static void digests_tell_apart_what_means_something_else(void **state)
{
	other_digest("SELECT a FROM t", "SELECT a FROM T");
	other_digest("SELECT a FROM Status", "SELECT a FROM status");
	same_digest("SELECT COUNT(*) FROM t", "select count(*) from t");
	other_digest("SELECT a FROM t1", "SELECT a FROM t2");
	other_digest("SELECT a FROM t /*!80000 FOR UPDATE */", "SELECT a FROM t /*!40000 FOR UPDATE */");
	other_digest("USE a", "USE b");
	other_digest("CALL p(f())", "CALL p(g())");
	other_digest("SELECT a FROM `t`", "SELECT a FROM `T`");
	same_digest("SELECT a FROM `t` `u`", "SELECT a FROM `t`/**/`u`");
	other_digest("SELECT a FROM `t``u`", "SELECT a FROM `t`/**/`u`");
	assert_true(lex("SELECT \"a\" FROM t", 0).digest != lex("SELECT \"a\" FROM t", SQL_MODE_ANSI_QUOTES).digest);
	assert_true(lex("SELECT a FROM t", 0).digest == lex("SELECT a FROM t", SQL_MODE_ANSI_QUOTES).digest);
	assert_true(lex("SELECT 'a\\\\' FROM t", 0).digest !=
		    lex("SELECT 'a\\\\' FROM t", SQL_MODE_NO_BACKSLASH_ESCAPES).digest);
	assert_true(lex("SELECT a FROM t WHERE b IN ('\x83\\', (SELECT c FROM u), ',1)-- ')", SQL_MODE_WIDE_TRAIL).digest !=
		    lex("SELECT a FROM t WHERE b IN ('x', 1)", SQL_MODE_WIDE_TRAIL).digest);
	assert_true(lex("SELECT '\x83x' FROM t", SQL_MODE_WIDE_TRAIL).digest == lex("SELECT 1 FROM t", 0).digest);
}

static void literals_have_their_own_hash(void **state)
{
	assert_true(lex("SELECT 1, 'a'", 0).literals == lex("SELECT  1,'a'", 0).literals);
	assert_true(lex("SELECT 1, 'a'", 0).literals != lex("SELECT 1, 'b'", 0).literals);
	assert_true(lex("SELECT 12, 3", 0).literals != lex("SELECT 1, 23", 0).literals);
	assert_true(lex("SELECT NULL", 0).literals != lex("SELECT 1", 0).literals);
	assert_true(lex("SELECT -1", 0).literals != lex("SELECT 1", 0).literals);
}

static void long_texts_hash_in_pieces(void **state)
{
	static char a[40000], b[40000];
	size_t n;

	memset(a, 'x', sizeof a);
	memcpy(a, "SELECT ", 7);
	for (n = 20; n < sizeof a - 20; n += 20)
		memcpy(a + n, ", '1234', ", 10);
	memcpy(b, a, sizeof a);
	a[sizeof a - 1] = b[sizeof b - 1] = '\0';
	same_digest(a, b);
	b[30000 - 30000 % 20 + 3] = '5';
	same_digest(a, b);
	assert_true(lex(a, 0).literals != lex(b, 0).literals);
	b[sizeof b - 5] = 'y';
	other_digest(a, b);
}

/* Whatever the text's length, every byte of it counts: the buffer between is 4 KiB. */
static void every_byte_of_a_long_text_counts(void **state)
{
	char a[8192], b[8192];

	for (int len = 4040; len < 4140; len++) {
		int n = snprintf(a, sizeof a, "select a%0*d, a_second_longer_name, b from t where c = 1", len, 0);

		assert_true(n > len);
		memcpy(b, a, (size_t)n + 1);
		b[9] = '1'; /* in the first name */
		assert_true(lex(a, 0).digest != lex(b, 0).digest);
		memcpy(b, a, (size_t)n + 1);
		b[n - 6] = 'd'; /* the last name */
		assert_true(lex(a, 0).digest != lex(b, 0).digest);
	}
}

static enum rc keep(void *arg, const char *p, size_t len, bool last)
{
	return iobuf_append(arg, p, len);
}

/* The digest made of one token after the other, without lex.c's shorter ways for runs of plain ones; and its literals'. */
static uint64_t the_long_way(const char *text, uint64_t *literals)
{
	struct iobuf b, l;
	struct sql_norm n;
	struct sql_scan s;
	struct sql_token t;
	uint64_t digest;

	iobuf_init(&b, 0);
	iobuf_init(&l, 0);
	sql_norm_init(&n, span_str(text), 0, false, keep, &b);
	sql_scan_init(&s, span_str(text), 0);
	for (sql_scan_next(&s, &t); t.kind != SQL_T_END; sql_scan_next(&s, &t)) {
		sql_norm_token(&n, &t);
		if (t.kind == SQL_T_COMMENT || !(sql_token_is_literal(&t) || sql_token_is_op(&t, '-') || sql_token_is_op(&t, '+')))
			continue;
		assert_int_equal(iobuf_append(&l, t.text.p, t.text.len), RC_OK);
		assert_int_equal(iobuf_append(&l, "", 1), RC_OK);
	}
	*literals = XXH3_64bits(iobuf_data(&l), iobuf_len(&l));
	iobuf_reset(&l);
	assert_int_equal(sql_norm_end(&n), RC_OK);
	digest = XXH3_64bits(iobuf_len(&b) ? (const char *)iobuf_data(&b) : "", iobuf_len(&b));
	iobuf_reset(&b);
	return digest;
}

static void the_short_way_is_the_long_way(void **state)
{
	static const char *const texts[] = {
		"SELECT c FROM sbtest1 WHERE id=5012",
		"select a.b, `c`.`d`, ```e`, a.1b, a.`x`, a . b, a.*, 1.5, .5, 1., 1e5, 1.e5, 0x4d, 0b1, x'4d', b'1', n'x' from t",
		"SELECT 'it''s', 'a\\'b', \"c\", '', 'a string that is longer than two vectors of sixteen bytes' FROM T",
		"SELECT 1 a, -1, - 1, a-1, a - -1, +5, 1+2 FROM t ORDER BY a ASC, b DESC, c ASC LIMIT 5, 6",
		"insert into Log (a, `Status`, status) values (1, 'x', NOW()), (2, 'y', NOW()), (3, 'z', NOW())",
		("insert into t values ( 1 ,'a', 2.5 ,  'it''s' , .5, 1e3, -1, ?, null, x'4d', 'b\\'c', \"d\", 'e' 'f', 7 , 12a, 8), (9,'z'),(10 ,'y') "
		 "on duplicate key update a = values (a) ;"),
		"insert into t values (1, 'a long one, of more than a vector of sixteen bytes', 2) /* end */",
		"select a from t where a in (1, 'b',3 ) and b in ( 4,c) and d in (5 , /* x */ 6, 'y') or e in (7 8 '9')",
		"SELECT a FROM t WHERE a<b AND a>b AND a<=b AND a<>b AND a>=1 AND a<=>2 AND a:=3 AND NULL IS NULL",
		"SELECT count(*), COUNT (*), Max(a) FROM Status, t2 WHERE a IN (1,2,3) AND b IN (c) UNION SELECT 1",
		"/* c */ SELECT /*+ hint */ a /*!50000 , b */ FROM t -- end",
		"\t\n SELECT\r\n  @a, @@b, ?  ,? FROM caf\xc3\xa9 ; ",
		"a_name_of_sixteen a_name_of_fifteen_ CURRENT_TIMESTAMP concat_operator_oracle",
		"S", "SE'", "`", "x'", "1", "1.", "-", ";;a", "a.", "\xff",
	};

	for (size_t i = 0; i < countof(texts); i++)
		for (size_t n = 1; n <= strlen(texts[i]); n++) {
			char *part = strndup(texts[i], n);
			struct sql_lexed x;
			uint64_t literals, digest;

			assert_non_null(part);
			x = lex(part, 0);
			digest = the_long_way(part, &literals);
			if (x.body.len && (x.digest != digest || x.literals != literals))
				fail_msg("%s", part);
			free(part);
		}
}

static void reads_hints(void **state)
{
	struct sql_lexed x = lex("SELECT 1 /* suimon: cache=30s, primary */", 0);

	assert_int_equal(x.hints, SQL_HINT_CACHE | SQL_HINT_PRIMARY);
	assert_true(x.hint_cache_ns == UINT64_C(30000000000));
	x = lex("/* SUIMON: NoCache queue */ -- suimon: sync\nSELECT 1", 0);
	assert_int_equal(x.hints, SQL_HINT_NOCACHE | SQL_HINT_QUEUE | SQL_HINT_SYNC);
	x = lex("SELECT 1 /* suimon: cache=250ms */", 0);
	assert_true(x.hint_cache_ns == 250000000);
	assert_int_equal(lex("SELECT 1 /* suimon: chache=3s */", 0).hints, SQL_HINT_BAD);
	assert_int_equal(lex("SELECT 1 /* suimon: cache=3x */", 0).hints, SQL_HINT_BAD);
	assert_int_equal(lex("SELECT 1 /* suimon: */", 0).hints, SQL_HINT_BAD);
	assert_int_equal(lex("SELECT '/* suimon: primary */'", 0).hints, 0);
	assert_int_equal(lex("SELECT 1 /* by suimon: primary */", 0).hints, 0);
}

static void reads_tags(void **state)
{
	struct sql_lexed x = lex("SELECT 1 /*action='%2Fparam*d',controller='index', framework='spring' */", 0);

	assert_int_equal(x.ntags, 3);
	assert_true(span_eq(x.tags[0].key, span_str("action")));
	assert_true(span_eq(x.tags[0].value, span_str("%2Fparam*d")));
	assert_true(span_eq(x.tags[2].key, span_str("framework")));
	x = lex("/*a='it\\'s'*/ SELECT 1", 0);
	assert_int_equal(x.ntags, 1);
	assert_true(span_eq(x.tags[0].value, span_str("it\\'s")));
	assert_int_equal(lex("SELECT 1 /* a='b', c */", 0).ntags, 0);
	assert_int_equal(lex("SELECT 1 /* a='b */", 0).ntags, 0);
	assert_int_equal(lex("SELECT 1 /* hello 'x' */", 0).ntags, 0);
	assert_int_equal(lex("SELECT 1 /*''*/ /**/ /*/ */ --\n #", 0).ntags, 0);
}

static void finds_the_body(void **state)
{
	struct sql_lexed x = lex(" /* a */ SELECT 1 /* b */ ; -- c", 0);

	assert_true(span_eq(x.body, span_str("SELECT 1")));
	assert_int_equal(lex(" ; /* a */", 0).body.len, 0);
	assert_true(lex("SELECT 'a", 0).broken);
	assert_true(lex("SELECT 1 /*! + 2 */", 0).has_executable_comment);
	assert_false(lex("SELECT 1 /* + 2 */", 0).has_executable_comment);
}

static void canonical(const char *text, const char *expected)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(sql_canonical(span_str(text), 0, &b), RC_OK);
	assert_true(iobuf_append(&b, "", 1) == RC_OK);
	assert_string_equal((const char *)iobuf_data(&b), expected);
	iobuf_reset(&b);
}

static void canonical_text_folds_what_cannot_be_seen(void **state)
{
	canonical("  SELECT a FROM  t\n WHERE b = 'x  y' ; ;", "SELECT a FROM t WHERE b = 'x  y'");
	canonical("/*a*/SELECT /*b*/ a/*c*/ FROM t/*d*/WHERE b=1 -- e", "SELECT a FROM t WHERE b=1");
	canonical("SELECT a ,  b FROM t", "SELECT a , b FROM t");
	canonical("SELECT /*!40001 SQL_NO_CACHE */ /*+ X */ a FROM t",
		  "SELECT /*!40001 SQL_NO_CACHE */ /*+ X */ a FROM t");
	canonical("SELECT 1;  SELECT 2;", "SELECT 1; SELECT 2");
	canonical("DO 5--/* a */1", "DO 5--/* a */1"); /* with a blank, "-- 1" would be a comment */
}

/* An expression's text is its column's name: P1, C3. */
static void canonical_text_keeps_columns_names(void **state)
{
	canonical("SELECT a  +  1 FROM t", "SELECT a  +  1 FROM t");
	canonical("SELECT a  +/* x */1, b FROM t", "SELECT a  +/* x */1, b FROM t");
	canonical("SELECT (SELECT  b FROM  u) FROM  t", "SELECT (SELECT  b FROM  u) FROM t");
	canonical("SELECT x FROM (SELECT 1  +  1) d WHERE  y = 1", "SELECT x FROM (SELECT 1  +  1) d WHERE y = 1");
}

static void splits_statements(void **state)
{
	struct span text = span_str(
			    "; SELECT 1 ;CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END; ; SELECT ';' /* ; */"),
		    s;
	size_t at = 0;

	assert_true(sql_split(text, 0, &at, &s));
	assert_true(span_eq(s, span_str("SELECT 1")));
	assert_true(sql_split(text, 0, &at, &s));
	assert_true(span_eq(s, span_str("CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END")));
	assert_true(sql_split(text, 0, &at, &s));
	assert_true(span_eq(s, span_str("SELECT ';'")));
	assert_false(sql_split(text, 0, &at, &s));
	at = 0;
	assert_false(sql_split(span_str(" ;; /* a */"), 0, &at, &s));
	at = 0;
	assert_true(sql_split(span_str("SELECT 1; SELECT 'x; SELECT 2"), 0, &at, &s));
	assert_true(sql_split(span_str("SELECT 1; SELECT 'x; SELECT 2"), 0, &at, &s));
	assert_true(span_eq(s, span_str("SELECT 'x; SELECT 2")));
	assert_false(sql_split(span_str("SELECT 1; SELECT 'x; SELECT 2"), 0, &at, &s));
}

static void assert_split(const char *text, unsigned mode, const char *const *want)
{
	struct span s;
	size_t at = 0;

	while (sql_split(span_str(text), mode, &at, &s)) {
		if (!*want || !span_eq(s, span_str(*want)))
			fail_msg("%s: " SPAN_FMT ", expected %s", text, SPAN_ARG(s), *want ? *want : "no more");
		want++;
	}
	assert_null(*want);
}

static void splits_what_is_in_executable_comments_and_blocks(void **state)
{
	assert_split("/*!50003 CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DO 1; DO 2; END */ ; /* x */ /*!50003 DO 1 */ -- y\n; DO /*! 1 */",
		     0, (const char *const[]){"/*!50003 CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW BEGIN DO 1; DO 2; END */", "/*!50003 DO 1 */", "DO /*! 1 */", NULL});
	assert_split("DO 1; x: BEGIN NOT ATOMIC DO 1; DO 2; END x", 0, (const char *const[]){"DO 1", "x: BEGIN NOT ATOMIC DO 1; DO 2; END x", NULL});
	assert_split("BEGIN; DO 1; BEGIN WORK; DO 2", SQL_MODE_ORACLE, (const char *const[]){"BEGIN", "DO 1", "BEGIN WORK", "DO 2", NULL});
	assert_split("DO 1; BEGIN DO 1; DO 2; END", SQL_MODE_ORACLE, (const char *const[]){"DO 1", "BEGIN DO 1; DO 2; END", NULL});
}

static uint64_t processor_ns(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t splitting_takes(struct span text, unsigned times)
{
	uint64_t began = processor_ns();

	for (unsigned i = 0; i < times; i++) {
		struct span s;
		size_t at = 0, n = 0;

		while (sql_split(text, SQL_MODE_WIDE_TRAIL, &at, &s))
			n++;
		assert_int_equal(n, text.len / 5);
	}
	return processor_ns() - began;
}

/* Each statement is read once: a text of many takes as long as they take in several texts. */
static void splitting_takes_time_by_length(void **state)
{
	static char many[32 * 8000 + 1];
	uint64_t one, several;

	for (size_t i = 0; i + 5 < sizeof(many); i += 5)
		memcpy(many + i, "DO 1;", 5);
	several = splitting_takes(span_of(many, 8000), 32);
	one = splitting_takes(span_of(many, sizeof(many) - 1), 1);
	if (one > 6 * several)
		fail_msg("one text %lu ns, 32 of its parts %lu ns", (unsigned long)one, (unsigned long)several);
}

/* A pair that could be one character is looked for in all of a text, not only where its statement begins. */
static void a_text_that_reads_two_ways_is_one_statement(void **state)
{
	struct span text = span_str("DO 1; DO '\x95\\'; DO 2"), s;
	size_t at = 0;

	assert_true(sql_split(text, SQL_MODE_WIDE_TRAIL, &at, &s));
	assert_true(span_eq(s, text));
	assert_false(sql_split(text, SQL_MODE_WIDE_TRAIL, &at, &s));
}

static void assert_inner(const char *text, unsigned mode, const char *want)
{
	struct iobuf out;
	bool whole = false;

	iobuf_init(&out, 0);
	assert_int_equal(sql_inner_text(span_str(text), mode, &out, &whole), want ? RC_OK : RC_DECLINED);
	assert_true(!want || span_eq(span_of(iobuf_data(&out), iobuf_len(&out)), span_str(want)));
	assert_true(!want || whole);
	iobuf_reset(&out);
}

/* An expression that only begins with a text. */
static void assert_begins(const char *text, const char *want)
{
	struct iobuf out;
	bool whole = true;

	iobuf_init(&out, 0);
	assert_int_equal(sql_inner_text(span_str(text), 0, &out, &whole), RC_OK);
	assert_true(span_eq(span_of(iobuf_data(&out), iobuf_len(&out)), span_str(want)));
	assert_false(whole);
	iobuf_reset(&out);
}

static void finds_texts_in_texts(void **state)
{
	assert_inner("PREPARE s FROM 'SELECT 1'", 0, "SELECT 1");
	assert_inner("prepare `s` from 'SELECT ''x''' \" y\"", 0, "SELECT 'x' y");
	assert_inner("PREPARE s FROM 'a\\nb\\\\c\\'d\\%'", 0, "a\nb\\c'd\\%");
	assert_inner("PREPARE s FROM 'a\\nb'", SQL_MODE_NO_BACKSLASH_ESCAPES, "a\\nb");
	assert_inner("PREPARE s FROM N'x'", 0, "x");
	assert_inner("EXECUTE IMMEDIATE 'SELECT 1' USING 2", 0, "SELECT 1");
	assert_inner("PREPARE s FROM ''", 0, "");
	assert_inner("PREPARE s FROM @x", 0, NULL);
	assert_inner("PREPARE s FROM @x;", 0, NULL);
	assert_inner("EXECUTE IMMEDIATE @x USING 1", 0, NULL);
	assert_begins("PREPARE s FROM CONCAT('a', 'b')", "");
	assert_begins("PREPARE s FROM @x || 'a'", "");
	assert_begins("EXECUTE IMMEDIATE _utf8mb4'REVOKE'", "");
	assert_begins("EXECUTE IMMEDIATE X'4445'", "");
	assert_begins("EXECUTE IMMEDIATE 0x4445", "");
	assert_begins("EXECUTE IMMEDIATE ?", "");
	assert_begins("EXECUTE IMMEDIATE v", "");
	assert_begins("SET STATEMENT max_statement_time=1 FOR EXECUTE IMMEDIATE 'a'", "");
	assert_begins("PREPARE s FROM 'DELETE FROM ' /*!99999 'ok' */ 'secret'", "DELETE FROM oksecret");
	assert_inner("SET STATEMENT max_statement_time=1 FOR SELECT 1", 0, NULL);
	assert_begins("EXECUTE IMMEDIATE 'REV' || 'OKE'", "REV");
	assert_begins("PREPARE s FROM 'a' COLLATE utf8mb4_bin", "a");
	assert_inner("EXECUTE s", 0, NULL);
	assert_inner("SELECT 'x'", 0, NULL);
	assert_begins("PREPARE s FROM 'x", "");
	assert_inner("", 0, NULL);
}

struct wanted { const char *one; unsigned found, all; };

static enum rc count_wanted(void *arg, struct span one)
{
	struct wanted *w = arg;

	w->all++;
	w->found += span_eq(one, span_str(w->one));
	return RC_OK;
}

static void assert_body_holds(const char *text, unsigned mode, const char *one)
{
	struct wanted w = {.one = one};

	assert_int_equal(sql_inner_statements(span_str(text), mode, count_wanted, &w), RC_OK);
	if (w.found != 1)
		fail_msg("%s: found %u times among %u", text, w.found, w.all);
}

static enum rc stop(void *arg, struct span one)
{
	return RC_AGAIN;
}

static void finds_the_statements_of_bodies(void **state)
{
	static const char *const bodies[] = {
		"BEGIN NOT ATOMIC SELECT v FROM t; END", "BEGIN NOT ATOMIC SET @a = 1; SELECT v FROM t; SET @b = 2; END", "x: BEGIN NOT ATOMIC SELECT v FROM t; END x",
		"IF 1 THEN SELECT v FROM t; END IF", "IF 0 THEN DO 1; ELSEIF 1 THEN SELECT v FROM t; END IF", "IF 0 THEN DO 1; ELSE SELECT v FROM t; END IF",
		"WHILE @a < 1 DO SELECT v FROM t; END WHILE", "LOOP SELECT v FROM t; END LOOP", "REPEAT SELECT v FROM t; UNTIL 1 END REPEAT",
		"CASE 1 WHEN 1 THEN SELECT v FROM t; END CASE", "FOR i IN 1..2 DO SELECT v FROM t; END FOR", "FOR r IN (SELECT v FROM t) DO DO 1; END FOR",
		"BEGIN NOT ATOMIC DECLARE c CURSOR FOR SELECT v FROM t; END", "IF (SELECT v FROM t) THEN DO 1; END IF", "IF EXISTS (SELECT v FROM t) THEN DO 1; END IF",
		"BEGIN NOT ATOMIC DECLARE x INT DEFAULT (1 + (SELECT v FROM t)); END", "IF 1 THEN BEGIN SELECT v FROM t; END; END IF",
		"BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR SQLSTATE '42S02', 1146 SELECT v FROM t; END", "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR stop SELECT v FROM t; END",
		"BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR NOT FOUND BEGIN SELECT v FROM t; END; END", "BEGIN NOT ATOMIC /* x */ SELECT v FROM t /* y */; END",
	};
	static char many[100000];
	struct wanted w = {.one = ""};

	for (size_t i = 0; i < countof(bodies); i++)
		if (!strstr(bodies[i], "/*"))
			assert_body_holds(bodies[i], 0, "SELECT v FROM t");
	assert_body_holds(bodies[countof(bodies) - 1], 0, "SELECT v FROM t /* y */");
	assert_body_holds("DECLARE CURSOR c IS SELECT v FROM t; x INT; BEGIN OPEN c; FETCH c INTO x; CLOSE c; END", SQL_MODE_ORACLE, "SELECT v FROM t");
	assert_body_holds("DECLARE CURSOR c(p INT) AS (SELECT v FROM t); BEGIN OPEN c(1); END", SQL_MODE_ORACLE, "SELECT v FROM t");
	assert_body_holds("BEGIN SELECT v FROM t; EXCEPTION WHEN OTHERS THEN DO 1; END", SQL_MODE_ORACLE, "SELECT v FROM t");
	assert_body_holds("BEGIN SELECT v FROM t; EXCEPTION WHEN OTHERS THEN DO 1; END", SQL_MODE_ORACLE, "DO 1");
	assert_int_equal(sql_inner_statements(span_str("SELECT 1"), 0, count_wanted, &w), RC_OK);
	assert_int_equal(w.all, 0);
	assert_int_equal(sql_inner_statements(span_str("IF (DO) THEN ; END IF; x: ;"), 0, count_wanted, &w), RC_OK);
	assert_int_equal(w.found, 0); /* nothing is no statement */
	w.all = 0;
	assert_int_equal(sql_inner_statements(span_str(bodies[0]), 0, stop, NULL), RC_AGAIN);
	assert_int_equal(sql_inner_statements(span_str("IF 1 THEN SELECT 'x"), 0, count_wanted, &w), RC_ERROR);
	/* not the square of its length */
	for (size_t i = 0; i + 6 < sizeof(many); i += 5)
		memcpy(many + i, "THEN ", 6);
	assert_int_equal(sql_inner_statements(span_str(many), 0, count_wanted, &w), RC_ERROR);
	for (size_t i = 0; i + 9 < sizeof(many); i += 8)
		memcpy(many + i, "(SELECT ", 9);
	assert_int_equal(sql_inner_statements(span_str(many), 0, count_wanted, &w), RC_ERROR);
	memset(many, '(', sizeof(many) - 1); /* nor of its parentheses */
	assert_int_equal(sql_inner_statements(span_str(many), 0, count_wanted, &w), RC_OK);
	assert_int_equal(sql_inner_statements(span_str("BEGIN NOT ATOMIC /*!99999 x := */ DELETE FROM t; END"), 0, count_wanted, &w), RC_ERROR);
}

static enum rc not_a_statement(void *arg, struct span one)
{
	unsigned *n = arg;

	*n += sql_inner_is_statement(one, 0);
	return RC_OK;
}

/* What only looks like one is none: neither a function's name nor a parenthesis, a condition or what has its statements besides. */
static void tells_statements_of_bodies_from_expressions(void **state)
{
	static const struct { const char *text; unsigned n; } bodies[] = {
		{"IF ((a = 1) AND (b = 2)) THEN SELECT 1; END IF", 1}, {"IF a THEN SELECT REPEAT('a', 3); END IF", 1},
		{"IF 1 THEN SELECT CASE WHEN a THEN REPLACE(a, 'b', 'c') ELSE (a + 1) END FROM t; END IF", 1},
		{"BEGIN NOT ATOMIC DECLARE EXIT HANDLER FOR NOT FOUND SET x = REPLACE(a, b, c); FETCH c INTO x; CLOSE c; END", 3},
		{"x: LOOP FETCH c INTO v; LEAVE x; END LOOP", 1}, {"IF 1 THEN BEGIN DELETE FROM t; END; END IF", 1},
		{"IF ((SELECT 1)) THEN DO 1; END IF", 3}, {"WHILE x < 1 DO WITH a AS (SELECT 1) SELECT 1 FROM a; END WHILE", 2},
	};

	for (size_t i = 0; i < countof(bodies); i++) {
		unsigned n = 0;

		assert_int_equal(sql_inner_statements(span_str(bodies[i].text), 0, not_a_statement, &n), RC_OK);
		if (n != bodies[i].n)
			fail_msg("%s: %u", bodies[i].text, n);
	}
	assert_true(sql_inner_is_statement(span_str("DELETE FROM t WHERE"), 0));
	assert_true(sql_inner_is_statement(span_str("(SELECT 1"), 0));
	assert_false(sql_inner_is_statement(span_str("ELSEIF a"), 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_leave_out_literals),
		cmocka_unit_test(digests_tell_apart_what_means_something_else),
		cmocka_unit_test(literals_have_their_own_hash),
		cmocka_unit_test(long_texts_hash_in_pieces),
		cmocka_unit_test(every_byte_of_a_long_text_counts),
		cmocka_unit_test(the_short_way_is_the_long_way),
		cmocka_unit_test(reads_hints),
		cmocka_unit_test(reads_tags),
		cmocka_unit_test(finds_the_body),
		cmocka_unit_test(canonical_text_folds_what_cannot_be_seen),
		cmocka_unit_test(canonical_text_keeps_columns_names),
		cmocka_unit_test(splits_statements),
		cmocka_unit_test(splits_what_is_in_executable_comments_and_blocks),
		cmocka_unit_test(splitting_takes_time_by_length),
		cmocka_unit_test(a_text_that_reads_two_ways_is_one_statement),
		cmocka_unit_test(finds_texts_in_texts),
		cmocka_unit_test(finds_the_statements_of_bodies),
		cmocka_unit_test(tells_statements_of_bodies_from_expressions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
