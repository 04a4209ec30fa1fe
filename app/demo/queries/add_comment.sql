-- Adds a comment of the demonstration, written at a given time. Nothing happens if it is there already.
INSERT INTO comments (post_id, author_id, content, created_at, submission)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (author_id, submission) WHERE submission IS NOT NULL DO NOTHING
