-- Changes what a user says about themselves.
UPDATE users SET bio = $2 WHERE id = $1
