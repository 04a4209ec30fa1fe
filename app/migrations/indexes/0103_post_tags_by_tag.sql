-- For the posts of one tag, newest first. The primary key begins with the post and cannot find them; this is its opposite, in the
-- order of the page thanks to the copied time. It begins with the tag, so it also serves the foreign key.
CREATE INDEX post_tags_by_tag ON post_tags (tag_id, post_created_at DESC, post_id DESC);
