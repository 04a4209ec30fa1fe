-- The post after nine tenths of all posts, newest first: a reader who came that far down the list continues here.
SELECT created_at, id
FROM posts
ORDER BY created_at DESC, id DESC
OFFSET (SELECT count(*) * 9 / 10 FROM posts)
LIMIT 1
