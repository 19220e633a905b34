/*
 * How many processors control groups leave: of both versions, in a group's own files and in those above it, by made-up ones.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpus.h"

#define MADE_MOST 32

static char root[32];
static char made[MADE_MOST][sizeof(root) + 256]; /* files and folders, in the order in which they were made */
static size_t nmade;

static const char *below(const char *name)
{
	assert_true(nmade < MADE_MOST);
	(void)snprintf(made[nmade], sizeof(made[nmade]), "%s%s", root, name);
	return made[nmade++];
}

/* With the folders above it. */
static void put(const char *name, const char *text)
{
	FILE *f;

	for (const char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		char folder[256];

		(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - name), name);
		if (mkdir(below(folder), 0700) != 0) {
			assert_int_equal(errno, EEXIST);
			nmade--;
		}
	}
	f = fopen(below(name), "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make_root(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/cpus_test.XXXXXX");
	nmade = 0;
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	while (nmade)
		(void)remove(made[--nmade]);
	return rmdir(root);
}

static void without_control_groups_all_are_left(void **state)
{
	assert_int_equal(cpus_in_groups(64, root), 64);
	put("/proc/self/cgroup", "0::/app\n");
	assert_int_equal(cpus_in_groups(64, root), 64);
	put("/sys/fs/cgroup/app/cpu.max", "max 100000\n");
	assert_int_equal(cpus_in_groups(64, root), 64);
}

static void a_limit_is_rounded_up_and_never_below_one(void **state)
{
	static const struct { const char *max; unsigned cpus; } rows[] = {
		{"10000 100000\n", 1}, {"100000 100000\n", 1}, {"100001 100000\n", 2}, {"150000 100000\n", 2}, {"200000 100000\n", 2},
		{"1000000 250000\n", 4}, {"6500000 100000\n", 64}, {"9223372036854775807 1\n", 64}, {"max 100000\n", 64},
		{"0 100000\n", 64}, {"-1 100000\n", 64}, {"100000 0\n", 64}, {"100000\n", 64}, {"", 64}, {"\n", 64}, {"x y\n", 64},
	};

	put("/proc/self/cgroup", "0::/\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put("/sys/fs/cgroup/cpu.max", rows[i].max);
		nmade -= i > 0; /* the same file */
		assert_int_equal(cpus_in_groups(64, root), rows[i].cpus);
		assert_int_equal(cpus_in_groups(1, root), 1);
	}
}

static void the_least_from_the_own_group_to_the_root_counts(void **state)
{
	put("/proc/self/cgroup", "0::/pods/shop/suimon\n");
	put("/sys/fs/cgroup/pods/shop/suimon/cpu.max", "800000 100000\n");
	assert_int_equal(cpus_in_groups(64, root), 8);
	put("/sys/fs/cgroup/pods/cpu.max", "300000 100000\n");
	assert_int_equal(cpus_in_groups(64, root), 3);
	put("/sys/fs/cgroup/pods/shop/cpu.max", "500000 100000\n");
	assert_int_equal(cpus_in_groups(64, root), 3);
	put("/sys/fs/cgroup/pods/other/cpu.max", "100000 100000\n");
	assert_int_equal(cpus_in_groups(64, root), 3);
	put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
	assert_int_equal(cpus_in_groups(64, root), 2);
}

static void a_container_sees_its_own_group_as_the_root(void **state)
{
	put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/0123\n0::/docker/0123\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus_in_groups(64, root), 2);
}

static void version_1_has_its_limit_in_two_files(void **state)
{
	put("/proc/self/cgroup", "5:cpuset:/a\n4:cpuacct,cpu:/a/b\n3:cpuacct:/a\nnothing of it\n2:\n1:cpu\n0::/\n");
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
	assert_int_equal(cpus_in_groups(64, root), 64);
	put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus_in_groups(64, root), 64);
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "50000\n");
	assert_int_equal(cpus_in_groups(64, root), 64);
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "240000\n");
	assert_int_equal(cpus_in_groups(64, root), 5);
	assert_int_equal(cpus_in_groups(3, root), 3);
}

static void another_controllers_group_is_not_asked(void **state)
{
	put("/proc/self/cgroup", "4:cpuset,cpuacct:/a\n3:name=cpu:/a\n");
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
	put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus_in_groups(64, root), 64);
}

static void one_it_may_run_on_is_one(void **state)
{
	cpu_set_t before, one;
	int first = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_true(cpus_usable() >= 1 && cpus_usable() <= (unsigned)CPU_COUNT(&before));
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(cpus_usable(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_control_groups_all_are_left, make_root, drop_root),
		cmocka_unit_test_setup_teardown(a_limit_is_rounded_up_and_never_below_one, make_root, drop_root),
		cmocka_unit_test_setup_teardown(the_least_from_the_own_group_to_the_root_counts, make_root, drop_root),
		cmocka_unit_test_setup_teardown(a_container_sees_its_own_group_as_the_root, make_root, drop_root),
		cmocka_unit_test_setup_teardown(version_1_has_its_limit_in_two_files, make_root, drop_root),
		cmocka_unit_test_setup_teardown(another_controllers_group_is_not_asked, make_root, drop_root),
		cmocka_unit_test(one_it_may_run_on_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
