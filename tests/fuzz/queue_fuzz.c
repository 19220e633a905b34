/*
 * queue_fuzz.c - whatever stands in a file of the queue, reading it stays within bounds; whatever a statement says,
 * looking whether it can be merged does too (F2).
 *
 * The input is the file behind its header. Checksums are made right first, frame by frame as far as lengths allow, so
 * that the bodies are reached and not only the checksum's test; the first byte says whether.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "merge.h"
#include "record.h"
#include "segment.h"

#define INPUT_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned looked_at; /* so that nothing is optimised away */

static enum rc on_frame(void *arg, const struct frame *f, uint64_t at)
{
	struct record rec;
	struct span part;

	if (record_decode(f->body, &rec) != RC_OK)
		return RC_OK;
	looked_at += merge_possible(&rec.r, true);
	looked_at += merge_time_need(&rec.r);
	looked_at += merge_same(&rec.r, &rec.r, TIME_MICRO);
	if (record_size(&rec) != f->body.len)
		abort();
	for (size_t i = 0; record_part(&rec.r, i, &part); i++) {
		if (part.len > rec.r.sql.len || (part.len && part.p[part.len - 1] == 'x'))
			looked_at++;
	}
	return RC_OK;
}

/* Sequences from 1 on, and the checksums that belong to them. */
static void make_right(uint8_t *p, size_t size)
{
	uint64_t seq = 1;

	for (size_t at = 0; size - at >= FRAME_HEADER_BYTES;) {
		size_t body = p[at] | (size_t)p[at + 1] << 8, whole = frame_size(body);

		if (!body || whole > size - at)
			return;
		frame_begin(p + at, seq++, FRAME_RECORD, body);
		frame_seal(p + at, 0, 0);
		at += whole;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frames frames = {.salt = 0};
	struct segment_scan scan;
	struct segment_header h;
	uint8_t *copy;
	int fd;

	if (size < 1 || size > INPUT_MAX)
		return 0;
	if (segment_header_decode(span_of(data, size), &h) == RC_OK && h.kind != SEGMENT_LOG && h.kind != SEGMENT_DEAD)
		abort();
	copy = malloc(size);
	fd = memfd_create("queue_fuzz", 0);
	if (!copy || fd < 0)
		abort();
	memcpy(copy, data, size);
	if (data[0] & 1)
		make_right(copy + 1, size - 1);
	if (write(fd, copy + 1, size - 1) != (ssize_t)(size - 1))
		abort();
	window_init(&frames.window);
	window_open(&frames.window, fd);
	if (segment_scan(&frames, 0, 1, on_frame, NULL, &scan) != RC_OK || scan.end > size)
		abort();
	window_reset(&frames.window);
	close(fd);
	free(copy);
	return 0;
}
