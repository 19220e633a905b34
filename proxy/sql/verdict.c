/*
 * verdict.c - may it be cached, may a replica answer it, may it wait in the queue: by its text alone.
 *
 * One row a reason, the strongest first.
 */
#include "facts.h"

struct reason {
	uint64_t flag; /* any of them */
	const char *why;
};

static const char *first_reason(uint64_t flags, const struct reason *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (flags & r[i].flag)
			return r[i].why;
	return NULL;
}

/* What neither cache nor replica may answer. */
#define NOT_A_PLAIN_READ                                                                                               \
	{SQL_F_UNKNOWN, "it was not understood to its end"}, {SQL_F_MULTI, "it is several statements"},                \
		{SQL_F_WRITES, "it writes"}, {SQL_F_LOCKING_READ, "it locks the rows it reads"},                       \
		{SQL_F_STORED_FUNCTION, "it calls a function that is not the server's own"},                           \
		{SQL_F_SEQUENCE, "it uses a sequence"}, {SQL_F_USER_LOCK, "it uses a named lock"},                     \
		{SQL_F_USER_VAR_WRITE, "it sets a user variable"}, {SQL_F_USER_VAR_READ, "it reads a user variable"},  \
		{SQL_F_LAST_INSERT_ID, "it asks for the last insert id"},                                              \
		{SQL_F_FOUND_ROWS, "it asks for the rows found before"},                                               \
		{SQL_F_ROW_COUNT, "it asks for the rows changed before"},                                              \
		{SQL_F_DIAGNOSTICS, "it asks for the warnings of what ran before"},                                    \
		{SQL_F_CONNECTION_ID, "it asks for the connection's id"},                                              \
		{SQL_F_SERVER_FILE, "it uses a file of the server's"},                                                 \
		{SQL_F_SYSTEM_VAR, "it reads a system variable"},                                                      \
		{SQL_F_SERVER_STATE, "it asks for the server's own state"},                                            \
	{                                                                                                              \
		SQL_F_SYSTEM_SCHEMA, "it reads the server's own schemas"                                               \
	}

static const struct reason not_cacheable[] = {
	NOT_A_PLAIN_READ,
	{SQL_F_CALC_FOUND_ROWS, "it has SQL_CALC_FOUND_ROWS"},
	{SQL_F_NONDETERMINISTIC, "it calls a function whose answer changes"},
};

static const struct reason not_replica_safe[] = {
	NOT_A_PLAIN_READ,
};

static const struct reason not_queueable[] = {
	{SQL_F_UNKNOWN, "it was not understood to its end"},
	{SQL_F_MULTI, "it is several statements"},
	{SQL_F_RETURNING, "it returns rows"},
	{SQL_F_STORED_FUNCTION, "it calls a function that is not the server's own"},
	{SQL_F_SEQUENCE, "it uses a sequence"},
	{SQL_F_LAST_INSERT_ID, "it uses the last insert id"},
	{SQL_F_USER_LOCK, "it uses a named lock"},
	{SQL_F_USER_VAR_READ | SQL_F_USER_VAR_WRITE, "it uses a user variable"},
	{SQL_F_SYSTEM_VAR, "it reads a system variable"},
	{SQL_F_SERVER_FILE | SQL_F_LOCAL_INFILE, "it reads a file"},
	{SQL_F_SYSTEM_SCHEMA, "it touches the server's own schemas"},
	{SQL_F_SUBQUERY, "it holds a query"},
	{SQL_F_REPLAY_UNSAFE, "it calls a function whose answer would be another when it is applied"},
	{SQL_F_PASSWORD, "it holds a password"},
};

static bool is_read(const struct sql_facts *f)
{
	return f->verb == SQL_SELECT || f->verb == SQL_TABLE || f->verb == SQL_VALUES;
}

/* No for this reason, or yes: for that one. */
static bool answer(const char *no, const char *yes, const char **why)
{
	*why = no ? no : yes;
	return !no;
}

bool sql_cacheable(const struct sql_facts *f, const char **why)
{
	const char *r = first_reason(f->flags, not_cacheable, countof(not_cacheable));

	if (!r && !is_read(f))
		r = "only SELECT, TABLE and VALUES are cached";
	if (!r && !f->ntables)
		r = "it reads no table";
	return answer(r, "it is a read whose answer hangs on its tables' rows alone", why);
}

bool sql_replica_safe(const struct sql_facts *f, const char **why)
{
	const char *r = first_reason(f->flags, not_replica_safe, countof(not_replica_safe));

	if (!r && !is_read(f))
		r = "only SELECT, TABLE and VALUES are read from replicas";
	return answer(r, "it reads, and leaves nothing behind", why);
}

static const char *not_one_write(const struct sql_facts *f)
{
	if (f->verb != SQL_INSERT && f->verb != SQL_REPLACE && f->verb != SQL_UPDATE && f->verb != SQL_DELETE)
		return "only INSERT, REPLACE, UPDATE and DELETE are queued";
	if (f->ntables != 1 || !f->tables[0].written || f->tables[0].read)
		return "it touches more than the table it writes";
	if ((f->flags & SQL_F_LIMIT_NO_ORDER))
		return "it has LIMIT without ORDER BY";
	return NULL;
}

bool sql_queueable(const struct sql_facts *f, const char **why)
{
	const char *r = f->flags & SQL_F_UNKNOWN ? NULL : not_one_write(f);

	if (!r)
		r = first_reason(f->flags, not_queueable, countof(not_queueable));
	return answer(r, "it writes one table, and does the same when it is applied later", why);
}

bool sql_changes_accounts(const struct sql_facts *f)
{
	if (f->flags & SQL_F_ACCOUNTS)
		return true;
	for (uint16_t i = 0; f->flags & SQL_F_SYSTEM_SCHEMA && i < f->ntables; i++)
		if (f->tables[i].written && span_ieq(f->tables[i].schema, span_str("mysql")))
			return true; /* the tables of accounts, before FLUSH PRIVILEGES reads them */
	return false;
}

/* What stands for a password, or for where one may be (ENGINE=FEDERATED CONNECTION='mysql://user:password@host/table'). */
static const char *const password_words[] = {"password", "identified", "authentication_string", "connection"};

/* Statements that hold text of others, those that make what does, what nobody has understood, and the tables of accounts. */
static bool may_hold_more(const struct sql_facts *f)
{
	return f->flags & SQL_F_UNKNOWN || (f->flags & SQL_F_SYSTEM_SCHEMA && f->flags & SQL_F_WRITES) ||
	       f->verbs & (SQL_VERB(SQL_PREPARE) | SQL_VERB(SQL_EXECUTE) | SQL_VERB(SQL_COMPOUND) | SQL_VERB(SQL_CREATE) | SQL_VERB(SQL_ALTER));
}

#define LOOKED_AT (64 * 1024)

bool sql_is_private(const struct sql_facts *f, struct span text)
{
	if (f->flags & SQL_F_PASSWORD)
		return true;
	if (likely(!may_hold_more(f)))
		return false;
	for (size_t i = 0; text.len <= LOOKED_AT && i < countof(password_words); i++)
		if (span_iholds(text, span_str(password_words[i])))
			return true;
	return text.len > LOOKED_AT;
}
