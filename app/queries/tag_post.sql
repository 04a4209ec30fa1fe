-- Gives a post these tags, beside those that it has.
INSERT INTO post_tags (post_id, tag_id)
SELECT $1, tag_id FROM unnest($2::bigint[]) AS tag_id
ON CONFLICT DO NOTHING
