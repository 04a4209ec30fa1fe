-- The processes that serve the connections to the current database, with the name that each client gave itself.
SELECT pid, application_name
FROM pg_stat_activity
WHERE datname = current_database()
  AND backend_type = 'client backend'
  AND application_name <> ''
