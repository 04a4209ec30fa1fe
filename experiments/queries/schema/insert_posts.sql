-- $1 posts by many authors, as new as they come.
INSERT INTO posts (author_id, title, content, created_at)
SELECT
    1 + (number * 104729) % (SELECT count(*) FROM users),
    'A post that prices the indexes of its table',
    repeat('A sentence that stands for the text of a post, neither long nor short. ', 12),
    now() + number * interval '1 second'
FROM generate_series(1, $1::bigint) AS number
