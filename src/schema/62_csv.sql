-- Products and their image URLs from CSV.  It is parsed by PostgreSQL's own COPY.

CREATE FUNCTION imgexport.read_csv(csv text, OUT line int8, OUT fields text[])
    RETURNS SETOF record
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'imgexport_read_csv';
COMMENT ON FUNCTION imgexport.read_csv(text) IS
    'The records of a CSV as COPY reads it, with the line each begins on; a byte order mark is left out, and CRLF ends a line as LF does. An empty field is an empty string. Errors: 22P04 not CSV.';
REVOKE ALL ON FUNCTION imgexport.read_csv(text) FROM PUBLIC;

CREATE FUNCTION imgexport.validate_url(url text, OUT ok boolean, OUT reason text)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT reason IS NULL, reason FROM (SELECT CASE
        WHEN url IS NULL OR url = '' THEN 'is empty'
        WHEN octet_length(url) > 8000 THEN 'is longer than 8000 bytes'
        WHEN url !~* '^https?://' THEN 'is not http or https'
        WHEN url ~ '[[:space:][:cntrl:]]' THEN 'has a blank in it'
        WHEN imgexport.has_user(url) THEN 'has a user or password in it'
        WHEN url !~* '^https?://(\[[0-9a-f:.]+\]|[^/?#:\[\]]+)(:[0-9]{1,5})?([/?#]|$)'
            THEN 'has no valid host'
        WHEN substring(url FROM '^[^/]*//[^/?#]*:([0-9]+)([/?#]|$)')::int NOT BETWEEN 1 AND 65535
            THEN 'has no valid port' END AS reason) AS checked
$$;
COMMENT ON FUNCTION imgexport.validate_url(text) IS
    'Whether a URL is one that could be fetched, and if not, why. Where it leads is checked when it is fetched. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.validate_url(text) FROM PUBLIC;

CREATE FUNCTION imgexport.split_urls(cell text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 3
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT url FROM regexp_split_to_table(cell, '[\s,;|]+(?=[a-zA-Z][a-zA-Z0-9+.-]*://)') AS part,
                    btrim(part, E' \t\r\n,;|') AS url
    WHERE url <> ''
$$;
COMMENT ON FUNCTION imgexport.split_urls(text) IS
    'The URLs of a cell, which are split by commas, semicolons, bars, blanks and newlines where another URL follows, so that a comma in a URL stays in it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.split_urls(text) FROM PUBLIC;

CREATE FUNCTION imgexport.csv_columns(header text[], OUT serial_number int, OUT product_name int,
        OUT urls int)
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(nth) FILTER (WHERE key IN ('serialnumber', 'serialno', 'sno')),
           min(nth) FILTER (WHERE key = 'productname'),
           min(nth) FILTER (WHERE key IN ('inputimageurls', 'inputimageurl'))
    FROM unnest(header) WITH ORDINALITY AS h(field, nth),
         lower(regexp_replace(field, '[^[:alnum:]]', '', 'g')) AS key
$$;
COMMENT ON FUNCTION imgexport.csv_columns(text[]) IS
    'Where a header has Serial Number, Product Name and Input Image URLs, whatever their case, blanks and order. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.csv_columns(text[]) FROM PUBLIC;

-- The records of a CSV with what is wrong with them.
CREATE FUNCTION imgexport.parse_csv(csv text, OUT line int8, OUT product_index int,
        OUT serial_number text, OUT product_name text, OUT urls text[], OUT problems jsonb)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    header text[];
    at record;
BEGIN
    SELECT fields INTO header FROM imgexport.read_csv(csv) LIMIT 1;
    at := imgexport.csv_columns(coalesce(header, '{}'));
    IF num_nulls(at.serial_number, at.product_name, at.urls) > 0 THEN
        RAISE bad_copy_file_format USING
            MESSAGE = format('header of the CSV lacks %s', concat_ws(', ',
                CASE WHEN at.serial_number IS NULL THEN '"Serial Number"' END,
                CASE WHEN at.product_name IS NULL THEN '"Product Name"' END,
                CASE WHEN at.urls IS NULL THEN '"Input Image URLs"' END)),
            DETAIL = CASE WHEN header IS NULL THEN 'There is no header.'
                     ELSE format('It is: %s.', left(array_to_string(header, ','), 200)) END;
    END IF;
    RETURN QUERY
    WITH record AS (
        SELECT r.line, fields[at.serial_number] AS serial, fields[at.product_name] AS name,
               fields[at.urls] AS cell, cardinality(fields) AS width,
               -- Empty fields at the end are nobody's mistake; others are a comma too many.
               (SELECT coalesce(max(nth), 0) FROM unnest(fields) WITH ORDINALITY AS f(field, nth)
                WHERE btrim(field) <> '') AS used
        FROM imgexport.read_csv(csv) AS r OFFSET 1),
    split AS (
        SELECT r.*, u.good, u.bad,
               r.width < cardinality(header) OR r.used > cardinality(header) AS misshapen
        FROM record r, LATERAL (
            SELECT array_agg(url) FILTER (WHERE v.ok) AS good,
                   jsonb_agg(jsonb_build_object('column', 'Input Image URLs', 'severity', 'error',
                       'message', format('URL "%s" %s', imgexport.shown_url(url), v.reason)))
                       FILTER (WHERE NOT v.ok) AS bad
            FROM imgexport.split_urls(r.cell) AS url, imgexport.validate_url(url) AS v) AS u
        WHERE r.used > 0)
    SELECT s.line, (row_number() OVER (ORDER BY s.line))::int - 1, btrim(s.serial),
           btrim(s.name), CASE WHEN NOT s.misshapen THEN s.good END,
           CASE WHEN s.misshapen THEN jsonb_build_array(jsonb_build_object(
                    'column', NULL, 'severity', 'error',
                    'message', format('has %s fields where the header has %s',
                        CASE WHEN s.width < cardinality(header) THEN s.width ELSE s.used END,
                        cardinality(header))))
                ELSE coalesce(s.bad, '[]')
                     || CASE WHEN s.good IS NULL AND s.bad IS NULL THEN jsonb_build_object(
                            'column', 'Input Image URLs', 'severity', 'error',
                            'message', 'has no URL') ELSE '[]' END
                     || CASE WHEN btrim(s.serial) = '' THEN jsonb_build_object(
                            'column', 'Serial Number', 'severity', 'warning',
                            'message', 'is empty') ELSE '[]' END
                     || CASE WHEN btrim(s.name) = '' THEN jsonb_build_object(
                            'column', 'Product Name', 'severity', 'warning',
                            'message', 'is empty') ELSE '[]' END END
    FROM split s ORDER BY s.line;
END $$;
COMMENT ON FUNCTION imgexport.parse_csv(text) IS
    'The products of a CSV with their URLs, and what is wrong with each, as an array of column, severity and message. Errors: 22P04 not CSV, or a header that lacks a column.';
REVOKE ALL ON FUNCTION imgexport.parse_csv(text) FROM PUBLIC;

CREATE FUNCTION imgexport.validate_csv(csv text, OUT line int8, OUT column_name text,
        OUT severity text, OUT message text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    context text;
BEGIN
    RETURN QUERY
        SELECT p.line, problem->>'column', problem->>'severity', problem->>'message'
        FROM imgexport.parse_csv(csv) AS p, jsonb_array_elements(p.problems) AS problem
        ORDER BY p.line;
EXCEPTION WHEN bad_copy_file_format THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    line := coalesce(substring(context FROM 'COPY csv_upload, line ([0-9]+)')::int8, 1);
    column_name := NULL; severity := 'error'; message := SQLERRM;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION imgexport.validate_csv(text) IS
    'What is wrong with a CSV, a row each: the line that its record begins on, the column, error or warning, and what. No rows: nothing. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.validate_csv(text) FROM PUBLIC;

CREATE FUNCTION imgexport.submit_csv(csv text, preset text DEFAULT 'compress',
        recipe jsonb DEFAULT NULL, outputs jsonb DEFAULT NULL, queue text DEFAULT 'batch',
        webhook_url text DEFAULT NULL, on_error text DEFAULT 'fail',
        on_invalid text DEFAULT 'skip', metadata jsonb DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch uuid := imgexport.new_id();
    images int;
    wrong jsonb;
    skipped int;
BEGIN
    IF csv IS NULL THEN
        RETURN NULL;
    ELSIF on_invalid NOT IN ('skip', 'abort') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('on_invalid must be skip or abort, not %s', on_invalid);
    END IF;
    PERFORM imgexport.check_submission(preset, queue, on_error => on_error);
    -- In one statement, so that the CSV is parsed once.
    WITH parsed AS MATERIALIZED (SELECT * FROM imgexport.parse_csv(csv)),
    product AS (
        INSERT INTO imgexport.product (batch_id, product_index, serial_number, product_name)
        SELECT batch, product_index, serial_number, product_name FROM parsed
        WHERE urls IS NOT NULL),
    jobs AS (
        INSERT INTO imgexport.job (batch_id, source_url, preset, recipe, outputs, queue,
                                   on_error, metadata, product_index, image_index)
        SELECT batch, url, preset, recipe, outputs, queue, on_error, metadata, product_index,
               nth - 1
        FROM parsed, unnest(urls) WITH ORDINALITY AS u(url, nth)
        ORDER BY product_index, nth
        RETURNING job_id),
    problem AS (
        SELECT line, p FROM parsed, jsonb_array_elements(problems) AS p)
    SELECT (SELECT count(*) FROM jobs),
           (SELECT count(*) FROM problem WHERE p->>'severity' = 'error'),
           (SELECT jsonb_agg(jsonb_build_object('line', line) || p ORDER BY line)
            FROM (SELECT * FROM problem ORDER BY line LIMIT 1000) AS first_ones)
    INTO images, skipped, wrong;
    IF skipped > 0 AND on_invalid = 'abort' THEN
        SELECT p INTO wrong FROM jsonb_array_elements(wrong) AS p
        WHERE p->>'severity' = 'error' LIMIT 1;
        RAISE bad_copy_file_format USING
            MESSAGE = format('line %s of the CSV: %s', wrong->>'line', wrong->>'message'),
            DETAIL = format('It has %s such errors.', skipped),
            HINT = 'imgexport.validate_csv lists them; on_invalid => ''skip'' does without.';
    ELSIF skipped > 0 THEN
        RAISE WARNING 'errors in the CSV that were skipped: %', skipped USING
            HINT = 'The warnings of the batch say which; imgexport.validate_csv lists them all.';
    END IF;
    INSERT INTO imgexport.batch (batch_id, total, webhook_url, warnings, metadata, finished_at)
    VALUES (batch, images, webhook_url, wrong, metadata, CASE WHEN images = 0 THEN now() END);
    RETURN batch;
END $$;
COMMENT ON FUNCTION imgexport.submit_csv(text, text, jsonb, jsonb, text, text, text, text, jsonb) IS
    'Hand in the images of a CSV with the columns Serial Number, Product Name, Input Image URLs (several in a cell, split by commas) as a batch; returns its id. preset: default ''compress'' (the same format, quality 50). queue: default ''batch''. on_invalid: a URL or row that is none is skipped, with a WARNING and among the warnings of the batch (''skip'', the default), or is an error (''abort''). The others: as in imgexport.submit. Errors: 22P04 not CSV, a header that lacks a column, a bad row; 22023 an argument.';
REVOKE ALL ON FUNCTION imgexport.submit_csv(text, text, jsonb, jsonb, text, text, text, text, jsonb)
    FROM PUBLIC;

-- \copy imgexport.csv_upload FROM 'products.csv' CSV HEADER: each COPY or INSERT is a batch.
CREATE VIEW imgexport.csv_upload AS
    SELECT NULL::text AS "Serial Number", NULL::text AS "Product Name",
           NULL::text AS "Input Image URLs" WHERE false;
COMMENT ON VIEW imgexport.csv_upload IS
    'For \copy imgexport.csv_upload FROM ''products.csv'' CSV HEADER: what is written here is handed in as by submit_csv, each statement as a batch of its own, whose id imgexport.uploaded_batch() tells.';

CREATE FUNCTION imgexport.uploaded_batch() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Any session may set it: it names a batch, and does not make it the session's.
    SELECT b.batch_id FROM imgexport.batch b
    WHERE b.batch_id = nullif(imgexport.setting('uploaded_batch'), '')::uuid AND b.owner = imgexport.current_owner()
$$;
COMMENT ON FUNCTION imgexport.uploaded_batch() IS
    'The batch that this session''s last \copy into imgexport.csv_upload has made. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.uploaded_batch() FROM PUBLIC;

CREATE FUNCTION imgexport.begin_upload() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch uuid := imgexport.new_id();
BEGIN
    PERFORM imgexport.check_submission('compress', 'batch');
    PERFORM set_config('imgexport.uploaded_batch', batch::text, false);
    PERFORM set_config('imgexport.uploaded_products', '0', true);
    PERFORM set_config('imgexport.uploaded_warnings', '[]', true);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.begin_upload() IS 'Trigger: a statement that uploads begins a batch. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.begin_upload() FROM PUBLIC;

CREATE FUNCTION imgexport.upload_product() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this_batch uuid := imgexport.setting('uploaded_batch');
    known jsonb := imgexport.setting('uploaded_warnings');
    product int := imgexport.setting('uploaded_products')::int;
    bad jsonb;
    wanted int;
BEGIN
    WITH url AS (
        SELECT url, v.ok, v.reason, row_number() OVER (PARTITION BY v.ok) - 1 AS image
        FROM imgexport.split_urls(coalesce(NEW."Input Image URLs", '')) AS url,
             imgexport.validate_url(url) AS v),
    jobs AS (
        INSERT INTO imgexport.job (batch_id, source_url, preset, queue, product_index, image_index)
        SELECT this_batch, url.url, 'compress', 'batch', product, url.image FROM url WHERE ok
        RETURNING job_id)
    SELECT (SELECT count(*) FROM jobs),
           (SELECT jsonb_agg(jsonb_build_object('row', product + 1, 'column', 'Input Image URLs',
                       'severity', 'error',
                       'message', format('URL "%s" %s', imgexport.shown_url(url.url), reason)))
            FROM url WHERE NOT ok)
    INTO wanted, bad;
    IF wanted > 0 THEN
        INSERT INTO imgexport.product (batch_id, product_index, serial_number, product_name)
        VALUES (this_batch, product, btrim(NEW."Serial Number"), btrim(NEW."Product Name"));
    ELSIF bad IS NULL THEN
        bad := jsonb_build_array(jsonb_build_object('row', product + 1, 'column',
                   'Input Image URLs', 'severity', 'error', 'message', 'has no URL'));
    END IF;
    IF bad IS NOT NULL AND jsonb_array_length(known) < 1000 THEN
        PERFORM set_config('imgexport.uploaded_warnings', (known || bad)::text, true);
    END IF;
    PERFORM set_config('imgexport.uploaded_products', (product + 1)::text, true);
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgexport.upload_product() IS 'Trigger: a row that is uploaded becomes a product and its jobs; what is no URL is left out, among the warnings of the batch. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.upload_product() FROM PUBLIC;

CREATE FUNCTION imgexport.end_upload() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this_batch uuid := imgexport.setting('uploaded_batch');
    problems jsonb := nullif(imgexport.setting('uploaded_warnings'), '[]');
    images int := (SELECT count(*) FROM imgexport.job j WHERE j.batch_id = this_batch);
BEGIN
    INSERT INTO imgexport.batch (batch_id, total, warnings, finished_at)
    VALUES (this_batch, images, problems, CASE WHEN images = 0 THEN now() END);
    RAISE NOTICE 'batch % has % images', this_batch, images;
    IF problems IS NOT NULL THEN
        RAISE WARNING 'errors in the CSV that were skipped: %', jsonb_array_length(problems)
            USING HINT = 'The warnings of the batch say which.';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.end_upload() IS 'Trigger: a statement that uploads has ended, and says what came of it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.end_upload() FROM PUBLIC;

CREATE TRIGGER begin_upload BEFORE INSERT ON imgexport.csv_upload
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.begin_upload();
CREATE TRIGGER upload_product INSTEAD OF INSERT ON imgexport.csv_upload
    FOR EACH ROW EXECUTE FUNCTION imgexport.upload_product();
CREATE TRIGGER end_upload AFTER INSERT ON imgexport.csv_upload
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.end_upload();
