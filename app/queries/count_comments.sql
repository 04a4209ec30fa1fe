-- The number of comments of a post: the value that the low-level cache keeps.
SELECT count(*) AS "comment_count!" FROM comments WHERE post_id = $1
