/*
 * random.h - bytes nobody can guess and nobody had before.
 */
#ifndef SUIMON_RANDOM_H
#define SUIMON_RANDOM_H

#include <stddef.h>

#include "rc.h"

enum rc random_bytes(void *out, size_t len) must_check;

#endif
