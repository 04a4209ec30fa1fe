-- The tags that most posts carry, for those who look for a subject.
SELECT tags.id, tags.name, count(*) AS "post_count!"
FROM post_tags
JOIN tags ON tags.id = post_tags.tag_id
GROUP BY tags.id, tags.name
ORDER BY count(*) DESC, tags.name
LIMIT $1
