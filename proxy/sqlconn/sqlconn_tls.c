/*
 * sqlconn_tls.c - a TLS policy in libmariadb's options.
 *
 * MYSQL_OPT_SSL_ENFORCE alone is "preferred": TLS where the server has it. An authority makes the library verify the chain,
 * MYSQL_OPT_SSL_VERIFY_SERVER_CERT the name too; so for the modes that do not verify, none is given.
 *
 * The library refuses a server without TLS by itself only where names are verified. For the other modes that insist, what it reads is
 * looked at, and where the greeting does not offer TLS the socket is shut before the library answers: nothing of a login leaves.
 */
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include <mysql.h>
#include <openssl/x509.h>

#include "mbuf.h"
#include "sqlconn.h"

/* libmariadb's, exported without a header: f is called behind each read (mode 0, with what came) and each write (1). */
extern int ma_pvio_register_callback(my_bool on, void (*f)(int mode, MYSQL *my, const unsigned char *p, size_t len));

#define GREETING_MOST 512 /* up to its capabilities; a longer one is no server's */

/* The connect that this thread is in, of a policy that insists on TLS, until its greeting has been seen. */
static _Thread_local struct {
	MYSQL *my;
	bool refused;
	size_t len;
	uint8_t greeting[GREETING_MOST];
} insisting;

/* RC_OK: it offers TLS, or is an error, which ends the connect by itself. RC_AGAIN: not all of it is here. RC_DECLINED: it does not. */
static enum rc offers_tls(const uint8_t *p, size_t len)
{
	struct mbuf m = mbuf_of(p, len);
	struct span version;
	uint64_t packet;
	uint16_t caps;
	uint8_t protocol;

	if (mbuf_uint(&m, 3, &packet) != RC_OK || mbuf_skip(&m, 1) != RC_OK || mbuf_u8(&m, &protocol) != RC_OK)
		return RC_AGAIN;
	if (protocol == 0xff)
		return RC_OK;
	/* the thread's number, the scramble's beginning and its NUL stand before the capabilities */
	if (mbuf_str_nul(&m, &version) != RC_OK || mbuf_skip(&m, 4 + 8 + 1) != RC_OK || mbuf_u16(&m, &caps) != RC_OK)
		return len < GREETING_MOST && len < 4 + packet ? RC_AGAIN : RC_DECLINED;
	return caps & CLIENT_SSL ? RC_OK : RC_DECLINED;
}

static void on_read(int mode, MYSQL *my, const unsigned char *p, size_t len)
{
	size_t room = sizeof(insisting.greeting) - insisting.len;
	enum rc rc;

	if (mode != 0 || !my || my != insisting.my || len == 0 || len > SSIZE_MAX)
		return;
	memcpy(insisting.greeting + insisting.len, p, len < room ? len : room);
	insisting.len += len < room ? len : room;
	rc = offers_tls(insisting.greeting, insisting.len);
	if (rc == RC_AGAIN)
		return;
	insisting.my = NULL;
	if (rc == RC_OK)
		return;
	insisting.refused = true;
	(void)shutdown(mysql_get_socket(my), SHUT_RDWR);
}

static void look_at_reads(void)
{
	(void)ma_pvio_register_callback(1, on_read);
}

enum rc sqlconn_tls_ask(MYSQL *my, const struct tls_policy *p, bool is_unix)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	my_bool on = 1;

	pthread_once(&once, look_at_reads);
	insisting.my = p->mode >= TLS_REQUIRED && !is_unix ? my : NULL;
	insisting.refused = false;
	insisting.len = 0;
	/* Those suimon itself speaks: a server must not be able to ask for the password in clear. */
	if (mysql_optionsv(my, MARIADB_OPT_RESTRICTED_AUTH, "mysql_native_password,caching_sha2_password,client_ed25519"))
		return RC_ERROR;
	if (p->mode == TLS_DISABLED || is_unix)
		return RC_OK;
	if (mysql_optionsv(my, MYSQL_OPT_SSL_ENFORCE, &on))
		return RC_ERROR;
	if (p->mode < TLS_VERIFY_CA)
		return RC_OK;
	if (p->ca[0] ? mysql_optionsv(my, MYSQL_OPT_SSL_CA, p->ca)
		     : mysql_optionsv(my, MYSQL_OPT_SSL_CAPATH, X509_get_default_cert_dir()))
		return RC_ERROR;
	if (p->mode == TLS_VERIFY_IDENTITY && mysql_optionsv(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on))
		return RC_ERROR;
	return RC_OK;
}

void sqlconn_forget_password(MYSQL *my)
{
	if (my->passwd)
		secret_wipe(my->passwd, strlen(my->passwd));
}

bool sqlconn_tls_stands(MYSQL *my, const struct tls_policy *p, bool is_unix, bool connected)
{
	insisting.my = NULL;
	if (insisting.refused)
		return false;
	return !connected || p->mode < TLS_REQUIRED || is_unix || mysql_get_ssl_cipher(my);
}
