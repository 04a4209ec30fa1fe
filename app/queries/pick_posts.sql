-- The posts with these ids, newest first, as a list shows them: somebody has picked them one by one.
SELECT
    posts.id,
    posts.title,
    left(posts.content, 240) AS "excerpt!",
    posts.created_at,
    posts.updated_at,
    posts.author_id,
    users.username AS author,
    ARRAY(
        SELECT tags.name FROM post_tags JOIN tags ON tags.id = post_tags.tag_id
        WHERE post_tags.post_id = posts.id ORDER BY tags.name
    ) AS "tags!",
    (SELECT count(*) FROM comments WHERE comments.post_id = posts.id) AS "comment_count!"
FROM posts
JOIN users ON users.id = posts.author_id
WHERE posts.id = ANY ($1)
ORDER BY posts.created_at DESC, posts.id DESC
