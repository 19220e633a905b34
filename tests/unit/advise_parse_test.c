/*
 * advise_parse_test.c - what the adviser makes of plans and conditions, without a server (S3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "advise_json.h"

/* "a= b~ c[] d^": equal, range, list, order. Static. */
static const char *as_text(const struct advise_columns *c)
{
	static const char *const mark[] = {
		[ADVISE_EQUALS] = "=", [ADVISE_IN] = "[]", [ADVISE_RANGE] = "~", [ADVISE_SORT] = "^",
		[ADVISE_HIDDEN] = "()", [ADVISE_PATTERN] = "%"};
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < c->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s", i ? " " : "", c->at[i].name,
					mark[c->at[i].use]);
	return text;
}

static const char *condition(const char *text, const char *table)
{
	struct advise_columns c = {0};

	advise_condition(span_str(text), span_str(table), &c);
	return as_text(&c);
}

static const char *sort(const char *text, const char *table)
{
	struct advise_columns c = {0};

	advise_sort(span_str(text), span_str(table), &c);
	return as_text(&c);
}

#define CONDITION(text, expected) assert_string_equal(condition(text, "o"), expected)

static void comparisons_with_values_name_their_column(void **state)
{
	CONDITION("o.a = 'x'", "a=");
	CONDITION("o.`a b` = 'x'", "a b=");
	CONDITION("(`shop`.`o`.`a` = 'x')", "a=");
	CONDITION("'x' = o.a", "a=");
	CONDITION("o.a <=> 3", "a=");
	CONDITION("o.a is null", "a=");
	CONDITION("o.a in ('x','y')", "a[]");
	CONDITION("o.a > 3", "a~");
	CONDITION("o.a > <cache>(current_timestamp() - interval 7 day)", "a~");
	CONDITION("year(o.a) = <cache>(2018 + 3)", "a()");
	CONDITION("year(o.a) = <cache>(i.b + 3)", "");
	CONDITION("cast(o.a as date) between <cache>('2020-01-01') and <cache>('2020-01-31')", "a()");
	CONDITION("cast(o.a as date) in ('2020-01-01','2020-02-01')", "a()");
	CONDITION("to_days(o.a) - <cache>(to_days('2020-01-10')) = 0", "a()");
	CONDITION("locate('x',o.a) + 1 > 1", "");
	CONDITION("year(o.a) - year(o.b) = 1", "");
	CONDITION("3 >= o.a", "a~");
	CONDITION("o.a between 3 and 5", "a~");
	CONDITION("o.a like 'x%'", "a~");
	CONDITION("o.a like _utf8mb4'x%'", "a~");
}

static void two_bounds_around_one_function_belong_together(void **state)
{
	static const struct {
		const char *condition;
		bool both;
	} rows[] = {{"cast(o.a as date) >= '2020-01-01' and o.b = 3 and cast(o.a as date) <= '2020-01-31'", true},
		    {"cast(o.a as date) < <cache>('2020-01-01' + interval 1 day) and cast(o.a as date) >= '2020-01-01'", true},
		    {"cast(o.a as date) >= '2020-01-01' and month(o.a) < 3", false},
		    {"cast(o.a as date) >= '2020-01-01' and cast(o.a as date) = '2020-01-31'", false},
		    {"cast(o.a as date) >= '2020-01-01' and cast(o.b as date) < '2020-01-31'", false}};

	for (size_t i = 0; i < countof(rows); i++) {
		struct advise_columns c = {0};

		advise_condition(span_str(rows[i].condition), span_str("o"), &c);
		assert_int_equal(c.at[0].both_bounds, rows[i].both);
		assert_int_equal(c.at[0].also.len != 0, rows[i].both);
	}
}

static void conjunctions_name_all_of_theirs(void **state)
{
	CONDITION("o.a = 1 and o.b = 2 and o.c > 3", "a= b= c~");
	CONDITION("((`shop`.`o`.`a` = 1) and (`shop`.`o`.`b` = 2))", "a= b=");
	CONDITION("o.a between 1 and 2 and o.b = 3", "a~ b=");
	CONDITION("o.a = 1 and (o.b = 2 or o.c = 3)", "a=");
	CONDITION("o.a = <cache>(convert(concat('a','b') using latin1)) and o.b = (subquery#2)", "a= b=");
	CONDITION("o.b = (subquery#2) and o.a = 1", "b= a=");
}

static size_t sides(const char *text, const char *first, const char *last)
{
	struct advise_columns side[ADVISE_MOST_SIDES];
	size_t n = advise_either(span_str(text), span_str("o"), side);

	if (n) {
		assert_string_equal(as_text(&side[0]), first);
		assert_string_equal(as_text(&side[n - 1]), last);
	}
	return n;
}

static void an_or_names_what_each_side_compares(void **state)
{
	assert_int_equal(sides("o.a = 1 or o.b = 2", "a=", "b="), 2);
	assert_int_equal(sides("o.c = 5 and (o.a = 1 and o.d > 3 or o.b between 1 and 2 or o.b = 7)", "a= d~", "b="), 3);
	assert_int_equal(sides("((`s`.`o`.`a` = 1) or (`s`.`o`.`b` = 2))", "a=", "b="), 2);
	assert_int_equal(sides("o.a = 1 || o.b = 2", "a=", "b="), 2);
	assert_int_equal(sides("o.a = 1 or i.b = 2", "", ""), 0); /* a side of another table */
	assert_int_equal(sides("o.a = 1 or o.b = 2 xor o.c = 3", "", ""), 0);
	assert_int_equal(sides("o.a = 1 and o.b = 2", "", ""), 0);
	assert_int_equal(sides("o.a = 1 or o.b = 2 or o.c = 3 or o.d = 4 or o.e = 5", "", ""), 0); /* too many */
	assert_int_equal(sides("o.a = 1 or", "", ""), 0);
}

static void read_of(const char *sql, const char *expected)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(advise_read(span_str(sql), &b), expected ? RC_OK : RC_DECLINED);
	if (expected) {
		assert_int_equal(iobuf_len(&b), strlen(expected));
		assert_memory_equal(iobuf_data(&b), expected, strlen(expected));
	}
	iobuf_reset(&b);
}

static void a_write_is_read_for_its_rows(void **state)
{
	read_of("SELECT 1", "SELECT 1");
	read_of("SELECT a FROM t WHERE b = 2 FOR UPDATE SKIP LOCKED", "SELECT a FROM t WHERE b = 2 ");
	read_of("SELECT a FROM t WHERE b = 2 lock in share mode", "SELECT a FROM t WHERE b = 2 ");
	read_of("SELECT a FROM (SELECT 1 FROM u FOR UPDATE) t", "SELECT a FROM (SELECT 1 FROM u FOR UPDATE) t");
	read_of("UPDATE t SET a = 1 WHERE b = 2", "SELECT * FROM  t  WHERE b = 2");
	read_of("update low_priority ignore t x set a = (select 1 from u where v = 1) where b = 2 order by c limit 3",
		"SELECT * FROM  t x  where b = 2 order by c limit 3");
	read_of("UPDATE t JOIN u USING (id) SET t.a = 1 WHERE u.b = 2", "SELECT * FROM  t JOIN u USING (id)  WHERE u.b = 2");
	read_of("DELETE QUICK FROM t WHERE b = 2", "SELECT * FROM  t  WHERE b = 2");
	read_of("DELETE FROM t WHERE b = 2 RETURNING id", "SELECT * FROM  t  WHERE b = 2 ");
	read_of("DELETE t FROM t JOIN u USING (id) WHERE b = 2", "SELECT * FROM  t JOIN u USING (id)  WHERE b = 2");
	read_of("DELETE FROM t USING t JOIN u ON t.a = u.a WHERE b = 2", "SELECT * FROM  t JOIN u ON t.a = u.a  WHERE b = 2");
	read_of("UPDATE t SET a = 1", NULL);
	read_of("DELETE FROM t", NULL);
	read_of("UPDATE WHERE", NULL);
}

static void joins_name_the_side_that_is_looked_up(void **state)
{
	CONDITION("o.a = i.b", "a=");
	CONDITION("i.b = o.a", "a=");
	CONDITION("trigcond(o.a = 7 and o.b > 3)", "a= b~");
	CONDITION("<if>(is_not_null_compl(o), (`shop`.`o`.`a` = `shop`.`i`.`b`), true)", "a=");
	CONDITION("i.a = 7", "");
}

/* That an outer join has no partner is known when it has been looked for; ON's own IS NULL stands beside what joins. */
static void what_asks_for_no_partner_names_nothing(void **state)
{
	CONDITION("trigcond(o.`id` is null) and trigcond(o.a = i.b)", "a=");
	CONDITION("trigcond(o.`id` is null and (o.c is null)) and trigcond(o.a = i.b)", "a=");
	CONDITION("trigcond(trigcond(o.`id` is null)) and trigcond(trigcond(o.a = i.b))", "a=");
	CONDITION("trigcond(o.a is null) and trigcond(o.a = i.b)", "a=");
	CONDITION("trigcond(o.a = i.b and o.c is null)", "a= c=");
	CONDITION("trigcond(o.a = 5) and o.c is null", "a= c=");
	CONDITION("<if>(found_match(o), (`shop`.`o`.`id` is null), true) and <if>(is_not_null_compl(o), ((`shop`.`o`.`c` is null) and (`shop`.`o`.`a` = `shop`.`i`.`b`)), true)",
		  "c= a=");
	CONDITION("trigcond(o.a is not null)", "");
	CONDITION("trigcond()", "");
}

/* What it equals says more of a column than that it is NULL. */
static void a_column_that_equals_something_is_not_just_null(void **state)
{
	struct advise_columns c = {0};

	advise_condition(span_str("o.a is null and o.b = 1 and o.a = i.b"), span_str("o"), &c);
	assert_string_equal(as_text(&c), "a= b=");
	assert_false(c.at[0].is_null);
	assert_string_equal(c.at[0].other, "b");
	c = (struct advise_columns){0};
	advise_condition(span_str("o.a = i.b and o.a is null and o.c is null"), span_str("o"), &c);
	assert_string_equal(as_text(&c), "a= c=");
	assert_false(c.at[0].is_null);
	assert_true(c.at[1].is_null);
}

static void what_no_index_serves_names_nothing(void **state)
{
	CONDITION("o.a = 1 or o.b = 2", "");
	CONDITION("o.a = o.b", "");
	CONDITION("o.a = o.b + 1", "");
	CONDITION("o.a <> 3", "");
	CONDITION("o.a is not null", "");
	CONDITION("o.a not in (1,2)", "");
	CONDITION("o.a like concat('x','%')", "");
	CONDITION("not(o.a = 1)", "");
	CONDITION("cast(o.a as date) not in ('2020-01-01')", "");
	CONDITION("locate('x',o.a) > 0", ""); /* somewhere inside: there is nothing to compare the bare column with */
	CONDITION("field(o.a,'x','y') = 2", "");
	CONDITION("o.a = <expr_cache><o.b>((subquery#2))", "");
}

static void what_hides_a_column_names_it_apart(void **state)
{
	CONDITION("lcase(o.a) = 'x'", "a()");
	CONDITION("(cast(`shop`.`o`.`a` as date) = '2016-02-03')", "a()");
	CONDITION("cast(o.a as char charset binary) = 'x'", "a()");
	CONDITION("o.a + 1 = 5", "a()");
	CONDITION("year(o.a) > 5 and o.b = 3", "a() b=");
	CONDITION("o.a like '%x'", "a%");
	CONDITION("o.a like <cache>(cast('%x%' as char charset binary))", "a%");
	CONDITION("o.a like <cache>(concat(_utf8mb4'%','x','%'))", "a%");
	CONDITION("o.a like <cache>(cast('x%' as char charset binary))", "a()");
	CONDITION("o.a like <cache>(concat('x','%'))", "");
	CONDITION("lcase(o.a) = i.b", "");
	CONDITION("lcase(i.a) = 'x'", "");
	CONDITION("concat(o.a,o.b) = 'x'", "");
	CONDITION("lcase(o.a) = 'x' or o.b = 1", "");
}

static void odd_conditions_do_no_harm(void **state)
{
	static const char *const odd[] = {"",
					  "(",
					  ")",
					  "((((",
					  "o",
					  "o.",
					  "o.a",
					  "o.a =",
					  "= o.a",
					  "and",
					  "o.a = 1 and",
					  "<if>(",
					  "<if>(a",
					  "<if>(a,",
					  "<if>()",
					  "trigcond(",
					  "o.a = 'x",
					  "o.a between",
					  "o.a in",
					  "o.a is",
					  "`",
					  "o.`a",
					  "between and between"};
	char deep[4096];

	for (size_t i = 0; i < countof(odd); i++)
		(void)condition(odd[i], "o");
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	CONDITION(deep, "");
}

static void orders_of_one_direction_are_an_index_order(void **state)
{
	assert_string_equal(sort("o.a", "o"), "a^");
	assert_string_equal(sort("o.a desc, o.`b` desc", "o"), "a^ b^");
	assert_string_equal(sort(" created LIMIT", "o"), "");
	assert_string_equal(sort("a asc, b", "o"), "a^ b^");
	assert_string_equal(sort("o.a desc, o.b", "o"), "");
	assert_string_equal(sort("o.a, i.b", "o"), "");
	assert_string_equal(sort("count(0)", "o"), "");
}

/* The last letters say use and whether the table has it: "a=+". */
static const char *choose(const char *const found[])
{
	struct advise_columns c = {0};
	static struct advise_columns index;

	for (; found[c.n]; c.n++) {
		const char *f = found[c.n];

		c.at[c.n].name[0] = f[0];
		c.at[c.n].use = f[1] == '=' ? ADVISE_EQUALS
			      : f[1] == '~' ? ADVISE_RANGE
			      : f[1] == '[' ? ADVISE_IN
					    : ADVISE_SORT;
		c.at[c.n].exists = f[2] != '-';
		c.at[c.n].prefix = f[2] == 'p' ? 100 : 0;
	}
	advise_choose(&c, &index);
	return as_text(&index);
}

#define CHOOSE(expected, ...) assert_string_equal(choose((const char *const[]){__VA_ARGS__, NULL}), expected)

static void equalities_come_first_then_one_range_or_the_order(void **state)
{
	CHOOSE("a= b= c~", "a=", "c~", "b=", "d~");
	CHOOSE("a= c^ d^", "a=", "c^", "d^");
	CHOOSE("a= b~", "a=", "c^", "b~");
	CHOOSE("a= b[]", "b[", "a=", "c^");
	CHOOSE("a=", "a=", "a~", "a^");
	CHOOSE("a= b= c= d=", "a=", "b=", "c=", "d=", "e=");
	CHOOSE("b=", "a=-", "b=");
	CHOOSE("a=", "a=p", "b=", "c~");
	CHOOSE("", "a=-");
	CHOOSE("", "a^-"); /* an alias: no index gives that order, */
	CHOOSE("", "a^", "b^-");
	CHOOSE("", "a^p"); /* nor does one on a beginning */
	CHOOSE("a=", "a=", "b^", "c^p");
}

static void conditions_are_put_as_a_statement_may_have_them(void **state)
{
	static const struct {
		const char *condition, *put; /* NULL: it cannot be tried on the table alone */
	} rows[] = {
		{"o.a = 1 and o.`b` like '%x%'", " `a` = 1 and `b` like '%x%'"},
		{"(cast(`shop`.`o`.`a` as date) >= <cache>(cast('2020-01-01' as date)))", "(cast( `a` as date) >=(cast('2020-01-01' as date)))"},
		{"o.a < 3 and o.b > (5)", " `a` < 3 and `b` > (5)"},
		{"o.a = i.b", NULL},
		{"o.a = (subquery#2)", NULL},
		{"<in_optimizer>(o.a, 1)", NULL},
		{"o.a = @x", NULL},
		{"o.a = ?", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct advise_columns named = {0};
		struct iobuf out;

		iobuf_init(&out, 0);
		assert_int_equal(advise_put_condition(span_str(rows[i].condition), span_str("o"), &out, &named), rows[i].put ? RC_OK : RC_DECLINED);
		if (rows[i].put) {
			assert_int_equal(iobuf_append(&out, "", 1), RC_OK);
			assert_string_equal(iobuf_data(&out), rows[i].put);
			assert_in_range(named.n, 1, 2);
		}
		iobuf_reset(&out);
	}
}

/* Two tables have the column: the one that is read whole is meant. */
static void the_column_of_that_table_is_mended(void **state)
{
	static const char text[] = "SELECT a.id FROM p a JOIN p b ON b.id = a.id WHERE DATE(a.d) = '2020-01-01' AND DATE(b.d) = '2020-01-02'";
	struct advise_column of = {.name = "d", .use = ADVISE_HIDDEN, .function = span_str("cast")};
	struct iobuf words, sql;

	iobuf_init(&words, 0);
	iobuf_init(&sql, 0);
	assert_int_equal(advise_hidden_fix(span_str(text), &of, "b", "d", &words, &sql), RC_OK);
	assert_int_equal(iobuf_append(&sql, "", 1), RC_OK);
	assert_string_equal(iobuf_data(&sql), "select a.id from p a join p b on b.id = a.id where date(a.d) = ? and (b.d >= ? and b.d < ? + interval 1 day)");
	iobuf_reset(&words);
	iobuf_reset(&sql);
}

/* '9' stands behind '10': as strings other rows are in the range. */
static void a_range_of_numbers_is_not_said_to_be_one_of_strings(void **state)
{
	static const struct {
		enum advise_use use;
		const char *said, *not_said;
	} rows[] = {{ADVISE_RANGE, "a type of numbers", "Send the value as a string"}, {ADVISE_EQUALS, "Send the value as a string", "a type of numbers"}};

	for (size_t i = 0; i < countof(rows); i++) {
		struct advise_column of = {.name = "code", .use = rows[i].use, .is_text = true, .test = span_str("> 10")};
		struct iobuf words, sql;

		iobuf_init(&words, 0);
		iobuf_init(&sql, 0);
		assert_int_equal(advise_hidden_fix(span_str("SELECT id FROM t WHERE code > 10"), &of, "t", "code", &words, &sql), RC_OK);
		assert_int_equal(iobuf_append(&words, "", 1), RC_OK);
		assert_non_null(strstr((const char *)iobuf_data(&words), rows[i].said));
		assert_null(strstr((const char *)iobuf_data(&words), rows[i].not_said));
		assert_int_equal(iobuf_len(&sql), 0);
		iobuf_reset(&words);
		iobuf_reset(&sql);
	}
}

/* A range for what rounds, LIKE beside what cuts; of a text nobody knows how it is written. */
static void what_rounds_or_cuts_is_mended(void **state)
{
	static const struct {
		const char *condition, *term, *mended; /* term: as a plan has it */
		bool text;
	} rows[] = {
		{"CAST(d AS DATE) = '2020-01-01'", "cast(t.d as date) = '2020-01-01'", "(d >= ? and d < ? + interval 1 day)", false},
		{"CAST(t.d AS DATE) BETWEEN '2020-01-01' AND CURDATE()", "cast()", "(t.d >= ? and t.d < curdate() + interval 1 day)", false},
		{"DATE(d) = CURDATE()", "cast()", "(d >= curdate() and d < curdate() + interval 1 day)", false},
		{"DATE(d) = CURDATE()", "date()", "(d >= curdate() and d < curdate() + interval 1 day)", false},
		{"DATE(d) = CURRENT_DATE AND a = 1", "cast()", "(d >= current_date and d < current_date + interval 1 day) and a = ?", false},
		{"DATE(d) >= CURRENT_DATE() - INTERVAL 7 DAY", "cast()", "d >= current_date() - interval ? DAY", false},
		{"DATE(d) = CURDATE() - INTERVAL 1 DAY", "cast()", "(d >= curdate() - interval ? DAY and d < curdate() - interval ? DAY + interval 1 day)", false},
		{"DATE(d) > DATE_SUB(CURDATE(), INTERVAL 1 MONTH)", "cast()", "d >= date_sub(curdate(), interval ? MONTH) + interval 1 day", false},
		{"DATE(d) < DATE(NOW() - INTERVAL 36 HOUR) LIMIT 5", "cast()", "d < date(now() - interval ? HOUR) limit ?", false},
		{"YEAR(d) BETWEEN 2019 AND 2020", "year()", "(d >= makedate(?, 1) and d < makedate(? + 1, 1))", false},
		{"MONTH(d) = 3 AND YEAR(d) = 2020", "year()", "month(d) = ? and (d >= makedate(?, 1) and d < makedate(? + 1, 1))", false},
		{"MONTH(d) = 3 AND YEAR(d) = 2020", "month()+", "(d >= interval ? - 1 month + makedate(?, 1) and d < interval ? month + makedate(?, 1))", false},
		{"a = 1 AND YEAR(t.d) = 2020 AND MONTH(t.d) = 3 AND DAY(t.d) = 7", "year()+",
		 "a = ? and (t.d >= makedate(?, 1) + interval ? - 1 month and t.d < makedate(?, 1) + interval ? month) and day(t.d) = ?", false},
		{"YEAR(d) = 2020 AND a = 1 AND MONTH(d) = 3", "year()+", NULL, false},
		{"YEAR(d) = 2020 OR MONTH(d) = 3", "year()+", NULL, false},
		{"YEAR(d) = 2020 AND YEAR(d) = 2021", "year()+", NULL, false},
		{"YEAR(d) = 2020 AND MONTH(d) > 3", "year()+", NULL, false},
		{"YEAR(d) = 2020 AND MONTH(d) = 3", "year()+", NULL, true},
		{"LEFT(d, 3) = 'abc'", "left(`shop`.`t`.`d`,3) = 'abc'", "(left(d, ?) = ? and d like concat(?, '%'))", true},
		{"LEFT(t.d, 3) = 'abc' OR a = 1", "left(t.d,3) = _utf8mb4'abc'", "(left(t.d, ?) = ? and t.d like concat(?, '%')) or a = ?", true},
		{"LOWER(d) = 'a'", "lcase()", "d = ?", true},
		{"LCASE(d) = 'a'", "lower()", "d = ?", true},
		{"MONTH(d) = 3 AND YEAR(d) = 2020", "month()", NULL, false}, /* how many rows the year has was not looked at */
		{"DATE(d) = CURDATE() - INTERVAL 1 HOUR", "cast()", NULL, false},
		{"DATE(d) = NOW()", "cast()", NULL, false}, /* a day begins at midnight */
		{"DATE(d) >= '2020-01-01 14:33:12'", "cast(t.d as date) >= '2020-01-01 14:33:12'", NULL, false}, /* the first of January is none of these */
		{"DATE(d) = '2020-01-01T00:00:01'", "cast(t.d as date) = TIMESTAMP'2020-01-01 00:00:01'", NULL, false},
		{"DATE(d) < 20200101000100", "cast(t.d as date) < 20200101000100", NULL, false},
		{"DATE(d) >= '2020-01-01 14'", "cast(t.d as date) >= '2020-01-01 14'", NULL, false},
		{"DATE(d) >= '20200101143000'", "cast(t.d as date) >= '20200101143000'", NULL, false},
		{"DATE(d) >= '2020-1-1 1:00:00'", "cast(t.d as date) >= '2020-1-1 1:00:00'", NULL, false},
		{"DATE(d) >= '2020-01-01'", "cast(t.d as date) >= '2020-01-01'", "d >= ?", false},
		{"DATE(d) >= '2020-01-01 00:00:00'", "cast(t.d as date) >= '2020-01-01 00:00:00'", "d >= ?", false},
		{"DATE(d) >= '2020-01-01' AND a = 1 AND DATE(d) <= '2020-01-31'", "cast(t.d as date) >= '2020-01-01'&", "d >= ? and a = ? and d < ? + interval 1 day", false},
		{"DATE(d) < '2020-01-01' + INTERVAL 1 MONTH AND DATE(t.d) >= '2020-01-01' LIMIT 3", "cast()&", "d < ? + interval ? MONTH and t.d >= ? limit ?", false},
		{"YEAR(d) > 2018 AND YEAR(d) <= 2020", "year()&", "d >= makedate(? + 1, 1) and d < makedate(? + 1, 1)", false},
		{"DATE(d) >= '2020-01-01' AND DATE(d) < NOW()", "cast()&", NULL, false}, /* one of both alone may leave nearly all rows */
		{"DATE(d) >= 20200101", "cast(t.d as date) >= 20200101", "d >= ?", false},
		{"DATE(d) = DATE('2020-01-01 14:33:12')", "cast(t.d as date) = <cache>(cast('2020-01-01 14:33:12' as date))",
		 "(d >= date(?) and d < date(?) + interval 1 day)", false},
		{"DATE(d) = DATE(a)", "cast()", NULL, false},
		{"DATE(d) = CURDATE() - INTERVAL a DAY", "cast()", NULL, false},
		{"DATE(d) = CURDATE() - 7", "cast()", NULL, false}, /* a number */
		{"DATE(d) = DATE_SUB(CURDATE(), INTERVAL 1 MINUTE)", "cast()", NULL, false},
		{"YEAR(d) = CURDATE()", "year()", NULL, false},
		{"LOWER(d) = CURDATE()", "lcase()", NULL, true},
		{"CAST(d AS DATETIME) = '2020-01-01'", "cast()", NULL, false},
		{"CAST(d AS CHAR(3)) = 'abc'", "cast()", NULL, true},
		{"DATE(d) = '2020-01-01'", "cast()", NULL, true},
		{"CAST(d AS DATE) = '2020-01-01'", "cast()", NULL, true},
		{"LEFT(d, 3) = 'a_c'", "left(t.d,3) = 'a_c'", NULL, true},
		{"LEFT(d, 3) = 'ab '", "left(t.d,3) = 'ab '", NULL, true},
		{"LEFT(d, 3) = 'a\\\\c'", "left(t.d,3) = 'a\\\\c'", NULL, true},
		{"LEFT(d, 3) = ''", "left(t.d,3) = ''", NULL, true},
		{"LEFT(d, 3) >= 'abc'", "left(t.d,3) >= 'abc'", NULL, true},
		{"LEFT(d, 3) = 202", "left(t.d,3) = 202", NULL, true},
		{"LEFT(d, 3) = 'abc'", "left(t.d,3) = 'abc'", NULL, false},
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct advise_column of = {.name = "d", .use = ADVISE_HIDDEN, .is_text = rows[i].text, .folds_case = rows[i].text, .term = span_str(rows[i].term),
					   .function = span_of(rows[i].term, strcspn(rows[i].term, "(")),
					   .also = span_str(strchr(rows[i].term, '+') ? "month(t.d) = 3" : strchr(rows[i].term, '&') ? "cast(t.d as date) <= '2020-01-31'" : ""),
					   .both_bounds = strchr(rows[i].term, '&') != NULL};
		char text[256], expected[256] = "";
		struct iobuf sql;

		iobuf_init(&sql, 0);
		snprintf(text, sizeof(text), "SELECT a FROM t WHERE %s", rows[i].condition);
		if (rows[i].mended)
			snprintf(expected, sizeof(expected), "select a from t where %s", rows[i].mended);
		assert_int_equal(advise_mend(span_str(text), &of, "t", &sql), RC_OK);
		assert_int_equal(iobuf_append(&sql, "", 1), RC_OK);
		assert_string_equal(iobuf_data(&sql), expected);
		iobuf_reset(&sql);
	}
}

#define OUTER(what) "{\"query_block\": {\"nested_loop\": [{\"table\": {\"table_name\": \"u\", \"access_type\": \"ref\", \"rows\": 10}}" what
#define INNER "{\"query_block\": {\"select_id\": 2, \"nested_loop\": [{\"table\": {\"table_name\": \"e\", \"access_type\": \"ALL\", \"rows\": 60000}}]}}"
#define JOINED "{\"query_block\": {\"nested_loop\": [{\"table\": {\"table_name\": \"e\", \"access_type\": \"ALL\", \"rows\": 60000}}, " \
	       "{\"table\": {\"table_name\": \"k\", \"access_type\": \"eq_ref\", \"rows\": 1}}]}}"
#define GROUPED "{\"query_block\": {\"having_condition\": \"count(0) > 3\", \"nested_loop\": [{\"table\": {\"table_name\": \"e\", \"access_type\": \"ALL\", \"rows\": 60000}}]}}"

#define MYSQL(name, access, inner) "{\"query_block\": {\"nested_loop\": [{\"table\": {\"table_name\": \"u\", \"access_type\": \"ref\", \"rows_examined_per_scan\": 10}}, " \
	"{\"table\": {\"table_name\": \"" name "\", \"access_type\": \"" access "\", \"rows_examined_per_scan\": 1, \"materialized_from_subquery\": " inner "}}]}}"
#define MYSQL_INNER "{\"query_block\": {\"table\": {\"table_name\": \"e\", \"access_type\": \"ALL\", \"rows_examined_per_scan\": 60000}}}"

static void subqueries_worked_out_whole_are_seen(void **state)
{
	static const struct {
		const char *plan;
		double lookups;
	} rows[] = {
		{OUTER("], \"subqueries\": [{\"materialization\": " INNER "}]}}"), 10},
		{OUTER(", {\"table\": {\"table_name\": \"t\", \"access_type\": \"ref\", \"rows\": 3}}], \"subqueries\": [{\"materialization\": " INNER "}]}}"), 30},
		{OUTER(", {\"table\": {\"table_name\": \"<subquery2>\", \"access_type\": \"eq_ref\", \"rows\": 1, \"materialized\": " INNER "}}]}}"), 10},
		{OUTER(", {\"table\": {\"table_name\": \"<subquery2>\", \"access_type\": \"ALL\", \"rows\": 7, \"materialized\": " INNER "}}]}}"), 0}, /* read, not looked into */
		{OUTER("], \"subqueries\": [{\"materialization\": " JOINED "}]}}"), 0},
		{OUTER("], \"subqueries\": [{\"materialization\": " GROUPED "}]}}"), 0},
		{OUTER("], \"subqueries\": [" INNER "]}}"), 0}, /* worked out for each row */
		{"{\"query_block\": {\"filesort\": {\"temporary_table\": {\"nested_loop\": [{\"table\": {\"table_name\": \"u\", \"rows\": 20}}], \"subqueries\": [{\"materialization\": "
		 "{\"query_block\": {\"table\": {\"table_name\": \"e\", \"access_type\": \"ALL\", \"rows\": 60000}}}}]}}}}", 20},
		{"{\"query_block\": {\"table\": {\"table_name\": \"e\", \"access_type\": \"ALL\", \"rows\": 60000}}}", 0},
		/* MySQL's: semi-joins and their opposites beside the table, what is computed at the table */
		{MYSQL("<subquery2>", "eq_ref", MYSQL_INNER), 10},
		{MYSQL("<subquery2>", "ALL", MYSQL_INNER), 0},
		{MYSQL("d", "eq_ref", MYSQL_INNER), 0}, /* a derived table */
		{MYSQL("<subquery2>", "eq_ref", "{\"query_block\": {\"grouping_operation\": {\"table\": {\"table_name\": \"e\", \"access_type\": \"ALL\", \"rows_examined_per_scan\": 60000}}}}"), 0},
		{"{\"query_block\": {\"ordering_operation\": {\"table\": {\"table_name\": \"u\", \"access_type\": \"ref\", \"rows_examined_per_scan\": 20, \"attached_subqueries\": "
		 "[{\"table\": {\"table_name\": \"<materialized_subquery>\", \"access_type\": \"eq_ref\", \"rows_examined_per_scan\": 1, \"materialized_from_subquery\": " MYSQL_INNER "}}]}}}}", 20},
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct advise_scan scans[ADVISE_MOST_SCANS];
		json_t *plan = json_loads(rows[i].plan, 0, NULL);

		assert_non_null(plan);
		assert_true(advise_plan_scans(plan, scans) >= 1);
		assert_string_equal(scans[0].table, "e");
		assert_true(advise_plan_lookups(plan, scans[0].table) == rows[i].lookups);
		json_decref(plan);
	}
}

static void what_a_subquery_selects_is_found(void **state)
{
	static const struct {
		const char *text, *column, *other;
	} rows[] = {
		{"select 1 from u where u.id not in (select e.uid from ev e where e.kind = 3)", "uid", "id"},
		{"select 1 from u where u.id in (select distinct `e`.`uid` from `s`.`ev` as `e`)", "uid", "id"},
		{"select 1 from u where id in (select uid from e)", "uid", "id"},
		{"select 1 from u where id in (select uid from ev e)", NULL, NULL}, /* another may be meant */
		{"select 1 from u where id in (select f.uid from f)", NULL, NULL},
		{"select 1 from u where id in (select e.uid + 1 from e)", NULL, NULL},
		{"select 1 from u where id in (select max(e.uid) from e)", NULL, NULL},
		{"select 1 from u where (id, kind) in (select e.uid, e.kind from e)", NULL, NULL},
		{"select 1 from u where id in (1, 2) and e.uid = 3", NULL, NULL},
		{"select 1 from u where id in (select", NULL, NULL},
		{"select 1 from u where id not in (select e.uid from", NULL, NULL},
	};

	for (size_t i = 0; i < countof(rows); i++) {
		struct advise_columns found = {0};

		advise_selected(span_str(rows[i].text), span_str("e"), &found);
		assert_int_equal(found.n, rows[i].column ? 1 : 0);
		if (rows[i].column) {
			assert_string_equal(found.at[0].name, rows[i].column);
			assert_string_equal(found.at[0].other, rows[i].other);
		}
	}
}

static void temporary_tables_and_sorts_are_seen(void **state)
{
	static const struct {
		const char *plan;
		bool temporary, filesort;
	} rows[] = {
		{"{\"query_block\": {\"filesort\": {\"sort_key\": \"x\", \"temporary_table\": {\"nested_loop\": [{\"table\": {\"rows\": 3}}]}}}}", true, true},
		{"{\"query_block\": {\"temporary_table\": {\"table\": {\"rows\": 3}}}}", true, false},
		{"{\"query_block\": {\"nested_loop\": [{\"read_sorted_file\": {\"filesort\": {\"sort_key\": \"x\"}}}]}}", false, true},
		{"{\"query_block\": {\"table\": {\"table_name\": \"filesort\", \"rows\": 3}}}", false, false},
		{"{\"query_block\": {\"grouping_operation\": {\"using_temporary_table\": true, \"using_filesort\": false}}}", true, false},
		{"{\"query_block\": {\"ordering_operation\": {\"using_filesort\": true, \"table\": {}}}}", false, true},
		{"{\"query_block\": {\"table\": {\"materialized_from_subquery\": {\"using_temporary_table\": true, \"query_block\": {\"select_id\": 2}}}}}", false, false},
		{"{\"query_block\": {\"table\": {\"materialized_from_subquery\": {\"query_block\": {\"duplicates_removal\": {\"using_temporary_table\": true}}}}}}", true, false},
	};

	for (unsigned i = 0; i < countof(rows); i++) {
		json_t *j = json_loads(rows[i].plan, 0, NULL);
		struct advise_work work;

		assert_non_null(j);
		work = advise_plan_work(j);
		assert_true(work.temporary == rows[i].temporary && work.filesort == rows[i].filesort);
		json_decref(j);
	}
}

static void plans_of_both_servers_are_read(void **state)
{
	static const char maria[] = "{\"query_block\": {\"select_id\": 1, \"nested_loop\": [{\"read_sorted_file\": "
				    "{\"filesort\": {\"sort_key\": "
				    "\"o.c\", \"table\": {\"table_name\": \"o\", \"access_type\": \"ALL\", \"rows\": "
				    "5000, \"attached_condition\": "
				    "\"o.a = 1\"}}}}, {\"block-nl-join\": {\"table\": {\"table_name\": \"i\", "
				    "\"access_type\": \"ALL\", \"rows\": "
				    "9000}, \"attached_condition\": \"i.b = o.a\"}}, {\"table\": {\"table_name\": "
				    "\"<derived2>\", \"access_type\": "
				    "\"ALL\", \"rows\": 3}}, {\"table\": {\"table_name\": \"k\", \"access_type\": "
				    "\"eq_ref\", \"rows\": 1}}]}}";
	static const char mysql[] =
		"{\"query_block\": {\"select_id\": 1, \"cost_info\": {\"query_cost\": \"1.0\"}, "
		"\"ordering_operation\": "
		"{\"using_filesort\": true, \"table\": {\"table_name\": \"o\", \"access_type\": \"ALL\", "
		"\"rows_examined_per_scan\": 77, \"rows_produced_per_join\": 7, \"used_columns\": [\"a\"], "
		"\"attached_condition\": \"(`shop`.`o`.`a` = 1)\"}}}}";
	struct advise_scan s[ADVISE_MOST_SCANS];
	json_t *j = json_loads(maria, 0, NULL);

	assert_non_null(j);
	assert_int_equal(advise_plan_scans(j, s), 2);
	assert_string_equal(s[0].table, "i");
	assert_int_equal(s[0].rows, 9000);
	assert_null(s[0].condition);
	assert_string_equal(s[0].joined, "i.b = o.a");
	assert_string_equal(s[1].table, "o");
	assert_string_equal(s[1].condition, "o.a = 1");
	assert_string_equal(s[1].sort, "o.c");
	json_decref(j);
	j = json_loads(mysql, 0, NULL);
	assert_non_null(j);
	assert_int_equal(advise_plan_scans(j, s), 1);
	assert_int_equal(s[0].rows, 77);
	assert_string_equal(s[0].condition, "(`shop`.`o`.`a` = 1)");
	json_decref(j);
}

static void inside(const char *condition, const char *expected)
{
	struct advise_json j;
	char found[ADVISE_NAME + ADVISE_JSON_PATH + 2] = "";

	if (advise_json_find(span_str(condition), span_str("t"), &j))
		(void)snprintf(found, sizeof(found), "%s %s", j.column, j.path);
	assert_string_equal(found, expected);
}

static void values_inside_documents_are_found(void **state)
{
	inside("json_value(t.doc,'$.a.b') = 'x'", "doc $.a.b");
	inside("t.kind = 2 and (json_unquote(json_extract(t.doc,'$.a')) in ('x','y'))", "doc $.a");
	inside("((`s`.`t`.`kind` = 2) and (json_unquote(json_extract(`s`.`t`.`doc`,_utf8mb4'$.a[0].b')) between 'x' and 'y'))", "doc $.a[0].b");
	inside("(json_value(`s`.`t`.`doc`, '$.a' returning char(512)) = '5')", "doc $.a");
	inside("json_extract(t.doc,'$.a') = 5", "doc $.a");
	inside("json_value(t.doc,'$.a') > 'x' and json_value(t.doc,'$.b') = 1", "doc $.a");
	inside("json_extract(t.doc,'$.a') > 'x'", ""); /* JSON's order */
	inside("json_value(t.doc,'$.a') > 5", "");
	inside("json_value(t.doc,'$.a') = 5.5", "");
	inside("json_value(u.doc,'$.a') = 'x'", "");
	inside("json_value(t.doc,'$.*') = 'x'", "");
	inside("json_value(t.doc,'$[0]') = 'x'", "");
	inside("json_value(t.doc,'$.\"a b\"') = 'x'", "");
	inside("json_value(t.doc,t.path) = 'x'", "");
	inside("json_value(t.doc,'$.a') like '%x'", "");
	inside("json_value(t.doc,'$.a') = concat('x',t.id)", "");
	inside("json_value(`t`.`doc`, '$.a' returning signed) = '5'", "");
	inside("lcase(json_value(t.doc,'$.a')) = 'x'", "");
	inside("json_value(t.doc,'$.a') = 'x' or t.id = 1", "");
	inside("json_value(t.doc,'$.a') = 'x' <> 0", "");
	inside("json_value(t.doc,'$.a'", "");
	inside("json_unquote(json_value(t.doc,'$.a')) = 'x'", "");
}

static void named(const char *sent, enum advise_json_form form, bool number, const char *expected)
{
	struct advise_json j = {.column = "doc", .path = "$.a", .name = "doc_a", .collation = "utf8mb4_bin", .form = form, .number = number};
	struct advise_table t = {.schema = "shop", .name = "t"};
	struct iobuf words, sql, statement;

	iobuf_init(&words, 0);
	iobuf_init(&sql, 0);
	iobuf_init(&statement, 0);
	if (advise_json_place(span_str(sent), &j) == RC_OK)
		assert_int_equal(advise_json_fix(span_str(sent), &t, &j, &words, &sql, &statement), RC_OK);
	assert_int_equal(iobuf_len(&statement), strlen(expected));
	assert_memory_equal(iobuf_data(&statement), expected, strlen(expected));
	iobuf_reset(&words);
	iobuf_reset(&sql);
	iobuf_reset(&statement);
}

static void the_statement_names_the_generated_column(void **state)
{
	named("SELECT JSON_VALUE(doc, '$.a') FROM t WHERE JSON_VALUE(x.doc, '$.b') = 1 AND JSON_VALUE(x.doc, '$.a') = 'v'", ADVISE_JSON_VALUE, false,
	      "select json_value(doc, ?) from t where json_value(x.doc, ?) = ? and x.`doc_a` = ?");
	named("SELECT id FROM t WHERE JSON_UNQUOTE(JSON_EXTRACT(`doc`, \"$.a\")) IN ('x', 'y')", ADVISE_JSON_UNQUOTED, false, "select id from t where `doc_a` in(?+)");
	named("SELECT id FROM t WHERE doc->>'$.a' LIKE 'x%' AND doc->'$.a' = 'x'", ADVISE_JSON_UNQUOTED, false, "select id from t where `doc_a` like ? and doc->? = ?");
	named("DELETE FROM t WHERE JSON_VALUE(doc, '$.a') = 5", ADVISE_JSON_VALUE, true, "delete from t where `doc_a` = concat(?)");
	named("SELECT id FROM t WHERE JSON_VALUE(doc, ?) = 'x'", ADVISE_JSON_VALUE, false, "");
	named("SELECT id FROM t WHERE JSON_VALUE(other, '$.a') = 'x'", ADVISE_JSON_VALUE, false, "");
	named("SELECT id FROM v WHERE ref = 'x'", ADVISE_JSON_VALUE, false, ""); /* it is in a view */
}

static void table_is(const char *sql, const char *alias, const char *expected)
{
	struct sql_facts f;
	struct advise_table t;
	char text[2 * ADVISE_NAME];

	assert_int_equal(sql_facts_parse(span_str(sql), 0, &f), RC_OK);
	assert_int_equal(advise_table_of(span_str(sql), &f, alias, "shop", &t), RC_OK);
	snprintf(text, sizeof(text), "%s.%s", t.schema, t.name);
	assert_string_equal(text, expected);
	sql_facts_free(&f);
}

static void aliases_lead_to_their_tables(void **state)
{
	table_is("SELECT * FROM orders WHERE a=1", "orders", "shop.orders");
	table_is("SELECT * FROM orders o WHERE o.a=1", "o", "shop.orders");
	table_is("SELECT * FROM other.orders AS o JOIN `items` `i` ON o.a=i.a", "o", "other.orders");
	table_is("SELECT * FROM other.orders AS o JOIN `items` `i` ON o.a=i.a", "i", "shop.items");
	table_is("SELECT * FROM other.orders WHERE other.orders.a=1", "orders", "other.orders");
	table_is("SELECT * FROM a b JOIN b a", "a", "shop.b");
	table_is("SELECT * FROM a_view", "orders", "shop.orders");
}

static void explains(const char *sql, const char *expected)
{
	struct iobuf b;

	iobuf_init(&b, 0);
	assert_int_equal(advise_explain_text(span_str(sql), &b), RC_OK);
	assert_int_equal(iobuf_append(&b, "", 1), RC_OK);
	assert_string_equal((const char *)iobuf_data(&b), expected);
	iobuf_reset(&b);
}

static void placeholders_get_values(void **state)
{
	explains("SELECT '?', a FROM t WHERE b = ? AND c > ? LIMIT ?, ?",
		 "EXPLAIN FORMAT=JSON SELECT '?', a FROM t WHERE b = '1' AND c > '1' LIMIT 10, 10");
}

/* MariaDB prints a plan's literals into its JSON as they are. */
static void strings_that_would_break_the_plan_lose_what_does(void **state)
{
	explains("SELECT 'it''s', \"say \"\"x\"\"\", 'a\\\\b', n'\n', '%x' FROM t",
		 "EXPLAIN FORMAT=JSON SELECT 'its', 'say x', 'ab', '', '%x' FROM t");
	explains("SELECT '', \"it\"", "EXPLAIN FORMAT=JSON SELECT '', \"it\"");
}

static void the_order_of_the_statement_itself_is_found(void **state)
{
	struct span s = advise_order_by(
		span_str("SELECT a, (SELECT b FROM c ORDER BY d LIMIT 1) FROM t ORDER BY e, f DESC LIMIT 5"));

	assert_true(span_eq(s, span_str(" e, f DESC")));
	assert_int_equal(advise_order_by(span_str("SELECT (SELECT b FROM c ORDER BY d)")).len, 0);
}

static void how_far_a_limit_reaches(void **state)
{
	static const struct {
		const char *sql;
		uint64_t rows;
	} rows[] = {{"SELECT a FROM t ORDER BY a", UINT64_MAX},
		    {"SELECT (SELECT b FROM c LIMIT 1) FROM t", UINT64_MAX},
		    {"SELECT a FROM t LIMIT 7", 7},
		    {"SELECT a FROM t LIMIT 500, 10", 510},
		    {"SELECT a FROM t LIMIT 10 OFFSET 500 FOR UPDATE", 510},
		    {"SELECT a FROM t OFFSET 5 ROWS FETCH NEXT 3 ROWS ONLY", 8},
		    {"SELECT a FROM t LIMIT ?", 10},
		    {"SELECT a FROM t LIMIT 18446744073709551615", UINT64_MAX / 100}};

	for (unsigned i = 0; i < countof(rows); i++)
		assert_true(advise_limit(span_str(rows[i].sql)) >= rows[i].rows &&
			    (rows[i].rows > 1000 || advise_limit(span_str(rows[i].sql)) == rows[i].rows));
}

static const char *definition(const char *column, enum advise_against *against)
{
	static struct advise_recode r;
	static const char create[] = "CREATE TABLE `t` (\n  `id` int(11) NOT NULL,\n  `a` varchar(20) CHARACTER SET latin1 COLLATE latin1_general_ci NOT NULL "
				     "DEFAULT 'x, `b` (' COMMENT 'KEY (`a`)',\n  `b` char(3) DEFAULT NULL,\n  `c` varchar(300) DEFAULT NULL,\n"
				     "  `d` text DEFAULT NULL,\n  `e` varchar(9) GENERATED ALWAYS AS (left(`f`,2)) STORED,\n  `f` varchar(9) NOT NULL,\n"
				     "  `g` varchar(9) DEFAULT '\\\\',\n  `h` varchar(9) /*!80023 INVISIBLE */,\n  `i` varchar(9) COLLATE latin1_bin,\n  `j` varchar(9) CHECK (`j` <> ''),\n"
				     "  PRIMARY KEY (`id`),\n  KEY `a` (`a`,`b`),\n  UNIQUE KEY `u` (`id`,`i`),\n  CONSTRAINT `fk` FOREIGN KEY (`b`) REFERENCES `a` (`id`)\n"
				     ") ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='`a`'";

	r = (struct advise_recode){.charset = "utf8mb4", .collation = "utf8mb4_general_ci"};
	assert_int_equal(advise_definition(span_str(create), column, &r), RC_OK);
	*against = r.against;
	return r.definition;
}

static void a_definition_is_taken_over_but_for_its_collation(void **state)
{
	static const struct {
		const char *column, *expected;
		enum advise_against against;
	} rows[] = {{"id", "", ADVISE_AGAINST_ELSE}, {"b", "char(3) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci DEFAULT NULL", ADVISE_AGAINST_FOREIGN},
		    {"c", "", ADVISE_AGAINST_ELSE}, {"d", "", ADVISE_AGAINST_ELSE}, {"e", "", ADVISE_AGAINST_GENERATED},
		    {"f", "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL", ADVISE_AGAINST_ELSE}, {"g", "", ADVISE_AGAINST_ELSE},
		    {"h", "", ADVISE_AGAINST_ELSE}, {"i", "varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", ADVISE_AGAINST_UNIQUE}, {"j", "", ADVISE_AGAINST_ELSE},
		    {"none", "", ADVISE_AGAINST_NOTHING}};
	enum advise_against against;

	for (size_t i = 0; i < countof(rows); i++) {
		assert_string_equal(definition(rows[i].column, &against), rows[i].expected);
		assert_int_equal(against, rows[i].against);
	}
	/* `a` is a name in a foreign key, too: that of another table, but who knows */
	assert_string_equal(definition("a", &against), "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL DEFAULT 'x, `b` (' COMMENT 'KEY (`a`)'");
	assert_int_equal(against, ADVISE_AGAINST_FOREIGN);
}

static const char *without_collate(const char *sql)
{
	static struct advise_verdict v;
	static char out[512];
	struct iobuf b;

	v = (struct advise_verdict){.scan = {.table = "o"}, .recode = {.column = "a", .other = "b", .drops_collate = true}};
	iobuf_init(&b, 0);
	assert_int_equal(advise_put_without_collate(span_str(sql), &v, &b), RC_OK);
	snprintf(out, sizeof(out), "%.*s", (int)iobuf_len(&b), iobuf_len(&b) ? (const char *)iobuf_data(&b) : "");
	iobuf_reset(&b);
	return out;
}

static void collate_is_left_out_of_that_comparison(void **state)
{
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN o ON o.a COLLATE x = i.b WHERE i.c = 1"), "select ? from i join o on o.a = i.b where i.c = ?");
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN t AS o ON (i.b = s.`o`.a COLLATE x)"), "select ? from i join t as o on (s.`o`.a = i.b)");
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN o ON b = a COLLATE x WHERE c = 1"), "select ? from i join o on a = b where c = ?");
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN o ON o.a COLLATE x = i.b + 1"), "");
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN o ON 1 + o.a COLLATE x = i.b"), "");
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN o ON o.c COLLATE x = i.b"), "");
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN o ON o.a COLLATE x = o.b"), "");
	assert_string_equal(without_collate("SELECT 1 FROM i JOIN o ON o.a = i.b"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comparisons_with_values_name_their_column),
		cmocka_unit_test(two_bounds_around_one_function_belong_together),
		cmocka_unit_test(conjunctions_name_all_of_theirs),
		cmocka_unit_test(an_or_names_what_each_side_compares),
		cmocka_unit_test(a_write_is_read_for_its_rows),
		cmocka_unit_test(joins_name_the_side_that_is_looked_up),
		cmocka_unit_test(what_asks_for_no_partner_names_nothing),
		cmocka_unit_test(a_column_that_equals_something_is_not_just_null),
		cmocka_unit_test(what_no_index_serves_names_nothing),
		cmocka_unit_test(what_hides_a_column_names_it_apart),
		cmocka_unit_test(odd_conditions_do_no_harm),
		cmocka_unit_test(orders_of_one_direction_are_an_index_order),
		cmocka_unit_test(equalities_come_first_then_one_range_or_the_order),
		cmocka_unit_test(conditions_are_put_as_a_statement_may_have_them),
		cmocka_unit_test(the_column_of_that_table_is_mended),
		cmocka_unit_test(a_range_of_numbers_is_not_said_to_be_one_of_strings),
		cmocka_unit_test(what_rounds_or_cuts_is_mended),
		cmocka_unit_test(subqueries_worked_out_whole_are_seen),
		cmocka_unit_test(what_a_subquery_selects_is_found),
		cmocka_unit_test(temporary_tables_and_sorts_are_seen),
		cmocka_unit_test(plans_of_both_servers_are_read),
		cmocka_unit_test(values_inside_documents_are_found),
		cmocka_unit_test(the_statement_names_the_generated_column),
		cmocka_unit_test(aliases_lead_to_their_tables),
		cmocka_unit_test(placeholders_get_values),
		cmocka_unit_test(strings_that_would_break_the_plan_lose_what_does),
		cmocka_unit_test(the_order_of_the_statement_itself_is_found),
		cmocka_unit_test(how_far_a_limit_reaches),
		cmocka_unit_test(a_definition_is_taken_over_but_for_its_collation),
		cmocka_unit_test(collate_is_left_out_of_that_comparison),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
