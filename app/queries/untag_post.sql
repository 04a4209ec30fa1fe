-- Takes every tag but these off a post.
DELETE FROM post_tags WHERE post_id = $1 AND tag_id <> ALL ($2)
