/*
 * cpus.h - how many processors this process may keep busy, which on a large host is not how many there are.
 */
#ifndef SUIMON_CPUS_H
#define SUIMON_CPUS_H

/* Those it may run on (sched_setaffinity, a container's cpuset), or, if that is less, what its control groups leave it of their time,
 * rounded up. At least 1. */
unsigned cpus_usable(void);
/* The control groups' part: most, or less. root: what /proc and /sys are in, "" for the machine's own. */
unsigned cpus_in_groups(unsigned most, const char *root);

#endif
