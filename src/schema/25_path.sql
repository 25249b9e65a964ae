-- From here on a name without a schema is PostgreSQL's own.  CREATE EXTENSION has put the schema of the image
-- functions into the path, where somebody else's function may fit a call better than pg_catalog's does.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
