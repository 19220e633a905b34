/*
 * segment.h - what a file of the queue looks like: a header, then frames, each with length, checksum and sequence.
 *
 * Header, 64 bytes:  magic "SUIMONQ\n" | version u32 | kind u32 | queue id 16 bytes | first sequence u64 |
 *                    made at u64 (us) | zero 12 bytes | CRC32C of the 60 bytes before u32
 * Frame, 24 bytes and the body, filled with zeros to a multiple of 8:
 *                    length of the body u32 | CRC32C of the rest of the frame and of the length u32 | sequence u64 |
 *                    since_sync u32 | kind u32
 * Sequences go up by one from frame to frame, over the files. A length of zero is the end: files are preallocated.
 * A frame's checksum begins with that of the queue's id, which no client knows: bytes inside a statement cannot pass
 * for a frame when a damaged file is searched.
 *
 * since_sync says how far back the log was known to be on stable storage when this frame was written (sequence minus
 * since_sync). It is what tells a torn tail, which nobody was promised, from damage to an acknowledged frame: after a
 * power loss frames of the last unsynced group may be missing in any combination, but a frame that a later one knew
 * to be stable may not.
 */
#ifndef SUIMON_SEGMENT_H
#define SUIMON_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "rc.h"
#include "span.h"
#include "window.h"

#define SEGMENT_VERSION 1u
#define SEGMENT_HEADER_BYTES 64u
#define FRAME_HEADER_BYTES 24u
#define FRAME_MAX_BODY (65u << 20)
#define QUEUE_ID_BYTES 16u

enum segment_kind { SEGMENT_LOG = 1, SEGMENT_DEAD = 2 };
enum frame_kind {
	FRAME_RECORD = 1, /* body: record.h */
	FRAME_LETTER = 2, /* body: dead.c */
	FRAME_MARK = 3,   /* body: dead.c */
	FRAME_GAP = 4,    /* a record that was lost to damage and skipped by a person: repair.h */
};

struct segment_header {
	enum segment_kind kind;
	uint8_t queue_id[QUEUE_ID_BYTES];
	uint64_t first_seq;
	uint64_t made_us;
};

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_BYTES]);
/* RC_DECLINED: a version this build does not know. RC_ERROR: not a header. */
enum rc segment_header_decode(struct span in, struct segment_header *h) must_check;

/* What the checksums of this queue's frames begin with. */
uint32_t segment_salt(const uint8_t queue_id[QUEUE_ID_BYTES]);

struct frame {
	uint64_t seq;
	uint32_t since_sync;
	uint32_t kind;
	struct span body;
};

static inline size_t frame_size(size_t body)
{
	return (FRAME_HEADER_BYTES + body + 7) & ~(size_t)7;
}

/* Two steps, because a frame gets its sequence when it is accepted and its since_sync when it is written:
 * frame_begin writes the header for a body that already stands, or will, FRAME_HEADER_BYTES behind out, and zeroes
 * what fills it up; frame_seal adds since_sync and the checksum. */
void frame_begin(uint8_t *out, uint64_t seq, enum frame_kind kind, size_t body);
void frame_seal(uint8_t *frame, uint64_t durable_seq, uint32_t salt);
/* Of a frame that frame_begin made. */
uint64_t frame_seq(const uint8_t *frame);
size_t frame_whole_size(const uint8_t *frame);

/* One file being read. */
struct frames {
	struct window window;
	uint32_t salt;
};

/* The frame at `at`, which must bear seq; *next is where the one behind it begins. RC_DECLINED: nothing there, zeros or
 * the end of the file. RC_ERROR: errno is EBADMSG when the bytes are not that frame, else the read failed. */
enum rc frame_read(struct frames *w, uint64_t at, uint64_t seq, struct frame *f, uint64_t *next) must_check;

/* The next whole frame behind *at with a sequence above seq and, if it is not 0, below `below`; *at is where it begins.
 * RC_DECLINED: none up to the end of the file. */
enum rc frame_search(struct frames *w, uint64_t *at, uint64_t seq, uint64_t below, struct frame *f) must_check;

struct segment_scan {
	uint64_t end;      /* behind the last good frame */
	uint64_t next_seq; /* expected there */
	bool torn;         /* bytes that are no frame lie there */
	bool damaged;      /* and a frame was there that had been acknowledged */
};

typedef enum rc (*segment_frame_fn)(void *arg, const struct frame *f, uint64_t at);

/* Reads a file's frames from `at` on, calling fn (may be NULL; not RC_OK ends the scan with RC_ERROR) for each.
 * RC_ERROR: a read failed (errno), or fn said so. Damage is not an error here: see out. */
enum rc segment_scan(struct frames *w, uint64_t at, uint64_t seq, segment_frame_fn fn, void *arg,
		     struct segment_scan *out) must_check;

#endif
