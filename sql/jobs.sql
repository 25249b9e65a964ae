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
SET ROLE regress_nobody;
SELECT count(*) FROM imgexport.job;
SELECT imgexport.submit(source => 'x');
SELECT (img_info('\x')).format;
RESET ROLE;

BEGIN ISOLATION LEVEL REPEATABLE READ;
CALL imgexport.wait(:'annas');
ROLLBACK;
CALL imgexport.wait(:'annas', '0.1 s');

DELETE FROM imgexport.job;
DELETE FROM imgexport.batch;
UPDATE imgexport.queue SET paused = false;
DROP OWNED BY regress_anna, regress_bert;
DROP ROLE regress_anna, regress_bert, regress_nobody;
