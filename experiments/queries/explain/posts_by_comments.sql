-- The post in the middle of those that have comments, and the one with the most. Ties go to the lower id. With them, the number of
-- posts.
WITH counted AS (
    SELECT post_id AS id, row_number() OVER (ORDER BY count(*), post_id DESC) AS place, count(*) OVER () AS total
    FROM comments
    GROUP BY post_id
)
SELECT
    (SELECT id FROM counted WHERE place = (total + 1) / 2) AS ordinary_id,
    (SELECT id FROM counted WHERE place = total) AS popular_id,
    (SELECT count(*) FROM posts) AS posts
