-- The author in the middle by number of posts, and the one with the most. Ties go to the lower id.
WITH counted AS (
    SELECT author_id AS id, row_number() OVER (ORDER BY count(*), author_id DESC) AS place, count(*) OVER () AS total
    FROM posts
    GROUP BY author_id
)
SELECT ordinary.id AS ordinary_id, users.username AS ordinary_name, popular.id AS popular_id
FROM counted AS ordinary
JOIN users ON users.id = ordinary.id
JOIN counted AS popular ON popular.place = popular.total
WHERE ordinary.place = (ordinary.total + 1) / 2
