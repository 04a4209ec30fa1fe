-- One page of the posts of one tag, newest first. Order and cursor use the time that `post_tags` copies from the post, so that the
-- page is cut before any post is read.
SELECT
    page.post_id AS id,
    posts.title,
    left(posts.content, 240) AS "excerpt!",
    page.post_created_at AS created_at,
    posts.updated_at,
    posts.author_id,
    users.username AS author,
    ARRAY(
        SELECT tags.name FROM post_tags JOIN tags ON tags.id = post_tags.tag_id
        WHERE post_tags.post_id = page.post_id ORDER BY tags.name
    ) AS "tags!",
    (SELECT count(*) FROM comments WHERE comments.post_id = page.post_id) AS "comment_count!"
FROM (
    SELECT post_id, post_created_at
    FROM post_tags
    WHERE tag_id = $1 AND (post_created_at, post_id) < ($2, $3)
    ORDER BY post_created_at DESC, post_id DESC
    LIMIT $4
) AS page
JOIN posts ON posts.id = page.post_id
JOIN users ON users.id = posts.author_id
ORDER BY page.post_created_at DESC, page.post_id DESC
