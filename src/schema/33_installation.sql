-- Which installation this database is, and whether it still is where it was created.
--
-- A copy of a database has the rows of its original: open jobs, due schedules, webhooks, and the
-- keys of the original's objects.  A copy that acted on them would do everything twice, and delete
-- what the original still needs.  So the database says where it lives, and a worker that finds
-- itself somewhere else does nothing (src/queue/installation.c) until imgexport.adopt().

CREATE TABLE imgexport.installation (
    one               boolean PRIMARY KEY DEFAULT true CHECK (one),
    id                uuid NOT NULL DEFAULT gen_random_uuid(),
    system_identifier int8 NOT NULL,
    database          oid NOT NULL,
    adopted_at        timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE imgexport.installation IS
    'One row: the identity of this installation (id), which the keys of its objects in stores begin with, and the server and database that it belongs to. Where these are not the present ones the database is a copy, and dormant until imgexport.adopt().';
REVOKE ALL ON imgexport.installation FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.installation', '');

-- Of this database alone: a dump does not have these rows.
CREATE TABLE imgexport.restore_mark (
    mark_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    restored_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE imgexport.restore_mark IS
    'There are rows here once a dump was restored into this database, which is then dormant until imgexport.adopt().';
REVOKE ALL ON imgexport.restore_mark FROM PUBLIC;

CREATE FUNCTION imgexport.this_place(OUT system_identifier int8, OUT database oid)
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_this_place';
COMMENT ON FUNCTION imgexport.this_place() IS
    'The server and database that this session is in. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.this_place() FROM PUBLIC;

INSERT INTO imgexport.installation (system_identifier, database)
    SELECT p.system_identifier, p.database FROM imgexport.this_place() AS p;

-- Triggers that change or claim something are silent then.
CREATE FUNCTION imgexport.is_restoring() RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_is_restoring';
COMMENT ON FUNCTION imgexport.is_restoring() IS
    'Whether this session restores a dump: it has row_security and check_function_bodies off, as every script of pg_dump and every session of pg_restore begins. Errors: none.';

CREATE FUNCTION imgexport.is_dormant() RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_is_dormant';
COMMENT ON FUNCTION imgexport.is_dormant() IS
    'Whether the worker of this database has found that it must not run anything; imgexport.why_dormant() says why. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.is_dormant() FROM PUBLIC;

CREATE FUNCTION imgexport.end_dormancy() RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_end_dormancy';
COMMENT ON FUNCTION imgexport.end_dormancy() IS
    'Have the worker look again, when this transaction commits, whether it may run anything here. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.end_dormancy() FROM PUBLIC;

CREATE FUNCTION imgexport.why_dormant() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    home imgexport.installation;
    allowed text[] := string_to_array(replace(imgexport.setting('installation'), ' ', ''), ',');
BEGIN
    SELECT i.* INTO home FROM imgexport.installation i;
    RETURN CASE
        WHEN EXISTS (SELECT FROM imgexport.restore_mark)
            THEN 'a dump was restored into this database'
        WHEN home.id IS NULL
            THEN 'this database has no identity'
        WHEN (home.system_identifier, home.database) IS DISTINCT FROM
             (SELECT (p.system_identifier, p.database) FROM imgexport.this_place() AS p)
            THEN format('this database is a copy of database %s of server %s', home.database,
                        home.system_identifier)
        WHEN cardinality(allowed) > 0 AND home.id::text <> ALL (allowed)
            THEN format('imgexport.installation does not list the identity of this database, %s', home.id)
        END;
END $$;
COMMENT ON FUNCTION imgexport.why_dormant() IS
    'Why no job, schedule, webhook or removal may run in this database; NULL where they may. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.why_dormant() FROM PUBLIC;

CREATE FUNCTION imgexport.key_prefix(store text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT format('%s/%s/', left(replace(i.id::text, '-', ''), 16), store)
            FROM imgexport.installation i);
END $$;
COMMENT ON FUNCTION imgexport.key_prefix(text) IS
    'What the keys of a store''s objects begin with: 16 digits of the identity of this installation, and the name of the store. Nothing else is ever written or removed there. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.key_prefix(text) FROM PUBLIC;
