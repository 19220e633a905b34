/*
 * The compressed protocol: what is packed comes out the same however the bytes are cut, and what lies about its length is
 * refused (F2, F3).
 */
#include "wire_test.h"

#include "numbered.h"
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

/* Packets of some lengths, an empty one among them, in pieces of any size: every number is found, and nothing else. */
static void numbers_are_found_however_the_bytes_are_cut(void **state)
{
	static const uint32_t lens[] = {0, 1, 300, 0, 2, 70000, 5};
	uint8_t *p = calloc(1, 80000);
	size_t total = 0;

	assert_non_null(p);
	for (size_t i = 0; i < 7; i++) {
		p[total] = (uint8_t)lens[i];
		p[total + 1] = (uint8_t)(lens[i] >> 8);
		p[total + 2] = (uint8_t)(lens[i] >> 16);
		memset(p + total + 4, 0xee, lens[i]);
		total += 4 + lens[i];
	}
	for (size_t step = 1; step < total; step = step * 2 + 1) {
		struct numbered n = {0};
		uint8_t number = 1;

		for (size_t at = 0; at < total; at += step) {
			size_t end = total - at < step ? total : at + step;

			for (size_t i = at + numbered_next(&n, p + at, end - at); i < end; i += 1 + numbered_next(&n, p + i + 1, end - i - 1))
				p[i] = number++;
		}
		assert_int_equal(number, 8);
		for (size_t at = 0, i = 0; i < 7; at += 4 + lens[i], i++)
			assert_int_equal(p[at + 3], i + 1);
	}
	assert_int_equal(p[total - 1], 0xee);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_comes_out_the_same),
		cmocka_unit_test(a_length_that_is_not_true_is_refused),
		cmocka_unit_test(what_is_not_packed_at_all_is_refused),
		cmocka_unit_test(numbers_are_found_however_the_bytes_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
