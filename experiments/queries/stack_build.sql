-- How this server was built: the options of its `configure`, and what the compiler was told.
SELECT name, setting
FROM pg_config
WHERE name IN ('CONFIGURE', 'CC', 'CFLAGS')
ORDER BY name
