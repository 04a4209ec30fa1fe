-- The comment that a submission has made, for whoever sends the same one again.
SELECT id FROM comments WHERE author_id = $1 AND submission = $2
