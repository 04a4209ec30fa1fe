-- A user of the demonstration, with the hash of the password. A stranger of the same name has another address.
SELECT id, password_hash FROM users WHERE lower(username) = lower($1) AND lower(email) = lower($2)
