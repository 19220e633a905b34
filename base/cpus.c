/*
 * Limits of processor time, by Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst (cpu.cfs_*) of the kernel: a
 * group's limit holds for all below it, so the least of those from the process' own group up to the root counts.
 */
#include "cpus.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 4096
#define PATH_BYTES (3 * LINE_BYTES)
#define SETS 16 /* of 1024 processors each: more than the kernel can be built for */

static bool first_line(const char *folder, const char *group, const char *name, char out[LINE_BYTES])
{
	char path[PATH_BYTES];
	bool had;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s%s/%s", folder, group, name);
	f = fopen(path, "re");
	had = f && fgets(out, LINE_BYTES, f);
	if (f)
		(void)fclose(f);
	return had;
}

/* Microseconds of processor time in each period. No numbers ("max"), or -1: no limit. */
static unsigned least(unsigned most, const char *quota_text, const char *period_text)
{
	long long quota = strtoll(quota_text, NULL, 10), period = strtoll(period_text, NULL, 10), whole;

	if (quota <= 0 || period <= 0)
		return most;
	whole = quota / period + (quota % period != 0);
	return whole < most ? (unsigned)whole : most;
}

static unsigned limit_v2(unsigned most, const char *folder, const char *group)
{
	char line[LINE_BYTES], *period;

	if (!first_line(folder, group, "cpu.max", line))
		return most;
	period = strchr(line, ' ');
	return period ? least(most, line, period) : most;
}

static unsigned limit_v1(unsigned most, const char *folder, const char *group)
{
	char quota[LINE_BYTES], period[LINE_BYTES];

	if (!first_line(folder, group, "cpu.cfs_quota_us", quota) ||
	    !first_line(folder, group, "cpu.cfs_period_us", period))
		return most;
	return least(most, quota, period);
}

/* A container may see its own group as the root, and nothing of those above; a folder that is not there has no limit. */
static unsigned from_here_up(unsigned most, const char *root, const char *mount, char *group,
			     unsigned (*limit)(unsigned, const char *, const char *))
{
	char folder[LINE_BYTES];

	(void)snprintf(folder, sizeof(folder), "%s%s", root, mount);
	for (char *slash; (slash = strrchr(group, '/')); *slash = '\0')
		most = limit(most, folder, group);
	return limit(most, folder, "");
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, word, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	}
	return false;
}

/* "0::/group" of version 2, "4:cpu,cpuacct:/group" of version 1. */
static unsigned limit_of_line(unsigned most, const char *root, char *line)
{
	char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group || group[1] != '/')
		return most;
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	controllers++;
	if (!*controllers)
		return from_here_up(most, root, "/sys/fs/cgroup", group, limit_v2);
	return has_word(controllers, "cpu") ? from_here_up(most, root, "/sys/fs/cgroup/cpu", group, limit_v1) : most;
}

unsigned cpus_in_groups(unsigned most, const char *root)
{
	char path[LINE_BYTES], line[LINE_BYTES];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		most = limit_of_line(most, root, line);
	if (f)
		(void)fclose(f);
	return most;
}

unsigned cpus_usable(void)
{
	static cpu_set_t sets[SETS];
	long n = sched_getaffinity(0, sizeof(sets), sets) == 0 ? CPU_COUNT_S(sizeof(sets), sets)
							       : sysconf(_SC_NPROCESSORS_ONLN);

	return cpus_in_groups(n < 1 ? 1 : (unsigned)n, "");
}
