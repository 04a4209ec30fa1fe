-- The most recent comments of a post with their authors: the part of the post page that the fragment cache keeps. With the end of one page
-- as the cursor it gives the next, older ones.
SELECT
    comments.id,
    comments.content,
    comments.created_at,
    comments.author_id,
    users.username AS author
FROM comments
JOIN users ON users.id = comments.author_id
WHERE comments.post_id = $1 AND (comments.created_at, comments.id) < ($2, $3)
ORDER BY comments.created_at DESC, comments.id DESC
LIMIT $4
