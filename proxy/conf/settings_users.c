/*
 * settings_users.c - users: the word passthrough, or a list of accounts in which {passthrough: true} may stand too.
 */
#include <string.h>

#include "mem.h"
#include "settings_rows.h"

#define NAME_MAX_BYTES 128
#define USERS_MAX 10000

static const char *check_name(const char *text)
{
	return strlen(text) > NAME_MAX_BYTES ? "the name is too long, allowed are 128 bytes" : NULL;
}

static const struct conf_opt rows[] = {
	{.name = "name",
	 .type = CONF_STRING,
	 .offset = offsetof(struct settings_user, name),
	 .def = "",
	 .check = check_name,
	 .help = "The account's name, to clients and to the servers."},
	{.name = "password",
	 .type = CONF_SECRET,
	 .offset = offsetof(struct settings_user, password),
	 .def = "",
	 .help = "Its password, best as `${NAME}`."},
	{.name = "passthrough",
	 .type = CONF_BOOL,
	 .offset = offsetof(struct settings_user, passthrough),
	 .def = "false",
	 .help = "Alone in its entry: accounts not listed here prove themselves to the primary."},
	{.name = NULL},
};

const struct conf_table settings_users_table = {.size = sizeof(struct settings_user), .opts = rows};

static struct settings *settings_of(void *at)
{
	return container_of(at, struct settings, users);
}

static const struct settings *settings_of_const(const void *at)
{
	return (const struct settings *)(const void *)((const char *)at - offsetof(struct settings, users));
}

/* One entry of the list into u. RC_DECLINED: it is the one for pass-through, and u is empty. */
static enum rc parse_user(struct conf_ctx *c, const struct conf_node *n, struct settings_user *u)
{
	enum rc rc = conf_fill_table(c, &settings_users_table, n, u);

	if (rc != RC_OK)
		return RC_ERROR;
	if (u->passthrough && conf_count(n) == 1) {
		conf_drop(&settings_users_table, u);
		*u = (struct settings_user){0};
		return RC_DECLINED;
	}
	if (u->passthrough)
		conf_fault(c, n, "passthrough with a name or password, allowed is passthrough alone in its entry");
	else if (!*u->name)
		conf_fault(c, n, "an account without a name, allowed is {name: …, password: …} or {passthrough: true}");
	else if (!conf_get(n, "password"))
		conf_fault(c, n, "an account without a password, allowed is a password (\"\" for an empty one)");
	else
		return RC_OK;
	return RC_ERROR;
}

static enum rc parse_list(struct conf_ctx *c, const struct conf_node *n, struct settings *s)
{
	enum rc all = RC_OK;
	size_t i = 0;

	s->users = mem_zalloc(conf_count(n) * sizeof(*s->users));
	if (!s->users) {
		conf_no_memory(c);
		return RC_ERROR;
	}
	for (const struct conf_edge *e = conf_first(n); e; e = e->next) {
		size_t mark = conf_enter_index(c, i++);
		enum rc rc = parse_user(c, e->value, &s->users[s->nusers]);

		conf_leave(c, mark);
		if (rc == RC_DECLINED)
			s->passthrough = true;
		else
			s->nusers++;
		if (rc == RC_ERROR)
			all = RC_ERROR;
	}
	return all;
}

enum rc settings_users_parse(struct conf_ctx *c, const struct conf_node *n, const struct conf_opt *o, void *at)
{
	struct settings *s = settings_of(at);

	if (conf_kind(n) == CONF_SEQ && conf_count(n) > USERS_MAX) {
		conf_fault(c, n, "a list of %zu is too long, allowed are %d accounts", conf_count(n), USERS_MAX);
		return RC_ERROR;
	}
	if (conf_kind(n) == CONF_SEQ && conf_count(n) > 0)
		return parse_list(c, n, s);
	if (strcmp(conf_text(n), "passthrough") == 0) {
		s->passthrough = true;
		return RC_OK;
	}
	conf_fault(c, n, "%s is not what belongs here, allowed is passthrough or a list of at least one account",
		   conf_kind(n) == CONF_SEQ ? "an empty list" : "the value");
	return RC_ERROR;
}

static void print_passthrough(struct conf_sink *s)
{
	conf_put_map(s);
	conf_put_key(s, "passthrough");
	conf_put_bool(s, true);
	conf_put_end(s);
}

void settings_users_print(struct conf_sink *s, const struct conf_opt *o, const void *at)
{
	const struct settings *set = settings_of_const(at);

	if (set->passthrough && set->nusers == 0) {
		conf_put_text(s, "passthrough");
		return;
	}
	conf_put_list(s);
	for (size_t i = 0; i < set->nusers; i++) {
		conf_put_map(s);
		for (const struct conf_opt *row = rows; row < rows + 2; row++) {
			conf_put_key(s, row->name);
			conf_put_opt(s, row, (const char *)&set->users[i] + row->offset);
		}
		conf_put_end(s);
	}
	if (set->passthrough)
		print_passthrough(s);
	conf_put_end(s);
}

void settings_users_drop(void *at)
{
	struct settings *s = settings_of(at);

	for (size_t i = 0; i < s->nusers; i++)
		conf_drop(&settings_users_table, &s->users[i]);
	mem_free(s->users);
	s->users = NULL;
	s->nusers = 0;
	s->passthrough = false;
}
