-- What a job may be, who may see it, and what submitting answers.  The worker of this
-- server is kept out of it: test/t has it at work.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
UPDATE imgexport.queue SET paused = true;

SELECT name, concurrency FROM imgexport.queue ORDER BY name;
SELECT name, jsonb_object_keys(outputs) AS output FROM imgexport.preset ORDER BY 1, 2;

\set VERBOSITY terse
INSERT INTO imgexport.job DEFAULT VALUES;
INSERT INTO imgexport.job (source_url, source) VALUES ('http://example.com/a.jpg', 'x');
INSERT INTO imgexport.job (source_url) VALUES ('ftp://example.com/a.jpg');
INSERT INTO imgexport.job (source_url) VALUES ('/etc/passwd');
INSERT INTO imgexport.job (source, base_url) VALUES ('x', 'file:///etc/passwd');
INSERT INTO imgexport.job (source, recipe) VALUES ('x', '[{"resize": {"widht": 5}}]');
INSERT INTO imgexport.job (source, outputs) VALUES ('x', '{"a": {"format": "bmp"}}');
INSERT INTO imgexport.job (source, state) VALUES ('x', 'done');
INSERT INTO imgexport.job (source, max_attempts) VALUES ('x', 0);
INSERT INTO imgexport.job (source, expires_in) VALUES ('x', '-1 hour');
INSERT INTO imgexport.preset (name, recipe) VALUES ('bad', '["nothing"]');
SELECT imgexport.submit();
SELECT imgexport.submit(source => 'x', source_url => 'http://example.com/');
SELECT imgexport.submit(source => 'x', preset => 'nothing');
SELECT imgexport.submit(source => 'x', queue => 'nothing');
SELECT imgexport.submit(urls => '{}') IS NOT NULL AS empty_batch;

INSERT INTO imgexport.job (source) VALUES ('x')
    RETURNING batch_id <> job_id AS own_batch, queue, priority, max_attempts, state, attempts, owner = current_user AS owner;
SELECT substr(id::text, 15, 1) AS version, substr(id::text, 20, 1) IN ('8', '9', 'a', 'b') AS variant,
       bool_and(id > previous) AS ascending
FROM (SELECT id, lag(id) OVER (ORDER BY n) AS previous
      FROM (SELECT n, imgexport.new_id() AS id, pg_sleep(0.001) FROM generate_series(1, 20) n) i) o
GROUP BY 1, 2 HAVING count(*) > 0;

SELECT imgexport.submit(urls => '{http://example.com/a.jpg,http://example.com/b.jpg}', preset => 'jpeg') AS batch \gset
SELECT status - 'requestId' - 'images' AS status, jsonb_array_length(status->'images') AS images
FROM imgexport.status(:'batch') AS status;
SELECT imgexport.cancel(:'batch') AS cancelled;
SELECT imgexport.status(:'batch')->>'status' AS status;
SELECT imgexport.retry(:'batch') AS retried;
SELECT imgexport.status(:'batch')->>'status' AS status;
SELECT imgexport.cancel(:'batch') AS cancelled;
SELECT imgexport.status(imgexport.new_id()) IS NULL AS no_such_batch;

-- Batches of items, some of which wait for others.
SELECT imgexport.submit_batch('[
    {"name": "a", "source_url": "http://example.com/a.jpg"},
    {"name": "b", "source_url": "http://example.com/b.jpg", "preset": "thumbnails", "priority": 3, "on_error": "store_url"},
    {"name": "all", "milestone": true, "depends_on": ["a", "b"]}]', preset => 'jpeg') AS batch \gset
SELECT source_url, preset, queue, priority, on_error, milestone, host, cardinality(depends_on) AS waits
FROM imgexport.job WHERE batch_id = :'batch' ORDER BY job_id;
SELECT total FROM imgexport.batch WHERE batch_id = :'batch';
SELECT imgexport.cancel(:'batch', (SELECT job_id FROM imgexport.job WHERE batch_id = :'batch' AND milestone)) AS cancelled;
SELECT state, count(*) FROM imgexport.job WHERE batch_id = :'batch' GROUP BY 1 ORDER BY 1;
SELECT imgexport.retry(:'batch', (SELECT job_id FROM imgexport.job WHERE batch_id = :'batch' AND milestone)) AS retried;
SELECT imgexport.submit_batch('{}');
SELECT imgexport.submit_batch('["http://example.com/a.jpg"]');
SELECT imgexport.submit_batch('[{"url": "http://example.com/a.jpg"}]');
SELECT imgexport.submit_batch('[{"source_url": "http://example.com/a.jpg", "depends_on": ["a"]}]');
SELECT imgexport.submit_batch('[{"name": "a", "milestone": true, "depends_on": ["a"]}]');
SELECT imgexport.submit_batch('[{"milestone": true, "source_url": "http://example.com/a.jpg"}]');
SELECT imgexport.submit_batch('[{"source_url": "http://example.com/a.jpg", "preset": "nothing"}]');
SELECT imgexport.submit_batch('[{"source_url": "http://example.com/a.jpg", "on_error": "cry"}]');
SELECT imgexport.submit_batch(NULL);
SELECT imgexport.submit_batch('[]') AS batch \gset
SELECT imgexport.status(:'batch')->>'status' AS status;

-- A key has one open job.
SELECT imgexport.submit(source => 'x', unique_key => 'photo 1') AS first \gset
SELECT imgexport.submit(source => 'y', unique_key => 'photo 1') = :'first' AS the_first;
SELECT imgexport.submit(source => 'y', unique_key => 'photo 2') = :'first' AS the_first;
INSERT INTO imgexport.job (source, unique_key) VALUES ('z', 'photo 1') RETURNING 'inserted';
SELECT imgexport.cancel(:'first') AS cancelled;
SELECT imgexport.submit(source => 'y', unique_key => 'photo 1') = :'first' AS the_first;
SELECT imgexport.submit(urls => '{http://example.com/a.jpg,http://example.com/b.jpg}', unique_key => 'x');

-- Webhooks: the example of Standard Webhooks' own libraries.
\set secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
SELECT imgexport.sign_webhook('msg_p5jXN8AQM9LWM0D4loKWxJek', to_timestamp(1614265330), '{"test": 2432232314}', :'secret');
-- RFC 4231, cases 1 to 3 and 6.
SELECT encode(imgexport.hmac_sha256(message, key), 'hex') FROM (VALUES
    ('Hi There'::bytea, decode(repeat('0b', 20), 'hex')), ('what do ya want for nothing?', 'Jefe'),
    (decode(repeat('dd', 50), 'hex'), decode(repeat('aa', 20), 'hex')),
    ('Test Using Larger Than Block-Size Key - Hash Key First', decode(repeat('aa', 131), 'hex'))) AS v(message, key);
SELECT imgexport.same_bytes('abc', 'abc'), imgexport.same_bytes('abc', 'abd'), imgexport.same_bytes('abc', 'ab'), imgexport.same_bytes('', '');
CREATE FUNCTION pg_temp.verified(headers jsonb, body bytea DEFAULT '{}', secret text DEFAULT 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') RETURNS boolean
    LANGUAGE sql AS 'SELECT imgexport.verify_webhook(headers, body, secret)';
WITH sent AS (
    SELECT jsonb_build_object('webhook-id', 'msg_1', 'webhook-timestamp', floor(extract(epoch FROM now()))::int8,
        'webhook-signature', imgexport.sign_webhook('msg_1', now(), '{}', :'secret')) AS headers)
SELECT pg_temp.verified(headers) AS right,
       pg_temp.verified(jsonb_build_object('Webhook-Id', 'msg_1', 'WEBHOOK-TIMESTAMP', headers->'webhook-timestamp',
           'Webhook-Signature', 'v1,AAAA v2,x ' || (headers->>'webhook-signature'))) AS among_others,
       pg_temp.verified(headers, '{ }') AS body,
       pg_temp.verified(headers || '{"webhook-id": "msg_2"}') AS id,
       pg_temp.verified(headers, '{}', 'whsec_AAAA') AS secret,
       pg_temp.verified(headers, '{}', 'nothing') AS no_secret,
       pg_temp.verified(headers || jsonb_build_object('webhook-timestamp', floor(extract(epoch FROM now() - interval '6 minutes'))::int8)) AS old,
       pg_temp.verified(headers || '{"webhook-timestamp": "soon"}') AS no_time,
       pg_temp.verified(headers - 'webhook-signature') AS unsigned,
       pg_temp.verified('{}') AS empty,
       pg_temp.verified(NULL) AS nothing
FROM sent;
SELECT imgexport.webhook_secret('http://example.com/hook') AS secret \gset
SELECT :'secret' ~ '^whsec_[A-Za-z0-9+/]{43}=$' AS secret, imgexport.webhook_secret('http://example.com/hook') = :'secret' AS again;
SELECT imgexport.rotate_webhook_secret('http://example.com/hook') <> :'secret' AS rotated;
SELECT cardinality(string_to_array(imgexport.webhook_signatures(current_user, 'http://example.com/hook', 'msg_1', now(), '{}'), ' ')) AS signatures;
SELECT cardinality(string_to_array(imgexport.webhook_signatures(current_user, 'http://example.com/hook', 'msg_1', now() + interval '25 hours', '{}'), ' ')) AS signatures;
UPDATE imgexport.webhook SET disabled_at = now();
SELECT imgexport.webhook_signatures(current_user, 'http://example.com/hook', 'msg_1', now(), '{}') IS NULL AS disabled;
SELECT imgexport.enable_webhook('http://example.com/hook') AS enabled, imgexport.enable_webhook('http://example.com/none') AS unknown;
SELECT imgexport.webhook_secret('ftp://example.com/hook');

-- Why a job waits.
SELECT imgexport.submit(source => 'x', run_at => '2100-01-01') AS batch \gset
SELECT imgexport.why(job_id) FROM imgexport.job WHERE batch_id = :'batch';
UPDATE imgexport.queue SET paused = false WHERE name = 'default' AND false;
SELECT imgexport.why(imgexport.new_id()) IS NULL AS no_job;
SELECT queue, paused, scheduled FROM imgexport.stat_job ORDER BY queue;

-- What is cleaned up, and how much that was.
INSERT INTO imgexport.job (batch_id, job_id, source, state, finished_at, preset) SELECT b.id, b.id, '12345', 'completed', now() - b.age, b.preset
FROM (VALUES ('00000000-0000-7000-8000-000000000001'::uuid, interval '2 days', 'scrape'), ('00000000-0000-7000-8000-000000000002', '10 days', NULL),
             ('00000000-0000-7000-8000-000000000003', '1 hour', 'scrape')) AS b(id, age, preset);
INSERT INTO imgexport.image (batch_id, job_id, name, bytes, sha256, data, created_at, expires_at)
SELECT batch_id, job_id, 'x', 3, '', 'abc', finished_at, CASE WHEN preset = 'scrape' THEN finished_at + interval '24 hours' END FROM imgexport.job
WHERE finished_at IS NOT NULL AND state = 'completed';
SELECT imgexport.run_task('delete_jobs') AS none_without_images;
SELECT imgexport.run_task('expire_images');
SELECT imgexport.run_task('expire_images', '{"older_than": "30 minutes", "preset": "jpeg"}');
SELECT imgexport.cleanup('temp');
SELECT imgexport.cleanup();
SELECT imgexport.run_task('delete_jobs');
SELECT imgexport.run_task('expire_images', '{"older_than": "30 minutes", "preset": "scrape"}', 1);
SELECT imgexport.run_task('delete_jobs', '{"completed": "0 s"}');
SELECT imgexport.run_task('release_claims');

-- Owners see their own rows, and set only what is theirs to set.
CREATE ROLE regress_anna;
CREATE ROLE regress_bert;
CREATE ROLE regress_nobody;
CALL imgexport.grant_access('regress_anna');
CALL imgexport.grant_access('regress_bert');
SET ROLE regress_anna;
SELECT imgexport.submit(source => 'anna''s') AS annas \gset
INSERT INTO imgexport.job (source, owner) VALUES ('x', 'regress_bert');
INSERT INTO imgexport.job (source, state) VALUES ('x', 'completed');
INSERT INTO imgexport.image (batch_id, job_id, name, format, width, height, bytes, sha256, data)
    VALUES (:'annas', :'annas', 'x', 'png', 1, 1, 1, 'x', 'x');
UPDATE imgexport.job SET source = 'y';
UPDATE imgexport.queue SET paused = false;
SELECT img_fetch('http://example.com/');
SELECT imgexport.check();
CALL imgexport.grant_access('regress_anna');
SELECT count(*) FROM imgexport.job;
SET ROLE regress_bert;
SELECT count(*) FROM imgexport.job;
SELECT imgexport.status(:'annas') IS NULL AS hidden, imgexport.cancel(:'annas') AS cancelled;
SELECT imgexport.why(imgexport.new_id()) IS NULL AS why, count(*) FROM imgexport.webhook;
SELECT imgexport.webhook_secret('http://example.com/hook') <> :'secret' AS his_own;
SELECT imgexport.submit(source => 'bert''s', unique_key => 'photo 1', webhook_url => 'http://example.com/hook') IS NOT NULL AS his_own;
SELECT imgexport.submit_csv(E'Serial Number,Product Name,Input Image URLs\n1,one,http://example.com/1.jpg\n') IS NOT NULL AS csv;
COPY imgexport.csv_upload FROM STDIN (FORMAT csv);
1,one,http://example.com/1.jpg
\.
SELECT count(*) AS jobs, count(DISTINCT batch_id) AS batches FROM imgexport.job;
SELECT imgexport.pause('default');
SELECT imgexport.schedule('mine', '@daily', 'expire_images');
SELECT imgexport.run_task('delete_jobs', '{"completed": "0 s"}');
SELECT imgexport.webhook_signatures('regress_anna', 'http://example.com/hook', 'x', now(), 'x');
SET ROLE regress_nobody;
SELECT count(*) FROM imgexport.job;
SELECT imgexport.submit(source => 'x');
SELECT (img_info('\x')).format;
RESET ROLE;

BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL imgexport.wait(:'annas');
ROLLBACK;
-- Its queue is paused.
\set VERBOSITY sqlstate
CALL imgexport.wait(:'annas', '0.1 s');
\set VERBOSITY terse

RESET ROLE;
CREATE ROLE regress_watcher;
CALL imgexport.grant_monitoring('regress_watcher');
SET ROLE regress_watcher;
SELECT count(*) >= 0 AS hosts FROM imgexport.stat_host;
SELECT count(*) >= 0 AS workers FROM imgexport.stat_worker;
SELECT count(*) FROM imgexport.job;
RESET ROLE;
DELETE FROM imgexport.job;
DELETE FROM imgexport.batch;
DELETE FROM imgexport.webhook;
UPDATE imgexport.queue SET paused = false;
DROP OWNED BY regress_anna, regress_bert, regress_watcher;
DROP ROLE regress_anna, regress_bert, regress_nobody, regress_watcher;
