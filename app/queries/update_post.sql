-- Changes a post, if it is this author's. No row comes back if it is not, or does not exist.
UPDATE posts SET title = $3, content = $4, updated_at = now()
WHERE id = $1 AND author_id = $2
RETURNING id
