-- Nested is step by step: random trees of operations on a lossless format give the same
-- pixels whether they are rendered at once or each call by itself.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
\set folder `echo "${PHOTOS_DIR:-$PWD/photos}/kinds"`
CREATE TABLE leaf (name text, image bytea);
INSERT INTO leaf
SELECT name, pg_read_binary_file(:'folder' || '/' || name || '.png')
FROM unnest('{rgb,alpha,grey,grey-alpha}'::text[]) AS name;
-- $ stands for a subtree; in a tree it stands between [ and ].
CREATE TABLE branch (number int GENERATED ALWAYS AS IDENTITY (START 0 MINVALUE 0), call text);
INSERT INTO branch (call) VALUES
    ('img_resize($, 37)'), ('img_resize($, 50, 20)'), ('img_resize($, 30, 50, ''contain'', background => ''#11223344'')'),
    ('img_crop_to($, ''1:1'', ''southeast'')'), ('img_trim($)'), ('img_extend($, 3, 0, 0, 5, ''#aa330080'')'), ('img_rotate($, 90)'),
    ('img_rotate($, 33)'), ('img_flip($)'), ('img_flop($)'), ('img_orient($, 7)'), ('img_flatten($, ''teal'')'), ('img_blur($, 1)'),
    ('img_sharpen($)'), ('img_grayscale($)'), ('img_negate($, false)'), ('img_gamma($, 1.5)'), ('img_modulate($, hue => 70)'),
    ('img_tint($, ''olive'')'), ('img_normalise_contrast($)'), ('img_round_corners($, 8)'), ('img_redact($, 1, 1, 9, 9)'),
    ('img_composite($, $)'), ('img_composite($, $, 0.4, ''screen'')'), ('img_overlay($, $)'), ('img_overlay($, $, ''dest-out'', opacity => 0.5)'),
    ('img_watermark($, $, margin => 2)'), ('img_mask($, $)'), ('img_shadow($, 2, 3, 3, margin => 1, extra => 8)'), ('img_remove_background($)'),
    ('img_vips($, ''gaussblur'', ''{"sigma": 1.5}'')'), ('img_autocrop($, 2)'), ('img_normalize($, 40, 30)');
CREATE FUNCTION tree(depth int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    IF depth = 0 OR random() < 0.1 THEN
        RETURN format('(SELECT image FROM leaf WHERE name = %L)', (ARRAY['rgb', 'alpha', 'grey', 'grey-alpha'])[1 + floor(random() * 4)::int]);
    END IF;
    SELECT call INTO made FROM branch ORDER BY number OFFSET floor(random() * (SELECT count(*) FROM branch)) LIMIT 1;
    WHILE position('$' IN made) > 0 LOOP
        made := overlay(made PLACING '[' || tree(depth - 1) || ']' FROM position('$' IN made) FOR 1);
    END LOOP;
    RETURN made;
END $$;
CREATE FUNCTION flat(image bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT image || '' $$;
-- Which of a number of trees come out differently.
CREATE FUNCTION differing(trees int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    made text;
    at_once bytea;
    one_by_one bytea;
BEGIN
    FOR i IN 1..trees LOOP
        made := tree(1 + i % 4);
        EXECUTE 'SELECT ' || translate(made, '[]', '') INTO at_once;
        EXECUTE 'SELECT ' || replace(replace(made, '[', 'flat('), ']', ')') INTO one_by_one;
        IF flat(at_once) IS DISTINCT FROM flat(one_by_one) THEN
            RETURN NEXT made;
        END IF;
    END LOOP;
END $$;
SELECT setseed(0.2026);
SELECT * FROM differing(300);
-- The comparison can tell: a lossy step in between makes a difference.
SELECT flat(img_flip(img_convert(image, 'jpeg'))) = flat(img_flip(flat(img_convert(image, 'jpeg')))) AS same FROM leaf WHERE name = 'rgb';
DROP TABLE leaf, branch;
DROP FUNCTION tree, flat, differing;
