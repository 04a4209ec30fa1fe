-- Lives in the maintenance database alone: from there it shows the statements of every database, and it adds nothing to the
-- catalogues that the steps look at.
CREATE EXTENSION IF NOT EXISTS pg_stat_statements
