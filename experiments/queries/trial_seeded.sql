-- The last row of each table as the seeding left it.
SELECT (SELECT coalesce(max(id), 0) FROM users)    AS users,
       (SELECT coalesce(max(id), 0) FROM posts)    AS posts,
       (SELECT coalesce(max(id), 0) FROM comments) AS comments,
       (SELECT coalesce(max(id), 0) FROM tags)     AS tags
