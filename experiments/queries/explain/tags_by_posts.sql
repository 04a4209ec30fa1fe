-- The tag in the middle by number of posts, and the one with the most. Ties go to the lower id.
WITH counted AS (
    SELECT tag_id AS id, row_number() OVER (ORDER BY count(*), tag_id DESC) AS place, count(*) OVER () AS total
    FROM post_tags
    GROUP BY tag_id
)
SELECT ordinary.id AS ordinary_id, tags.name AS ordinary_name, popular.id AS popular_id
FROM counted AS ordinary
JOIN tags ON tags.id = ordinary.id
JOIN counted AS popular ON popular.place = popular.total
WHERE ordinary.place = (ordinary.total + 1) / 2
