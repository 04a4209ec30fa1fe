-- A page of posts with all their comments as one row per post, the comments gathered by `json_agg`. Nothing is repeated, but the
-- database writes JSON and the app reads it back.
SELECT
    page.id AS post_id,
    page.title,
    page.created_at AS post_created_at,
    (
        SELECT coalesce(
            json_agg(
                json_build_object('id', comments.id, 'content', comments.content, 'created_at', comments.created_at)
                ORDER BY comments.created_at DESC, comments.id DESC
            ),
            '[]'
        )
        FROM comments
        WHERE comments.post_id = page.id
    ) AS "comments!: _"
FROM (
    SELECT id, title, created_at
    FROM posts
    WHERE (created_at, id) < ($1, $2)
    ORDER BY created_at DESC, id DESC
    LIMIT $3
) AS page
ORDER BY page.created_at DESC, page.id DESC
