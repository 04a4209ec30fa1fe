-- The next trial gives its rows the same numbers.
SELECT setval(pg_get_serial_sequence('users', 'id'), $1),
       setval(pg_get_serial_sequence('posts', 'id'), $2),
       setval(pg_get_serial_sequence('comments', 'id'), $3),
       setval(pg_get_serial_sequence('tags', 'id'), $4)
