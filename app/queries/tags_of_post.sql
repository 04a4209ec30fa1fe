-- The tags of a post by id: whose pages a change of the post concerns.
SELECT tag_id FROM post_tags WHERE post_id = $1 ORDER BY tag_id
