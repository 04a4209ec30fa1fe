-- For the posts of one author, newest first: the filter and the order come from one scan. It begins with the author, so it also
-- serves the foreign key, and a plain index on `author_id` would be redundant.
CREATE INDEX posts_by_author ON posts (author_id, created_at DESC, id DESC);
