-- One page of the list of posts, newest first, with everything that the page shows.
-- The page is cut before anything is joined to it, so that tags and comments are only looked up for the rows that are shown.
-- Counting in a sub-select instead of joining both comments and tags: two joins of many rows each would multiply.
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
    WHERE (created_at, id) < ($1, $2)
    ORDER BY created_at DESC, id DESC
    LIMIT $3
) AS page
JOIN users ON users.id = page.author_id
ORDER BY page.created_at DESC, page.id DESC
