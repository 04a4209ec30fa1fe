-- The composite of post and time: the latest comments of a post are its first entries, and counting the comments of a post reads
-- this index alone. It begins with the post, so it also serves the foreign key's ON DELETE CASCADE.
CREATE INDEX comments_by_post ON comments (post_id, created_at DESC, id DESC);
