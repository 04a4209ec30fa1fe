-- Time and id of the post that has this many newer ones.
SELECT created_at, id FROM posts ORDER BY created_at DESC, id DESC OFFSET $1 LIMIT 1
