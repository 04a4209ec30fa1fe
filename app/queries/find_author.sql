-- One author, for the head of the page of their posts.
SELECT id, username, bio FROM users WHERE id = $1
