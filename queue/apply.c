/*
 * apply.c - see apply.h.
 */
#include "apply.h"

#include <errmsg.h>
#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "failpoint.h"
#include "lanelock.h"
#include "log.h"
#include "mem.h"

#define ER_SP_DOES_NOT_EXIST 1305u /* of savepoints, too */
#define ER_ROW_IS_REFERENCED 1451u
#define ER_NO_REFERENCED_ROW 1452u
#define MERGED_BYTES_MAX (UINT64_C(1) << 20)

/* What a record's environment does not mention is as it was when the connection was made: kept there in variables. */
static const char keep_defaults[] = "SET @suimon_1=@@sql_mode, @suimon_2=@@time_zone, "
				    "@suimon_3=@@character_set_client, @suimon_4=@@collation_connection, "
				    "@suimon_5=@@foreign_key_checks, @suimon_6=@@unique_checks, "
				    "@suimon_7=@@lc_time_names, @suimon_8=@@sql_safe_updates, "
				    "@suimon_9=@@div_precision_increment";
static const char defaults[] =
	"sql_mode=@suimon_1, time_zone=@suimon_2, character_set_client=@suimon_3, collation_connection=@suimon_4, "
	"foreign_key_checks=@suimon_5, unique_checks=@suimon_6, lc_time_names=@suimon_7, sql_safe_updates=@suimon_8, "
	"div_precision_increment=@suimon_9";

/* What servers begin a connection with, of that which changes rows. Kept as one word: a mode alone is hundreds of bytes. */
#define BEGINS_WITH                                                                                                         \
	"SELECT SHA2(CONCAT_WS(' ', @@global.sql_mode, @@global.time_zone, @@global.lc_time_names, @@global.foreign_key_checks, " \
	"@@global.unique_checks, @@global.sql_safe_updates, @@global.sql_big_selects, @@global.max_join_size, "             \
	"@@global.sql_auto_is_null, @@global.max_sort_length, @@global.div_precision_increment, "                           \
	"@@global.default_week_format, @@global.group_concat_max_len, "

static const char *begins_with(const struct applier *a)
{
	return a->conn.mariadb ? BEGINS_WITH "@@global.old_mode, @@global.check_constraint_checks, @@global.default_regex_flags, " \
					   "@@global.old_passwords, @@global.max_recursive_iterations), 256)"
			       : BEGINS_WITH "@@global.block_encryption_mode, @@global.cte_max_recursion_depth, " \
					   "@@global.windowing_use_high_precision), 256)";
}

void applier_init(struct applier *a, const uint8_t id[QUEUE_ID_BYTES], unsigned shard, struct dead *dead)
{
	memset(a, 0, sizeof(*a));
	dbconn_init(&a->conn);
	a->conn.patient = true;
	position_init(&a->position, id, shard);
	tableinfo_init(&a->tables);
	iobuf_init(&a->sql, 0);
	iobuf_init(&a->resets, 0);
	a->dead = dead;
}

void applier_share(struct applier *a, struct deadtable *table, struct queue_engine *engine)
{
	a->table = table;
	a->engine = engine->ops->note ? engine : NULL;
	a->lane = engine;
	a->dead = NULL;
	a->position.fenced = true;
}

static void forget_state(struct applier *a)
{
	mem_free(a->environment);
	a->environment = NULL;
	iobuf_consume(&a->resets, iobuf_len(&a->resets));
	a->schema[0] = '\0';
	a->time_us = 0;
}

void applier_disconnect(struct applier *a)
{
	dbconn_close(&a->conn);
	forget_state(a);
}

void applier_reset(struct applier *a)
{
	applier_disconnect(a);
	dbconn_destroy(&a->conn);
	runs_reset(&a->runs);
	iobuf_reset(&a->sql);
	iobuf_reset(&a->resets);
}

static void set_reason(struct applier *a, const char *doing)
{
	snprintf(a->reason, sizeof(a->reason), "%s: error %u: %s", doing, a->conn.code, a->conn.error);
}

/* A server that does not have them all tells nothing of any. */
static enum rc note_globals(struct applier *a)
{
	if (dbconn_value(&a->conn, begins_with(a), a->globals, sizeof(a->globals)) == RC_OK)
		return RC_OK;
	a->globals[0] = '\0';
	return errclass_of(a->conn.code) == ERRCLASS_PERMANENT ? RC_OK : RC_ERROR;
}

static enum rc take_lock(struct applier *a)
{
	char name[LANELOCK_NAME_MAX];

	lanelock_name(name, a->position.id_hex, -1);
	return lanelock_patience(&a->conn) == RC_OK ? lanelock_take(&a->conn, name) : RC_ERROR;
}

enum rc applier_connect(struct applier *a, const struct queue_target *target, uint64_t initial)
{
	const char *doing = "cannot connect";
	enum rc rc;

	applier_disconnect(a);
	rc = dbconn_open(&a->conn, target);
	if (rc == RC_OK) {
		doing = "cannot prepare the connection";
		rc = dbconn_exec(&a->conn, keep_defaults, strlen(keep_defaults));
	}
	if (rc == RC_OK)
		rc = note_globals(a);
	if (rc == RC_OK && a->table) {
		doing = "cannot take the lane's lock";
		rc = take_lock(a);
	}
	if (rc == RC_OK) {
		doing = "cannot read suimon.applied";
		rc = position_read(&a->position, &a->conn, initial);
	}
	if (rc == RC_OK && a->engine) {
		doing = "cannot read what is applied of each producer";
		rc = a->engine->ops->begin(a->engine, &a->conn, a->position.id_hex);
	}
	if (rc != RC_OK) {
		set_reason(a, doing);
		applier_disconnect(a);
		return rc == RC_DECLINED && a->table ? RC_DECLINED : RC_ERROR;
	}
	a->merged_bytes = a->conn.max_packet / 2 < MERGED_BYTES_MAX ? a->conn.max_packet / 2 : MERGED_BYTES_MAX;
	return RC_OK;
}

/* The statement was undone, and what was before it in the transaction was not; or all of it. */
static bool is_the_statements(unsigned code)
{
	enum errclass class = errclass_of(code);

	return class == ERRCLASS_PERMANENT || class == ERRCLASS_SMALLER;
}

/* A failure that is not this record's own. */
static enum apply_result give_up(struct applier *a, const char *doing)
{
	set_reason(a, doing);
	switch (errclass_of(a->conn.code)) {
	case ERRCLASS_RETRY:
		return APPLY_RETRY;
	case ERRCLASS_RECONNECT:
		return APPLY_RECONNECT;
	case ERRCLASS_SMALLER:
		return APPLY_SMALLER;
	case ERRCLASS_PERMANENT:
	case ERRCLASS_WAIT:
		break;
	}
	return APPLY_WAIT;
}

static enum rc set_schema(struct applier *a, struct span schema)
{
	if (!schema.len || span_eq(schema, span_str(a->schema)))
		return RC_OK;
	a->schema[0] = '\0';
	if (schema.len >= sizeof(a->schema)) {
		a->conn.code = 1102; /* incorrect database name */
		snprintf(a->conn.error, sizeof(a->conn.error), "the name of the schema is too long");
		return RC_ERROR;
	}
	memcpy(a->schema, schema.p, schema.len);
	a->schema[schema.len] = '\0';
	if (mysql_select_db(a->conn.my, a->schema) == 0)
		return RC_OK;
	a->conn.code = mysql_errno(a->conn.my);
	snprintf(a->conn.error, sizeof(a->conn.error), "%s", mysql_error(a->conn.my));
	a->schema[0] = '\0';
	return RC_ERROR;
}

static enum rc out_of_memory(struct applier *a)
{
	a->conn.code = 1041;
	snprintf(a->conn.error, sizeof(a->conn.error), "suimon is out of memory");
	return RC_ERROR;
}

/* The next "name=value" of an environment; those that have no "=", as NAMES, are passed by. Values hold no backslash. */
static bool next_variable(struct span *rest, struct span *name)
{
	while (rest->len) {
		const char *from = rest->p, *end = rest->p + rest->len, *p = from, *equals = NULL;
		bool quoted = false;

		for (; p < end && (quoted || *p != ','); p++) {
			quoted ^= *p == '\'';
			if (*p == '=' && !equals)
				equals = p;
		}
		*rest = p < end ? span_of(p + 1, (size_t)(end - p) - 1) : span_of(end, 0);
		*name = span_of(from, equals ? (size_t)(equals - from) : 0);
		if (equals)
			return true;
	}
	return false;
}

/* What is set with every environment; of the results nothing is read. */
static bool is_always_set(struct span name)
{
	static const char *const always[] = {"timestamp", "character_set_connection", "character_set_results"};

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (span_ieq(name, span_str(always[i])))
			return true;
	for (const char *p = memmem(defaults, sizeof(defaults) - 1, name.p, name.len); p;
	     p = memmem(p + 1, (size_t)(defaults + sizeof(defaults) - 1 - p - 1), name.p, name.len))
		if (p[name.len] == '=' && (p == defaults || p[-1] == ' '))
			return true;
	return false;
}

/* Another record's environment need not say what this one has set. */
static enum rc remember_variables(struct applier *a, struct span environment)
{
	struct span name;

	while (next_variable(&environment, &name)) {
		char text[128];
		int n = snprintf(text, sizeof(text), "," SPAN_FMT "=DEFAULT", SPAN_ARG(name));

		if (!name.len || is_always_set(name) || n < 0 || (size_t)n >= sizeof(text) ||
		    memmem(iobuf_data(&a->resets), iobuf_len(&a->resets), text, (size_t)n))
			continue;
		if (iobuf_append(&a->resets, text, (size_t)n) != RC_OK)
			return RC_ERROR;
	}
	return RC_OK;
}

/* As far as the server goes. MariaDB takes its own last moment for a later one, and knows best which that is; MySQL refuses it. */
static uint64_t time_of(const struct applier *a, const struct queue_record *r)
{
	const uint64_t last_us = UINT64_C(2147483647) * 1000000;

	return a->conn.mariadb || r->time_us < last_us ? r->time_us : last_us;
}

static enum rc set_variables(struct applier *a, const struct queue_record *r, bool environment, struct span resets)
{
	const uint64_t time_us = time_of(a, r);

	iobuf_consume(&a->sql, iobuf_len(&a->sql));
	if (iobuf_printf(&a->sql, "SET TIMESTAMP=%" PRIu64 ".%06" PRIu64, time_us / 1000000, time_us % 1000000) != RC_OK)
		return out_of_memory(a);
	/* The drain's own patience comes last: a session's may be shorter than a batch, or longer than a connection's. */
	if (environment && iobuf_printf(&a->sql, ", %s" SPAN_FMT "%s" SPAN_FMT ", innodb_lock_wait_timeout=%d%s", defaults, SPAN_ARG(resets),
					r->environment.len ? ", " : "", SPAN_ARG(r->environment), DBCONN_LOCK_WAIT_SECONDS,
					a->conn.mariadb ? ", max_statement_time=0" : "") != RC_OK)
		return out_of_memory(a);
	return dbconn_exec(&a->conn, (const char *)iobuf_data(&a->sql), iobuf_len(&a->sql));
}

/* A variable that another record has set cannot be brought back: this connection is not to be used any more. */
static enum rc give_up_connection(struct applier *a)
{
	a->conn.code = CR_SERVER_LOST;
	snprintf(a->conn.error, sizeof(a->conn.error), "a variable of an earlier record cannot be set back");
	return RC_ERROR;
}

/* Time and environment as they were when the record was accepted. */
static enum rc set_state(struct applier *a, const struct queue_record *r)
{
	bool same = a->environment && span_eq(r->environment, span_str(a->environment));
	struct span resets = span_of(iobuf_data(&a->resets), iobuf_len(&a->resets));
	enum rc rc;

	if (same && a->time_us == r->time_us)
		return RC_OK;
	if (!same) {
		mem_free(a->environment);
		a->environment = NULL; /* until it is set in full */
	}
	rc = set_variables(a, r, !same, resets);
	if (rc != RC_OK && !same && resets.len && errclass_of(a->conn.code) == ERRCLASS_PERMANENT &&
	    set_variables(a, r, true, span_of("", 0)) == RC_OK)
		return give_up_connection(a);
	if (rc != RC_OK)
		return RC_ERROR;
	a->time_us = r->time_us;
	if (same)
		return RC_OK;
	if (remember_variables(a, r->environment) != RC_OK)
		return out_of_memory(a);
	a->environment = mem_dup(r->environment.p ? r->environment.p : "", r->environment.len);
	return RC_OK;
}

static enum rc append_span(struct iobuf *b, struct span s)
{
	return s.len ? iobuf_append(b, s.p, s.len) : RC_OK;
}

/* The items' rows behind the first one's head. */
static enum rc build_merged(struct iobuf *out, const struct apply_item *it, size_t n)
{
	const struct queue_record *r = &it->rec.r;

	iobuf_consume(out, iobuf_len(out));
	if (append_span(out, merge_head(r)) != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; i < n; i++, it = it->next) {
		if ((i && iobuf_append(out, ",", 1) != RC_OK) || append_span(out, merge_rows(&it->rec.r)) != RC_OK)
			return RC_ERROR;
	}
	return append_span(out, merge_tail(r));
}

/* The transaction goes on without them; or, where the server has undone it whole, there is none. */
static enum rc undo_parts(struct applier *a)
{
	unsigned code = a->conn.code;
	char error[sizeof(a->conn.error)];

	if (!is_the_statements(code))
		return RC_ERROR; /* all is rolled back */
	memcpy(error, a->conn.error, sizeof(error));
	if (dbconn_execf(&a->conn, "ROLLBACK TO SAVEPOINT suimon_parts") != RC_OK &&
	    (a->conn.code != ER_SP_DOES_NOT_EXIST || dbconn_exec(&a->conn, "ROLLBACK", 8) != RC_OK))
		return RC_ERROR;
	a->conn.code = code;
	memcpy(a->conn.error, error, sizeof(error));
	return RC_ERROR;
}

/* A record of several statements: all of them or none. */
static enum rc execute_parts(struct applier *a, const struct queue_record *r)
{
	struct span part;

	if (dbconn_execf(&a->conn, "SAVEPOINT suimon_parts") != RC_OK)
		return RC_ERROR;
	for (size_t i = 0; record_part(r, i, &part); i++) {
		a->statements++;
		if (dbconn_exec(&a->conn, part.p, part.len) != RC_OK)
			return undo_parts(a);
		FAILPOINT("mid-parts");
	}
	return RC_OK;
}

/* One statement for n items of a run. */
static enum rc execute(struct applier *a, const struct apply_item *first, size_t n)
{
	const struct queue_record *r = &first->rec.r;

	if (set_schema(a, r->schema) != RC_OK || set_state(a, r) != RC_OK)
		return RC_ERROR;
	if (r->parts.len)
		return execute_parts(a, r);
	a->statements++;
	if (n == 1)
		return dbconn_exec(&a->conn, r->sql.p, r->sql.len);
	if (build_merged(&a->sql, first, n) != RC_OK)
		return out_of_memory(a);
	return dbconn_exec(&a->conn, (const char *)iobuf_data(&a->sql), iobuf_len(&a->sql));
}

/* Or, of a row that others refer to: that these are deleted. */
static bool wants_parent(unsigned code)
{
	return code == ER_NO_REFERENCED_ROW || code == ER_ROW_IS_REFERENCED;
}

/* The statement of this one record failed for good. */
static enum apply_result bury(struct applier *a, struct apply_item *item)
{
	if (item->rec.r.on_error == QUEUE_HALT) {
		a->halted_seq = item->seq;
		snprintf(a->reason, sizeof(a->reason), "record %" PRIu64 " failed and its rule says halt: error %u: %s",
			 item->seq, a->conn.code, a->conn.error);
		return APPLY_HALT;
	}
	a->orphans += wants_parent(a->conn.code);
	item->dead = true;
	item->code = a->conn.code;
	item->error = mem_strdup(a->conn.error);
	return APPLY_DONE;
}

/* A row it refers to may be in another lane, behind in time. */
static bool parent_may_come(struct applier *a, const struct apply_item *it)
{
	return a->lane && wants_parent(a->conn.code) &&
	       parents_wait(&a->parents, it->seq, a->lane->ops->durable(a->lane), clock_mono_ns());
}

/* Letters that are rows are claimed in the transaction of the records that try them again. */
static enum apply_result claim_rows(struct applier *a, struct apply_item *items, size_t n)
{
	for (size_t i = 0; a->table && i < n; i++) {
		struct apply_item *it = &items[i];
		enum rc rc = RC_OK;

		if (!it->skip && it->rec.retry_of)
			rc = deadtable_claim(a->table, &a->conn, it->rec.retry_of);
		if (rc == RC_ERROR)
			return give_up(a, "cannot take a dead letter");
		it->skip = it->skip || rc == RC_DECLINED;
	}
	return APPLY_DONE;
}

/* So that others can tell which one it hangs at. */
static enum rc execute_seen(struct applier *a, const struct apply_item *first, size_t n)
{
	enum rc rc;

	atomic_store(&a->running_ns, clock_mono_ns());
	atomic_store(&a->running_seq, n == 1 ? first->seq : 0);
	rc = execute(a, first, n);
	atomic_store(&a->running_seq, 0);
	return rc;
}

static enum apply_result apply_run(struct applier *a, struct apply_item *first, size_t n, size_t batch)
{
	enum apply_result result;
	size_t half = n / 2;

	if (execute_seen(a, first, n) == RC_OK) {
		FAILPOINT("mid-batch");
		return APPLY_DONE;
	}
	if (!is_the_statements(a->conn.code) || (errclass_of(a->conn.code) == ERRCLASS_SMALLER && batch > 1))
		return give_up(a, "cannot apply");
	if (a->beside_others)
		return APPLY_ALONE;
	if (a->runs.reordered)
		return APPLY_STRICTLY;
	if (parent_may_come(a, first))
		return give_up(a, "cannot apply");
	/* Undone were the other records too: only alone in its transaction does it become clear what fails. */
	if (!dbconn_in_transaction(&a->conn) && batch > 1)
		return APPLY_SMALLER;
	if (n == 1) {
		result = bury(a, first);
		if (result != APPLY_DONE || dbconn_in_transaction(&a->conn))
			return result;
		if (dbconn_exec(&a->conn, "START TRANSACTION", 17) != RC_OK)
			return give_up(a, "cannot begin");
		return claim_rows(a, first, 1);
	}
	result = apply_run(a, first, half, batch);
	for (size_t i = 0; i < half; i++)
		first = first->next;
	return result == APPLY_DONE ? apply_run(a, first, n - half, batch) : result;
}

/* A dead letter may be tried again by one record only; a crash may have let a second one in. */
static enum apply_result claim_letter(struct applier *a, struct apply_item *it)
{
	enum dead_fate fate;
	uint64_t by_seq;

	if (dead_fate_of(a->dead, it->rec.retry_of, &fate, &by_seq) != RC_OK || fate == DEAD_DISCARDED ||
	    (fate == DEAD_RETRIED && by_seq != it->seq)) {
		it->skip = true;
		return APPLY_DONE;
	}
	if (fate == DEAD_RETRIED || dead_mark(a->dead, it->rec.retry_of, DEAD_RETRIED, it->seq) == RC_OK)
		return APPLY_DONE;
	snprintf(a->reason, sizeof(a->reason), "dead letters cannot be written to the queue's directory: the log says why, and what to do");
	return APPLY_WAIT;
}

static enum apply_result prepare_items(struct applier *a, struct apply_item *items, size_t n)
{
	struct merge_known known = {0};

	for (size_t i = 0; i < n; i++) {
		struct apply_item *it = &items[i];
		enum time_need table;

		it->skip = it->skip || (a->dead && dead_has_seq(a->dead, it->seq));
		if (a->dead && !it->skip && it->rec.retry_of && claim_letter(a, it) != APPLY_DONE)
			return APPLY_WAIT;
		it->need = it->skip ? TIME_NEVER : merge_look(&known, &it->rec.r, a->conn.strict);
		it->mergeable = it->need != TIME_NEVER;
		if (!it->mergeable)
			continue;
		if (tableinfo_need(&a->tables, &a->conn, it->rec.r.tables, &table) != RC_OK)
			return give_up(a, "cannot read the tables' definitions");
		if (table > it->need)
			it->need = table;
		it->mergeable = it->need != TIME_NEVER;
	}
	return APPLY_DONE;
}

/* *done: how many items, from the first on, are applied. */
static enum apply_result apply_items(struct applier *a, struct apply_item *items, size_t n, size_t *done)
{
	enum apply_result result = APPLY_DONE;

	for (size_t i = 0; i < a->runs.n && result == APPLY_DONE; i++)
		result = apply_run(a, a->runs.run[i].first, a->runs.run[i].n, n);
	*done = n;
	/* In strict order, in which alone anything halts, all before that record are; halves run from left to right. */
	if (result == APPLY_HALT) {
		for (*done = 0; *done < n && items[*done].seq < a->halted_seq;)
			++*done;
	}
	return result;
}

static enum apply_result write_letters(struct applier *a, const struct apply_item *items, size_t n)
{
	struct dead_letter *letters;
	size_t count = 0;
	enum rc rc;

	for (size_t i = 0; i < n; i++)
		count += items[i].dead;
	if (!count)
		return APPLY_DONE;
	letters = mem_zalloc(count * sizeof(*letters));
	count = 0;
	for (size_t i = 0; letters && i < n; i++) {
		if (items[i].dead)
			letters[count++] = (struct dead_letter){.seq = items[i].seq,
								.failed_us = clock_wall_us(),
								.code = items[i].code,
								.error = span_str(items[i].error),
								.body = items[i].body};
	}
	rc = !letters ? RC_ERROR :
	     a->table ? deadtable_add(a->table, &a->conn, letters, count) : dead_add(a->dead, letters, count);
	mem_free(letters);
	if (rc == RC_OK) {
		a->buried += count;
		return APPLY_DONE;
	}
	if (a->table)
		return give_up(a, "cannot write a dead letter");
	snprintf(a->reason, sizeof(a->reason),
		 rc == RC_DECLINED ? "there are too many dead letters: retry or discard them"
				   : "dead letters cannot be written to the queue's directory: the log says why, and what to do");
	return APPLY_WAIT;
}

static enum rc move_positions(struct applier *a, uint64_t to)
{
	enum rc rc = position_advance(&a->position, &a->conn, to);

	if (rc == RC_OK && a->engine)
		rc = a->engine->ops->note(a->engine, &a->conn, a->position.id_hex, to);
	return rc == RC_OK && a->base ? position_advance(a->base, &a->conn, a->base_to) : rc;
}

/* to: what the position becomes. */
static enum apply_result commit(struct applier *a, const struct apply_item *items, size_t n, uint64_t to)
{
	enum apply_result result = write_letters(a, items, n);
	enum rc rc;

	if (result != APPLY_DONE)
		return result;
	rc = move_positions(a, to);
	if (rc == RC_DECLINED) {
		snprintf(a->reason, sizeof(a->reason), "suimon.applied was moved by somebody else%s",
			 a->table ? "" : ": a copy of the queue's directory is being applied, or somebody has changed the table");
		a->halted_seq = 0;
		return a->table ? APPLY_RECONNECT : APPLY_HALT;
	}
	if (rc != RC_OK)
		return give_up(a, "cannot move the position");
	FAILPOINT("before-commit");
	if (dbconn_exec(&a->conn, "COMMIT", 6) != RC_OK) {
		set_reason(a, "outcome of COMMIT unknown");
		return APPLY_RECONNECT;
	}
	FAILPOINT("after-commit");
	a->position.seq = to;
	if (!a->orphans)
		parents_came(&a->parents, to);
	/* The commit stands whatever comes of this; a lost connection shows at the next statement. */
	dbconn_gtid(&a->conn, a->gtid, sizeof(a->gtid));
	return APPLY_DONE;
}

static void roll_back(struct applier *a)
{
	if (a->conn.my && dbconn_exec(&a->conn, "ROLLBACK", 8) != RC_OK)
		applier_disconnect(a);
}

/* What failed in a batch that is rolled back is found anew. */
static void forget_deaths(struct apply_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		mem_free(items[i].error);
		items[i].error = NULL;
		items[i].dead = false;
	}
}

static enum apply_result run_batch(struct applier *a, struct apply_item *items, size_t n, bool strict)
{
	enum apply_result result, end;
	size_t done;

	a->orphans = 0;
	if (dbconn_exec(&a->conn, "START TRANSACTION", 17) != RC_OK)
		return give_up(a, "cannot begin");
	result = claim_rows(a, items, n);
	if (result != APPLY_DONE)
		return result;
	for (size_t i = 0; i < n; i++)
		items[i].dead |= items[i].bury && !items[i].skip;
	if (runs_plan(&a->runs, items, n, a->merged_bytes, strict) != RC_OK) {
		snprintf(a->reason, sizeof(a->reason), "out of memory");
		return APPLY_WAIT;
	}
	result = apply_items(a, items, n, &done);
	if (result != APPLY_DONE && (result != APPLY_HALT || !done))
		return result;
	end = commit(a, items, done, done == n && a->commit_to ? a->commit_to : items[done - 1].seq);
	return end == APPLY_DONE ? result : end;
}

/* What is left behind by a batch that is not committed, or not in full. */
static void clean_up(struct applier *a, struct apply_item *items, size_t n, enum apply_result result)
{
	forget_deaths(items, n);
	if (result == APPLY_RECONNECT)
		applier_disconnect(a);
	else
		roll_back(a);
}

/* A session that has logged in since SET GLOBAL has what that says, and this connection has what was before: a new one is made. */
static enum apply_result look_at_globals(struct applier *a)
{
	char now[sizeof(a->globals)];

	if (!a->globals[0])
		return APPLY_DONE;
	if (dbconn_value(&a->conn, begins_with(a), now, sizeof(now)) != RC_OK)
		return give_up(a, "cannot read global variables");
	if (strcmp(now, a->globals) == 0)
		return APPLY_DONE;
	snprintf(a->reason, sizeof(a->reason), "the server's global variables have changed");
	return APPLY_RECONNECT;
}

enum apply_result applier_run(struct applier *a, struct apply_item *items, size_t n)
{
	enum apply_result result;

	a->statements = 0;
	a->buried = 0;
	parents_begin(&a->parents, clock_mono_ns());
	result = look_at_globals(a);
	if (result == APPLY_DONE)
		result = prepare_items(a, items, n);
	if (result == APPLY_DONE)
		result = run_batch(a, items, n, false);
	if (result == APPLY_STRICTLY) {
		clean_up(a, items, n, result);
		result = a->conn.my ? run_batch(a, items, n, true) : APPLY_RECONNECT;
	}
	if (result != APPLY_DONE)
		clean_up(a, items, n, result);
	return result;
}
