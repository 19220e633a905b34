#include "server_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <mysql.h>

static const char *const server_paths[] = {"/usr/sbin/mariadbd", "/usr/sbin/mysqld", "/usr/local/sbin/mariadbd"};

static const char *server_path(void)
{
	for (size_t i = 0; i < sizeof(server_paths) / sizeof(server_paths[0]); i++)
		if (access(server_paths[i], X_OK) == 0)
			return server_paths[i];
	return NULL;
}

bool server_have(void)
{
	return server_path() && access("/usr/bin/mariadb-install-db", X_OK) == 0;
}

uint16_t server_free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* Starts a program, its output into a file of the server's directory. It ends with the test, however that ends. */
static pid_t spawn(const struct server *s, const char *const argv[])
{
	char log[300];
	pid_t pid, parent = getpid();

	snprintf(log, sizeof(log), "%s/log", s->dir);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fd < 0 || getppid() != parent)
			_exit(126);
		dup2(fd, 1);
		dup2(fd, 2);
		/* Each cleans its folder for temporary tables when it starts, and with it that of another one under way. */
		setenv("TMPDIR", s->dir, 1);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

/* What a program had to say before it failed. */
static void show_log(const struct server *s)
{
	char path[160], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", s->dir);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		print_error("%s", line);
	if (f)
		fclose(f);
}

static void run_to_end(const struct server *s, const char *const argv[])
{
	int status = 0;
	pid_t pid = spawn(s, argv);

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		show_log(s);
	assert_int_equal(status, 0);
}

#define SMALL "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=8M"

static char extra_option[256];

static void launch(struct server *s)
{
	char datadir[300], port[32], sock[320], id[32], pidfile[320];
	const char *argv[] = {server_path(),
			      "--no-defaults",
			      datadir,
			      port,
			      sock,
			      id,
			      pidfile,
			      "--user=root",
			      "--bind-address=127.0.0.1",
			      "--log-bin=bin",
			      "--log-slave-updates",
			      "--skip-name-resolve",
			      "--innodb-flush-log-at-trx-commit=0",
			      "--skip-networking=0",
			      SMALL,
			      extra_option[0] ? extra_option : NULL,
			      NULL};

	snprintf(datadir, sizeof(datadir), "--datadir=%s/data", s->dir);
	snprintf(port, sizeof(port), "--port=%u", s->port);
	snprintf(sock, sizeof(sock), "--socket=%s", s->socket);
	snprintf(id, sizeof(id), "--server-id=%u", s->id);
	snprintf(pidfile, sizeof(pidfile), "--pid-file=%s/pid", s->dir);
	s->pid = spawn(s, argv);
	for (int i = 0; i < 400; i++) {
		s->my = mysql_init(NULL);
		assert_non_null(s->my);
		if (mysql_real_connect(s->my, "localhost", "root", "", NULL, 0, s->socket, 0))
			return;
		mysql_close(s->my);
		s->my = NULL;
		if (waitpid(s->pid, NULL, WNOHANG) != 0) {
			s->pid = 0;
			break;
		}
		usleep(25000);
	}
	show_log(s);
	fail_msg("the server did not start");
}

void server_start(struct server *s, unsigned id, const char *extra)
{
	char datadir[300];
	const char *argv[] = {"/usr/bin/mariadb-install-db",
			      "--no-defaults",
			      "--force", /* no name need resolve */
			      datadir,
			      "--auth-root-authentication-method=normal",
			      "--skip-test-db",
			      "--user=root",
			      SMALL,
			      NULL};

	*s = (struct server){.id = id, .port = server_free_port()};
	snprintf(s->dir, sizeof(s->dir), "/tmp/suimon-unit-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->socket, sizeof(s->socket), "%s/sock", s->dir);
	snprintf(datadir, sizeof(datadir), "--datadir=%s/data", s->dir);
	snprintf(extra_option, sizeof(extra_option), "%s", extra ? extra : "");
	run_to_end(s, argv);
	launch(s);
}

void server_restart(struct server *s)
{
	extra_option[0] = '\0';
	launch(s);
}

static void end_it(struct server *s, int sig)
{
	if (s->my)
		mysql_close(s->my);
	s->my = NULL;
	if (s->pid) {
		kill(s->pid, SIGCONT);
		kill(s->pid, sig);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
}

void server_kill(struct server *s)
{
	end_it(s, SIGKILL);
}

void server_remove(struct server *s)
{
	const char *argv[] = {"/bin/rm", "-rf", s->dir, NULL};

	end_it(s, SIGKILL);
	if (s->dir[0])
		waitpid(spawn(s, argv), NULL, 0);
	s->dir[0] = '\0';
}

void server_sql(struct server *s, const char *sql)
{
	MYSQL_RES *res;

	if (mysql_query(s->my, sql) != 0)
		fail_msg("%s: %s", sql, mysql_error(s->my));
	res = mysql_store_result(s->my);
	if (res)
		mysql_free_result(res);
}

const char *server_value(struct server *s, const char *sql)
{
	static char value[256];
	MYSQL_RES *res;
	MYSQL_ROW row;

	if (mysql_query(s->my, sql) != 0)
		fail_msg("%s: %s", sql, mysql_error(s->my));
	res = mysql_store_result(s->my);
	assert_non_null(res);
	row = mysql_fetch_row(res);
	snprintf(value, sizeof(value), "%s", row && row[0] ? row[0] : "");
	mysql_free_result(res);
	return value;
}

unsigned long server_number(struct server *s, const char *sql)
{
	return strtoul(server_value(s, sql), NULL, 10);
}

void server_replicate(struct server *replica, struct server *primary)
{
	char sql[512];

	snprintf(
		sql, sizeof(sql),
		"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%u, MASTER_USER='repl', MASTER_PASSWORD='repl', "
		"MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
		primary->port);
	server_sql(replica, sql);
	server_sql(replica, "START SLAVE");
	snprintf(sql, sizeof(sql), "SELECT MASTER_GTID_WAIT('%s', 20)",
		 server_value(primary, "SELECT @@gtid_binlog_pos"));
	assert_string_equal(server_value(replica, sql), "0");
}
