-- URLs that are kept.  What a URL may not hold is refused by the type, before there is a row that
-- an error could show.

CREATE FUNCTION imgexport.has_user(url text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    authority text := substring(url FROM '^[a-zA-Z]+://([^/?#]*)');
BEGIN
    RETURN url ~* '^\s*([a-z][a-z0-9+.-]*:)?[/\\]*[^/?#]*@'
        OR strpos(url, '@') > 0 AND url !~* '^https?://'
        -- @ in full width and small, which names of hosts may turn into @ (RFC 5895).
        OR authority ~ '[^ -~]' AND (position('\xefbca0'::bytea IN convert_to(authority, 'UTF8')) > 0
                                     OR position('\xefb9ab'::bytea IN convert_to(authority, 'UTF8')) > 0);
END $$;
COMMENT ON FUNCTION imgexport.has_user(text) IS
    'Whether a URL has a user or password, also where only some programs would read it so. Errors: 22021.';

CREATE FUNCTION imgexport.check_url(url text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(url) > 8000 THEN
        RAISE check_violation USING MESSAGE = 'URL must not be longer than 8000 bytes';
    ELSIF imgexport.has_user(url) THEN
        RAISE check_violation USING MESSAGE = 'URL must not have a user or password';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgexport.check_url(text) IS
    'Raise what is wrong with a URL that is to be kept, without repeating it; true where nothing is. Errors: 23514.';

CREATE DOMAIN imgexport.web_url AS text CHECK (imgexport.check_url(VALUE));
COMMENT ON DOMAIN imgexport.web_url IS
    'A URL of 8000 bytes at most, without a user or password.';

CREATE FUNCTION imgexport.shown_url(url text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN left(CASE WHEN imgexport.has_user(url)
                     THEN coalesce(substring(url FROM '^[a-zA-Z]+:'), '') || '//***' ELSE url END, 100);
END $$;
COMMENT ON FUNCTION imgexport.shown_url(text) IS
    'A URL as messages show it: its beginning, and nothing of one that has a user or password. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.shown_url(text) FROM PUBLIC;
