-- Every index of the blog's own tables, with its bytes.
SELECT
    owner.relname::text AS "table",
    class.relname::text AS "index",
    pg_get_indexdef(class.oid) AS definition,
    pg_relation_size(class.oid) AS size_bytes
FROM pg_index AS index
JOIN pg_class AS class ON class.oid = index.indexrelid
JOIN pg_class AS owner ON owner.oid = index.indrelid
WHERE owner.relnamespace = 'public'::regnamespace AND owner.relname <> '_sqlx_migrations'
ORDER BY owner.oid, class.oid
