-- One page of the tags, by name: those that come after the given one.
SELECT name FROM tags WHERE name > $1 ORDER BY name LIMIT $2
