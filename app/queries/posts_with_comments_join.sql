-- A page of posts with all their comments as one JOIN. Every row repeats its post; a post without comments still has one row.
SELECT
    page.id AS post_id,
    page.title,
    page.created_at AS post_created_at,
    comments.id AS "comment_id?",
    comments.content AS "comment_content?",
    comments.created_at AS "comment_created_at?"
FROM (
    SELECT id, title, created_at
    FROM posts
    WHERE (created_at, id) < ($1, $2)
    ORDER BY created_at DESC, id DESC
    LIMIT $3
) AS page
LEFT JOIN comments ON comments.post_id = page.id
ORDER BY page.created_at DESC, page.id DESC, comments.created_at DESC, comments.id DESC
