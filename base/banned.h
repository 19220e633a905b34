/*
 * banned.h - what no line of ours may call: functions that write without a bound or read numbers without an error.
 *
 * The build includes this file before every source. A call becomes a call of a function that nobody declares or has.
 * Not #pragma poison: headers of libraries name these functions in macros that nobody expands (mysql.h does). The
 * system headers that declare them come first.
 */
#ifndef SUIMON_BANNED_H
#define SUIMON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic error "-Wimplicit-function-declaration"

/* Some C libraries have macros of these names of their own. */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#undef atoi
#undef atol
#undef atoll
#undef gets

#define strcpy(...) banned_strcpy_use_memcpy_or_snprintf()
#define strcat(...) banned_strcat_use_snprintf_or_iobuf()
#define sprintf(...) banned_sprintf_use_snprintf()
#define vsprintf(...) banned_vsprintf_use_vsnprintf()
#define strtok(...) banned_strtok_use_a_span()
#define atoi(...) banned_atoi_use_strtol_and_test_its_errors()
#define atol(...) banned_atol_use_strtol_and_test_its_errors()
#define atoll(...) banned_atoll_use_strtoll_and_test_its_errors()
#define gets(...) banned_gets_use_fgets()

#endif
