-- Steps in one call and steps one by one give the same pixels on lossless formats,
-- whatever the value passes through in between.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
\getenv photos PHOTOS_DIR
SELECT pg_read_binary_file(:'photos' || '/photo-720p.jpg') AS jpeg \gset
CREATE TABLE source (name text PRIMARY KEY, image bytea);
INSERT INTO source VALUES
    ('rgb', img_convert(img_resize(:'jpeg', 120, 90), 'png')),
    ('alpha', img_rotate(img_convert(img_resize(:'jpeg', 100, 80), 'png'), 30)),
    ('grey', '\x89504e470d0a1a0a0000000d49484452000000100000000c08000000004e8c625d000000d44944415478da6360e095523771f48bce286dea9fb372db6106592d7397c0b8ec8ad649f3d7ec3c76f90183957b48625e75c7d445ebf79cbcf6f8c35f86f094c2baee194b37ed3f73f3d967a07e8692c6bed92bb61e3a7fe7e5376601a07e8689f356ef387ae9fe9b9f6cc20aba40fd0ceb769fb8fae8fd1f4e3165035b2fa07e86d3379e7efacf23a966ece01b950ed4cff0e22b13bf8ca69973406c56790b503f03ab90bc8ea55b70426e55fb948540fd0c4afa369e61c905b55dd3976cdc07d4cf60ef139956dcd03b6bf99683e76e03f5030090175ec1cc6521e30000000049454e44ae426082');
\unset jpeg

-- Whoever looks at the bytes has the image rendered.
CREATE FUNCTION flat(image bytea) RETURNS bytea LANGUAGE plpgsql AS
    $$ BEGIN RETURN image || ''::bytea; END $$;

-- Every step after every step, fused and flattened in between.
CREATE TABLE step (name text, recipe jsonb);
INSERT INTO step VALUES
    ('resize', '[{"resize": {"width": 50, "height": 40}}]'),
    ('contain', '[{"resize": {"width": 60, "height": 60, "fit": "contain", "background": "#ff000080"}}]'),
    ('thumbnail', '[{"thumbnail": {"width": 40}}]'),
    ('normalize', '[{"normalize": {"width": 48, "height": 48}}]'),
    ('crop', '[{"crop": {"x": 3, "y": 2, "width": 9, "height": 8}}]'),
    ('blur', '[{"blur": {"sigma": 1.2}}]'),
    ('rotate 90', '[{"rotate": {"angle": 90}}]'),
    ('rotate 33', '[{"rotate": {"angle": 33}}]'),
    ('flip', '["flip"]'),
    ('flop', '["flop"]'),
    ('convert', '[{"convert": {"format": "tiff"}}]');
SELECT count(*) AS pairs,
       count(*) FILTER (WHERE flat(img_convert(img_apply(img_apply(image, a.recipe), b.recipe), 'png'))
           <> flat(img_convert(img_apply(flat(img_apply(image, a.recipe)), b.recipe), 'png'))) AS different
FROM source, step a, step b;
SELECT count(*) AS composites,
       count(*) FILTER (WHERE flat(img_convert(img_composite(img_apply(a.image, step.recipe), img_flip(b.image)), 'png'))
           <> flat(img_convert(img_composite(flat(img_apply(a.image, step.recipe)), flat(img_flip(b.image))), 'png'))) AS different
FROM source a, source b, step;

-- The way through a query.
CREATE VIEW expected AS
    SELECT name, flat(img_convert(flat(img_blur(flat(img_flip(image)))), 'png')) AS image FROM source;
CREATE FUNCTION by_sql(image bytea) RETURNS bytea LANGUAGE sql AS
    'SELECT img_convert(img_blur(img_flip(image)), ''png'')';
CREATE FUNCTION by_plpgsql(image bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE result bytea := img_flip(image);
BEGIN
    result := img_blur(result);
    IF length(result) > 0 THEN result := img_convert(result, 'png'); END IF;
    RETURN result;
END $$;
CREATE TABLE generated (name text, image bytea,
    made bytea GENERATED ALWAYS AS (img_convert(img_blur(img_flip(image)), 'png')) STORED);
INSERT INTO generated (name, image) SELECT name, image FROM source;
CREATE INDEX made_digest ON generated (sha256(img_convert(img_blur(img_flip(image)), 'png')));
PREPARE by_statement(text) AS
    SELECT img_convert(img_blur(img_flip(image)), 'png') AS image FROM source WHERE name = $1;
CREATE TABLE by_prepared (name text, image bytea);
INSERT INTO by_prepared SELECT 'none', NULL;
TRUNCATE by_prepared;

CREATE VIEW ways AS
    SELECT 'nested' AS way, name, img_convert(img_blur(img_flip(image)), 'png') AS image FROM source
    UNION ALL SELECT 'case', name, CASE WHEN name IS NOT NULL
        THEN img_convert(img_blur(img_flip(image)), 'png') ELSE image END FROM source
    UNION ALL SELECT 'coalesce', name, coalesce(NULL, img_convert(img_blur(img_flip(image)), 'png')) FROM source
    UNION ALL (WITH flipped AS MATERIALIZED (SELECT name, img_flip(image) AS image FROM source)
        SELECT 'cte', name, img_convert(img_blur(image), 'png') FROM flipped)
    UNION ALL SELECT 'lateral', name, l.image
        FROM source, LATERAL (SELECT img_convert(img_blur(img_flip(source.image)), 'png') AS image) l
    UNION ALL SELECT 'offset', name, img_convert(img_blur(image), 'png')
        FROM (SELECT name, img_flip(image) AS image FROM source OFFSET 0) s
    UNION ALL SELECT 'twice', name, img_convert(CASE WHEN s.image = s.image THEN img_blur(s.image) END, 'png')
        FROM (SELECT name, img_flip(image) AS image FROM source OFFSET 0) s
    UNION ALL SELECT 'distinct', name, image
        FROM (SELECT DISTINCT name, img_convert(img_blur(img_flip(image)), 'png') AS image FROM source) s
    UNION ALL SELECT 'group by', min(name), img_convert(img_blur(image), 'png')
        FROM (SELECT name, img_flip(image) AS image FROM source) s GROUP BY image
    UNION ALL SELECT 'array_agg', name, img_convert(img_blur((array_agg(img_flip(image)))[1]), 'png')
        FROM source GROUP BY name
    UNION ALL SELECT 'window', name, img_convert(img_blur(first_value(img_flip(image)) OVER (PARTITION BY name)), 'png')
        FROM source
    UNION ALL SELECT 'values', v.name, img_convert(img_blur(v.image), 'png')
        FROM source s, LATERAL (VALUES (s.name, img_flip(s.image))) AS v(name, image)
    UNION ALL SELECT 'sql function', name, by_sql(image) FROM source
    UNION ALL SELECT 'plpgsql function', name, by_plpgsql(image) FROM source
    UNION ALL SELECT 'generated column', name, made FROM generated
    UNION ALL SELECT 'export', name, e.data
        FROM source, img_export(img_blur(img_flip(source.image)), '{"png": {}}') AS e(output, format, data);
SELECT way, count(*) AS images, bool_and(flat(ways.image) = expected.image) AS same
FROM ways JOIN expected USING (name) GROUP BY way ORDER BY way;

SET enable_seqscan = off;
SELECT count(*) AS found_by_index FROM expected, LATERAL (
    SELECT FROM generated g
    WHERE sha256(img_convert(img_blur(img_flip(g.image)), 'png')) = sha256(expected.image)) found;
RESET enable_seqscan;

CREATE TABLE by_create AS EXECUTE by_statement('alpha');
SELECT c.image = e.image AS prepared FROM by_create c, expected e WHERE e.name = 'alpha';
SET force_parallel_mode = on;
SELECT bool_and(flat(img_convert(img_blur(img_flip(s.image)), 'png')) = e.image) AS parallel
FROM source s JOIN expected e USING (name);
RESET force_parallel_mode;

-- A failure in rendering costs the call and nothing else.
DO $$
DECLARE picture bytea := (SELECT image FROM source WHERE name = 'grey');
BEGIN
    FOR i IN 1..2 LOOP
        BEGIN
            PERFORM length(img_flip(img_crop(picture, 0, 0, 99, 99)));
            RAISE 'this was to fail';
        EXCEPTION WHEN invalid_parameter_value THEN NULL;
        END;
    END LOOP;
END $$;

-- A thousand images leave the session's memory where it was.
SELECT count(flat(img_flip(image))) FROM source, generate_series(1, 5);
SELECT sum(total_bytes) AS before FROM pg_backend_memory_contexts \gset
SELECT count(flat(img_flip(image))) FROM source, generate_series(1, 333);
SELECT sum(total_bytes) < :before + 3000000 AS flat,
       count(*) FILTER (WHERE name LIKE 'imgexport lazy%') < 5 AS none_left
FROM pg_backend_memory_contexts;

DROP VIEW ways, expected;
DROP TABLE source, step, generated, by_prepared, by_create;
DROP FUNCTION flat, by_sql, by_plpgsql;
