-- $1 comments, spread over the posts by a stride that no table size divides, so that each block of the index is as likely.
INSERT INTO comments (post_id, author_id, content)
SELECT
    1 + (number * 7919) % (SELECT count(*) FROM posts),
    1 + (number * 104729) % (SELECT count(*) FROM users),
    'A comment of about the usual length, written to learn what it costs to keep the indexes of its table current.'
FROM generate_series(1, $1::bigint) AS number
