/*
 * varlater.c - see varlater.h.
 */
#include "varlater.h"

#include <stdlib.h>
#include <string.h>

#include "rc.h"

/* Both sorted, as bytes. What only some accounts may set on some server is in neither: the drain could not.
 *
 * They change the rows that are written, or whether they may be. */
static const char *const meaning[] = {
	"@login", "@names", "block_encryption_mode", "character_set_client", "character_set_connection",
	"check_constraint_checks", "collation_connection", "cte_max_recursion_depth", "default_regex_flags",
	"default_week_format", "div_precision_increment", "foreign_key_checks", "group_concat_max_len",
	"lc_time_names", "max_join_size", "max_points_in_geometry", "max_recursive_iterations", "max_sort_length",
	"old_mode", "old_passwords", "sql_auto_is_null", "sql_big_selects", "sql_mode", "sql_safe_updates",
	"time_zone", "unique_checks", "windowing_use_high_precision"};

/* They are for what the client waits for and reads, for other statements, or for the server's choice of a way. */
static const char *const harmless[] = {
	"alter_algorithm", "analyze_max_length", "analyze_sample_percentage", "aria_repair_threads",
	"aria_sort_buffer_size", "aria_stats_method", "autocommit", "big_tables", "bulk_insert_buffer_size",
	"character_set_database", "character_set_results", "character_set_server", "collation_database",
	"collation_server", "column_compression_threshold", "column_compression_zlib_level",
	"column_compression_zlib_strategy", "column_compression_zlib_wrap", "completion_type",
	"connection_memory_chunk_size", "connection_memory_limit", "deadlock_search_depth_long",
	"deadlock_search_depth_short", "deadlock_timeout_long", "deadlock_timeout_short",
	"default_master_connection", "default_storage_engine", "default_table_encryption",
	"default_tmp_storage_engine", "end_markers_in_json", "enforce_storage_engine", "eq_range_index_dive_limit",
	"expensive_subquery_limit", "explain_format", "explain_json_format_version",
	"generated_random_password_length", "global_connection_memory_tracking", "histogram_generation_max_mem_size",
	"histogram_size", "histogram_type", "idle_readonly_transaction_timeout", "idle_transaction_timeout",
	"idle_write_transaction_timeout", "in_predicate_conversion_threshold", "information_schema_stats_expiry",
	"innodb_compression_default", "innodb_ddl_buffer_size", "innodb_ddl_threads",
	"innodb_default_encryption_key_id", "innodb_lock_wait_timeout", "innodb_parallel_read_threads",
	"innodb_snapshot_isolation", "innodb_strict_mode", "innodb_table_locks", "innodb_tmpdir",
	"interactive_timeout", "internal_tmp_mem_storage_engine", "join_buffer_size", "join_buffer_space_limit",
	"join_cache_level", "keep_files_on_create", "lc_messages", "lock_wait_timeout", "log_disabled_statements",
	"log_queries_not_using_indexes", "log_slow_admin_statements", "log_slow_disabled_statements",
	"log_slow_filter", "log_slow_max_warnings", "log_slow_min_examined_row_limit", "log_slow_query",
	"log_slow_query_time", "log_slow_rate_limit", "log_slow_slave_statements", "log_slow_verbosity",
	"log_warnings", "long_query_time", "low_priority_updates", "max_delayed_threads", "max_error_count",
	"max_execution_time", "max_heap_table_size", "max_insert_delayed_threads", "max_length_for_sort_data",
	"max_rowid_filter_size", "max_seeks_for_key", "max_session_mem_used", "max_sp_recursion_depth",
	"max_statement_time", "max_tmp_tables", "min_examined_row_limit", "mrr_buffer_size", "myisam_repair_threads",
	"myisam_sort_buffer_size", "myisam_stats_method", "net_buffer_length", "net_read_timeout", "net_retry_count",
	"net_write_timeout", "note_verbosity", "old_alter_table", "optimizer_adjust_secondary_key_costs",
	"optimizer_extra_pruning_depth", "optimizer_join_limit_pref_ratio", "optimizer_max_sel_arg_weight",
	"optimizer_max_sel_args", "optimizer_max_subgraph_pairs", "optimizer_prune_level", "optimizer_search_depth",
	"optimizer_selectivity_sampling_limit", "optimizer_switch", "optimizer_trace", "optimizer_trace_features",
	"optimizer_trace_limit", "optimizer_trace_max_mem_size", "optimizer_trace_offset",
	"optimizer_use_condition_selectivity", "parser_max_mem_size", "preload_buffer_size",
	"print_identified_with_as_hex", "profiling_history_size", "progress_report_time", "query_alloc_block_size",
	"query_cache_strip_comments", "query_cache_type", "query_cache_wlock_invalidate", "query_prealloc_size",
	"range_alloc_block_size", "range_optimizer_max_mem_size", "read_buffer_size", "read_rnd_buffer_size",
	"restrict_fk_on_non_standard_key", "resultset_metadata", "rowid_merge_buff_size",
	"secondary_engine_cost_threshold", "select_into_buffer_size", "select_into_disk_sync",
	"select_into_disk_sync_delay", "set_operations_buffer_size", "show_create_table_skip_secondary_engine",
	"show_create_table_verbosity", "show_gipk_in_create_table_and_information_schema", "show_old_temporals",
	"slow_query_log", "sort_buffer_size", "sql_buffer_result", "sql_generate_invisible_primary_key",
	"sql_if_exists", "sql_notes", "sql_quote_show_create", "sql_require_primary_key", "sql_select_limit",
	"sql_warnings", "storage_engine", "system_versioning_alter_history", "tcp_nodelay",
	"terminology_use_previous", "thread_pool_priority", "tmp_disk_table_size", "tmp_memory_table_size",
	"tmp_table_size", "transaction_alloc_block_size", "transaction_isolation", "transaction_prealloc_size",
	"transaction_read_only", "tx_isolation", "tx_read_only", "updatable_views_with_limit",
	"use_secondary_engine", "use_stat_tables", "wait_timeout", "xa_detach_on_prepare"};

static int compare(const void *key, const void *item)
{
	const struct span *name = key;
	const char *other = *(const char *const *)item;
	size_t len = strlen(other);
	int c = memcmp(name->p, other, name->len < len ? name->len : len);

	return c ? c : (name->len > len) - (name->len < len);
}

enum varlater varlater_of(struct span name)
{
	if (bsearch(&name, meaning, countof(meaning), sizeof(meaning[0]), compare))
		return VARLATER_MEANING;
	return bsearch(&name, harmless, countof(harmless), sizeof(harmless[0]), compare) ? VARLATER_HARMLESS : VARLATER_DIRECT;
}
