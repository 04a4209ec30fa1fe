-- The tags with the most posts.
SELECT tags.name
FROM tags
JOIN post_tags ON post_tags.tag_id = tags.id
GROUP BY tags.id
ORDER BY count(*) DESC, tags.id
LIMIT 20
