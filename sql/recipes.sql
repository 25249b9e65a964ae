-- Recipes and outputs as JSON: checked where they are stored.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
\getenv photos PHOTOS_DIR
SELECT img_convert(img_resize(pg_read_binary_file(:'photos' || '/photo-720p.jpg'), 64, 48), 'png') AS image \gset

SELECT (img_info(img_apply(:'image', '[{"resize": {"width": 32}}, "flip", {"blur": {"sigma": 2}}]'))).width;
SELECT img_apply(:'image', '[{"rotate": {"angle": 90}}]') = img_rotate(:'image', 90) AS same;
SELECT img_apply(:'image', '[]') = :'image' AS same;

-- A function of anybody's own is a step.
CREATE SCHEMA app;
CREATE FUNCTION app.img_vintage(image bytea, strength float8 DEFAULT 1) RETURNS bytea
    LANGUAGE sql IMMUTABLE AS 'SELECT img_blur(img_flop(image), strength)';
SELECT img_apply(:'image', '["app.vintage"]') = img_blur(img_flop(:'image'), 1) AS same,
       img_apply(:'image', '[{"app.vintage": {"strength": 3}}]') = img_blur(img_flop(:'image'), 3) AS same;
-- Checking a recipe runs nothing of it, a default neither.
CREATE FUNCTION app.loud() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE 'I was run'; END $$;
CREATE FUNCTION app.img_loud(image bytea, n int DEFAULT app.loud()) RETURNS bytea
    LANGUAGE sql AS 'SELECT image';
SELECT imgexport.validate_recipe('["app.loud"]');
SELECT img_apply(:'image', '["app.loud"]');
CREATE ROLE regress_app;
REVOKE ALL ON FUNCTION app.img_vintage FROM PUBLIC;
GRANT USAGE ON SCHEMA app TO regress_app;
SET ROLE regress_app;
SELECT img_apply('\x89504e470d0a1a0a', '["app.vintage"]');
RESET ROLE;

SELECT imgexport.validate_recipe('[{"resiez": {"width": 5}}]');
SELECT imgexport.validate_recipe('[{"resize": {"widht": 5}}]');
\set VERBOSITY terse
SELECT imgexport.validate_recipe('{"resize": {"width": 5}}');
SELECT imgexport.validate_recipe('"flip"');
SELECT imgexport.validate_recipe('[5]');
SELECT imgexport.validate_recipe('[{}]');
SELECT imgexport.validate_recipe('[{"flip": {}, "flop": {}}]');
SELECT imgexport.validate_recipe('[{"flip": 5}]');
SELECT imgexport.validate_recipe('[{"resize": {"width": "5"}}]');
SELECT imgexport.validate_recipe('[{"resize": {"width": 5.5}}]');
SELECT imgexport.validate_recipe('[{"resize": {"width": true}}]');
SELECT imgexport.validate_recipe('[{"resize": {"fit": 5}}]');
SELECT imgexport.validate_recipe('[{"crop": {"x": 1}}]');
SELECT imgexport.validate_recipe('[{"nosuch.vintage": {}}]');
SELECT imgexport.validate_recipe('[{"composite": {"base": "not an image"}}]');
SELECT imgexport.validate_recipe('[{"composite": {}}]') AS base_comes_with_the_job;
SELECT imgexport.validate_recipe('[{"resize": {"width": null}}]') AS null_is_the_default;
SELECT imgexport.validate_recipe(NULL) IS NULL AS nothing_to_check;
SELECT length(img_apply(:'image', '["composite"]'));
SELECT (img_info(img_apply(:'image', jsonb_build_array(jsonb_build_object('composite', jsonb_build_object(
    'base', 'data:image/png;base64,' || translate(encode(:'image', 'base64'), E'\n', ''))))))).format;

SELECT imgexport.validate_outputs('{"grid": {"format": "webp", "width": 60, "height": 40, "fit": "contain"}, "png": {}}');
SELECT imgexport.validate_outputs('[]');
SELECT imgexport.validate_outputs('{}');
SELECT imgexport.validate_outputs('{"png": 5}');
SELECT imgexport.validate_outputs('{"x": {"format": "bmp"}}');
SELECT imgexport.validate_outputs('{"x": {"format": "jpge"}}');
SELECT imgexport.validate_outputs('{"x": {"qualty": 5}}');
SELECT imgexport.validate_outputs('{"x": {"quality": "high"}}');
SELECT imgexport.validate_outputs('{"x": {"steps": {"flip": {}}}}');
SELECT imgexport.validate_outputs('{"x": {"steps": ["nothing"]}}');
SELECT imgexport.validate_outputs('{"": {}}');

SELECT name, format, width, height, bytes = length(data) AS bytes, data = (SELECT data FROM img_export(:'image',
    jsonb_build_object(e.name, '{"tiny": {"width": 8, "steps": ["flop"], "format": "png"},
                                 "own": {"quality": 100}, "jpeg": {}, "webp": {"options": {"lossless": true}}}'::jsonb -> e.name))) AS alone
FROM img_export(:'image', '{"tiny": {"width": 8, "steps": ["flop"], "format": "png"},
    "own": {"quality": 100}, "jpeg": {}, "webp": {"options": {"lossless": true}}}') e ORDER BY name;

-- One output that fails is left out with a warning; if all do, it is an error.
SET client_min_messages = warning;
SELECT name FROM img_export(:'image', '{"good": {}, "bad": {"steps": [{"crop": {"x": 60, "y": 0, "width": 9, "height": 9}}]}}');
SELECT name FROM img_export(:'image', '{"bad": {"steps": [{"crop": {"x": 60, "y": 0, "width": 9, "height": 9}}]}}');

SELECT img_try('\xffd8ff00', '["flip"]') IS NULL AS tried;
SELECT img_try(:'image', '["flip"]') = img_flip(:'image') AS tried;
SELECT img_try(:'image', '["nothing"]');

DROP SCHEMA app CASCADE;
DROP ROLE regress_app;
-- Every seeded preset makes what it says.
SELECT p.name AS preset, e.name, e.format, e.width, e.height
FROM imgexport.preset AS p, img_export(img_apply(:'image', coalesce(p.recipe, '[]')), p.outputs) AS e ORDER BY 1, 2;
