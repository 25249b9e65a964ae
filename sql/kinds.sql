-- Every operation on every kind of image: what comes out, and what is refused.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
-- The pictures are made by test/fixtures/make-kinds.
\set folder `echo "${PHOTOS_DIR:-$PWD/photos}/kinds"`
CREATE TABLE kind (name text PRIMARY KEY, image bytea);
INSERT INTO kind
SELECT name, pg_read_binary_file(:'folder' || '/' || name || '.' || type)
FROM (VALUES ('rgb', 'png'), ('alpha', 'png'), ('grey', 'png'), ('grey-alpha', 'png'), ('cmyk', 'jpg'),
             ('deep', 'png'), ('turned', 'jpg'), ('palette', 'png'), ('tiny', 'png'), ('wide', 'png'),
             ('animation', 'gif'), ('moving', 'webp'), ('photo', 'avif')) AS v (name, type);
SELECT name, (i).format, (i).width, (i).height, (i).pages, (i).has_alpha, (i).orientation
FROM (SELECT name, img_info(image) AS i FROM kind) AS k ORDER BY name;

-- One line an operation: a word each kind.
CREATE FUNCTION outcome(call text, image bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made bytea;
    info img_info;
BEGIN
    EXECUTE 'SELECT ' || call INTO made USING image;
    IF made IS NULL THEN
        RETURN 'NULL';
    END IF;
    info := img_info(made);
    RETURN format('%s %sx%s%s%s', info.format, info.width, info.height,
                  CASE WHEN info.pages > 1 THEN '*' || info.pages ELSE '' END,
                  CASE WHEN info.has_alpha THEN 'a' ELSE '' END);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE TABLE operation (number int GENERATED ALWAYS AS IDENTITY, call text);
INSERT INTO operation (call) VALUES
    ('img_resize($1, 20)'), ('img_resize($1, 20, 30)'), ('img_resize($1, 20, 30, ''contain'', background => ''#ff000080'')'),
    ('img_resize($1, 20, 30, gravity => ''attention'')'), ('img_thumbnail($1, 16)'), ('img_normalize($1, 20, 20)'),
    ('img_crop($1, 0, 0, 1, 1)'), ('img_crop_to($1, ''2:1'')'), ('img_trim($1)'), ('img_autocrop($1)'),
    ('img_extend($1, 1, 2, 3, 4)'), ('img_extend($1, 1, 2, 3, 4, mode => ''copy'')'), ('img_rotate($1, 90)'), ('img_rotate($1, 10)'),
    ('img_flip($1)'), ('img_flop($1)'), ('img_orient($1, 5)'), ('img_flatten($1, ''blue'')'), ('img_blur($1)'), ('img_sharpen($1)'),
    ('img_sharpen($1, 1)'), ('img_grayscale($1)'), ('img_negate($1)'), ('img_negate($1, false)'), ('img_gamma($1)'),
    ('img_modulate($1, 1.1, 0.9, 20)'), ('img_tint($1, ''teal'')'), ('img_normalise_contrast($1)'), ('img_round_corners($1)'),
    ('img_redact($1, 0, 0, 5, 5)'), ('img_redact($1, 0, 0, 5, 5, style => ''pixelate'')'), ('img_composite($1, $1)'),
    ('img_overlay($1, $1, ''multiply'')'), ('img_overlay($1, $1, tile => true)'), ('img_watermark($1, $1)'),
    ('img_watermark_text($1, ''text'')'), ('img_shadow($1)'), ('img_mask($1, $1)'), ('img_remove_background($1)'),
    ('img_vips($1, ''gaussblur'', ''{"sigma": 1}'')'), ('img_page($1, 0)'), ('img_sprite($1)'), ('img_convert($1, ''jpeg'')'),
    ('img_convert($1, ''png'')'), ('img_convert($1, ''webp'')'), ('img_convert($1, ''gif'')'), ('img_convert($1, ''tiff'')'),
    ('img_convert($1, ''avif'', options => ''{"effort": 0}'')'), ('img_convert($1, ''heif'')'), ('img_compress($1)'),
    ('img_optimize($1)'), ('img_strip($1)'), ('(SELECT img_montage($1))'), ('(SELECT img_animate($1))');
SELECT o.call,
       string_agg(k.name || ': ' || outcome(o.call, k.image), ', ' ORDER BY k.name) AS outcomes
FROM operation AS o, kind AS k WHERE k.name <> 'wide'
GROUP BY o.number, o.call ORDER BY o.number
\gx (format=unaligned tuples_only=on)

-- A strip of 10000 x 8 pixels, and NULL.
SELECT o.call, outcome(o.call, image) AS wide, outcome(o.call, NULL) AS of_null
FROM operation AS o, kind WHERE name = 'wide' ORDER BY number;

-- What is looked at, not changed.
SELECT name, length(img_blurhash(image)) AS blurhash, length(img_thumbhash(image)) > 15 AS thumbhash, img_dominant_color(image),
       array_length(img_palette(image, 3), 1) AS colors, length(img_phash(image)) AS bits, round(img_similarity(image, image)::numeric, 3) AS itself,
       img_histogram(image, 1) AS histogram, img_from_data_uri(img_data_uri(image)) = image AS uri, (SELECT count(*) FROM img_frames(image)) AS frames
FROM kind ORDER BY name;
SELECT img_blurhash(NULL), img_thumbhash(NULL), img_dominant_color(NULL), img_palette(NULL), img_phash(NULL), img_similarity(NULL, NULL),
       img_histogram(NULL), img_data_uri(NULL), img_from_data_uri(NULL), img_gps(NULL);

-- Mean colours: a CMYK, a deep, a turned and a plain version of one picture look the same.
SELECT name, round(img_similarity(img_resize((SELECT image FROM kind WHERE name = 'rgb'), 60, 40, 'fill'),
                                  img_resize(image, 60, 40, 'fill'))::numeric, 1) AS like_rgb
FROM kind WHERE name IN ('cmyk', 'deep', 'turned', 'palette', 'photo', 'animation') ORDER BY name;

-- All pages go through: each page of the result is the page, changed.
SELECT page, delay_ms, round(img_similarity(frame, (SELECT img_flip(img_resize(o.frame, 30)) FROM img_frames(image) AS o WHERE o.page = f.page))::numeric, 1) AS alike
FROM kind, img_frames(img_flip(img_resize(image, 30))) AS f WHERE name = 'moving' ORDER BY page;
SELECT (img_info(img_montage(image, 2, 30, 20, 5, 'white' ORDER BY name))).* FROM kind WHERE name IN ('rgb', 'cmyk', 'alpha');
SELECT (img_info(img_convert(img_animate(image, 50 ORDER BY name), 'gif'))).* FROM kind WHERE name IN ('rgb', 'cmyk', 'alpha');
SELECT img_montage(NULL::bytea), img_animate(NULL::bytea), img_montage(image) FROM kind WHERE false;
SELECT img_metadata(img_animate(img_rotate(image, 180 * n), n * 10 ORDER BY n))->'delays_ms' FROM kind, generate_series(1, 3) AS n WHERE name = 'rgb';

-- Damaged and empty.
SELECT call, outcome(call, '\x') AS empty, outcome(call, 'garbage') AS garbage, outcome(call, substr(image, 1, 100)) AS truncated
FROM operation, kind WHERE name = 'rgb' ORDER BY number;

-- Bad arguments say what is wrong.
CREATE FUNCTION complaint(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made text;
    hint text;
BEGIN
    EXECUTE format('SELECT (%s)::text FROM kind WHERE name = ''alpha''', call) INTO made;
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN format('%s: %s%s', SQLSTATE, SQLERRM, CASE WHEN hint <> '' THEN ' (' || hint || ')' ELSE '' END);
END $$;
SELECT call, complaint(call) FROM (VALUES
    ('img_crop_to(image, ''banana'')'), ('img_crop_to(image, ''1:1'', ''up'')'), ('img_trim(image, 300)'), ('img_trim(image, background => ''#12'')'),
    ('img_autocrop(image, -1)'), ('img_extend(image, -1)'), ('img_extend(image, 1, mode => ''stretch'')'), ('img_extend(image, 100000, 100000, 100000, 100000)'),
    ('img_orient(image, 0)'), ('img_flatten(image, ''nocolor'')'), ('img_sharpen(image, 0)'), ('img_sharpen(image, 11)'), ('img_gamma(image, 0)'),
    ('img_modulate(image, -1)'), ('img_tint(image, '''')'), ('img_normalise_contrast(image, 50, 50)'), ('img_round_corners(image, -1)'),
    ('img_redact(image, 1000, 1000, 5, 5)'), ('img_redact(image, 0, 0, 0, 5)'), ('img_overlay(image, NULL)'), ('img_overlay(image, ''x'')'),
    ('img_overlay(image, image, ''blend'')'), ('img_overlay(image, image, opacity => 2)'), ('img_watermark(image, NULL)'), ('img_watermark(image, image, scale => 2)'),
    ('img_watermark_text(image, '''')'), ('img_watermark_text(image, ''x'', font => ''No Such Font'')'), ('img_watermark_text(image, repeat(''x'', 2001))'),
    ('img_watermark_text(image, NULL)'), ('img_watermark_text(image, ''<b>&'')'),
    ('img_shadow(image, -1)'), ('img_shadow(image, shape => ''round'')'), ('img_mask(image, NULL)'), ('img_remove_background(image, 300)'),
    ('img_vips(image, ''system'')'), ('img_vips(image, ''pngload'', ''{"filename": "/etc/passwd"}'')'), ('img_vips(image, ''nonsense'')'),
    ('img_vips(image, ''linear'', ''{"a": "x", "b": 1}'')'), ('img_vips(image, ''linear'')'), ('img_vips(image, ''avg'')'), ('img_vips(image, ''gaussnoise'', ''{"width": 100000, "height": 100000}'')'),
    ('img_vips(image, ''profile_load'', ''{"name": "srgb"}'')'), ('img_vips(image, ''join'', ''{"direction": "horizontal"}'')'),
    ('img_page(image, 1)'), ('img_page(image, -1)'), ('img_sprite(image, 0)'), ('img_compress(image, 101)'), ('img_optimize(image, 10)'),
    ('img_optimize(image, min_ssim => 2)'), ('img_optimize(img_convert(image, ''gif''))'), ('img_strip(image, ''{everything}'')'),
    ('img_strip(img_convert(image, ''tiff'') || '''')'), ('img_blurhash(image, 10)'), ('img_palette(image, 0)'), ('img_histogram(image, 3)'),
    ('img_similarity(image, ''x'')'), ('img_data_uri(''x'')'), ('img_from_data_uri(''data:text/plain,x'')'), ('img_from_data_uri(''???'')'), ('img_phash_distance(B''1'', B''10'')')) AS v (call);
DROP TABLE kind, operation;
DROP FUNCTION outcome, complaint;
