-- Adds a comment. A post that does not exist is refused by the foreign key. No row comes back if this submission of this author has been
-- stored before, by whichever server.
INSERT INTO comments (post_id, author_id, content, submission)
VALUES ($1, $2, $3, $4)
ON CONFLICT (author_id, submission) WHERE submission IS NOT NULL DO NOTHING
RETURNING id
