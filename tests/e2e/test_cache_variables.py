"""C3, C4: the session variables of the server, each classed, and each set to another value beside a cache that keeps everything."""
import pytest

from conftest import hits, mariadb_only
from servers import wait_until
from wire import Wire

# Nothing but the server changes them, or they are for its own use: a session cannot have another value.
GIVEN = set("error_count external_user in_transaction last_gtid proxy_user warning_count max_allowed_packet net_buffer_length max_user_connections".split())
# What is the connection's own, or moves by itself: it is in no key. Where it changes an answer, its session's reads are not the cache's.
OWN = set("""autocommit default_master_connection gtid_seq_no identity insert_id last_insert_id pseudo_slave_mode pseudo_thread_id rand_seed1
rand_seed2 skip_parallel_replication skip_replication timestamp wsrep_gtid_seq_no""".split())
# The servers report a change of every other one, and what was reported is part of the key, whether or not it changes an answer.
KEYED = set("""
alter_algorithm analyze_max_length analyze_sample_percentage aria_repair_threads aria_sort_buffer_size aria_stats_method auto_increment_increment
auto_increment_offset big_tables binlog_alter_two_phase binlog_annotate_row_events binlog_direct_non_transactional_updates binlog_format
binlog_row_image bulk_insert_buffer_size character_set_client character_set_connection character_set_database character_set_filesystem
character_set_results character_set_server check_constraint_checks collation_connection collation_database collation_server
column_compression_threshold column_compression_zlib_level column_compression_zlib_strategy column_compression_zlib_wrap completion_type
deadlock_search_depth_long deadlock_search_depth_short deadlock_timeout_long deadlock_timeout_short default_regex_flags default_storage_engine
default_tmp_storage_engine default_week_format div_precision_increment enforce_storage_engine eq_range_index_dive_limit
expensive_subquery_limit explicit_defaults_for_timestamp foreign_key_checks group_concat_max_len gtid_domain_id histogram_size histogram_type
idle_readonly_transaction_timeout idle_transaction_timeout idle_write_transaction_timeout innodb_compression_default
innodb_default_encryption_key_id innodb_ft_enable_stopword innodb_ft_user_stopword_table innodb_lock_wait_timeout innodb_snapshot_isolation
innodb_strict_mode innodb_table_locks innodb_tmpdir interactive_timeout in_predicate_conversion_threshold join_buffer_size
join_buffer_space_limit join_cache_level keep_files_on_create lc_messages lc_time_names lock_wait_timeout log_disabled_statements
log_queries_not_using_indexes log_slow_admin_statements log_slow_disabled_statements log_slow_filter log_slow_max_warnings
log_slow_min_examined_row_limit log_slow_query log_slow_query_time log_slow_rate_limit log_slow_slave_statements log_slow_verbosity
log_warnings long_query_time low_priority_updates max_delayed_threads max_error_count max_heap_table_size max_insert_delayed_threads
max_join_size max_length_for_sort_data max_recursive_iterations max_relay_log_size max_rowid_filter_size max_seeks_for_key
max_session_mem_used max_sort_length max_sp_recursion_depth max_statement_time max_tmp_tables min_examined_row_limit mrr_buffer_size
myisam_repair_threads myisam_sort_buffer_size myisam_stats_method net_read_timeout net_retry_count net_write_timeout note_verbosity old
old_alter_table old_mode old_passwords optimizer_adjust_secondary_key_costs optimizer_extra_pruning_depth optimizer_join_limit_pref_ratio
optimizer_max_sel_args optimizer_max_sel_arg_weight optimizer_prune_level optimizer_search_depth optimizer_selectivity_sampling_limit
optimizer_switch optimizer_trace optimizer_trace_max_mem_size optimizer_use_condition_selectivity preload_buffer_size profiling
profiling_history_size progress_report_time query_alloc_block_size query_cache_strip_comments query_cache_type query_cache_wlock_invalidate
query_prealloc_size range_alloc_block_size read_buffer_size read_rnd_buffer_size rowid_merge_buff_size server_id session_track_schema
session_track_state_change session_track_system_variables session_track_transaction_info slow_query_log sort_buffer_size sql_auto_is_null
sql_big_selects sql_buffer_result sql_if_exists sql_log_bin sql_log_off sql_mode sql_notes sql_quote_show_create sql_safe_updates
sql_select_limit sql_slave_skip_counter sql_warnings standard_compliant_cte storage_engine system_versioning_alter_history
system_versioning_asof system_versioning_insert_history tcp_nodelay thread_pool_priority time_zone tmp_disk_table_size tmp_memory_table_size
tmp_table_size transaction_alloc_block_size transaction_prealloc_size tx_isolation tx_read_only unique_checks updatable_views_with_limit
use_stat_tables wait_timeout wsrep_causal_reads wsrep_dirty_reads wsrep_on wsrep_osu_method wsrep_retry_autocommit wsrep_sync_wait
wsrep_trx_fragment_size wsrep_trx_fragment_unit
""".split())

# Values that no list and no range of numbers gives.
TEXTS = {"character_set_client": "latin1", "character_set_connection": "latin1", "character_set_database": "latin1", "character_set_results": "latin1",
         "character_set_server": "latin1", "character_set_filesystem": "latin1", "collation_connection": "utf8mb4_bin", "collation_database": "utf8mb4_bin",
         "collation_server": "utf8mb4_bin", "default_storage_engine": "Aria", "default_tmp_storage_engine": "Aria", "lc_messages": "de_DE",
         "lc_time_names": "fr_FR", "sql_mode": "ANSI_QUOTES,PIPES_AS_CONCAT", "old_mode": "", "optimizer_switch": "materialization=off,derived_merge=off",
         "optimizer_trace": "enabled=on", "system_versioning_asof": "2001-01-01 00:00:00", "time_zone": "+07:00", "timestamp": "86400", "wait_timeout": "1000",
         "interactive_timeout": "1000", "net_read_timeout": "100", "net_write_timeout": "100", "last_insert_id": "7", "identity": "7", "default_week_format": "3"}
PROBES = [
    "SELECT * FROM p ORDER BY id", "SELECT id || 'x', \"s\", n / 3 FROM p", "SELECT GROUP_CONCAT(s ORDER BY s), AVG(n) FROM p", "SELECT WEEK(d), DAYNAME(d), FORMAT(n, 2) FROM p",
    "SELECT FROM_UNIXTIME(n), ts FROM p", "SELECT s, CHARSET('a'), COLLATION('a'), CHARSET(CONVERT('a' USING utf8)) FROM p", "SELECT id FROM p WHERE s = 'ONE'",
    "SELECT id FROM p WHERE id IS NULL", "SELECT s REGEXP '^o.E$' FROM p", "SELECT v.id, v.n FROM v ORDER BY 1", "SELECT a.id FROM p a JOIN p b ORDER BY a.id, b.id",
    "SELECT CAST(n AS CHAR) + 0, 'é', NOT 1 BETWEEN -5 AND 5 FROM p",
]


@pytest.fixture
def kept(suimon, db, cluster):
    db.setup("CREATE TABLE p (id INT PRIMARY KEY AUTO_INCREMENT, n INT, s VARCHAR(20), d DATE, ts TIMESTAMP NULL)",
             "INSERT INTO p VALUES (1, 1000, 'one', '2026-01-03', '2026-01-03 10:00:00'), (2, 2000, 'é', '2025-12-29', '2025-12-29 10:00:00')",
             "CREATE TABLE v (id INT PRIMARY KEY, n INT) WITH SYSTEM VERSIONING", "INSERT INTO v VALUES (1, 1)",
             "CREATE USER IF NOT EXISTS chief@'%' IDENTIFIED BY 'chief'", "GRANT ALL ON *.* TO chief@'%' WITH GRANT OPTION")
    return suimon({"replicas": [], "cache": {"rules": [{"match": {"schema": db.name}, "ttl": "600s"}]}})


def variables(server):
    """Name, what it is now, values it may have, its least and its greatest."""
    return [(name.lower(), *rest) for name, *rest in server.sql(
        "SELECT VARIABLE_NAME, SESSION_VALUE, ENUM_VALUE_LIST, NUMERIC_MIN_VALUE, NUMERIC_MAX_VALUE FROM information_schema.SYSTEM_VARIABLES"
        " WHERE VARIABLE_SCOPE IN ('SESSION', 'SESSION ONLY') ORDER BY 1")]


def another(name, now, words, least, most):
    """Another value, as SQL."""
    if name in TEXTS:
        return "'%s'" % TEXTS[name] if not TEXTS[name].isdigit() else TEXTS[name]
    if words:
        return "'%s'" % next(w for w in words.split(",") if w.lower() != now.lower())
    if least is not None and float(least) >= 0:
        return least if float(least) != float(now) else str(min(int(float(least)) + 1, int(float(most))))
    return "'x'"


def asked(w):
    return [w.query(sql) for sql in PROBES]


def flush(s):
    assert s.http("/api/cache/flush", data={})[0] == 200


@mariadb_only("it says which variables a session has")
def test_every_variable_of_the_servers_is_classed(cluster):
    there = {v[0] for v in variables(cluster.primary)}
    assert len(there) > 150 and not GIVEN & OWN and not (GIVEN | OWN) & KEYED
    assert there - GIVEN - OWN - KEYED == set()


@mariadb_only("it says which variables a session has")
def test_no_session_is_answered_with_what_another_variable_made(kept, db, cluster):
    def through():
        return Wire(kept.connect("chief", "chief", database=db.name))

    wrong, refused, served = [], [], 0
    with Wire(db.direct("chief")) as direct, through() as plain:
        want = asked(direct)

        def warm():
            before = hits(kept)
            assert asked(plain) == want
            return hits(kept) >= before + len(PROBES) - 1 # one has a warning under some default
        wait_until("hits", warm, 20)
        for name, *what in variables(cluster.primary):
            if name in GIVEN:
                continue
            change = "SET SESSION %s = %s" % (name, another(name, *what))
            with Wire(db.direct("chief")) as d, through() as first, through() as second:
                if d.query(change)[0][0] == 0xff:
                    refused.append(name)
                    continue
                first.query(change)
                other, before = asked(d), hits(kept)
                if asked(first) != other:
                    wrong.append("%s: the other value is answered with the usual one's" % change)
                if asked(first) != other:
                    wrong.append("%s: what was stored under the other value" % change)
                served += name in KEYED and hits(kept) > before
                flush(kept)
                second.query(change)
                asked(second)
                if asked(plain) != want:
                    wrong.append("%s: the usual value is answered with the other one's" % change)
    assert wrong == []
    assert len(refused) < 30, refused
    assert served > 80
