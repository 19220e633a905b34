/*
 * sqlconn_tls.c - a TLS policy in libmariadb's options.
 *
 * MYSQL_OPT_SSL_ENFORCE alone is "preferred": TLS where the server has it. An authority makes the library verify the chain,
 * MYSQL_OPT_SSL_VERIFY_SERVER_CERT the name too; so for the modes that do not verify, none is given.
 */
#include <string.h>

#include <mysql.h>
#include <openssl/x509.h>

#include "sqlconn.h"

enum rc sqlconn_tls_ask(MYSQL *my, const struct tls_policy *p, bool is_unix)
{
	my_bool on = 1;

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

bool sqlconn_tls_stands(MYSQL *my, const struct tls_policy *p, bool is_unix)
{
	return p->mode < TLS_REQUIRED || is_unix || mysql_get_ssl_cipher(my);
}
