/*
 * Reads the bytes as compressed packets, in pieces and into a small buffer: what comes out of a packet is never more than it
 * said. Packs the bytes and unpacks them again. Finds the numbers of the packets in them, however they are cut.
 */
#include <stdlib.h>
#include <string.h>

#include "numbered.h"
#include "packet.h"
#include "zipped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Returns how many bytes came out; false in *whole when the packets are malformed. */
static size_t unpack(enum zipped_kind kind, const uint8_t *p, size_t len, size_t step, uint8_t *out, size_t most, bool *whole)
{
	struct zipped z;
	uint8_t buf[333];
	size_t total = 0;

	*whole = true;
	zipped_init(&z, kind, 3);
	for (size_t at = 0; at < len && *whole;) {
		size_t end = len - at < step ? len : at + step, used, made;

		do {
			*whole = zipped_read(&z, p + at, end - at, &used, buf, sizeof(buf), &made) == RC_OK;
			must(used <= end - at && made <= sizeof(buf));
			at += used;
			if (out)
				must(total + made <= most);
			if (out && made)
				memcpy(out + total, buf, made);
			total += made;
		} while (*whole && (used || made) && total < (1u << 22));
		if (total >= (1u << 22))
			break;
	}
	zipped_reset(&z);
	return total;
}

/* The offsets of the numbers, as a sum that tells their order. */
static uint64_t numbers(const uint8_t *p, size_t len, size_t step)
{
	struct numbered n = {0};
	uint64_t sum = 0;

	for (size_t at = 0; at < len; at += step) {
		size_t end = len - at < step ? len : at + step;

		for (size_t i = at + numbered_next(&n, p + at, end - at); i < end; i += 1 + numbered_next(&n, p + i + 1, end - i - 1))
			sum = sum * 31 + i;
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool whole;

	must(numbers(data, size, 1) == numbers(data, size, size ? size : 1) && numbers(data, size, 3) == numbers(data, size, 64));
	for (int kind = ZIPPED_ZLIB; kind <= ZIPPED_ZSTD; kind++) {
		struct iovec iov = {(void *)(uintptr_t)data, size};
		struct iobuf packed;
		struct zipped z;
		uint8_t *again = malloc(size ? size : 1);

		(void)unpack((enum zipped_kind)kind, data, size, 7, NULL, 0, &whole);
		(void)unpack((enum zipped_kind)kind, data, size, size ? size : 1, NULL, 0, &whole);
		iobuf_init(&packed, 0);
		zipped_init(&z, (enum zipped_kind)kind, 1);
		must(again && zipped_write(&z, &iov, 1, &packed) == RC_OK);
		must(unpack((enum zipped_kind)kind, iobuf_data(&packed), iobuf_len(&packed), 50, again, size, &whole) == size && whole);
		must(memcmp(again, data, size) == 0);
		iobuf_reset(&packed);
		free(again);
	}
	return 0;
}
