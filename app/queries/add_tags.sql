-- Makes the tags that do not exist yet and gives the ids of all that are named. Sorted, so that two writers of the same new tags wait for
-- each other instead of dead-locking; DO UPDATE instead of DO NOTHING, because only a row that is written comes back.
INSERT INTO tags (name)
SELECT name FROM unnest($1::text[]) AS name ORDER BY name
ON CONFLICT (name) DO UPDATE SET name = excluded.name
RETURNING id
