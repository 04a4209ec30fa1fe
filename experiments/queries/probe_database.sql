-- What the current database has done so far.
SELECT xact_commit   AS commit_count,
       xact_rollback AS rollback_count,
       blks_hit      AS block_hit_count,
       blks_read     AS block_read_count,
       tup_returned  AS row_returned_count,
       tup_fetched   AS row_fetched_count,
       tup_inserted  AS row_inserted_count,
       tup_updated   AS row_updated_count,
       tup_deleted   AS row_deleted_count,
       temp_bytes    AS temporary_bytes
FROM pg_stat_database
WHERE datname = current_database()
