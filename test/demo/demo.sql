-- What `make demo` shows.  Variable: url, a web server with photographs.  Writes urls.
\pset pager off
\set ECHO queries

\echo
\echo '=== Everything an application needs ==='
CREATE EXTENSION imgexport;
SELECT item, ok, detail FROM imgexport.check();

\echo '=== A dozen URLs, one that is missing and one that is no image: one statement ==='
SELECT imgexport.submit(
    urls    => ARRAY(SELECT :'url' || '/' || name
                     FROM unnest('{dune.jpg,wood.jpg,wings.jpg,rain.jpg,garden.jpg,flower.jpg,
                                   meadow.jpg,blinds.jpg,yellow.jpg,photo-1080p.jpg,turned.jpg,
                                   photo-12mp.jpg,missing.jpg,notes.txt}'::text[]) AS name),
    recipe  => '[{"resize": {"width": 1200, "height": 1200, "fit": "inside"}}]',
    outputs => '{"grid":   {"format": "webp", "width": 300, "height": 200},
                 "detail": {"format": "jpeg"},
                 "modern": {"format": "avif", "width": 600}}') AS batch_id \gset

CALL imgexport.wait(:'batch_id');

\echo '=== What was made ==='
SELECT substring(job.source_url FROM '[^/]+$') AS source, image.name, image.format,
       image.width, image.height, pg_size_pretty(image.bytes) AS size
FROM imgexport.job JOIN imgexport.image USING (batch_id, job_id)
WHERE batch_id = :'batch_id'
ORDER BY 1, 2 LIMIT 9;

SELECT substring(source_url FROM '[^/]+$') AS source, state, attempts, error_code, error
FROM imgexport.job WHERE batch_id = :'batch_id' AND state <> 'completed'
ORDER BY 1;

\echo '=== Images in queries: metadata, and a nested call that decodes and encodes once ==='
SELECT m->>'taken_at' AS taken_at, m->'camera'->>'model' AS camera,
       m->'camera'->>'exposure_time' AS exposure, m->'gps'->>'latitude' AS latitude,
       m->'gps'->>'longitude' AS longitude
FROM img_metadata(img_fetch(:'url' || '/photo-1080p.jpg')) AS m;

SELECT (img_info(img_convert(img_blur(img_resize(img_fetch(:'url' || '/dune.jpg'), 800, 600), 2),
                             'webp', 80))).*;

\echo '=== And one of them, here ==='
SELECT img_preview(data, 72) AS picture
FROM imgexport.image JOIN imgexport.job USING (batch_id, job_id)
WHERE batch_id = :'batch_id' AND name = 'grid' AND job.source_url LIKE '%/wings.jpg' \gset
\echo :picture

\echo '=== A product shot: its background service is down, so the ground is taken out here ==='
SELECT imgexport.add_service('rembg', '{"url": "http://127.0.0.1:1/api/remove", "retries": 0}');
SELECT imgexport.submit(preset => 'product', recipe => imgexport.product_recipe('{"fallback": "local"}'),
    source => img_convert(img_extend(img_resize(img_fetch(:'url' || '/flower.jpg'), 480), 120, 120, 120, 120, '#f2f1ee'), 'jpeg')) AS shot_id \gset
CALL imgexport.wait(:'shot_id');
SELECT image.name, image.format, image.width, image.height, pg_size_pretty(image.bytes) AS size, job.warnings->>0 AS warning
FROM imgexport.job JOIN imgexport.image USING (batch_id, job_id) WHERE batch_id = :'shot_id' ORDER BY 1;
SELECT img_preview(img_flatten(data, '#285078'), 72) AS picture FROM imgexport.image
WHERE batch_id = :'shot_id' AND name = 'grid' \gset
\echo :picture

\echo '=== Delivery: the role of the server, and URLs, static and signed ==='
CREATE ROLE web LOGIN;
CALL imgexport.grant_delivery('web');
SELECT imgexport.url(image_id) AS static, imgexport.url(image_id, '1 minute') AS signed,
       imgexport.variant_url(image_id, 'w_120,h_80', 'png') AS variant
FROM imgexport.image JOIN imgexport.job USING (batch_id, job_id)
WHERE batch_id = :'batch_id' AND name = 'detail' AND job.source_url LIKE '%/wings.jpg' \gset
SELECT :'static' AS static UNION ALL SELECT :'signed' UNION ALL SELECT :'variant';
\o urls
\pset format unaligned
\pset tuples_only on
\set ECHO none
SELECT :'static'; SELECT :'signed'; SELECT :'variant';
\o
