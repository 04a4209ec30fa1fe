-- One page of posts alone. The first query of the two shapes that fetch the comments afterwards (N+1, and two queries).
SELECT id, title, created_at
FROM posts
WHERE (created_at, id) < ($1, $2)
ORDER BY created_at DESC, id DESC
LIMIT $3
