-- One tag by its name, which is its address.
SELECT id, name FROM tags WHERE name = $1
