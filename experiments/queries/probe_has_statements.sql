-- Whether the current database has the extension that counts statements. The column's name marks the query as the probe's own:
-- the counting replaces constants, but not names.
SELECT to_regclass('pg_stat_statements') IS NOT NULL AS has_pg_stat_statements
