#include "successor.h"

#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "handover.h"
#include "log.h"
#include "mem.h"
#include "process.h"

#define LINK_THERE (STDERR_FILENO + 1) /* the link's descriptor in the new process */

extern char **environ;

static bool is_own_business(const char *var)
{
	static const char *const names[] = {"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "WATCHDOG_PID=", HANDOVER_ENV "="};

	for (size_t i = 0; i < countof(names); i++)
		if (strncmp(var, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

pid_t successor_spawn(int link)
{
	char var[64];
	size_t n = 0, kept = 0;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid = -1;
	char **env;
	int error;

	while (environ[n])
		n++;
	env = mem_zalloc((n + 2) * sizeof(*env));
	if (!env)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!is_own_business(environ[i]))
			env[kept++] = environ[i];
	(void)snprintf(var, sizeof(var), HANDOVER_ENV "=%d", LINK_THERE);
	env[kept] = var;
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	/* Of all descriptors this one alone is the new one's. Libraries open some that survive an exec: a server would not
	 * notice that this process ends while they are open there. */
	error = posix_spawn_file_actions_adddup2(&actions, link, LINK_THERE);
	if (error == 0)
		error = posix_spawn_file_actions_addclosefrom_np(&actions, LINK_THERE + 1);
	if (error == 0)
		error = posix_spawnattr_setsigmask(&attr, &none);
	if (error == 0)
		error = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	if (error == 0)
		error = posix_spawnp(&pid, process.argv[0], &actions, &attr, process.argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	mem_free(env);
	if (error == 0)
		return pid;
	log_error("upgrade", "the program cannot be started", "program=%s error=\"%s\"", process.argv[0], strerror(error));
	return -1;
}
