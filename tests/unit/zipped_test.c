/*
 * The compressed protocol: what is packed comes out the same however the bytes are cut, and what lies about its length is
 * refused (F2, F3).
 */
#include "wire_test.h"

#include "packet.h"
#include "zipped.h"

#define BIG (3 * 1024 * 1024 + 77)

/* Bytes that pack well at first and badly later. */
static uint8_t *sample(size_t len)
{
	uint8_t *p = malloc(len);
	uint32_t x = 12345;

	assert_non_null(p);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = i < len / 2 ? (uint8_t)(i / 1000) : (uint8_t)(x >> 24);
	}
	return p;
}

/* Reads `packed`, given in steps of `step` bytes, into a buffer of `cap` bytes at a time. */
static enum rc unpack(enum zipped_kind kind, const uint8_t *packed, size_t len, size_t step, size_t cap, struct iobuf *out)
{
	struct zipped z;
	uint8_t *buf = malloc(cap);
	enum rc rc = RC_OK;

	zipped_init(&z, kind, 3);
	for (size_t at = 0; at < len && rc == RC_OK;) {
		size_t end = len - at < step ? len : at + step, used, made;

		do {
			rc = zipped_read(&z, packed + at, end - at, &used, buf, cap, &made);
			at += used;
			if (rc == RC_OK && made)
				assert_int_equal(iobuf_append(out, buf, made), RC_OK);
		} while (rc == RC_OK && (used || made));
	}
	if (rc == RC_OK) { /* nothing is held between packets */
		assert_null(z.unpacker);
		assert_int_equal(z.have, 0);
	}
	zipped_reset(&z);
	free(buf);
	return rc;
}

static void round_trip(enum zipped_kind kind, size_t len, size_t step, size_t cap)
{
	uint8_t *plain = sample(len);
	struct iovec iov[3] = {{plain, len / 3}, {plain + len / 3, 0}, {plain + len / 3, len - len / 3}};
	struct iobuf packed, out;
	struct zipped z;

	iobuf_init(&packed, 0);
	iobuf_init(&out, 0);
	zipped_init(&z, kind, 5);
	z.seq = 254;
	assert_int_equal(zipped_write(&z, iov, 3, &packed), RC_OK);
	if (len > 1000)
		assert_true(iobuf_len(&packed) < len * 3 / 4);
	assert_int_equal(iobuf_data(&packed)[3], 254);
	assert_int_equal(unpack(kind, iobuf_data(&packed), iobuf_len(&packed), step, cap, &out), RC_OK);
	assert_bytes(&out, plain, len);
	iobuf_reset(&packed);
	iobuf_reset(&out);
	free(plain);
}

static void what_is_packed_comes_out_the_same(void **state)
{
	for (int kind = ZIPPED_ZLIB; kind <= ZIPPED_ZSTD; kind++) {
		round_trip((enum zipped_kind)kind, 1, 1, 1);
		round_trip((enum zipped_kind)kind, 49, 3, 7);
		round_trip((enum zipped_kind)kind, 50, 1, 50);
		round_trip((enum zipped_kind)kind, 5000, 1, 1);
		round_trip((enum zipped_kind)kind, 70000, 1000, 64);
		round_trip((enum zipped_kind)kind, BIG, 65536, 65536);
		round_trip((enum zipped_kind)kind, BIG, BIG, 1000);
	}
}

/* A packet of these bytes that says it unpacks to `says`. */
static enum rc lying(enum zipped_kind kind, size_t len, int says_more)
{
	uint8_t *plain = sample(len);
	struct iovec iov = {plain, len};
	struct iobuf packed, out;
	struct zipped z;
	uint8_t *p;
	uint32_t says;
	enum rc rc;

	iobuf_init(&packed, 0);
	iobuf_init(&out, 0);
	zipped_init(&z, kind, 1);
	assert_int_equal(zipped_write(&z, &iov, 1, &packed), RC_OK);
	p = packed.data + packed.start;
	says = (uint32_t)((int)packet_len(p + 4) + says_more);
	for (int i = 0; i < 3; i++)
		p[4 + i] = (uint8_t)(says >> (8 * i));
	rc = unpack(kind, p, iobuf_len(&packed), 100, 100, &out);
	assert_true(iobuf_len(&out) <= says);
	iobuf_reset(&packed);
	iobuf_reset(&out);
	free(plain);
	return rc;
}

static void a_length_that_is_not_true_is_refused(void **state)
{
	for (int kind = ZIPPED_ZLIB; kind <= ZIPPED_ZSTD; kind++) {
		assert_int_equal(lying((enum zipped_kind)kind, 5000, 0), RC_OK);
		assert_int_equal(lying((enum zipped_kind)kind, 5000, -1), RC_ERROR);
		assert_int_equal(lying((enum zipped_kind)kind, 5000, -4000), RC_ERROR);
		assert_int_equal(lying((enum zipped_kind)kind, 5000, 1), RC_ERROR);
		assert_int_equal(lying((enum zipped_kind)kind, 5000, 1000000), RC_ERROR);
	}
}

static void what_is_not_packed_at_all_is_refused(void **state)
{
	static const uint8_t junk[] = {4, 0, 0, 0, 100, 0, 0, 1, 2, 3, 4}, empty[] = {0, 0, 0, 0, 0, 0, 0};
	struct iobuf out;

	iobuf_init(&out, 0);
	for (int kind = ZIPPED_ZLIB; kind <= ZIPPED_ZSTD; kind++) {
		assert_int_equal(unpack((enum zipped_kind)kind, junk, sizeof(junk), 1, 10, &out), RC_ERROR);
		assert_int_equal(unpack((enum zipped_kind)kind, empty, sizeof(empty), 7, 10, &out), RC_ERROR);
	}
	iobuf_reset(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_comes_out_the_same),
		cmocka_unit_test(a_length_that_is_not_true_is_refused),
		cmocka_unit_test(what_is_not_packed_at_all_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
