/*
 * rc.h - the four words every step of suimon answers with, and the small macros all layers share.
 */
#ifndef SUIMON_RC_H
#define SUIMON_RC_H

#include <stddef.h>
#include <stdint.h>

enum rc {
	RC_OK = 0,   /* done; the next step may run */
	RC_AGAIN,    /* not finished: the callee has arranged to be woken and will report by callback */
	RC_DECLINED, /* not mine (a cache miss, a rule that does not match): the next alternative runs */
	RC_ERROR,    /* failed; the callee has said why, the caller cleans up */
};

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define countof(array) (sizeof(array) / sizeof((array)[0]))
/* By way of a number, so that a comparison function that gets a const node compiles under -Wcast-qual. */
#define container_of(ptr, type, member) ((type *)((uintptr_t)(ptr)-offsetof(type, member)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
