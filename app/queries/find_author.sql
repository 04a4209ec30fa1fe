-- One author, for the head of the page of their posts.
SELECT id, username, bio, created_at FROM users WHERE id = $1
