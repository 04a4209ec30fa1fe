-- Every table of the blog with its rows (as counted by the last ANALYZE) and bytes.
SELECT
    relname::text AS "table",
    reltuples::bigint AS rows,
    pg_table_size(oid) AS heap_bytes,
    pg_indexes_size(oid) AS index_bytes
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'
ORDER BY oid
