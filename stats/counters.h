/*
 * counters.h - one row a counter: what suimon counts, what it is called in /metrics, and what it means.
 *
 * X(suffix, kind, name, labels, help)
 *   suffix  the enumerator is STATS_C_<suffix>
 *   kind    counter  only grows; the name ends _total
 *           seconds  only grows; counted in nanoseconds, shown in seconds; the name ends _seconds_total
 *           gauge    goes up and down: stats_count with 1 and with (uint64_t)-1, or the pair stats_up, stats_down
 *   name    without the "suimon_" in front
 *   labels  as Prometheus writes them between braces, or "": literals only, never a value from a client
 *   help    of the first row of a name counts for the family
 *
 * Rows of one name stand together (a family is written in one piece). Add rows where they belong: order matters only where
 * a comment says so. Rows marked "stats_record" are counted there; count them nowhere else.
 */
#ifndef SUIMON_COUNTERS_H
#define SUIMON_COUNTERS_H

#define STATS_COUNTERS_STATEMENTS(X)                                                                                   \
	/* stats_record; in the order of enum stats_route */                                                           \
	X(QUERIES_PRIMARY, counter, "queries_total", "route=\"primary\"", "Statements finished, by where the answer came from.") \
	X(QUERIES_REPLICA, counter, "queries_total", "route=\"replica\"", "")                                          \
	X(QUERIES_CACHE, counter, "queries_total", "route=\"cache\"", "")                                              \
	X(QUERIES_QUEUE, counter, "queries_total", "route=\"queue\"", "")                                              \
	X(QUERIES_LOCAL, counter, "queries_total", "route=\"local\"", "")                                              \
	/* stats_record */                                                                                             \
	X(ERRORS, counter, "errors_total", "", "Statements answered with an error, the server's own or suimon's.")     \
	X(SLOW_QUERIES, counter, "slow_queries_total", "", "Statements that took longer than stats.slow.")             \
	X(LOCK_TIMEOUTS, counter, "lock_errors_total", "reason=\"timeout\"", "Statements that the server has ended over a lock: its time limit, or a deadlock.") \
	X(DEADLOCKS, counter, "lock_errors_total", "reason=\"deadlock\"", "Statements that the server has ended over a lock: its time limit, or a deadlock.") \
	X(NO_INDEX_QUERIES, counter, "no_index_queries_total", "", "Statements the server flagged as using no index or no good index.") \
	X(ROWS_SENT, counter, "rows_sent_total", "", "Rows sent to clients.")                                          \
	X(ROWS_AFFECTED, counter, "rows_affected_total", "", "Rows changed, as the servers reported them.")            \
	X(WARNINGS, counter, "warnings_total", "", "Warnings the servers reported.")                                   \
	X(TIME_TOTAL, seconds, "query_time_seconds_total", "part=\"total\"", "Time spent on statements: in all, waiting for a connection, waiting for the server's first byte.") \
	X(TIME_WAIT, seconds, "query_time_seconds_total", "part=\"wait\"", "")                                         \
	X(TIME_SERVER, seconds, "query_time_seconds_total", "part=\"server\"", "")                                     \
	X(NPLUS1, counter, "nplus1_total", "", "Runs of one repeated read in one session that count as N+1 loops.")    \
	X(NPLUS1_QUERIES, counter, "nplus1_queries_total", "", "Statements that were part of such a run.")             \
	X(DIGESTS_REPLACED, counter, "digests_replaced_total", "", "Rows of the digest tables that were given to other statements; their numbers went to \"other\".") \
	X(SLOW_LOGGED, counter, "slow_log_entries_total", "", "Statements written to the slow log.")                   \
	X(SLOW_LOG_DROPPED, counter, "slow_log_dropped_total", "", "Slow statements left out of the slow log, because its disk does not keep up.") \
	X(SLOW_LOG_FAILURES, counter, "slow_log_failures_total", "", "Writes to the slow log that failed; their entries are lost.") \
	X(SNAPSHOTS, counter, "stats_snapshots_total", "", "Times the statistics were written to their file.")           \
	X(SNAPSHOT_FAILURES, counter, "stats_snapshot_failures_total", "", "Times they could not be: a restart would lose what came since.") \
	X(SNAPSHOTS_IGNORED, counter, "stats_snapshots_ignored_total", "", "Files of statistics that could not be taken at the start.") \
	X(SPANS_SENT, counter, "trace_spans_total", "result=\"sent\"", "Spans of statements for the collector, by what became of them.") \
	X(SPANS_DROPPED, counter, "trace_spans_total", "result=\"dropped\"", "")                                      \
	X(STATS_OUT_OF_MEMORY, counter, "stats_out_of_memory_total", "", "Events counted in part only, because memory was short.")

#define STATS_COUNTERS_CLIENT(X)                                                                                       \
	X(CLIENT_CONNECTIONS, counter, "client_connections_total", "", "Client connections accepted.")                 \
	X(CLIENT_CONNECTIONS_ACTIVE, gauge, "client_connections", "", "Client connections open now.")                  \
	X(CLIENT_CLOSED_QUIT, counter, "client_connections_closed_total", "reason=\"quit\"", "Client connections closed, by reason.") \
	X(CLIENT_CLOSED_EOF, counter, "client_connections_closed_total", "reason=\"eof\"", "")                         \
	X(CLIENT_CLOSED_ERROR, counter, "client_connections_closed_total", "reason=\"io_error\"", "")                  \
	X(CLIENT_CLOSED_AUTH, counter, "client_connections_closed_total", "reason=\"auth\"", "")                       \
	X(CLIENT_CLOSED_MALFORMED, counter, "client_connections_closed_total", "reason=\"malformed\"", "")             \
	X(CLIENT_CLOSED_TIMEOUT, counter, "client_connections_closed_total", "reason=\"timeout\"", "")                 \
	X(CLIENT_CLOSED_BACKEND, counter, "client_connections_closed_total", "reason=\"backend_lost\"", "")            \
	X(CLIENT_CLOSED_KILLED, counter, "client_connections_closed_total", "reason=\"killed\"", "")                   \
	X(CLIENT_CLOSED_LIMIT, counter, "client_connections_closed_total", "reason=\"limit\"", "")                     \
	X(CLIENT_CLOSED_MEMORY, counter, "client_connections_closed_total", "reason=\"memory\"", "")                   \
	X(CLIENT_CLOSED_SHUTDOWN, counter, "client_connections_closed_total", "reason=\"shutdown\"", "")               \
	X(BYTES_CLIENT_IN, counter, "bytes_client_in_total", "", "Bytes read from clients.")                           \
	X(BYTES_CLIENT_OUT, counter, "bytes_client_out_total", "", "Bytes written to clients.")                        \
	X(CLIENT_COMPRESSED, counter, "client_compressed_total", "", "Clients that logged in with compression.")            \
	X(AUTH_OK, counter, "auth_successes_total", "", "Clients that logged in.")                                     \
	X(AUTH_FAILURES, counter, "auth_failures_total", "", "Clients turned away with a wrong name or password.")     \
	X(AUTH_THROTTLED, counter, "auth_throttled_total", "", "Clients turned away because too many logins from their address failed.") \
	X(PROXY_HEADERS, counter, "proxy_headers_total", "", "Client connections that came with a PROXY header.")      \
	X(CLIENT_TLS, counter, "client_tls_total", "", "TLS handshakes with clients that succeeded.")                  \
	X(CLIENT_TLS_FAILURES, counter, "client_tls_failures_total", "", "TLS handshakes with clients that failed.")   \
	X(MALFORMED_PACKETS, counter, "malformed_packets_total", "side=\"client\"", "Packets that could not be understood; their connection was closed.") \
	X(MALFORMED_PACKETS_SERVER, counter, "malformed_packets_total", "side=\"server\"", "")                         \
	X(COMMANDS_QUERY, counter, "commands_total", "command=\"query\"", "Commands received, by kind.")               \
	X(COMMANDS_PREPARE, counter, "commands_total", "command=\"prepare\"", "")                                      \
	X(COMMANDS_EXECUTE, counter, "commands_total", "command=\"execute\"", "")                                      \
	X(COMMANDS_FETCH, counter, "commands_total", "command=\"fetch\"", "")                                          \
	X(COMMANDS_OTHER, counter, "commands_total", "command=\"other\"", "")                                          \
	X(KILLS, counter, "kills_total", "", "KILL statements acted upon.")                                            \
	X(HINT_ERRORS, counter, "hint_errors_total", "", "Comments addressed to suimon that say nothing known.")

/* A pin: the session keeps one server connection because of state that cannot be carried to another. */
#define STATS_COUNTERS_SESSION(X)                                                                                      \
	X(PIN_USER_VARIABLE, counter, "session_pins_total", "reason=\"user_variable\"", "Times a session was tied to one server connection, by reason.") \
	X(PIN_TEMP_TABLE, counter, "session_pins_total", "reason=\"temp_table\"", "")                                  \
	X(PIN_LOCK, counter, "session_pins_total", "reason=\"lock\"", "")                                              \
	X(PIN_TRANSACTION, counter, "session_pins_total", "reason=\"transaction\"", "")                                \
	X(PIN_CURSOR, counter, "session_pins_total", "reason=\"cursor\"", "")                                          \
	X(PIN_LONG_DATA, counter, "session_pins_total", "reason=\"long_data\"", "")                                    \
	X(PIN_SESSION_STATE, counter, "session_pins_total", "reason=\"session_state\"", "")                            \
	X(PIN_PREPARED_TEXT, counter, "session_pins_total", "reason=\"sql_prepare\"", "")                              \
	X(PIN_UNKNOWN, counter, "session_pins_total", "reason=\"unknown\"", "")                                        \
	X(PIN_XA, counter, "session_pins_total", "reason=\"xa\"", "")                                                  \
	X(SESSION_RESTORES, counter, "session_restores_total", "", "Times session state was replayed onto a server connection.") \
	X(PREPARED_REPREPARES, counter, "prepared_reprepares_total", "", "Prepared statements prepared anew on another server connection.") \
	X(PREPARED_NO_ROOM, counter, "prepared_no_room_total", "", "Times a server had no room for a statement (max_prepared_stmt_count) and others were closed.") \
	X(TRANSACTIONS, counter, "transactions_total", "", "Transactions that ended, committed or not.")               \
	X(FACTS_HITS, counter, "statement_facts_hits_total", "", "Statements whose facts were already known.")         \
	X(FACTS_MISSES, counter, "statement_facts_misses_total", "", "Statements that had to be parsed.")

#define STATS_COUNTERS_UPSTREAM(X)                                                                                     \
	X(BYTES_SERVER_IN, counter, "bytes_server_in_total", "", "Bytes read from database servers.")                  \
	X(BYTES_SERVER_OUT, counter, "bytes_server_out_total", "", "Bytes written to database servers.")               \
	X(UPSTREAM_CONNECTS, counter, "upstream_connects_total", "", "Connections to database servers that came up.")  \
	X(UPSTREAM_CONNECT_ERRORS, counter, "upstream_connect_errors_total", "", "Connections to database servers that failed to come up.") \
	X(UPSTREAM_COMPRESSED, counter, "upstream_compressed_total", "", "Logins of workers on database servers with compression.") \
	X(UPSTREAM_TLS, counter, "upstream_tls_total", "", "TLS handshakes with database servers that succeeded.")     \
	X(UPSTREAM_TLS_FAILURES, counter, "upstream_tls_failures_total", "", "TLS handshakes with database servers that failed.") \
	X(UPSTREAM_CLOSES, counter, "upstream_closes_total", "", "Connections to database servers that ended.")        \
	X(UPSTREAM_ACTIVE, gauge, "upstream_connections", "", "Connections to database servers open now.")             \
	X(UPSTREAM_LOST, counter, "upstream_lost_total", "", "Connections to database servers lost while a statement ran.") \
	X(POOL_WAITS, counter, "pool_waits_total", "", "Statements that had to wait for a free server connection.")    \
	X(POOL_WAIT_TIMEOUTS, counter, "pool_wait_timeouts_total", "", "Statements that waited for a server connection in vain.") \
	X(GTID_WAITS, counter, "gtid_waits_total", "", "Reads that waited on a replica for the session's last write.") \
	X(GTID_WAIT_TIMEOUTS, counter, "gtid_wait_timeouts_total", "", "Such waits that ran out; the read went to the primary.") \
	X(REPLICA_LAG_FALLBACKS, counter, "replica_lag_fallbacks_total", "", "Reads meant for a replica that went to the primary because none was fresh enough.") \
	X(READ_ONLY_MOVED, counter, "read_only_transactions_moved_total", "", "Read-only transactions that left their replica for the primary.") \
	X(REPLICA_ERROR_FALLBACKS, counter, "replica_error_fallbacks_total", "", "Reads that failed on a replica and were asked of the primary.") \
	X(RETRIES, counter, "retries_total", "", "Reads sent again to another server before any byte of the answer had left.") \
	X(GROUP_UNAVAILABLE, counter, "group_unavailable_total", "", "Statements for a group of replicas none of which could be used: they got an error.") \
	X(LIMIT_WAITS, counter, "limit_waits_total", "", "Statements that waited for their turn by a rule of limits.") \
	X(LIMIT_TIMEOUTS, counter, "limit_timeouts_total", "", "Statements whose turn did not come in time: they got an error.") \
	X(LIMIT_KILLS, counter, "limit_kills_total", "", "Statements killed on their server because they ran longer than a rule allows.") \
	X(RULE_DENIED, counter, "denied_total", "", "Statements that a rule forbids.") \
	X(FAILOVER_HOLDS, counter, "failover_holds_total", "", "Statements that waited for a primary.")                \
	X(FAILOVER_HOLD_TIMEOUTS, counter, "failover_hold_timeouts_total", "", "Statements that waited for a primary in vain.") \
	X(RESOLVE_FAILURES, counter, "resolve_failures_total", "", "Times a server's name could not be resolved.")         \
	X(MONITOR_CHECKS, counter, "monitor_checks_total", "", "Health checks of database servers.")                   \
	X(MONITOR_FAILURES, counter, "monitor_failures_total", "", "Health checks that failed.")

#define STATS_COUNTERS_CACHE(X)                                                                                        \
	X(CACHE_HITS, counter, "cache_hits_total", "level=\"memory\"", "Reads answered from the cache, by level.")     \
	X(CACHE_HITS_REDIS, counter, "cache_hits_total", "level=\"redis\"", "")                                        \
	X(CACHE_MISSES, counter, "cache_misses_total", "", "Reads that a rule covers and the cache could not answer.") \
	X(CACHE_BOUND, counter, "cache_older_results_total", "", "Misses of sessions to which servers had shown what the stored result need not have.") \
	X(CACHE_FILLS, counter, "cache_fills_total", "", "Results stored.")                                            \
	/* in the order of enum cache_refusal, from its second on */                                                   \
	X(CACHE_REFUSED_VERSION, counter, "cache_refused_total", "reason=\"version\"", "Results not stored, by reason.") \
	X(CACHE_REFUSED_LAG, counter, "cache_refused_total", "reason=\"lag\"", "")                                     \
	X(CACHE_REFUSED_SIZE, counter, "cache_refused_total", "reason=\"size\"", "")                                   \
	X(CACHE_REFUSED_WARNINGS, counter, "cache_refused_total", "reason=\"warnings\"", "")                           \
	X(CACHE_REFUSED_ERROR, counter, "cache_refused_total", "reason=\"error\"", "")                                 \
	X(CACHE_REFUSED_STATUS, counter, "cache_refused_total", "reason=\"status\"", "")                               \
	X(CACHE_REFUSED_MEMORY, counter, "cache_refused_total", "reason=\"memory\"", "")                               \
	X(CACHE_REFUSED_CHEAP, counter, "cache_refused_total", "reason=\"cheap\"", "")                                 \
	X(CACHE_REFUSED_BUS, counter, "cache_refused_total", "reason=\"bus\"", "")                                     \
	X(CACHE_REFUSED_TODAY, counter, "cache_refused_total", "reason=\"today\"", "")                                 \
	X(CACHE_DOUBTS, counter, "cache_doubts_total", "", "Invalidations repeated because a write was lost sight of: its server may commit it late.") \
	/* in the order of enum cache_cause */                                                                         \
	X(CACHE_INVALIDATIONS_WRITE, counter, "cache_invalidations_total", "cause=\"write\"", "Tables or rows declared changed by this process: by clients' writes, writes whose outcome nobody knows, the queue's batches, the binary log, a failover, a schema found changed, a flush.") \
	X(CACHE_INVALIDATIONS_LOST, counter, "cache_invalidations_total", "cause=\"lost\"", "")                          \
	X(CACHE_INVALIDATIONS_QUEUE, counter, "cache_invalidations_total", "cause=\"queue\"", "")                        \
	X(CACHE_INVALIDATIONS_BINLOG, counter, "cache_invalidations_total", "cause=\"binlog\"", "")                      \
	X(CACHE_INVALIDATIONS_FAILOVER, counter, "cache_invalidations_total", "cause=\"failover\"", "")                  \
	X(CACHE_INVALIDATIONS_SCHEMA, counter, "cache_invalidations_total", "cause=\"schema\"", "")                  \
	X(CACHE_INVALIDATIONS_FLUSH, counter, "cache_invalidations_total", "cause=\"flush\"", "")                        \
	X(CACHE_BINLOG_EVENTS, counter, "cache_binlog_events_total", "", "Events read from the primary's binary log (cache.binlog).") \
	X(CACHE_BINLOG_ROWS, counter, "cache_binlog_invalidations_total", "by=\"row\"", "What was invalidated because the binary log showed a write that suimon had not seen: rows, tables, all.") \
	X(CACHE_BINLOG_TABLES, counter, "cache_binlog_invalidations_total", "by=\"table\"", "")                       \
	X(CACHE_BINLOG_ALL, counter, "cache_binlog_invalidations_total", "by=\"all\"", "")                             \
	X(CACHE_BINLOG_KNOWN, counter, "cache_binlog_known_total", "", "Transactions in the binary log that had been invalidated already: they came through suimon.") \
	X(CACHE_BINLOG_UNREADABLE, counter, "cache_binlog_unreadable_total", "", "Events of the binary log that could not be read: everything was invalidated.") \
	X(CACHE_BINLOG_ERRORS, counter, "cache_binlog_errors_total", "", "Times the binary log could not be followed: the connection was lost or refused.") \
	X(CACHE_BINLOG_GAPS, counter, "cache_binlog_gaps_total", "", "Times it could not be continued where it was left: everything was invalidated.") \
	X(CACHE_SAVED_TIME, seconds, "cache_saved_seconds_total", "", "Time that servers took for what was then answered from the cache, once for each such answer.") \
	X(CACHE_EVICTIONS, counter, "cache_evictions_total", "", "Entries that left the cache to make room.")          \
	X(CACHE_EXPIRATIONS, counter, "cache_expirations_total", "", "Entries that outlived their ttl.")               \
	X(CACHE_BUS_RECEIVED, counter, "cache_bus_received_total", "", "Invalidations received from other instances.") \
	X(CACHE_BUS_SILENCES, counter, "cache_bus_silences_total", "", "Times the bus fell silent and memory was not answered from.") \
	X(CACHE_SHARED, counter, "cache_shared_misses_total", "", "Reads that waited for an identical one instead of asking the server.") \
	X(CACHE_STALE_REFRESH, counter, "cache_stale_hits_total", "reason=\"refresh\"", "Hits past their ttl, by reason.") \
	X(CACHE_STALE_ERROR, counter, "cache_stale_hits_total", "reason=\"error\"", "") \
	X(CACHE_UNANNOUNCED, counter, "cache_unannounced_writes_total", "", "Writes sent though Redis had not acknowledged in time that they were announced.") \
	X(CACHE_TAKEOVERS, counter, "cache_takeovers_total", "", "Invalidations of what an instance that is gone was writing.") \
	X(CACHE_REDIS_ERRORS, counter, "cache_redis_errors_total", "", "Requests to Redis that failed.")               \
	X(CACHE_REDIS_TIMEOUTS, counter, "cache_redis_timeouts_total", "", "Requests to Redis that ran out of time.")

#define STATS_COUNTERS_QUEUE(X)                                                                                        \
	X(QUEUE_ENQUEUED, counter, "queue_enqueued_total", "", "Writes appended to the queue's log.")                  \
	X(QUEUE_ACKNOWLEDGED, counter, "queue_acknowledged_total", "", "Writes acknowledged to clients after they were durable.") \
	X(QUEUE_DECLINED_FULL, counter, "queue_declined_total", "reason=\"full\"", "Writes that a rule covers and that went through directly, by reason.") \
	X(QUEUE_DECLINED_DISK, counter, "queue_declined_total", "reason=\"disk\"", "")                                 \
	X(QUEUE_DECLINED_STOPPING, counter, "queue_declined_total", "reason=\"stopping\"", "")                         \
	X(QUEUE_DECLINED_NOT_ELIGIBLE, counter, "queue_declined_total", "reason=\"not_eligible\"", "")                 \
	X(QUEUE_DECLINED_TRANSACTION, counter, "queue_declined_total", "reason=\"transaction\"", "")                   \
	X(QUEUE_DECLINED_NO_DEFAULT, counter, "queue_declined_total", "reason=\"no_default\"", "")                     \
	X(QUEUE_ERRORS, counter, "queue_errors_total", "", "Writes that could not be made durable; their clients got an error.") \
	X(QUEUE_APPLIED, counter, "queue_applied_total", "", "Queued writes committed on the primary.")                \
	X(QUEUE_DEAD, counter, "queue_dead_total", "", "Queued writes that failed for good.")                          \
	X(QUEUE_RETRIES, counter, "queue_retries_total", "", "Batches tried again.")                                   \
	X(QUEUE_BATCHES, counter, "queue_batches_total", "", "Batches committed on the primary.")                      \
	X(QUEUE_BYTES, counter, "queue_bytes_written_total", "", "Bytes written to the queue's log.")                  \
	X(QUEUE_SYNCS, counter, "queue_syncs_total", "", "Times the queue's log was forced to stable storage.")        \
	X(QUEUE_SYNC_TIME, seconds, "queue_sync_seconds_total", "", "Time that took.")                                 \
	X(QUEUE_WAITS, counter, "queue_waits_total", "", "Statements that waited for the session's own queued writes.") \
	X(QUEUE_WAIT_TIMEOUTS, counter, "queue_wait_timeouts_total", "", "Such waits that ran out.")

#define STATS_COUNTERS_PROCESS(X)                                                                                      \
	X(HTTP_REQUESTS, counter, "http_requests_total", "", "Requests to the HTTP interface.")                        \
	X(HTTP_ERRORS, counter, "http_errors_total", "", "Requests to the HTTP interface answered with an error.")     \
	X(RELOADS, counter, "config_reloads_total", "result=\"ok\"", "Configuration reloads, by result.")              \
	X(RELOAD_FAILURES, counter, "config_reloads_total", "result=\"error\"", "")                                    \
	X(SHARED_TAKEN, counter, "shared_config_documents_total", "result=\"ok\"", "Documents of config.source, by whether they came into force.") \
	X(SHARED_REFUSED, counter, "shared_config_documents_total", "result=\"error\"", "")                          \
	X(SHARED_COPY_FAILURES, counter, "shared_config_copy_failures_total", "", "Times the last good one could not be kept on disk.") \
	X(UPGRADE_FAILURES, counter, "upgrade_failures_total", "", "New processes that were started to take over and did not.") \
	X(EMF_WRITTEN, counter, "emf_lines_total", "result=\"written\"", "Lines of metrics for CloudWatch, by what became of them.") \
	X(EMF_DROPPED, counter, "emf_lines_total", "result=\"dropped\"", "")                                           \
	X(CLOCK_JUMPS, counter, "clock_jumps_total", "", "Times the wall clock was found to be off by more than a second from one second to the next.")

#define STATS_COUNTERS(X)                                                                                              \
	STATS_COUNTERS_STATEMENTS(X)                                                                                   \
	STATS_COUNTERS_CLIENT(X)                                                                                       \
	STATS_COUNTERS_SESSION(X)                                                                                      \
	STATS_COUNTERS_UPSTREAM(X)                                                                                     \
	STATS_COUNTERS_CACHE(X)                                                                                        \
	STATS_COUNTERS_QUEUE(X)                                                                                        \
	STATS_COUNTERS_PROCESS(X)

enum stats_counter {
#define STATS_COUNTER_ENUM(suffix, kind, name, labels, help) STATS_C_##suffix,
	STATS_COUNTERS(STATS_COUNTER_ENUM)
#undef STATS_COUNTER_ENUM
	STATS_COUNTERS_N
};

enum stats_kind { STATS_KIND_counter, STATS_KIND_seconds, STATS_KIND_gauge };

#endif
