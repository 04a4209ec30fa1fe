-- Every column of the blog's own tables, in the order of the tables' creation.
SELECT
    class.relname::text AS "table",
    attribute.attnum::bigint AS "position",
    attribute.attname::text AS "column",
    format_type(attribute.atttypid, attribute.atttypmod) AS data_type,
    NOT attribute.attnotnull AS nullable,
    pg_get_expr(value.adbin, value.adrelid) AS default_expression
FROM pg_attribute AS attribute
JOIN pg_class AS class ON class.oid = attribute.attrelid
LEFT JOIN pg_attrdef AS value ON value.adrelid = class.oid AND value.adnum = attribute.attnum
WHERE class.relnamespace = 'public'::regnamespace
    AND class.relkind = 'r'
    AND class.relname <> '_sqlx_migrations'
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
ORDER BY class.oid, attribute.attnum
