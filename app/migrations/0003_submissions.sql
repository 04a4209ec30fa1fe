-- A form that is sent twice must not be stored twice. Whoever sends one names the submission; a second row of the same author and
-- submission is refused by an index, whichever server it reaches. Rows without a name, such as all older ones, are outside the
-- partial index: they cost it nothing, and a column that is NULL costs no byte of the row.

ALTER TABLE comments ADD COLUMN submission uuid;
CREATE UNIQUE INDEX comments_submission_key ON comments (author_id, submission) WHERE submission IS NOT NULL;

ALTER TABLE posts ADD COLUMN submission uuid;
CREATE UNIQUE INDEX posts_submission_key ON posts (author_id, submission) WHERE submission IS NOT NULL;
