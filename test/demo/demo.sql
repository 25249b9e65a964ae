-- What `make demo` shows.  Variables: url, a web server with photographs; sheet, a file to write.
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

-- The contact sheet: one file, its pictures inside it.
\set ECHO none
\pset format unaligned
\pset tuples_only on
\o :sheet
SELECT $$<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>imgexport: contact sheet</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
ul { display: grid; gap: 1.25rem; padding: 0; list-style: none;
     grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); }
img { width: 100%; aspect-ratio: 3 / 2; object-fit: cover; border-radius: .5rem; display: block; }
figure { margin: 0; }
figcaption { font-size: .85rem; padding-top: .4rem; }
.failed { border: 1px solid; border-radius: .5rem; padding: 1rem; }
</style>
<h1>Contact sheet</h1>$$;
SELECT format('<p>%s of %s images, made by PostgreSQL %s.</p><ul>', completed, total,
              current_setting('server_version'))
FROM imgexport.batch WHERE batch_id = :'batch_id';
SELECT format('<li><figure><img alt="%s" src="data:image/webp;base64,%s"><figcaption>%1$s<br>%s'
              '</figcaption></figure></li>',
              substring(job.source_url FROM '[^/]+$'),
              (SELECT translate(encode(data, 'base64'), E'\n', '') FROM imgexport.image i
               WHERE (i.batch_id, i.job_id) = (job.batch_id, job.job_id) AND i.name = 'grid'),
              (SELECT string_agg(format('%s: %s %s x %s, %s', i.name, i.format, i.width, i.height,
                                        pg_size_pretty(i.bytes)), '<br>' ORDER BY i.name)
               FROM imgexport.image i
               WHERE (i.batch_id, i.job_id) = (job.batch_id, job.job_id)))
FROM imgexport.job WHERE batch_id = :'batch_id' AND state = 'completed'
ORDER BY source_url;
SELECT format('<li class="failed"><strong>%s</strong><br>%s</li>',
              substring(source_url FROM '[^/]+$'),
              replace(replace(error, '&', '&amp;'), '<', '&lt;'))
FROM imgexport.job WHERE batch_id = :'batch_id' AND state = 'failed'
ORDER BY source_url;
SELECT '</ul></html>';
\o
