-- The ids of the newest posts: what the first of two queries hands to the second.
SELECT id FROM posts ORDER BY created_at DESC, id DESC LIMIT $1
