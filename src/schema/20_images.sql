-- Many outputs, recipes, headers.

CREATE FUNCTION img_export(image bytea, outputs jsonb DEFAULT '{"png":{},"jpeg":{},"webp":{}}')
        RETURNS TABLE (name text, format text, data bytea, bytes int8, width int, height int)
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 3 AS 'MODULE_PATHNAME', 'img_export';
COMMENT ON FUNCTION img_export(bytea, jsonb) IS
    'Write an image in many ways with one decode. outputs: an object of 1 to 100 outputs by name, each an object with any of steps (a recipe), width, height, fit, format, quality, options; default PNG, JPEG and WebP. An output that fails is left out with a WARNING; if all fail, the first failure is raised. Errors: IX001 not an image, 22023 outputs.';

CREATE FUNCTION img_apply(image bytea, recipe jsonb) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_apply';
COMMENT ON FUNCTION img_apply(bytea, jsonb) IS
    'Run a recipe. recipe: an array of at most 200 steps; {"resize": {"width": 600}} calls img_resize with named arguments, "flip" alone is {"flip": {}}, and "app.sepia" calls the function app.img_sepia. Errors: IX001 not an image, 22023 the recipe, 42501 a function may not be called.';

CREATE FUNCTION img_try(image bytea, recipe jsonb) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL RESTRICTED COST 20000
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Concatenation looks at the value, so it is rendered inside this block.
    RETURN @extschema@.img_apply(image, recipe) || ''::pg_catalog.bytea;
EXCEPTION
    WHEN SQLSTATE 'IX001' OR SQLSTATE 'IX002' OR SQLSTATE 'IX003' OR SQLSTATE 'IX004'
        OR SQLSTATE 'IX005' OR SQLSTATE 'IX006' OR SQLSTATE 'IX007' THEN
        RAISE WARNING USING MESSAGE = SQLERRM, ERRCODE = SQLSTATE;
        RETURN NULL;
END $$;
COMMENT ON FUNCTION img_try(bytea, jsonb) IS
    'Run a recipe and render it; NULL and a WARNING instead of an error of class IX. recipe: as in img_apply. Errors: 22023 the recipe.';

CREATE TYPE img_info AS (format text, mime text, width int, height int, pages int,
                         has_alpha boolean, orientation int, bytes int8);
COMMENT ON TYPE img_info IS 'What an image''s header says: see img_info(bytea).';

CREATE FUNCTION img_info(image bytea) RETURNS img_info
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2000 AS 'MODULE_PATHNAME', 'img_info';
COMMENT ON FUNCTION img_info(bytea) IS
    'Format, media type, width and height in pixels (as shown, after EXIF orientation), pages, transparency, EXIF orientation (1 to 8) and size in bytes of an image, from its header alone. Errors: IX001 not an image, IX002 a format that is not read.';

CREATE FUNCTION img_metadata(image bytea) RETURNS jsonb
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2000 AS 'MODULE_PATHNAME', 'img_metadata';
COMMENT ON FUNCTION img_metadata(bytea) IS
    'What an image''s header says, as JSON: file_size, width, height, format, mime, orientation, colorspace, bits, has_alpha, pages, and where the file has them taken_at, camera, gps (signed decimal degrees, altitude in metres), exif, icc, warnings. Errors: IX001 not an image, IX002 a format that is not read.';

CREATE FUNCTION img_is_image(image bytea) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2000 AS 'MODULE_PATHNAME', 'img_is_image';
COMMENT ON FUNCTION img_is_image(bytea) IS
    'Whether the header is that of an image in a format that is read; pixels are not looked at. Errors: none for bad data.';

CREATE FUNCTION img_fetch(url text, timeout interval DEFAULT NULL) RETURNS bytea
    LANGUAGE C VOLATILE PARALLEL RESTRICTED COST 1000000 AS 'MODULE_PATHNAME', 'img_fetch';
COMMENT ON FUNCTION img_fetch(text, interval) IS
    'The bytes behind an http or https URL, now. timeout: at most imgexport.fetch_timeout, which is the default. Only who was granted EXECUTE may call it. Errors: IX003 too large, IX004 out of time, IX005 the transfer failed, IX006 an address that is refused, 22023 the URL.';
REVOKE ALL ON FUNCTION img_fetch(text, interval) FROM PUBLIC;

CREATE FUNCTION imgexport.validate_recipe(recipe jsonb) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    AS 'MODULE_PATHNAME', 'imgexport_validate_recipe';
COMMENT ON FUNCTION imgexport.validate_recipe(jsonb) IS
    'True for a recipe that can be run: every step is a function that the caller may call, every argument one of its, of its type. Nothing of it is run, nor the input functions of types that are not PostgreSQL''s own. Ranges are checked when it runs. Errors: 22023 what is wrong with it.';

CREATE FUNCTION imgexport.validate_outputs(outputs jsonb) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    AS 'MODULE_PATHNAME', 'imgexport_validate_outputs';
COMMENT ON FUNCTION imgexport.validate_outputs(jsonb) IS
    'True for outputs that can be made, as img_export takes them. Errors: 22023 what is wrong with them.';

-- For CHECKs, which are also checked for whoever restores or updates a row, the worker among them.
CREATE FUNCTION imgexport.is_recipe(recipe jsonb) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    AS 'MODULE_PATHNAME', 'imgexport_is_recipe';
COMMENT ON FUNCTION imgexport.is_recipe(jsonb) IS
    'True for what is shaped like a recipe; steps of the extension are checked as by imgexport.validate_recipe, those with a schema are not looked up. Runs nothing of anybody''s. Errors: 22023 what is wrong with it.';

CREATE FUNCTION imgexport.are_outputs(outputs jsonb) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000
    AS 'MODULE_PATHNAME', 'imgexport_are_outputs';
COMMENT ON FUNCTION imgexport.are_outputs(jsonb) IS
    'True for what is shaped like outputs, as imgexport.is_recipe says it of recipes. Errors: 22023 what is wrong with them.';

CREATE FUNCTION imgexport.helper_about(helper text) RETURNS jsonb
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10000
    AS 'MODULE_PATHNAME', 'imgexport_helper_about';
COMMENT ON FUNCTION imgexport.helper_about(text) IS
    'What a helper program of this session says of itself. helper: codec or net. Errors: IX007 it does not start, 55000 it may not work without a sandbox.';
REVOKE ALL ON FUNCTION imgexport.helper_about(text) FROM PUBLIC;
