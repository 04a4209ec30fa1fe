-- Adds a post of the demonstration, written at a given time. No row comes back if it is there already.
INSERT INTO posts (author_id, title, content, created_at, submission)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (author_id, submission) WHERE submission IS NOT NULL DO NOTHING
RETURNING id
