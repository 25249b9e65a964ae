-- What services may be like, and what is made of their rows: no service is asked.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;

-- Rows that are none.
CREATE FUNCTION pg_temp.refused(kind text, send text, image_as text, request jsonb, parameters jsonb,
    result text, headers jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO imgexport.service (name, kind, url, send, image_as, request, parameters, result, headers)
    VALUES ('x', kind, 'https://example.com', send, image_as, request, parameters, result, headers);
    DELETE FROM imgexport.service WHERE name = 'x';
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT n, pg_temp.refused(kind, send, image_as, request::jsonb, parameters::jsonb, result, headers::jsonb)
FROM (VALUES
    (1, 'background', 'multipart', 'bytes', '{"image": "{image}"}', '{}', 'body', '{}'),
    (2, 'analysis', 'multipart', 'bytes', '{"image": "{image}"}', '{}', 'body', '{}'),
    (3, 'background', 'multipart', 'bytes', '{"image": "{image}"}', '{}', 'json', '{}'),
    (4, 'background', 'body', 'base64', '{}', '{}', 'body', '{}'),
    (5, 'background', 'body', 'bytes', '{"a": 1}', '{}', 'body', '{}'),
    (6, 'background', 'json', 'bytes', '{"image": "{image}"}', '{}', 'body', '{}'),
    (7, 'background', 'form', 'base64', '{"a": {"image": "{image}"}}', '{}', 'body', '{}'),
    (8, 'background', 'json', 'base64', '{"a": [{"image": "{image}"}]}', '{}', 'body', '{}'),
    (9, 'background', 'json', 'base64', '{"a": 1}', '{}', 'body', '{}'),
    (10, 'generate', 'json', 'base64', '{"a": "{prompt}"}', '{"prompt": null}', 'body', '{}'),
    (11, 'generate', 'json', 'base64', '{"a": "{prompt}"}', '{}', 'body', '{}'),
    (12, 'generate', 'json', 'base64', '{}', '{"image": 1}', 'body', '{}'),
    (13, 'background', 'json', 'base64', '[]', '{}', 'body', '{}'),
    (14, 'background', 'body', 'bytes', '{}', '{}', 'body', '{"X Y": "a"}'),
    (15, 'background', 'body', 'bytes', '{}', '{}', 'body', '{"X": "a\nb"}'),
    (16, 'background', 'body', 'bytes', '{}', '{}', 'body', '{"X": 1}'),
    (17, 'nonsense', 'body', 'bytes', '{}', '{}', 'body', '{}')
) AS v(n, kind, send, image_as, request, parameters, result, headers) ORDER BY n;

-- Templates.
SELECT imgexport.add_service('api4ai'), imgexport.add_service('remove.bg'), imgexport.add_service('rembg'),
       imgexport.add_service('rembg', '{"url": "http://10.1.2.3/api/remove", "max_side": 512}', 'near');
SELECT imgexport.add_service('analysis', '{"url": "https://example.com/a"}'),
       imgexport.add_service('generate', '{"url": "https://example.com/g", "price": 0.04}');
SELECT imgexport.add_service('analysis', '{}', 'other');
SELECT imgexport.add_service('nonsense');
SELECT imgexport.add_service('rembg', '{"nonsense": 1}', 'other');
SELECT imgexport.add_service('rembg');
SELECT imgexport.add_service('rembg', '{"timeout": "1 hour"}', 'other');
SELECT name, kind, url, send, image_as, image_format, max_side, result, result_path, apply, timeout, retries,
       concurrency, cache_for, price FROM imgexport.service ORDER BY name;
SELECT name, headers, request, parameters FROM imgexport.service ORDER BY name;

-- Requests, as they are sent, of a GIF of one pixel.
\set gif '\'\\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b\''
SELECT imgexport.set_secret(s, 'key/' || s) FROM unnest('{api4ai,remove.bg,analysis,generate}'::text[]) AS s;
SELECT s, r.url, r.headers ~ 'key/' AS has_key, regexp_replace(encode(r.body, 'escape'), 'imgexport-[0-9a-f]{32}', 'BOUNDARY', 'g') AS body
FROM unnest('{api4ai,remove.bg,analysis,generate}'::text[]) AS s,
     imgexport.service_plan(s, CASE WHEN s = 'generate' THEN '{"prompt": "a \"cat\" {image}"}'::jsonb END, current_user::regrole) AS p,
     imgexport.service_request(s, p.parameters_in_full, :gif) AS r;
SELECT r.timeout_ms, r.retries, r.price_micros, r.day_limit_micros, r.day_micros
FROM imgexport.service_request('generate', '{"prompt": "x"}', :gif) AS r;
SELECT (imgexport.service_request('remove.bg', '{"size": "auto"}', '\x41')).request_hash
     = (imgexport.service_request('remove.bg', '{"size": "auto"}', '\x41')).request_hash AS same,
       (imgexport.service_request('remove.bg', '{"size": "full"}', '\x41')).request_hash
     = (imgexport.service_request('remove.bg', '{"size": "auto"}', '\x41')).request_hash AS other_size,
       (imgexport.service_request('remove.bg', '{"size": "auto"}', '\x42')).request_hash
     = (imgexport.service_request('remove.bg', '{"size": "auto"}', '\x41')).request_hash AS other_image;

-- Product shots, as recipes.
SELECT imgexport.product_recipe('{"service": "rembg"}'), imgexport.product_recipe('{"service": "rembg", "fallback": "local", "tolerance": 20}');
SELECT imgexport.product_recipe('{"background": "local", "holes": true, "padding": 0}'), imgexport.product_recipe('{"skip_background_removal": true}');
SELECT imgexport.product_recipe();
SELECT imgexport.product_recipe('{"background": "nonsense"}');
SELECT imgexport.product_recipe('{"fallback": "nonsense"}');
SELECT imgexport.product_recipe('{"nonsense": 1}');
SELECT imgexport.validate_recipe(imgexport.product_recipe('{"service": "rembg", "fallback": "local"}'));
UPDATE imgexport.service SET enabled = false WHERE name <> 'rembg';
SELECT imgexport.product_recipe();
UPDATE imgexport.service SET enabled = false;
SELECT imgexport.product_recipe();
SELECT imgexport.variation_recipe(NULL, 'x', 1);
SELECT imgexport.variation_recipe('generate', 'x', 1);
UPDATE imgexport.service SET enabled = true WHERE name = 'generate';
SELECT imgexport.variation_recipe('generate', 'x', 2);

-- Trying a preset on a part of the traffic.
SELECT p, count(*) BETWEEN 950 AND 1050 AS a_tenth, count(*) BETWEEN 8950 AND 9050 AS the_rest
FROM generate_series(1, 10000) AS g, imgexport.pick_preset('{"product": 90, "product-new": 10}', 'user ' || g) AS p GROUP BY p ORDER BY p;
SELECT imgexport.pick_preset('{"a": 1}', 'x'), imgexport.pick_preset('{"a": 0, "b": 2}', 'x'),
       imgexport.pick_preset('{"a": 1, "b": 1}', 'x') = imgexport.pick_preset('{"a": 1, "b": 1}', 'x') AS same;
SELECT imgexport.pick_preset('{}', 'x');
SELECT imgexport.pick_preset('{"a": -1, "b": 3}', 'x');
SELECT imgexport.pick_preset('{"a": "x"}', 'x');
SELECT count(*) FROM imgexport.preset_stats() WHERE preset = 'nobody';

-- Every format, there and back.
SELECT item, ok FROM imgexport.smoke();

-- Where nothing was asked there is nothing to tell.
SELECT imgexport.metrics_of(0, 0, 0), imgexport.metrics_of(3, 1, 2000);
DELETE FROM imgexport.service;
DELETE FROM imgexport.secret;
