-- All comments of one post, newest first. Sent once per post of the page, it is the N of N+1: what a loop over `post.comments` does.
SELECT post_id, id, content, created_at
FROM comments
WHERE post_id = $1
ORDER BY created_at DESC, id DESC
