-- What the statements in the current database have cost so far, without the probe's own.
SELECT coalesce(sum(calls), 0)::bigint                         AS call_count,
       (coalesce(sum(total_exec_time), 0) * 1000)::float8      AS execution_us,
       coalesce(sum(rows), 0)::bigint                          AS row_count,
       coalesce(sum(shared_blks_hit), 0)::bigint               AS block_hit_count,
       coalesce(sum(shared_blks_read), 0)::bigint              AS block_read_count
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND query NOT LIKE '%pg\_stat\_%'
