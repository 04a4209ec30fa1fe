-- Replaces a password's hash, after the cost of hashing was raised.
UPDATE users SET password_hash = $2 WHERE id = $1
