-- Every constraint of the blog's own tables, keys first.
SELECT
    class.relname::text AS "table",
    bound.conname::text AS "constraint",
    CASE bound.contype
        WHEN 'p' THEN 'primary key'
        WHEN 'f' THEN 'foreign key'
        WHEN 'u' THEN 'unique'
        ELSE 'check'
    END AS kind,
    pg_get_constraintdef(bound.oid, true) AS definition
FROM pg_constraint AS bound
JOIN pg_class AS class ON class.oid = bound.conrelid
WHERE class.relnamespace = 'public'::regnamespace AND class.relname <> '_sqlx_migrations'
ORDER BY class.oid, strpos('pufc', bound.contype::text), bound.conname
