-- One user's own account. Nobody else sees the address.
SELECT id, username, email, bio, created_at FROM users WHERE id = $1
