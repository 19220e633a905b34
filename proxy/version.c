#include "version.h"

#include <stdio.h>

#include <curl/curl.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <mysql.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <yaml.h>
#ifdef SUIMON_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include "loop.h"

void version_print(void)
{
#ifdef SUIMON_JEMALLOC
	const char *allocator = "jemalloc " JEMALLOC_VERSION;
#else
	const char *allocator = "libc";
#endif
#ifdef SUIMON_SYSTEMD
	const char *systemd = "on";
#else
	const char *systemd = "off";
#endif
#ifdef SUIMON_IO_URING
	const char *io_uring = "on";
#else
	const char *io_uring = "off";
#endif
#ifdef NDEBUG
	const char *assertions = "off";
#else
	const char *assertions = "on";
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	const char *sanitizer = "on";
#else
	const char *sanitizer = "off";
#endif

	(void)printf("suimon %s\n", SUIMON_VERSION);
	(void)printf("build: compiler=\"%s\" allocator=\"%s\" systemd=%s io_uring=%s assertions=%s sanitizer=%s\n", __VERSION__, allocator,
		     systemd, io_uring, assertions, sanitizer);
	(void)printf("libevent %s\nlibmariadb %s\nlibcurl %s\nhiredis %d.%d.%d\n%s\npcre2 %d.%d\njansson %s\nlibyaml %s\nlibsodium %s\nxxhash %u\nzlib %s\nzstd %s\nlibrdkafka %s\n",
		     event_get_version(), mysql_get_client_info(), LIBCURL_VERSION, HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH,
		     OpenSSL_version(OPENSSL_VERSION), PCRE2_MAJOR, PCRE2_MINOR, JANSSON_VERSION, yaml_get_version_string(),
		     sodium_version_string(), XXH_versionNumber(), zlibVersion(), ZSTD_versionString(),
		     rd_kafka_version_str());
}

enum rc libraries_begin(void)
{
	loop_library_log();
	return mysql_library_init(0, NULL, NULL) == 0 ? RC_OK : RC_ERROR;
}

void libraries_end(void)
{
	mysql_library_end();
}
