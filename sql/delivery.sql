-- Signatures, keys and answers of delivery.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;

-- AWS Signature Version 4: the examples of its documentation
-- (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
CREATE FUNCTION pg_temp.signed(method text, path text, query text, headers text[], hash text) RETURNS text
LANGUAGE sql AS $$ SELECT imgexport.sigv4(method, path, query, headers, hash, '2013-05-24 00:00:00Z', 'us-east-1',
                                          'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY') $$;
\set empty '''e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'''
SELECT pg_temp.signed('GET', '/test.txt', '', ARRAY['host:examplebucket.s3.amazonaws.com', 'range:bytes=0-9',
    'x-amz-content-sha256:' || :empty, 'x-amz-date:20130524T000000Z'], :empty)
    = 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41' AS get_object;
SELECT pg_temp.signed('PUT', '/test%24file.text', '', ARRAY['date:Fri, 24 May 2013 00:00:00 GMT',
    'host:examplebucket.s3.amazonaws.com', 'x-amz-content-sha256:' || h, 'x-amz-date:20130524T000000Z',
    'x-amz-storage-class:REDUCED_REDUNDANCY'], h)
    = '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd' AS put_object
FROM encode(sha256('Welcome to Amazon S3.'), 'hex') AS h;
SELECT pg_temp.signed('GET', '/', 'lifecycle=', ARRAY['host:examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256:' || :empty, 'x-amz-date:20130524T000000Z'], :empty)
    = 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543' AS get_lifecycle;
SELECT pg_temp.signed('GET', '/', 'max-keys=2&prefix=J', ARRAY['host:examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256:' || :empty, 'x-amz-date:20130524T000000Z'], :empty)
    = '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7' AS list_objects;
INSERT INTO imgexport.secret VALUES ('aws', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY');
INSERT INTO imgexport.store (name, kind, location, bucket, access_key, secret, path_style)
VALUES ('aws', 's3', 'https://s3.amazonaws.com', 'examplebucket', 'AKIAIOSFODNN7EXAMPLE', 'aws', false);
SELECT imgexport.s3_presign(s, 'GET', 'test.txt', '86400 s', '2013-05-24 00:00:00Z')
    LIKE '%X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404' AS presigned
FROM imgexport.store s WHERE name = 'aws';
SELECT imgexport.s3_presign(s, 'GET', 'x', '8 days') FROM imgexport.store s WHERE name = 'aws';
SELECT (imgexport.s3_address(s, 'a b/ü.png')).* FROM imgexport.store s WHERE name = 'aws';
SELECT (imgexport.s3_address((name, 's3', l, 'b', region, true, access_key, secret, method, headers, key, part_bytes,
        public_url, sign, url_expires_in, retention, cache_control)::imgexport.store, 'k')).*
FROM imgexport.store, unnest(ARRAY['https://h:443', 'http://h:80/', 'http://h:9000', 'https://H/storage/v1/s3']) AS l WHERE name = 'aws';

-- Text of URLs.
SELECT imgexport.uri_encode(t), imgexport.uri_encode(t, '/'), imgexport.uri_decode(imgexport.uri_encode(t)) = t
FROM unnest(ARRAY['', 'a/b', 'A-Z_.~', ' %+', '€', NULL]) AS t;
SELECT imgexport.uri_decode('100%'), imgexport.uri_decode('a+b%2Bc'), imgexport.uri_decode('%ff');
SELECT imgexport.xml_text('<a><Key>x &amp;amp; &lt;y&gt;</Key></a>', 'Key'), imgexport.xml_text('<a/>', 'Key');

-- Keys of objects.
SELECT imgexport.object_key(t, '{"name": "../../etc", "owner": "o''brien", "ext": "png", "sha256": "0123456789abcdef", "format": ""}')
FROM unnest(ARRAY['{sha256}.{ext}', '{owner}/{name}/{sha256:2}', '{format}-{job_id}']) AS t;

-- Signed URLs.
UPDATE imgexport.signing_key SET created_at = '2020-01-01', not_after = '2020-01-02';
INSERT INTO imgexport.signing_key (key_id, secret) VALUES ('k1', 'a secret of the tests');
SELECT regexp_replace(imgexport.sign_url('/static/output/export_123.png'), '[0-9a-f]{64}|[0-9]{10}', 'N', 'g');
SELECT regexp_replace(imgexport.sign_url('/img?w=600&h=400', '5 minutes'), '[0-9a-f]{64}|[0-9]{10}', 'N', 'g');
-- By hand: HMAC-SHA256 of what stands before the signature.
SELECT '/api/download/export_123.png?expires=1893456000&key=k1&signature='
       || encode(imgexport.hmac_sha256('/api/download/export_123.png?expires=1893456000&key=k1', 'a secret of the tests'), 'hex') AS url \gset
SELECT :'url';
SELECT imgexport.verify_url(:'url'), imgexport.verify_url('https://img.example.com' || :'url'),
       imgexport.verify_url(:'url', to_timestamp(1893456000)), imgexport.verify_url(:'url', to_timestamp(1893456031)), imgexport.verify_url(NULL);
SELECT change, imgexport.verify_url_reason(changed) FROM (VALUES
    ('later', replace(:'url', '1893456000', '1893456001')), ('other path', replace(:'url', '123', '124')),
    ('unsigned', split_part(:'url', '&signature', 1)), ('not hexadecimal', left(:'url', -1) || 'g'), ('too short', left(:'url', -1)),
    ('other key', replace(:'url', 'k1', 'k2')), ('more after it', :'url' || '&x=1'), ('twice', :'url' || '&signature=' || repeat('0', 64)),
    ('fragment', replace(:'url', '?', '#?')), ('empty', ''), ('good', :'url')) AS c(change, changed);
SELECT imgexport.verify_url_reason(:'url', to_timestamp(1893456030)) IS NULL AS within_tolerance;
SELECT imgexport.sign_url(NULL), imgexport.sign_url('relative');
SELECT imgexport.sign_url('/x?expires=1');
SELECT imgexport.sign_url('/x', '-1 s');
SELECT imgexport.sign_url('/x', NULL);
SELECT imgexport.sign_url('/x', key_id => 'none');
INSERT INTO imgexport.secret VALUES ('signing', 'a secret of the tests');
UPDATE imgexport.signing_key SET secret = '{secret:signing}' WHERE key_id = 'k1';
SELECT imgexport.verify_url(:'url') AS key_named;
DELETE FROM imgexport.secret WHERE name = 'signing';
SELECT imgexport.sign_url('/x');
DELETE FROM imgexport.signing_key;
SELECT imgexport.sign_url('/x');
SELECT length(imgexport.rotate_signing_key()) AS new_key, count(*) FROM imgexport.signing_key;

-- What options of variants mean.
SELECT o, imgexport.variant_recipe(o, 'webp') FROM unnest(ARRAY['plain', 'w_600', 'w_600,h_400,fit_contain,bg_ffffff,g_north', 'w_100,dpr_1.5,q_70',
    'crop_10-20-300-200,rot_90,gray_1,blur_0.5,exp_1893456000']) AS o;
SELECT imgexport.variant_recipe('w_0', 'webp');
SELECT imgexport.variant_recipe('steps_[]', 'webp');
SELECT imgexport.variant_recipe('', 'webp');

-- Answers, without a server.
INSERT INTO imgexport.job (batch_id, job_id, source_url, state, finished_at) VALUES ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 'https://example.com/a.jpg', 'completed', '2026-01-01');
INSERT INTO imgexport.image (batch_id, job_id, image_id, name, format, width, height, bytes, sha256, data, created_at)
SELECT '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000003', 'o"1', 'gif', 1, 1, length(d), sha256(d), d, '2026-01-02 03:04:05.678Z'
FROM decode('R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=', 'base64') AS d;
SELECT imgexport.url('00000000-0000-7000-8000-000000000003'), imgexport.url('00000000-0000-7000-8000-000000000004');
SELECT status, headers, encode(body, 'base64'), size, more FROM imgexport.http_static('/static/output/00000000-0000-7000-8000-000000000003.gif', '', '', '');
SELECT status, length(body) FROM imgexport.http_static('/static/output/00000000-0000-7000-8000-000000000003.gif', '', '', '"6adc3d4c1056996e4e8b765a62604c78", "x"');
-- A slice is of the image that was begun.
SELECT imgexport.http_slice('00000000-0000-7000-8000-000000000003 "6adc3d4c1056996e4e8b765a62604c78"', 30) AS slice,
       imgexport.http_slice('00000000-0000-7000-8000-000000000003 "0adc3d4c1056996e4e8b765a62604c78"', 30) AS other,
       imgexport.http_slice('00000000-0000-7000-8000-000000000003', 30) AS unnamed;
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_static('/static/output/00000000-0000-7000-8000-000000000009.gif', '', '', '');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_static('/static/output/none', '', '', '');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_static(NULL, NULL, NULL, NULL);
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_download('/api/download/00000000-0000-7000-8000-000000000003.gif', 'expires=1', '', '');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_job_images('/jobs/00000000-0000-7000-8000-000000000001/images', '', '', '');
SELECT status, convert_from(body, 'UTF8')::jsonb #> '{images,0,outputs}' FROM imgexport.http_status('/api/status/00000000-0000-7000-8000-000000000001', '', '', '');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_status('/api/status/x', '', '', '');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_variant('/img/x', '', '', '');
SELECT status, (img_info(body)).format, (img_info(body)).width FROM (SELECT (imgexport.http_variant(imgexport.variant_url('00000000-0000-7000-8000-000000000003', 'w_4', 'png'), '', '', '')).*) AS v;
SELECT status, convert_from(body, 'UTF8')::jsonb - 'metadata' FROM imgexport.http_metadata('/metadata', '', '', '{image}', '{a.gif}', ARRAY[(SELECT data FROM imgexport.image WHERE image_id = '00000000-0000-7000-8000-000000000003')]);
SELECT status, convert_from(body, 'UTF8')::jsonb FROM imgexport.http_metadata('/metadata/batch', '', '', '{a,b}', '{a.gif,b.gif}', '{"x",""}');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_process('/process', '', '', '{preset,image}', '{NULL,a.gif}', '{"none","x"}');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_process('/process', '', '', '{}', '{}', '{}');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_process_image('/process-image', '', '', '{body}', '{NULL}', ARRAY['{"filename": "a"}'::bytea]);
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_process_image('/process-image', '', '', '{body}', '{NULL}', ARRAY['{"image_base64": "AAAA", "upload_to_storage": true, "options": {"store": "nowhere"}}'::bytea]);
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_again('batch 00000000-0000-7000-8000-0000000000ff');
SELECT status FROM imgexport.http_source('/api/source/00000000-0000-7000-8000-000000000001/00000000-0000-7000-8000-000000000002', 'expires=1', '', '');
SELECT s.status, s.headers FROM imgexport.source_path('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002') AS p,
       imgexport.http_source(split_part(p, '?', 1), split_part(p, '?', 2), '', '') AS s;
SELECT imgexport.exports_json('00000000-0000-7000-8000-000000000001') #- '{variations,0,storage_path}';
UPDATE imgexport.image SET expires_at = now();
SELECT status FROM imgexport.http_static('/static/output/00000000-0000-7000-8000-000000000003.gif', '', '', '');
SELECT status, convert_from(body, 'UTF8') FROM imgexport.http_upload('/api/upload', '', 'text/csv', '{body}', '{NULL}', '{"\\x78"}');
SELECT name, kind, labels FROM imgexport.metrics() WHERE name ~ 'up|attempts' ORDER BY 1, 3;
SELECT jsonb_object_keys(imgexport.metrics_json()) ORDER BY 1;
SELECT jsonb_object_keys(imgexport.gallery()) ORDER BY 1;
SELECT store, images, bytes FROM imgexport.storage_usage;

-- For the tests that follow.
DELETE FROM imgexport.job WHERE batch_id = '00000000-0000-7000-8000-000000000001';
DELETE FROM imgexport.store WHERE name = 'aws';
DELETE FROM imgexport.secret;
-- Of several formats the one that is liked best, as Accept comes from the server.
SELECT accept, (SELECT string_agg(f, ' ' ORDER BY imgexport.accepted_rank(f, accept)) FROM unnest('{avif,gif,jpeg,png,webp}'::text[]) AS f WHERE imgexport.accepted_rank(f, accept) < 1000) AS formats
FROM unnest('{*,"","avif,webp,*","png","*,-jpeg","webp,jpeg,-gif","*,webp"}'::text[]) AS accept;
-- A name as a file name: no path, no control character, and its letters in the second form.
SELECT nth, imgexport.http_disposition(name, 'jpg') FROM unnest(ARRAY['small', 'a b', '../../etc/passwd', E'C:\\x\\y', E'a"b\r\nSet-Cookie: x', 'größe', '50%', '...', '', E'gpj\u202eexe', E'\x1b[2J']) WITH ORDINALITY AS n(name, nth);
SELECT imgexport.http_disposition(NULL, 'bin'), length(imgexport.http_disposition(repeat('x', 1000), 'bin'));
