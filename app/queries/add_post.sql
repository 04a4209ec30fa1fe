-- Adds a post. No row comes back if this submission of this author has been stored before.
INSERT INTO posts (author_id, title, content, submission)
VALUES ($1, $2, $3, $4)
ON CONFLICT (author_id, submission) WHERE submission IS NOT NULL DO NOTHING
RETURNING id
