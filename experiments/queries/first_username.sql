-- A user who writes the comments of a trial.
SELECT username FROM users ORDER BY id LIMIT 1
