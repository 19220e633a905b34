/*
 * A value of a small result is replaced, whatever else is in it stays as it is (P1).
 */
#include <stdio.h>

#include "wire_test.h"

#include "result.h"

/* SELECT CONNECTION_ID() of MariaDB: column count, a definition (shortened), its EOF, a row. */
#define COUNT "0100000101"
#define DEFINITION "0400000203646566"
#define MIDDLE_EOF "05000003fe00000200"

static void replaced_by(const struct result_numbers *v, const char *reply, uint64_t caps, bool binary, const char *want)
{
	size_t len, want_len;
	uint8_t *p = unhex(reply, &len), *w = want ? unhex(want, &want_len) : NULL;
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(result_put_numbers(&out, span_of(p, len), caps, binary, v), want ? RC_OK : RC_DECLINED);
	if (want)
		assert_bytes(&out, w, want_len);
	else
		assert_int_equal(iobuf_len(&out), 0);
	iobuf_reset(&out);
	free(p);
	free(w);
}

static void replaced(const char *reply, uint64_t caps, bool binary, const char *want)
{
	static const struct result_numbers one = {.columns = 1, .given = 1, .n = {1073741825}};

	replaced_by(&one, reply, caps, binary, want);
}

static void text_and_binary_rows(void **state)
{
	replaced(COUNT DEFINITION MIDDLE_EOF "03000004023137", 0, false, COUNT DEFINITION MIDDLE_EOF "0b0000040a31303733373431383235");
	replaced(COUNT DEFINITION "03000003023137", CLIENT_DEPRECATE_EOF, false, COUNT DEFINITION "0b0000030a31303733373431383235");
	replaced(COUNT DEFINITION "06000003000011000000", CLIENT_DEPRECATE_EOF, true, COUNT DEFINITION "06000003000001000040");
	replaced(COUNT DEFINITION "0a00000300001100000000000000", CLIENT_DEPRECATE_EOF, true,
		 COUNT DEFINITION "0a00000300000100004000000000");
	/* without metadata: the flag behind the count says so */
	replaced("020000010100" "03000002023137", CLIENT_DEPRECATE_EOF, false, "020000010100" "0b0000020a31303733373431383235");
}

static void what_is_not_one_row_of_one_column_is_left_alone(void **state)
{
	replaced("", 0, false, NULL);
	replaced(COUNT DEFINITION MIDDLE_EOF, 0, false, NULL);
	replaced("0100000102" DEFINITION "03000003023137", CLIENT_DEPRECATE_EOF, false, NULL);
	replaced(COUNT DEFINITION "03000003023137" "03000004023138", CLIENT_DEPRECATE_EOF, false, NULL);
	replaced(COUNT DEFINITION "030000030231", CLIENT_DEPRECATE_EOF, false, NULL);
	replaced(COUNT DEFINITION "04000003000011", CLIENT_DEPRECATE_EOF, true, NULL);
	replaced(COUNT DEFINITION "01000003fb", CLIENT_DEPRECATE_EOF, false, NULL);
}

#define COUNT_3 "0100000103"
#define DEFINITIONS_3 "0400000203646566" "0400000303646566" "0400000403646566"

static void of_several_columns_those_that_are_given(void **state)
{
	const struct result_numbers v = {.columns = 3, .given = 5, .n = {1234, 77, (uint64_t)-1}};

	replaced_by(&v, COUNT_3 DEFINITIONS_3 "05000005fe00000200" "06000006" "0131" "0132" "0133", 0, false,
		    COUNT_3 DEFINITIONS_3 "05000005fe00000200" "0a000006" "0431323334" "0132" "022d31");
	replaced_by(&v, COUNT_3 DEFINITIONS_3 "1a000005" "0000" "0100000000000000" "0200000000000000" "0300000000000000", CLIENT_DEPRECATE_EOF, true,
		    COUNT_3 DEFINITIONS_3 "1a000005" "0000" "d204000000000000" "0200000000000000" "ffffffffffffffff");
	replaced_by(&v, "020000010300" "06000002" "0131" "0132" "0133", CLIENT_DEPRECATE_EOF, false, "020000010300" "0a000002" "0431323334" "0132" "022d31");
	/* a NULL; a value too many or too few; one longer than any number; integers of 4 bytes; another number of columns */
	replaced_by(&v, COUNT_3 DEFINITIONS_3 "05000005" "0131" "fb" "0133", CLIENT_DEPRECATE_EOF, false, NULL);
	replaced_by(&v, COUNT_3 DEFINITIONS_3 "08000005" "0131" "0132" "0133" "0134", CLIENT_DEPRECATE_EOF, false, NULL);
	replaced_by(&v, COUNT_3 DEFINITIONS_3 "04000005" "0131" "0132", CLIENT_DEPRECATE_EOF, false, NULL);
	replaced_by(&v, COUNT_3 DEFINITIONS_3 "1c000005" "0131" "173131313131313131313131313131313131313131313131" "0133", CLIENT_DEPRECATE_EOF, false, NULL);
	replaced_by(&v, COUNT_3 DEFINITIONS_3 "0e000005" "0000" "01000000" "02000000" "03000000", CLIENT_DEPRECATE_EOF, true, NULL);
	replaced_by(&v, COUNT DEFINITION "03000003023137", CLIENT_DEPRECATE_EOF, false, NULL);
}

static void listed(const char *reply, uint64_t caps, bool binary, const char *want)
{
	size_t len, want_len;
	uint8_t *p = unhex(reply, &len), *w = want ? unhex(want, &want_len) : NULL;
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(result_put_listed(&out, span_of(p, len), caps, binary, 17, 1073741825), want ? RC_OK : RC_DECLINED);
	if (want)
		assert_bytes(&out, w, want_len);
	iobuf_reset(&out);
	free(p);
	free(w);
}

static void join(void *arg, struct span text)
{
	char *all = arg;
	size_t len = strlen(all);

	snprintf(all + len, 256 - len, SPAN_FMT ";", SPAN_ARG(text));
}

static void values_are(const char *reply, uint64_t caps, bool binary, size_t rows, const char *want)
{
	char all[256] = "";
	size_t len;
	uint8_t *p = unhex(reply, &len);

	assert_int_equal(result_each_value(span_of(p, len), caps, binary, join, all), rows);
	assert_string_equal(all, want);
	free(p);
}

/* A definition whose fixed part says the type and, in the last digit of the flags, unsigned. */
#define TYPED(seq, type, flags) "0d0000" seq "0c" "3f00" "14000000" type flags "00" "0000"

static void each_value_is_given(void **state)
{
	/* 17, NULL and 'ab', 5 in text rows; what is cut off is not there */
	values_are("0100000102" TYPED("02", "03", "0000") TYPED("03", "fd", "0000") "05000004fe00000200"
		   "04000005023137fb" "0500000602616201" "35" "05000007fe00000200",
		   0, false, 2, "17;ab;5;");
	values_are("0100000102" TYPED("02", "03", "0000") TYPED("03", "fd", "0000") "04000004023137fb" "0500000502616201",
		   CLIENT_DEPRECATE_EOF, false, 1, "17;");
	/* binary: -2 as a BIGINT, 'ab'; then 254 as an unsigned TINYINT and NULL */
	values_are("0100000102" TYPED("02", "08", "0000") TYPED("03", "fd", "0000") "0d00000400" "00" "feffffffffffffff" "026162",
		   CLIENT_DEPRECATE_EOF, true, 1, "-2;ab;");
	values_are("0100000102" TYPED("02", "01", "2000") TYPED("03", "fd", "0000") "03000004" "00" "08" "fe",
		   CLIENT_DEPRECATE_EOF, true, 1, "254;");
	values_are("07000001000000020000" "00", 0, false, 0, "");
	values_are("01000001ff", 0, false, 0, "");
	values_are("", 0, true, 0, "");
}

static void in_a_list_one_row_gets_another_number(void **state)
{
	static const char head[] = "0100000102" TYPED("02", "08", "0000") TYPED("03", "fd", "0000");

#define ROWS(a, b) "0100000102" TYPED("02", "08", "0000") TYPED("03", "fd", "0000") a b
	/* 16 'ab', 17 'ab', 18 NULL; another number of as many digits, and 17 in another column, stay */
	listed(ROWS("05000004" "0231360161", "05000005" "0231370161") "04000006023138fb", CLIENT_DEPRECATE_EOF, false,
	       ROWS("05000004" "0231360161", "0d000005" "0a31303733373431383235" "0161") "04000006023138fb");
	listed(ROWS("06000004" "023136023137", ""), CLIENT_DEPRECATE_EOF, false, ROWS("06000004" "023136023137", ""));
	listed(ROWS("05000004fe00000200", "05000005" "0231370161"), 0, false,
	       ROWS("05000004fe00000200", "0d000005" "0a31303733373431383235" "0161"));
	/* binary: a BIGINT */
	listed(ROWS("0c000004" "0000" "1100000000000000" "0161", "0c000005" "0000" "1200000000000000" "0161"), CLIENT_DEPRECATE_EOF, true,
	       ROWS("0c000004" "0000" "0100004000000000" "0161", "0c000005" "0000" "1200000000000000" "0161"));
	listed(ROWS("04000004" "0004" "0161", ""), CLIENT_DEPRECATE_EOF, true, ROWS("04000004" "0004" "0161", ""));
	/* what is cut off, or no number, stays as it is */
	listed(ROWS("05000004" "0231370161", "05000005" "0231"), CLIENT_DEPRECATE_EOF, false,
	       ROWS("0d000004" "0a31303733373431383235" "0161", "05000005" "0231"));
	listed(ROWS("05000004" "0231780161", "01000005fb"), CLIENT_DEPRECATE_EOF, false, ROWS("05000004" "0231780161", "01000005fb"));
	listed(head, CLIENT_DEPRECATE_EOF, false, head);
	listed("0100000102" "0100000200", CLIENT_DEPRECATE_EOF, false, NULL);
	listed("", 0, true, NULL);
#undef ROWS
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_binary_rows),
		cmocka_unit_test(what_is_not_one_row_of_one_column_is_left_alone),
		cmocka_unit_test(of_several_columns_those_that_are_given),
		cmocka_unit_test(each_value_is_given),
		cmocka_unit_test(in_a_list_one_row_gets_another_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
