/*
 * failpoint.h - named places where a crash test lets the process die by SIGKILL. Not in release builds.
 *
 * The environment variable SUIMON_FAILPOINT=name[:n] makes the n-th passage (the first, if not said) the last; name:stop stops
 * the process there (SIGSTOP), until it is let go on.
 */
#ifndef SUIMON_FAILPOINT_H
#define SUIMON_FAILPOINT_H

#ifdef NDEBUG
#define FAILPOINT(name)                                                                                                \
	do {                                                                                                           \
	} while (0)
#else
#define FAILPOINT(name) failpoint_pass(name)
#endif

void failpoint_pass(const char *name);

#endif
