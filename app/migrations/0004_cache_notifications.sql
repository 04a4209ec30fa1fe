-- Whoever changes what a page shows says so on the channel `cache`: the app, psql, or a script. PostgreSQL delivers a notification
-- only if the transaction commits, and after it did; a server listens and forgets what the payload names. So a server that dies between
-- its commit and its own invalidation leaves nothing old behind.
--
-- Payloads: `post:42`, `author:7`, `tag:3`, `post-list`, and `all` when a statement changes more rows than are worth naming.
-- The triggers run once per statement. `session_replication_role = replica` switches them off for bulk loads into an empty database.

CREATE FUNCTION cache_notify(kind text, ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(ids) > 100 THEN
        PERFORM pg_notify('cache', 'all');
    ELSE
        PERFORM pg_notify('cache', kind || ':' || id) FROM unnest(ids) AS id;
    END IF;
END
$$;

CREATE FUNCTION comments_notify_cache() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cache_notify('post', ARRAY(SELECT DISTINCT post_id FROM changed LIMIT 101));
    RETURN NULL;
END
$$;

CREATE TRIGGER comments_notify_insert AFTER INSERT ON comments REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION comments_notify_cache();
CREATE TRIGGER comments_notify_update AFTER UPDATE ON comments REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION comments_notify_cache();
CREATE TRIGGER comments_notify_delete AFTER DELETE ON comments REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION comments_notify_cache();

CREATE FUNCTION posts_notify_cache() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A statement that met no row changed nothing.
    IF EXISTS (SELECT FROM changed) THEN
        PERFORM pg_notify('cache', 'post-list');
        PERFORM cache_notify('post', ARRAY(SELECT id FROM changed LIMIT 101));
        PERFORM cache_notify('author', ARRAY(SELECT DISTINCT author_id FROM changed LIMIT 101));
        -- The pages of the tags show the title too.
        PERFORM cache_notify('tag', ARRAY(
            SELECT DISTINCT post_tags.tag_id FROM changed JOIN post_tags ON post_tags.post_id = changed.id LIMIT 101
        ));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER posts_notify_insert AFTER INSERT ON posts REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION posts_notify_cache();
CREATE TRIGGER posts_notify_update AFTER UPDATE ON posts REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION posts_notify_cache();
CREATE TRIGGER posts_notify_delete AFTER DELETE ON posts REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION posts_notify_cache();

CREATE FUNCTION post_tags_notify_cache() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        PERFORM pg_notify('cache', 'post-list');
        PERFORM cache_notify('tag', ARRAY(SELECT DISTINCT tag_id FROM changed LIMIT 101));
        PERFORM cache_notify('post', ARRAY(SELECT DISTINCT post_id FROM changed LIMIT 101));
        PERFORM cache_notify('author', ARRAY(
            SELECT DISTINCT posts.author_id FROM changed JOIN posts ON posts.id = changed.post_id LIMIT 101
        ));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER post_tags_notify_insert AFTER INSERT ON post_tags REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION post_tags_notify_cache();
CREATE TRIGGER post_tags_notify_delete AFTER DELETE ON post_tags REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION post_tags_notify_cache();

-- An author's page shows name and bio, and every page of theirs shows the name. Only these two count: a new password hash shows nowhere.
-- A trigger with a transition table cannot name columns, so this one looks for itself.
CREATE FUNCTION users_notify_cache() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM cache_notify('author', ARRAY(
        SELECT new_row.id FROM new_rows AS new_row JOIN old_rows AS old_row USING (id)
        WHERE new_row.bio <> old_row.bio AND new_row.username = old_row.username LIMIT 101
    ));
    -- The name is on posts and comments everywhere.
    IF EXISTS (SELECT FROM new_rows AS new_row JOIN old_rows AS old_row USING (id) WHERE new_row.username <> old_row.username) THEN
        PERFORM pg_notify('cache', 'all');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_notify_update AFTER UPDATE ON users REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION users_notify_cache();
