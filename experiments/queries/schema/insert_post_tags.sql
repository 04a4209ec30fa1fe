-- $1 posts get one more tag each; a pair that is there already is left alone.
INSERT INTO post_tags (post_id, tag_id)
SELECT
    1 + (number * 7919) % (SELECT count(*) FROM posts),
    1 + (number * 104729) % (SELECT count(*) FROM tags)
FROM generate_series(1, $1::bigint) AS number
ON CONFLICT DO NOTHING
