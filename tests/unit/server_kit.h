/*
 * server_kit.h - what unit tests that need a real MariaDB share: servers of their own on loopback, in a directory of
 * their own, gone when the test is.
 */
#ifndef SUIMON_SERVER_KIT_H
#define SUIMON_SERVER_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct st_mysql; /* mysql.h and the product's own protocol headers do not go together */

struct server {
	pid_t pid; /* 0: not running */
	uint16_t port;
	unsigned id;
	char dir[128];
	char socket[160];
	struct st_mysql *my; /* as root, by socket */
};

bool server_have(void); /* is a MariaDB server installed? */
/* Makes its data directory, starts it and waits until it answers. extra: one more option, or NULL. Fails the test. */
void server_start(struct server *s, unsigned id, const char *extra);
void server_restart(struct server *s);                                 /* after server_kill */
void server_kill(struct server *s);                                    /* SIGKILL */
void server_remove(struct server *s);                                  /* ends it and removes its directory */
void server_replicate(struct server *replica, struct server *primary); /* by GTID; has caught up */

void server_sql(struct server *s, const char *sql); /* fails the test on an error */
/* The first value of the answer; static, "" when there is none. */
const char *server_value(struct server *s, const char *sql);
unsigned long server_number(struct server *s, const char *sql);

uint16_t server_free_port(void);

#endif
