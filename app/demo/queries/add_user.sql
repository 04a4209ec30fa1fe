-- Adds a user of the demonstration. Nothing happens if somebody has the name or the address.
INSERT INTO users (username, email, password_hash, bio, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
