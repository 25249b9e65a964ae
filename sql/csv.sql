-- CSV intake: read by COPY, checked row by row.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
UPDATE imgexport.queue SET paused = true;
SET client_min_messages = notice;
\set header 'Serial Number,Product Name,Input Image URLs'
\set VERBOSITY terse

SELECT * FROM imgexport.read_csv(E'a,b\n1,"x\ny"\n\n"q""q", z\n');
SELECT * FROM imgexport.read_csv(convert_from('\xefbbbf', 'UTF8') || E'a,b\r\n1,2\r\n"3\r\n3",4');
SELECT * FROM imgexport.read_csv('');
SELECT * FROM imgexport.read_csv(E'a,"b\n');
SELECT imgexport.split_urls(E'http://a/1.jpg,http://a/2.jpg, https://b/3,4.jpg;http://c/5.jpg\n http://d/6.jpg ,');
SELECT url, v.* FROM unnest(ARRAY['http://example.com/a.jpg', 'https://example.com:8080', 'http://[::1]/a',
    'HTTP://EXAMPLE.COM', '', 'ftp://example.com', 'example.com/a.jpg', 'http://', 'http:///a', 'http://user:pw@example.com/',
    'http://example.com/a b', 'http://example.com:99999/', 'http://example.com:x/', 'javascript:alert(1)']) AS url,
    imgexport.validate_url(url) AS v;
SELECT (imgexport.validate_url('http://example.com/' || repeat('x', 8000))).reason;

SELECT * FROM imgexport.validate_csv(:'header' || E'\n1,one,http://example.com/1.jpg\n');
SELECT * FROM imgexport.validate_csv(:'header' || E'\n1,one,http://example.com/1.jpg\n2,two\n3,three,\n,,"http://example.com/3.jpg, ftp://example.com/4.jpg"\n5,five,a.jpg,b.jpg\n\n6,six,http://example.com/6.jpg,,\n');
SELECT * FROM imgexport.validate_csv('Serial Number,Product Name');
SELECT * FROM imgexport.validate_csv('');
SELECT * FROM imgexport.validate_csv(:'header' || E'\n1,"one,http://example.com/1.jpg\n');
SELECT imgexport.validate_csv(NULL);

-- In any order and spelling of the columns, with others among them.
SELECT imgexport.submit_csv(E'input image urls;,Colour,PRODUCT NAME,S. No.\n"http://example.com/a.jpg, http://example.com/b.jpg",red,Chair,7\n') AS batch \gset
SELECT imgexport.status(:'batch') - 'requestId' - 'images' AS status;
SELECT source_url, preset, queue, product_index, image_index FROM imgexport.job WHERE batch_id = :'batch' ORDER BY image_index;

-- Bad rows are skipped and told of, or are an error.
SELECT imgexport.submit_csv(:'header' || E'\n1,one,http://example.com/1.jpg\n2,two\n3,three,nothing\n4,four,http://example.com/4.jpg\n') AS batch \gset
SELECT total, warnings FROM imgexport.batch WHERE batch_id = :'batch';
SELECT product_index, serial_number, product_name FROM imgexport.product WHERE batch_id = :'batch' ORDER BY 1;
SELECT imgexport.submit_csv(:'header' || E'\n1,one,http://example.com/1.jpg\n2,two\n', on_invalid => 'abort');
SELECT count(*) FROM imgexport.job WHERE source_url = 'http://example.com/1.jpg';
SELECT imgexport.submit_csv(:'header' || E'\n1,one,x\n', on_invalid => 'maybe');
SELECT imgexport.submit_csv('a,b,c');
SELECT imgexport.submit_csv('');
SELECT imgexport.submit_csv(NULL) IS NULL AS nothing;
SELECT imgexport.submit_csv(:'header' || E'\n1,one,http://example.com/1.jpg\n', preset => 'nothing');
SELECT imgexport.submit_csv(:'header') AS batch \gset
SELECT imgexport.status(:'batch') - 'requestId' AS empty;

-- Streamed by COPY; each statement is a batch.
SET client_min_messages = warning;
COPY imgexport.csv_upload FROM STDIN (FORMAT csv, HEADER);
Serial Number,Product Name,Input Image URLs
1,"SKU
one","http://example.com/1.jpg, http://example.com/2.jpg"
2,SKU2,http://example.com/3.jpg
3,SKU3,no url
\.
SELECT imgexport.status(imgexport.uploaded_batch()) - 'requestId' - 'images' AS status;
SELECT imgexport.uploaded_batch() AS first \gset
INSERT INTO imgexport.csv_upload VALUES ('9', 'SKU9', 'http://example.com/9.jpg');
SELECT imgexport.uploaded_batch() <> :'first' AS another, total, warnings
FROM imgexport.batch WHERE batch_id = imgexport.uploaded_batch();

-- Many rows in one call.
SELECT imgexport.submit_csv(:'header' || E'\n' || string_agg(format('%s,SKU%s,http://example.com/%s.jpg', i, i, i), E'\n' ORDER BY i)) AS batch
FROM generate_series(1, 20000) AS i \gset
SELECT total, warnings IS NULL AS fine FROM imgexport.batch WHERE batch_id = :'batch';
SELECT count(*), min(product_index), max(product_index) FROM imgexport.product WHERE batch_id = :'batch';

DELETE FROM imgexport.job;
DELETE FROM imgexport.batch;
DELETE FROM imgexport.product;
UPDATE imgexport.queue SET paused = false;
