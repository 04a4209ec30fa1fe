-- One page of the posts of one author, newest first.
SELECT
    page.id,
    page.title,
    left(page.content, 240) AS "excerpt!",
    page.created_at,
    page.updated_at,
    page.author_id,
    users.username AS author,
    ARRAY(
        SELECT tags.name FROM post_tags JOIN tags ON tags.id = post_tags.tag_id
        WHERE post_tags.post_id = page.id ORDER BY tags.name
    ) AS "tags!",
    (SELECT count(*) FROM comments WHERE comments.post_id = page.id) AS "comment_count!"
FROM (
    SELECT id, author_id, title, content, created_at, updated_at
    FROM posts
    WHERE author_id = $1 AND (created_at, id) < ($2, $3)
    ORDER BY created_at DESC, id DESC
    LIMIT $4
) AS page
JOIN users ON users.id = page.author_id
ORDER BY page.created_at DESC, page.id DESC
