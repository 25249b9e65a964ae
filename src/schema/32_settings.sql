-- The settings, for functions in SQL.

-- It is of the library, and so loads it: until then current_setting() takes what a session has made up.
CREATE FUNCTION imgexport.setting(name text) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_setting';
COMMENT ON FUNCTION imgexport.setting(text) IS
    'A setting of imgexport as SHOW says it, whether or not the library was loaded before. name: without "imgexport.". Errors: 42704 there is no such setting.';
