-- Deletes a post with its comments, if it is this author's. No row comes back if it is not, or does not exist.
DELETE FROM posts WHERE id = $1 AND author_id = $2 RETURNING id
