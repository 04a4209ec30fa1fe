-- One post with its author and tags.
SELECT
    posts.id,
    posts.title,
    posts.content,
    posts.created_at,
    posts.updated_at,
    posts.author_id,
    users.username AS author,
    ARRAY(
        SELECT tags.name FROM post_tags JOIN tags ON tags.id = post_tags.tag_id
        WHERE post_tags.post_id = posts.id ORDER BY tags.name
    ) AS "tags!"
FROM posts
JOIN users ON users.id = posts.author_id
WHERE posts.id = $1
