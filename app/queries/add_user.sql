-- Registers a user. Names and addresses that differ only in case are refused by the unique indexes.
INSERT INTO users (username, email, password_hash) VALUES ($1, $2, $3) RETURNING id
