-- A page of posts with the latest few comments of each. LATERAL runs the inner query once per post of the page, so that with the
-- index on (post_id, created_at, id) exactly the comments that are shown are read, however many a post has.
SELECT
    page.id AS post_id,
    page.title,
    page.created_at AS post_created_at,
    latest.id AS "comment_id?",
    latest.content AS "comment_content?",
    latest.created_at AS "comment_created_at?"
FROM (
    SELECT id, title, created_at
    FROM posts
    WHERE (created_at, id) < ($1, $2)
    ORDER BY created_at DESC, id DESC
    LIMIT $3
) AS page
LEFT JOIN LATERAL (
    SELECT id, content, created_at
    FROM comments
    WHERE comments.post_id = page.id
    ORDER BY created_at DESC, id DESC
    LIMIT $4
) AS latest ON true
ORDER BY page.created_at DESC, page.id DESC, latest.created_at DESC, latest.id DESC
