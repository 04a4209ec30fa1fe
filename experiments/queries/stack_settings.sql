-- What this server runs with, beyond its defaults. Left out is what differs from run to run and changes no measurement: file
-- locations, the socket's folder, and what our own connection has set.
SELECT name, coalesce(current_setting(name), '') AS value
FROM pg_settings
WHERE name = 'server_version'
   OR (source NOT IN ('default', 'client', 'session')
       AND category <> 'File Locations'
       AND name NOT IN ('unix_socket_directories', 'unix_socket_permissions', 'port'))
ORDER BY name
