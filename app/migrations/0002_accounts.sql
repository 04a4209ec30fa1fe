-- People write now, not only the seed: since when an account exists, and when a post was last changed.

-- A constant default does not rewrite the table. The accounts that exist get the time of this migration.
ALTER TABLE users ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();

-- NULL as long as nobody has edited the post, so that a post that was never touched does not claim to have been.
ALTER TABLE posts ADD COLUMN updated_at timestamptz;
