/*
 * A value of a small result is replaced, whatever else is in it stays as it is (P1).
 */
#include "wire_test.h"

#include "result.h"

/* SELECT CONNECTION_ID() of MariaDB: column count, a definition (shortened), its EOF, a row. */
#define COUNT "0100000101"
#define DEFINITION "0400000203646566"
#define MIDDLE_EOF "05000003fe00000200"

static void replaced(const char *reply, uint64_t caps, bool binary, const char *want)
{
	size_t len, want_len;
	uint8_t *p = unhex(reply, &len), *w = want ? unhex(want, &want_len) : NULL;
	struct iobuf out;

	iobuf_init(&out, 0);
	assert_int_equal(result_put_number(&out, span_of(p, len), caps, binary, 1073741825), want ? RC_OK : RC_DECLINED);
	if (want)
		assert_bytes(&out, w, want_len);
	else
		assert_int_equal(iobuf_len(&out), 0);
	iobuf_reset(&out);
	free(p);
	free(w);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_binary_rows),
		cmocka_unit_test(what_is_not_one_row_of_one_column_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
