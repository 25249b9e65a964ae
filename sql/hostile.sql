-- What is no image, or no good one, is a clear error where it is met.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
\getenv photos PHOTOS_DIR
CREATE TABLE file (name text PRIMARY KEY, data bytea);
INSERT INTO file
    SELECT format, data FROM img_export(
        img_resize(pg_read_binary_file(:'photos' || '/photo-720p.jpg'), 300, 200),
        '{"jpeg": {}, "png": {}, "webp": {}, "gif": {}, "tiff": {}, "avif": {}}');
SELECT name, i.format, i.mime, i.width, i.height, i.pages, i.has_alpha, i.orientation,
       i.bytes = length(data) AS bytes
FROM file, img_info(data) i ORDER BY name;

-- One message in full.
SELECT length(img_crop(data, 290, 0, 20, 20)) FROM file WHERE name = 'png';
SELECT img_resize('nonsense', 10);
SELECT img_info('<svg xmlns="http://www.w3.org/2000/svg"/>');
SELECT length(img_resize('\x89504e470d0a1a0a0000000d494844520000c3500000c350010000000063d40067000000114944415478da63601805a360140c77000003e80001ce494c580000000049454e44ae426082', 10));

\set VERBOSITY sqlstate
SELECT img_flip(NULL) IS NULL, img_resize(NULL, 5) IS NULL, img_info(NULL) IS NULL,
       img_metadata(NULL) IS NULL, img_is_image(NULL) IS NULL, img_preview(NULL) IS NULL,
       img_apply(NULL, '[]') IS NULL, img_try(NULL, '[]') IS NULL;
SELECT img_flip('');
SELECT img_flip('x');
SELECT img_info('');
SELECT img_metadata('\xff');
SELECT img_is_image(''), img_is_image('x'), img_is_image('\xffd8ff'), img_is_image('<svg/>');
SELECT bool_and(img_is_image(data)) FROM file;
-- HEIF knows its brand only; the header is cut off behind the magic bytes.
SELECT img_is_image('\x0000001c66747970617669660000000061766966');

-- Whatever part of a file is missing: an error of class IX, never half a picture or a crash.
CREATE FUNCTION outcome(image bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'rendered ' || (length(img_convert(img_flip(image), 'png')) > 0);
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT name, percent, outcome(substr(data, 1, length(data) * percent / 100))
FROM file, unnest('{2, 20, 50, 90}'::int[]) AS percent ORDER BY name, percent;
-- Noise in the body: a picture or an error, and the session goes on.
SELECT name, count(*) FROM file, generate_series(1, 20) AS n,
    LATERAL (SELECT outcome(overlay(data PLACING decode(md5(n::text) || md5(name), 'hex')
                            FROM 100 + n * length(data) / 30))) AS o(result)
WHERE result IN ('rendered true', 'IX001', 'IX002', 'IX003') GROUP BY name ORDER BY name;
SELECT outcome('\xffd8ff'::bytea || decode(repeat('00', 100000), 'hex')),
       outcome('\x89504e470d0a1a0a'::bytea || decode(repeat('ff', 100000), 'hex'));

-- Formats that libvips could read and we do not.
SELECT outcome('%PDF-1.4'), outcome('8BPS'), outcome('BM123456'), outcome('\x762f3101'),
       outcome('P6 1 1 255 abc'), outcome('#?RADIANCE'), outcome('1,2,3');
SET imgexport.allowed_loaders = 'png';
SELECT name, outcome(data) FROM file ORDER BY name;
RESET imgexport.allowed_loaders;

-- Limits.
SET imgexport.max_pixels = 59999;
SELECT outcome(data) FROM file WHERE name = 'png';
SET imgexport.max_pixels = 60000;
SELECT outcome(data) FROM file WHERE name = 'png';
SELECT length(img_resize(data, 400)) FROM file WHERE name = 'png';
RESET imgexport.max_pixels;
SELECT length(img_resize(data, 99999, 99999)) FROM file WHERE name = 'png';

-- Arguments.
CREATE FUNCTION attempt(recipe jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'ok ' || (length(img_apply(data, recipe)) > 0) FROM file WHERE name = 'png';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT recipe, attempt(recipe) FROM unnest(ARRAY[
    '[{"resize": {"width": 0}}]', '[{"resize": {"width": -5}}]', '[{"resize": {"width": 100001}}]',
    '[{"resize": {"width": 5, "fit": "stretch"}}]', '[{"resize": {"width": 5, "kernel": "x"}}]',
    '[{"resize": {"width": 5, "background": "notacolor"}}]', '[{"resize": {"width": 5, "gravity": "up"}}]',
    '[{"blur": {"sigma": 0.1}}]', '[{"blur": {"sigma": 2000}}]', '[{"blur": {"sigma": "NaN"}}]',
    '[{"rotate": {"angle": 1e9}}]', '[{"convert": {"format": "bmp"}}]',
    '[{"convert": {"format": "jpeg", "quality": 101}}]', '[{"convert": {"format": "jpeg", "quality": 0}}]',
    '[{"convert": {"format": "jpeg", "options": {"lossless": true}}}]',
    '[{"convert": {"format": "png", "options": {"compression": 10}}}]',
    '[{"convert": {"format": "webp", "options": {"effort": "much"}}}]',
    '[{"convert": {"format": "png", "options": {"keep": "exfi"}}}]',
    '[{"convert": {"format": "png", "options": {"background": {"r": 1}}}}]']::jsonb[]) AS recipe;
SELECT img_preview(data, 0) FROM file WHERE name = 'png';
SELECT img_preview(data, 501) FROM file WHERE name = 'png';
SELECT count(*) AS lines, bool_and(line ~ '^(\e\[[0-9;]+m)+▀') AS blocks
FROM file, regexp_split_to_table(trim(E'\n' FROM img_preview(data, 30)), E'\n') AS line
WHERE name = 'png';

-- More steps than there may be.
SELECT length(img_apply(data, (SELECT jsonb_agg('flip'::text) FROM generate_series(1, 201))))
FROM file WHERE name = 'png';
DO $$
DECLARE picture bytea := (SELECT data FROM file WHERE name = 'png');
BEGIN
    FOR i IN 1..300 LOOP picture := img_flip(picture); END LOOP;
END $$;
-- Images in images in images.
DO $$
DECLARE
    one bytea := (SELECT data FROM file WHERE name = 'png');
    picture bytea := one;
BEGIN
    FOR i IN 1..20 LOOP picture := img_composite(one, picture); END LOOP;
    RAISE 'length %', length(picture);
END $$;
SELECT outcome(img_composite(data, img_composite(data, img_composite(data, data)))) FROM file WHERE name = 'png';
DROP TABLE file;
DROP FUNCTION outcome, attempt;
