-- Removes what a trial added after these rows of users, posts, comments and tags. Triggers are off: nobody listens, and the check that no
-- comment is left without its author would read all comments.
WITH removed_comments AS (DELETE FROM comments WHERE id > $3 OR post_id > $2),
     removed_tags_of_posts AS (DELETE FROM post_tags WHERE post_id > $2 OR tag_id > $4),
     removed_posts AS (DELETE FROM posts WHERE id > $2),
     removed_tags AS (DELETE FROM tags WHERE id > $4)
DELETE FROM users WHERE id > $1
