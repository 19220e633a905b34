#include "version.h"

#include <stdio.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <mysql.h>
#include <openssl/crypto.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <yaml.h>
#ifdef SUIMON_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

void version_print(void)
{
	(void)printf("suimon %s\n", SUIMON_VERSION);
#ifdef SUIMON_JEMALLOC
	(void)printf("build: jemalloc=%s\n", JEMALLOC_VERSION);
#else
	(void)printf("build: jemalloc=no\n");
#endif
	(void)printf("libevent %s\nlibmariadb %s\nhiredis %d.%d.%d\n%s\npcre2 %d.%d\njansson %s\nlibyaml %s\n",
		     event_get_version(), mysql_get_client_info(), HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH,
		     OpenSSL_version(OPENSSL_VERSION), PCRE2_MAJOR, PCRE2_MINOR, JANSSON_VERSION, yaml_get_version_string());
}

enum rc libraries_begin(void)
{
	return mysql_library_init(0, NULL, NULL) == 0 ? RC_OK : RC_ERROR;
}

void libraries_end(void)
{
	mysql_library_end();
}
