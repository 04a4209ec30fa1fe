-- For the list of posts, newest first. `id` breaks ties between posts of the same instant, so that a page can go on exactly
-- after the last row of the page before it. Both columns are DESC together: a scan in either direction would serve, and the
-- order as written is the order as read.
CREATE INDEX posts_newest ON posts (created_at DESC, id DESC);
