/*
 * store_kit.h - a store of its own for each test, with the versions that it goes by.
 */
#ifndef SUIMON_STORE_KIT_H
#define SUIMON_STORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "store.h"
#include "versions.h"

struct fixture {
	struct versions *v;
	struct store *s;
	struct store_effects fx;
};

static inline struct fixture fixture_new(uint64_t limit)
{
	struct fixture f = {.v = versions_new(NS_PER_SEC)};

	assert_non_null(f.v);
	f.s = store_new(f.v, limit);
	assert_non_null(f.s);
	return f;
}

static inline void fixture_free(struct fixture *f)
{
	store_free(f->s);
	versions_free(f->v);
}

#endif
