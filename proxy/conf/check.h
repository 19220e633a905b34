/*
 * check.h - `suimon check`: is this configuration good, and what does it amount to?
 */
#ifndef SUIMON_CHECK_H
#define SUIMON_CHECK_H

/* Prints the effective configuration to stdout and returns 0, or every fault to stderr and returns 1.
 * file NULL: defaults; primary NULL: as the file says. */
int settings_check_main(const char *file, const char *primary);

#endif
