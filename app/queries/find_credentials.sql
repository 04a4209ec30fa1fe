-- What is needed to check a password, by user name or e-mail address in any case. A name has no `@` and an address has one, so that
-- at most one row fits.
SELECT id AS user_id, username, password_hash
FROM users
WHERE lower(username) = lower($1) OR lower(email) = lower($1)
