-- Adds a comment in the name of an existing user. No row comes back if there is no such user; a post that does not exist is
-- refused by the foreign key.
INSERT INTO comments (post_id, author_id, content)
SELECT $1, users.id, $3
FROM users
WHERE lower(users.username) = lower($2)
RETURNING id
