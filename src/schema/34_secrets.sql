-- Secrets that stores and services use, by name.  Only the owner of this table reads it.

CREATE TABLE imgexport.secret (
    name  text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_.-]{1,63}$'),
    value text NOT NULL CHECK (value <> '' AND value !~ '[\r\n]')
);
COMMENT ON TABLE imgexport.secret IS
    'Secrets by name, for nobody but the owner of this table. Rows, jobs and URLs name a secret and never hold it. Fill it by \copy or with parameters, as a statement''s text is seen in pg_stat_activity and logs; or keep them in the file of imgexport.secrets_file.';
REVOKE ALL ON imgexport.secret FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.secret', '');

CREATE FUNCTION imgexport.file_secret(name text) RETURNS text
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_file_secret';
COMMENT ON FUNCTION imgexport.file_secret(text) IS
    'A secret of the file of imgexport.secrets_file; NULL where it has none of that name, or there is no file. Errors: 42501 others than its owner and group may read the file, 58P01 it is not there.';
REVOKE ALL ON FUNCTION imgexport.file_secret(text) FROM PUBLIC;

CREATE FUNCTION imgexport.secret_value(name text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    value text := coalesce((SELECT s.value FROM imgexport.secret s WHERE s.name = name),
                           imgexport.file_secret(name));
BEGIN
    IF value IS NULL THEN
        RAISE undefined_object USING
            MESSAGE = format('secret "%s" does not exist', name),
            HINT = 'It has to be in the table imgexport.secret or in the file of imgexport.secrets_file.';
    END IF;
    RETURN value;
END $$;
COMMENT ON FUNCTION imgexport.secret_value(text) IS
    'A secret by its name, of the table before the file. Errors: 42704 there is none.';
REVOKE ALL ON FUNCTION imgexport.secret_value(text) FROM PUBLIC;

CREATE FUNCTION imgexport.set_secret(name text, value text) RETURNS void
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO imgexport.secret AS s (name, value) VALUES (name, value)
    ON CONFLICT ON CONSTRAINT secret_pkey DO UPDATE SET value = excluded.value
$$;
COMMENT ON FUNCTION imgexport.set_secret(text, text) IS
    'Keep a secret under a name, instead of the one before. Call it with parameters: the text of a statement is seen by others. Errors: 23514 a name or value that cannot be one, 42501.';
REVOKE ALL ON FUNCTION imgexport.set_secret(text, text) FROM PUBLIC;
