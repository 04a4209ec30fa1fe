-- All comments of a page of posts: the second of two queries, however many posts there are. An ORM calls this a prefetch.
SELECT post_id, id, content, created_at
FROM comments
WHERE post_id = ANY ($1)
ORDER BY post_id, created_at DESC, id DESC
