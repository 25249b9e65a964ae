-- What imgexport-httpd answers, a function each, so that it can be asked and tested in SQL.
--
-- A GET is answered by f(path, query, accept, etags), a POST by f(path, query, type, names,
-- files, parts).  accept is the reduced form of an Accept header that imgexport-httpd makes: formats
-- in the order of preference, "*" for all others, "-png" for one that is refused ("avif,webp,*").
-- etags are entity tags with their quotes and commas between them, or "*".
--
-- Those that read images run as the extension's owner, as the server's role may read no table;
-- those that hand in jobs run as the server's role, which then owns the jobs.

CREATE TYPE imgexport.http_answer AS (
    status   int,
    headers  text,
    body     bytea,
    size     int8,
    more     text,
    again_ms int
);
COMMENT ON TYPE imgexport.http_answer IS
    'An answer of HTTP: status; headers, a line each; body. Where size, in bytes, is more than that of body, imgexport.http_slice gives the rest for more; with 304 it is that of the body that is not sent. With again_ms it is not ready yet: imgexport.http_again is to be asked for more, in so many milliseconds.';

CREATE FUNCTION imgexport.http_json(status int, body jsonb, headers text DEFAULT NULL)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (status, concat_ws(E'\n', 'Content-Type: application/json', 'Cache-Control: no-store', headers),
           convert_to(body::text, 'UTF8'), NULL::int8, NULL::text, NULL::int)::imgexport.http_answer;
END $$;
COMMENT ON FUNCTION imgexport.http_json(int, jsonb, text) IS
    'An answer of JSON, which nobody keeps. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_json(int, jsonb, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_error(status int, error text, hint text DEFAULT NULL)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN imgexport.http_json(status, jsonb_strip_nulls(jsonb_build_object(
        'success', false, 'error', error, 'hint', hint)));
END $$;
COMMENT ON FUNCTION imgexport.http_error(int, text, text) IS
    'An answer that says what is wrong. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_error(int, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_time(at timestamptz) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN to_char(at AT TIME ZONE 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"');
END $$;
COMMENT ON FUNCTION imgexport.http_time(timestamptz) IS
    'A time as a header says it (RFC 9110, section 5.6.7). Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_time(timestamptz) FROM PUBLIC;

-- A name is whatever somebody called an output: it must not be a path, nor end the header.
CREATE FUNCTION imgexport.http_disposition(name text, extension text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base text := coalesce(nullif(left(ltrim(regexp_replace(name,
        '[[:cntrl:]\u202a-\u202e\u2066-\u2069/\\:*?"<>|]+', '_', 'g'), '. '), 150), ''), 'image');
    plain text := regexp_replace(base, '[^ -~]|%', '_', 'g');
BEGIN
    RETURN 'Content-Disposition: inline; filename="' || plain || '.' || extension || '"'
        || CASE WHEN plain = base THEN ''
                ELSE '; filename*=UTF-8''''' || imgexport.uri_encode(base || '.' || extension, '') END;
END $$;
COMMENT ON FUNCTION imgexport.http_disposition(text, text) IS
    'Content-Disposition for a file of some name (RFC 6266), which becomes one without path and control characters, with filename* (RFC 8187) where it is not ASCII. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_disposition(text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_has_etag(etags text, etag text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(strpos(etags, etag) > 0 OR btrim(etags) = '*', false);
END $$;
COMMENT ON FUNCTION imgexport.http_has_etag(text, text) IS
    'Whether an If-None-Match names an ETag, with its quotes (RFC 9110, section 13.1.2). Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_has_etag(text, text) FROM PUBLIC;

-- The id in a path of three parts, however it ends: /static/output/ID.jpg
CREATE FUNCTION imgexport.http_image_id(path text) RETURNS uuid
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN substring(path FROM '^/[a-z]+/[a-z]+/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:\.[a-z0-9]{1,5})?$')::uuid;
END $$;
COMMENT ON FUNCTION imgexport.http_image_id(text) IS
    'The id in the third part of a path, before an extension; NULL where there is none. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_image_id(text) FROM PUBLIC;

CREATE FUNCTION imgexport.image_bytes(image_id uuid) RETURNS bytea
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    image record;
    request record;
BEGIN
    SELECT i.key, i.data, i.store, s.kind, s.location INTO image
    FROM imgexport.image i JOIN imgexport.store s ON s.name = i.store WHERE i.image_id = image_id;
    IF image.key IS NULL THEN
        RETURN image.data;
    ELSIF image.kind = 'file' THEN
        RETURN (imgexport.read_file(image.location, image.key)).data;
    END IF;
    request := imgexport.object_request(image.store, 'GET', image.key, '', encode(sha256(''), 'hex'),
                                        NULL, clock_timestamp());
    RETURN (imgexport.call_http('GET', request.url, request.headers)).body;
END $$;
COMMENT ON FUNCTION imgexport.image_bytes(uuid) IS
    'The bytes of an image, wherever they are kept; NULL where it has none, or its file is not there. Errors: IX005, IX006, 42501.';
REVOKE ALL ON FUNCTION imgexport.image_bytes(uuid) FROM PUBLIC;

-- Nothing is asked for more often: one query finds it, its bytes are read only where they are
-- sent, and small things are said in place, as each function call costs as much as they do.
CREATE FUNCTION imgexport.http_serve(image_id uuid, signed_for int8, caching text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    answer imgexport.http_answer;
    image record;
    etag text;
    most int := 1048576; -- larger bodies are handed out in slices
BEGIN
    SELECT i.bytes, i.sha256, i.format, i.name, i.created_at, i.key, s AS place,
           s.kind, s.location, s.sign, s.public_url, s.cache_control
    INTO image
    FROM imgexport.image i JOIN imgexport.store s ON s.name = i.store
    WHERE i.image_id = image_id AND (i.expires_at IS NULL OR i.expires_at > now());
    IF NOT FOUND THEN
        RETURN imgexport.http_error(404, 'there is no such image');
    ELSIF image.sign AND signed_for IS NULL THEN
        RETURN imgexport.http_error(403, 'this image has signed URLs only');
    ELSIF image.bytes IS NULL THEN
        RETURN imgexport.http_json(200, imgexport.image_json(image_id));
    END IF;
    etag := '"' || left(encode(image.sha256, 'hex'), 32) || '"';
    answer.headers := 'Content-Type: '
        || CASE WHEN image.format IS NULL THEN 'application/octet-stream' ELSE 'image/' || image.format END
        || E'\nETag: ' || etag || E'\nLast-Modified: '
        || to_char(image.created_at AT TIME ZONE 'UTC', 'Dy, DD Mon YYYY HH24:MI:SS "GMT"')
        || E'\nCache-Control: '
        || CASE WHEN signed_for IS NULL THEN coalesce(caching, image.cache_control)
                ELSE 'private, max-age=' || signed_for END
        || E'\n' || imgexport.http_disposition(image.name,
            CASE image.format WHEN 'jpeg' THEN 'jpg' ELSE coalesce(image.format, 'bin') END);
    answer.size := image.bytes;
    IF strpos(etags, etag) > 0 OR etags = '*' THEN
        answer.status := 304;
        RETURN answer;
    END IF;
    answer.status := 200;
    -- A slice is of the image that was begun, or of none.
    answer.more := image_id || ' ' || etag;
    IF image.key IS NULL THEN
        answer.body := (SELECT CASE WHEN i.bytes > most THEN substring(i.data FROM 1 FOR most)
                                    ELSE i.data END
                        FROM imgexport.image i WHERE i.image_id = image_id);
        RETURN answer;
    ELSIF image.kind = 'file' THEN
        answer.body := (imgexport.read_file(image.location, image.key, 0, most)).data;
        RETURN CASE WHEN answer.body IS NULL
                    THEN imgexport.http_error(404, 'the file of this image is gone')
                    ELSE answer END;
    ELSIF image.public_url IS NOT NULL AND NOT image.sign THEN
        RETURN (302, 'Location: ' || rtrim(image.public_url, '/') || '/' || imgexport.uri_encode(image.key, '/')
                     || E'\nCache-Control: public, max-age=3600', ''::bytea, NULL, NULL, NULL)::imgexport.http_answer;
    ELSIF image.kind = 's3' THEN
        RETURN (302, 'Location: ' || imgexport.s3_presign(image.place, 'GET', image.key, '5 minutes')
                     || E'\nCache-Control: private, max-age=240', ''::bytea, NULL, NULL, NULL)::imgexport.http_answer;
    END IF;
    -- It has to be fetched, which takes its time: by a path where that holds up nobody.
    RETURN (302, 'Location: ' || imgexport.sign_url('/api/through/' || image_id, interval '5 minutes')
                 || E'\nCache-Control: private, max-age=240', ''::bytea, NULL, NULL, NULL)::imgexport.http_answer;
END $$;
COMMENT ON FUNCTION imgexport.http_serve(uuid, int8, text, text) IS
    'An image as an answer: its bytes, 304 where the asker has them, or where they are (302). signed_for: seconds that a signed URL is still good for; NULL for a URL without signature. caching: for Cache-Control, default the store''s. etags: If-None-Match. Errors: as imgexport.image_bytes.';
REVOKE ALL ON FUNCTION imgexport.http_serve(uuid, int8, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_slice_as(caller regrole, more text, start int8, most int) RETURNS bytea
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    image record;
BEGIN
    SELECT i.key, s.kind, s.location,
           CASE WHEN i.key IS NULL THEN substring(i.data FROM (start + 1)::int FOR most) END AS data
    INTO image
    FROM imgexport.image i JOIN imgexport.store s ON s.name = i.store
    WHERE i.image_id = split_part(more, ' ', 1)::uuid
      AND '"' || left(encode(i.sha256, 'hex'), 32) || '"' = split_part(more, ' ', 2);
    IF image.kind = 'file' THEN
        RETURN (imgexport.read_file(image.location, image.key, start, most)).data;
    END IF;
    RETURN image.data;
END $$;
COMMENT ON FUNCTION imgexport.http_slice_as(regrole, text, int8, int) IS
    'What imgexport.http_slice returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_slice_as(regrole, text, int8, int) FROM PUBLIC;

CREATE FUNCTION imgexport.http_slice(more text, start int8, most int DEFAULT 1048576) RETURNS bytea
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_slice(text, int8, int) IS
    'More of a body, from byte start; NULL when the image is gone or another now. more: of the answer. most: bytes, default 1 MB. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_slice(text, int8, int) FROM PUBLIC;

CREATE FUNCTION imgexport.http_static_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN imgexport.http_serve(imgexport.http_image_id(path), NULL, NULL, etags);
END $$;
COMMENT ON FUNCTION imgexport.http_static_as(regrole, text, text, text, text) IS
    'What imgexport.http_static returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_static_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_static(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_static(text, text, text, text) IS
    'GET /static/output/ID.EXT: an image of a store that does not sign. Errors: as imgexport.image_bytes.';
REVOKE ALL ON FUNCTION imgexport.http_static(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_download_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text := imgexport.verify_url_reason(path || '?' || query);
BEGIN
    IF reason IS NOT NULL THEN
        RETURN imgexport.http_error(403, reason);
    END IF;
    RETURN imgexport.http_serve(imgexport.http_image_id(path),
        greatest(split_part(split_part(query, 'expires=', 2), '&', 1)::int8 - extract(epoch FROM now())::int8, 0),
        NULL, etags);
END $$;
COMMENT ON FUNCTION imgexport.http_download_as(regrole, text, text, text, text) IS
    'What imgexport.http_download returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_download_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_download(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_download(text, text, text, text) IS
    'GET /api/download/ID.EXT?expires=...&key=...&signature=...: an image by a signed URL. Errors: as imgexport.image_bytes.';
REVOKE ALL ON FUNCTION imgexport.http_download(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_through_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text := imgexport.verify_url_reason(path || '?' || query);
    image record;
BEGIN
    IF reason IS NOT NULL THEN
        RETURN imgexport.http_error(403, reason);
    END IF;
    SELECT i.image_id, i.format, '"' || left(encode(i.sha256, 'hex'), 32) || '"' AS etag INTO image
    FROM imgexport.image i WHERE i.image_id = imgexport.http_image_id(path)
      AND (i.expires_at IS NULL OR i.expires_at > now());
    IF NOT FOUND THEN
        RETURN imgexport.http_error(404, 'there is no such image');
    END IF;
    RETURN (200, format(E'Content-Type: %s\nETag: %s\nCache-Control: private, max-age=240',
                        imgexport.mime_type(image.format), image.etag),
            imgexport.image_bytes(image.image_id), NULL, NULL, NULL)::imgexport.http_answer;
END $$;
COMMENT ON FUNCTION imgexport.http_through_as(regrole, text, text, text, text) IS
    'What imgexport.http_through returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_through_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_through(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_through(text, text, text, text) IS
    'GET /api/through/ID, signed: an image of an http store that nobody else can read, fetched now. Errors: as imgexport.image_bytes.';
REVOKE ALL ON FUNCTION imgexport.http_through(text, text, text, text) FROM PUBLIC;

-- Images of a job: an id is BATCH_PRODUCT_IMAGE, by the place of their source in the batch.

CREATE FUNCTION imgexport.job_images(batch_id uuid, product_index int DEFAULT NULL)
    RETURNS TABLE (id text, image_id uuid, url text, source_url text, converted boolean, size int8,
                   quality int, format text, width int, height int, name text,
                   created_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH place AS (
        SELECT j.*, coalesce(j.product_index, 0) AS product,
               coalesce(j.image_index, (row_number() OVER (
                   PARTITION BY j.product_index ORDER BY j.job_id) - 1)::int) AS image
        FROM imgexport.job j WHERE j.batch_id = job_images.batch_id)
    SELECT format('%s_%s_%s', p.batch_id, p.product, p.image), i.image_id,
           imgexport.url(i.image_id), p.source_url, i.bytes IS NOT NULL, i.bytes,
           coalesce((p.outputs #>> ARRAY[i.name, 'quality'])::int,
                    (r.outputs #>> ARRAY[i.name, 'quality'])::int,
                    CASE i.format WHEN 'jpeg' THEN 85 WHEN 'webp' THEN 80 WHEN 'avif' THEN 50 END),
           i.format, i.width, i.height, i.name, coalesce(i.created_at, p.created_at)
    FROM place p LEFT JOIN imgexport.image i USING (batch_id, job_id)
         LEFT JOIN imgexport.preset r ON r.name = p.preset
    WHERE job_images.product_index IS NULL OR p.product = job_images.product_index
    ORDER BY p.product, p.image, i.name
$$;
COMMENT ON FUNCTION imgexport.job_images(uuid, int) IS
    'The images of a batch, without their bytes: id (BATCH_PRODUCT_IMAGE), image_id, url, source_url, converted, size in bytes, quality, format, width, height, the output''s name, created_at. product_index: of one product, from 0; default all. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.job_images(uuid, int) FROM PUBLIC;

CREATE FUNCTION imgexport.image_json(image_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('id', i.image_id, 'url', imgexport.url(i.image_id),
        'original_url', j.source_url, 'converted', i.bytes IS NOT NULL, 'size', i.bytes,
        'jpg_data', NULL, 'error', j.error, 'created_at', imgexport.iso_time(i.created_at))
    FROM imgexport.image i JOIN imgexport.job j USING (batch_id, job_id)
    WHERE i.image_id = image_json.image_id
$$;
COMMENT ON FUNCTION imgexport.image_json(uuid) IS
    'What is known of an image, without its bytes. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.image_json(uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.iso_time(at timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
COMMENT ON FUNCTION imgexport.iso_time(timestamptz) IS
    'A time as JSON has it: ISO 8601 in UTC, with milliseconds. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.iso_time(timestamptz) FROM PUBLIC;

CREATE FUNCTION imgexport.http_job_images_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch text := substring(path FROM '^/jobs/([^/]+)/images/?$');
    product text := substring(query FROM '(?:^|&)product_id=([^&]*)');
    found jsonb;
BEGIN
    IF coalesce(product, '0') !~ '^[0-9]{1,9}$' THEN
        RETURN imgexport.http_error(400, 'product_id must be a number from 0');
    ELSIF batch !~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
       OR NOT EXISTS (SELECT FROM imgexport.job j WHERE j.batch_id = batch::uuid) THEN
        RETURN imgexport.http_error(404, 'there is no such job');
    END IF;
    -- Of an image in several formats the JPEG is told of, or else the first.
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'url', coalesce(d.url, d.source_url),
               'original_url', d.source_url, 'converted', d.converted, 'size', d.size,
               'quality', d.quality, 'format', d.format, 'jpg_data', NULL,
               'created_at', imgexport.iso_time(d.created_at)) ORDER BY d.nth), '[]') INTO found
    FROM (SELECT DISTINCT ON (i.id) i.*
          FROM imgexport.job_images(batch::uuid, product::int) WITH ORDINALITY AS i(
              id, image_id, url, source_url, converted, size, quality, format, width, height,
              name, created_at, nth)
          ORDER BY i.id, i.format = 'jpeg' DESC NULLS LAST, i.nth) AS d;
    RETURN imgexport.http_json(200, jsonb_build_object('jobId', batch, 'total',
        jsonb_array_length(found), 'images', found));
END $$;
COMMENT ON FUNCTION imgexport.http_job_images_as(regrole, text, text, text, text) IS
    'What imgexport.http_job_images returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_job_images_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_job_images(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_job_images(text, text, text, text) IS
    'GET /jobs/BATCH/images[?product_id=N]: id, url, original_url, converted, size, quality, format, jpg_data (null), created_at of each image. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_job_images(text, text, text, text) FROM PUBLIC;

-- The place in what the asker accepts, and then what everybody can show before what is newer.
CREATE FUNCTION imgexport.accepted_rank(format text, accept text) RETURNS int
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    list text[] := string_to_array(coalesce(nullif(accept, ''), '*'), ',');
BEGIN
    RETURN 10 * coalesce(array_position(list, format),
                         CASE WHEN array_position(list, '-' || format) IS NULL
                              THEN array_position(list, '*') END, 100)
        + coalesce(array_position('{jpeg,png,gif,webp,avif}'::text[], format), 6);
END $$;
COMMENT ON FUNCTION imgexport.accepted_rank(text, text) IS
    'How well a format fits what is accepted, the least best; from 1000 on it is not accepted. accept: formats in the order of preference, "*" for all that are not named, "-png" for one that is refused. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.accepted_rank(text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_job_image_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(path, '^/jobs/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/images/([^/]+?)(?:\.[a-z0-9]{1,5})?$');
    chosen record;
    answer imgexport.http_answer;
BEGIN
    IF parts IS NULL THEN
        RETURN imgexport.http_error(404, 'there is no such image');
    END IF;
    SELECT i.* INTO chosen FROM imgexport.job_images(parts[1]::uuid) AS i
    WHERE i.id = parts[2] OR i.image_id::text = parts[2]
    ORDER BY imgexport.accepted_rank(i.format, accept) LIMIT 1;
    IF NOT FOUND THEN
        RETURN imgexport.http_error(404, 'there is no such image');
    ELSIF NOT chosen.converted THEN
        RETURN imgexport.http_json(200, jsonb_build_object('id', chosen.id, 'converted', false,
            'original_url', chosen.source_url, 'jpg_data', NULL,
            'created_at', imgexport.iso_time(chosen.created_at)));
    END IF;
    IF EXISTS (SELECT FROM imgexport.store s JOIN imgexport.image i ON i.store = s.name
               WHERE i.image_id = chosen.image_id AND s.sign) THEN
        RETURN (302, concat_ws(E'\n', 'Location: ' || chosen.url, 'Cache-Control: no-store', 'Vary: Accept'),
                ''::bytea, NULL, NULL, NULL)::imgexport.http_answer;
    END IF;
    answer := imgexport.http_serve(chosen.image_id, NULL, 'private, max-age=300', etags);
    answer.headers := answer.headers || E'\nVary: Accept';
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgexport.http_job_image_as(regrole, text, text, text, text) IS
    'What imgexport.http_job_image returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_job_image_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_job_image(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_job_image(text, text, text, text) IS
    'GET /jobs/BATCH/images/ID: the image, in the format of its outputs that fits Accept best, or JSON with original_url where there is none. ID: BATCH_PRODUCT_IMAGE, or an image_id. Errors: as imgexport.image_bytes.';
REVOKE ALL ON FUNCTION imgexport.http_job_image(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_status_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch text := substring(path FROM '^/api/status/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$');
    status jsonb := imgexport.batch_status(batch::uuid, NULL);
BEGIN
    RETURN CASE WHEN status IS NULL THEN imgexport.http_error(404, 'there is no such request')
                ELSE imgexport.http_json(200, status) END;
END $$;
COMMENT ON FUNCTION imgexport.http_status_as(regrole, text, text, text, text) IS
    'What imgexport.http_status returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_status_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_status(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_status(text, text, text, text) IS
    'GET /api/status/BATCH: what imgexport.status says. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_status(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_health_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Anybody may ask: neither errors, which quote what roles have written, nor processes.
    SELECT imgexport.http_json(CASE h->>'status' WHEN 'healthy' THEN 200 ELSE 503 END,
        jsonb_build_object('status', h->'status', 'service', h->'service', 'queue', h->'queue',
                           'oldest_job_age_s', h->'oldest_job_age_s'))
    FROM imgexport.health() AS h
$$;
COMMENT ON FUNCTION imgexport.http_health_as(regrole, text, text, text, text) IS
    'What imgexport.http_health returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_health_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_health(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_health(text, text, text, text) IS
    'GET /health: status, service, queue (size, pending, concurrency) and oldest_job_age_s of imgexport.health, with 503 where no worker runs. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_health(text, text, text, text) FROM PUBLIC;

-- Good for an hour or two, and the same for an hour, so that who asks again finds it in its cache.
CREATE FUNCTION imgexport.source_path_as(caller regrole, batch_id uuid, job_id uuid) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT EXISTS (SELECT FROM imgexport.job j
                   WHERE (j.batch_id, j.job_id) = (batch_id, job_id)
                     AND num_nonnulls(j.source, j.source_url) > 0
                     AND imgexport.may_see(caller, j.owner)) THEN
        RETURN NULL;
    END IF;
    RETURN imgexport.sign_url(format('/api/source/%s/%s', batch_id, job_id),
        date_trunc('hour', clock_timestamp()) + interval '2 hours' - clock_timestamp() - interval '0.5 s');
EXCEPTION WHEN object_not_in_prerequisite_state OR undefined_object THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.source_path_as(regrole, uuid, uuid) IS
    'What imgexport.source_path returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.source_path_as(regrole, uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.source_path(batch_id uuid, job_id uuid) RETURNS text
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.source_path(uuid, uuid) IS
    'The signed path of the source of a job of the caller; NULL where it is not kept, is another''s, or cannot be signed. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.source_path(uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.http_source_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text := imgexport.verify_url_reason(path || '?' || query);
    job record;
    mime text;
BEGIN
    IF reason IS NOT NULL THEN
        RETURN imgexport.http_error(403, reason);
    END IF;
    SELECT j.source, j.source_url INTO job FROM imgexport.job j
    WHERE j.batch_id = substring(path FROM '^/api/source/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/')::uuid
      AND j.job_id = substring(path FROM '/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$')::uuid;
    IF job.source IS NULL AND job.source_url IS NULL THEN
        RETURN imgexport.http_error(404, 'the source of this job is not kept');
    ELSIF job.source IS NULL THEN
        -- It is whatever was handed in: a line end in it would begin another header.
        RETURN (302, 'Location: ' || imgexport.uri_encode(regexp_replace(job.source_url, '[[:cntrl:][:space:]]', '', 'g'),
                                                          ':/?#[]@!$&''()*+,;=%')
                     || E'\nCache-Control: no-store', ''::bytea,
                NULL, NULL, NULL)::imgexport.http_answer;
    END IF;
    mime := CASE WHEN @extschema@.img_is_image(job.source)
                 THEN (@extschema@.img_info(job.source)).mime END;
    RETURN (200, concat_ws(E'\n', 'Content-Type: ' || coalesce(mime, 'application/octet-stream'),
                           'Cache-Control: private, max-age=300'), job.source, NULL, NULL,
            NULL)::imgexport.http_answer;
END $$;
COMMENT ON FUNCTION imgexport.http_source_as(regrole, text, text, text, text) IS
    'What imgexport.http_source returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_source_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_source(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_source(text, text, text, text) IS
    'GET /api/source/BATCH/JOB, signed: what a job was handed in with, or where it was fetched (302). Errors: IX001.';
REVOKE ALL ON FUNCTION imgexport.http_source(text, text, text, text) FROM PUBLIC;
