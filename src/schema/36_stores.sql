-- Where outputs are kept: in the table, in a directory, in S3, or wherever a PUT leads.

CREATE FUNCTION imgexport.check_key_template(template text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    SELECT m[1] INTO wrong FROM regexp_matches(template, '\{[^}]*\}?', 'g') AS m
    WHERE m[1] !~ '^\{(batch_id|job_id|owner|name|format|ext|sha256(:[1-9][0-9]?)?)\}$' LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('key template has no placeholder %s', wrong),
            HINT = 'Placeholders are {batch_id}, {job_id}, {owner}, {name}, {format}, {ext}, {sha256} and {sha256:N}.';
    ELSIF template !~ '\{sha256(:(1[6-9]|[2-6][0-9]))?\}' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'key template must have {sha256}, or 16 digits of it',
            DETAIL = 'An object is known by its contents, so that what is written twice changes nothing.';
    ELSIF regexp_replace(template, '\{[^}]*\}', 'x', 'g') !~ '^[A-Za-z0-9_.=@+-]+(/[A-Za-z0-9_.=@+-]+)*$'
          OR template ~ '(^|/)\.' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('key template "%s" is no relative path', template),
            HINT = 'Parts of letters, digits and _.=@+- that do not begin with a dot, and / between them.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgexport.check_key_template(text) IS
    'Raise what is wrong with the template of an object''s key; true where nothing is. Errors: 22023.';

CREATE FUNCTION imgexport.are_headers(headers jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_typeof(headers) = 'object' AND NOT EXISTS (
        SELECT FROM jsonb_each(headers) AS h
        WHERE h.key !~ '^[A-Za-z0-9-]+$' OR jsonb_typeof(h.value) <> 'string'
           OR h.value #>> '{}' ~ '[\r\n]');
END $$;
COMMENT ON FUNCTION imgexport.are_headers(jsonb) IS
    'Whether these can be headers of a request: an object of names and one-line texts. Errors: none.';

CREATE FUNCTION imgexport.check_store(kind text, location text, bucket text, access_key text,
        secret text, headers jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text := CASE
        WHEN kind = 'table' AND num_nonnulls(location, bucket, access_key, secret, headers) > 0
            THEN 'a store of kind "table" has no location'
        WHEN kind = 'file' AND location !~ '^/([^/]+/?)*$' OR location IS NULL AND kind = 'file'
            THEN 'location of a store of kind "file" must be an absolute path'
        WHEN kind IN ('s3', 'http') AND coalesce(location, '') !~* '^https?://[^/?#@\s]+(/[^?#\s]*)?$'
            THEN format('location of a store of kind "%s" must be an http or https URL', kind)
        WHEN kind = 's3' AND num_nulls(bucket, access_key, secret) > 0
            THEN 'a store of kind "s3" needs bucket, access_key and secret'
        WHEN NOT imgexport.are_headers(headers)
            THEN 'headers must be a JSON object of names and one-line texts'
        END;
BEGIN
    IF problem IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = problem;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgexport.check_store(text, text, text, text, text, jsonb) IS
    'Raise what is wrong with a store; true where nothing is. Errors: 22023.';

CREATE TABLE imgexport.store (
    name           text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,62}$'),
    kind           text NOT NULL CHECK (kind IN ('table', 'file', 's3', 'http')),
    location       text,
    bucket         text CHECK (bucket ~ '^[A-Za-z0-9._-]{1,255}$'),
    region         text NOT NULL DEFAULT 'us-east-1' CHECK (region ~ '^[A-Za-z0-9-]+$'),
    path_style     boolean NOT NULL DEFAULT true,
    access_key     text CHECK (access_key ~ '^[A-Za-z0-9_-]+$'),
    secret         text,
    method         text NOT NULL DEFAULT 'PUT' CHECK (method IN ('PUT', 'POST')),
    headers        jsonb,
    key            text NOT NULL DEFAULT '{batch_id}/{job_id}-{name}-{sha256:16}.{ext}'
                   CHECK (imgexport.check_key_template(key)),
    part_bytes     int8 NOT NULL DEFAULT 67108864 CHECK (part_bytes BETWEEN 5242880 AND 1073741824),
    public_url     imgexport.web_url CHECK (public_url ~* '^https?://'),
    sign           boolean NOT NULL DEFAULT false,
    url_expires_in interval NOT NULL DEFAULT '1 hour' CHECK (url_expires_in > '0'),
    retention      interval CHECK (retention > '0'),
    cache_control  text NOT NULL DEFAULT 'public, max-age=31536000, immutable'
                   CHECK (cache_control !~ '[\r\n]'),
    CHECK (imgexport.check_store(kind, location, bucket, access_key, secret, headers))
);
COMMENT ON TABLE imgexport.store IS
    'Where outputs are kept. kind: table, file, s3, http. location: a directory, the endpoint of an S3, or the URL that keys are appended to. bucket, region, path_style (or else the bucket is in the host''s name), access_key, secret (its name): of an S3. method, headers (with {secret:NAME} in them): of http. key: template of an object''s key. part_bytes: an S3 gets larger objects in parts, 5 MB to 1 GB, default 64 MB. public_url: where anyone can read the objects. sign: URLs are given out signed, for url_expires_in, default 1 hour. retention: outputs are deleted after so long, default never. cache_control: default for a year.';
INSERT INTO imgexport.store (name, kind) VALUES ('table', 'table');
SELECT pg_catalog.pg_extension_config_dump('imgexport.store', '');

CREATE FUNCTION imgexport.object_key(template text, facts jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key text := template;
    hole text[];
    value text;
BEGIN
    FOR hole IN SELECT DISTINCT regexp_matches(template, '\{([a-z_0-9]+)(?::([0-9]+))?\}', 'g') LOOP
        value := regexp_replace(coalesce(facts->>hole[1], ''), '[^A-Za-z0-9_.-]', '_', 'g');
        value := regexp_replace(coalesce(nullif(value, ''), '_'), '^\.', '_');
        key := replace(key, '{' || hole[1] || coalesce(':' || hole[2], '') || '}',
                       left(value, coalesce(hole[2]::int, 128)));
    END LOOP;
    RETURN key;
END $$;
COMMENT ON FUNCTION imgexport.object_key(text, jsonb) IS
    'The key of an object by a store''s template. facts: what its placeholders stand for; characters that are not A-Z a-z 0-9 _ . - become _. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.object_key(text, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.file_extension(format text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE format WHEN 'jpeg' THEN 'jpg' WHEN 'tiff' THEN 'tif' ELSE coalesce(format, 'bin') END;
END $$;
COMMENT ON FUNCTION imgexport.file_extension(text) IS
    'How the name of a file of a format ends: jpg, png, webp, avif, heif, gif, tif; bin for none. Errors: none.';

CREATE FUNCTION imgexport.mime_type(format text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN format IN ('jpeg', 'png', 'webp', 'avif', 'heif', 'gif', 'tiff')
                THEN 'image/' || format ELSE 'application/octet-stream' END;
END $$;
COMMENT ON FUNCTION imgexport.mime_type(text) IS
    'The media type of a format. Errors: none.';

CREATE FUNCTION imgexport.store_named(name text) RETURNS imgexport.store
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store imgexport.store;
BEGIN
    SELECT s.* INTO store FROM imgexport.store s WHERE s.name = name;
    IF store.name IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('store "%s" does not exist', name),
            HINT = 'The table imgexport.store lists those that do.';
    END IF;
    RETURN store;
END $$;
COMMENT ON FUNCTION imgexport.store_named(text) IS
    'A store by its name. Errors: 42704 there is none.';
REVOKE ALL ON FUNCTION imgexport.store_named(text) FROM PUBLIC;

-- Where an S3 keeps an object: host, path and the URL of both.
CREATE FUNCTION imgexport.s3_address(store imgexport.store, key text, OUT host text,
        OUT path text, OUT url text)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(store.location, '^(https?)://([^/]+)(.*?)/*$', 'i');
    scheme text := lower(parts[1]);
BEGIN
    host := regexp_replace(lower(parts[2]),
                           CASE scheme WHEN 'https' THEN ':443$' ELSE ':80$' END, '');
    IF NOT store.path_style THEN
        host := store.bucket || '.' || host;
    END IF;
    path := parts[3] || CASE WHEN store.path_style THEN '/' || store.bucket ELSE '' END
            || '/' || imgexport.uri_encode(key, '/');
    url := scheme || '://' || host || path;
END $$;
COMMENT ON FUNCTION imgexport.s3_address(imgexport.store, text) IS
    'Where an S3 keeps an object: host, path and URL; with an empty key, the bucket''s. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.s3_address(imgexport.store, text) FROM PUBLIC;

CREATE FUNCTION imgexport.s3_request(store imgexport.store, method text, key text, query text,
        payload_hash text, at timestamptz, OUT url text, OUT headers text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    address record := imgexport.s3_address(store, key);
    stamp text := to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"');
    signed text[] := ARRAY['host:' || address.host, 'x-amz-content-sha256:' || payload_hash,
                           'x-amz-date:' || stamp];
BEGIN
    url := address.url || CASE WHEN query <> '' THEN '?' || query ELSE '' END;
    headers := concat_ws(E'\n', signed[2], signed[3],
        format('Authorization: AWS4-HMAC-SHA256 Credential=%s/%s/%s/s3/aws4_request,SignedHeaders=%s,Signature=%s',
               store.access_key, left(stamp, 8), store.region, imgexport.sigv4_names(signed),
               imgexport.sigv4(method, address.path, query, signed, payload_hash, at,
                               store.region, imgexport.secret_value(store.secret))));
END $$;
COMMENT ON FUNCTION imgexport.s3_request(imgexport.store, text, text, text, text, timestamptz) IS
    'A request to an S3: its URL, and the headers that sign it. query: as it is sent, sorted by name. payload_hash: SHA-256 of the body in hexadecimal digits. Errors: 42704 no such secret.';
REVOKE ALL ON FUNCTION imgexport.s3_request(imgexport.store, text, text, text, text, timestamptz)
    FROM PUBLIC;

CREATE FUNCTION imgexport.s3_presign(store imgexport.store, method text, key text,
        expires_in interval, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    address record := imgexport.s3_address(store, key);
    stamp text := to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"');
    seconds int8 := floor(extract(epoch FROM expires_in));
    query text;
BEGIN
    IF seconds NOT BETWEEN 1 AND 604800 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('a URL of an S3 must expire within 7 days, not in %s', expires_in);
    END IF;
    query := format('X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s&X-Amz-Date=%s&X-Amz-Expires=%s&X-Amz-SignedHeaders=host',
                    imgexport.uri_encode(format('%s/%s/%s/s3/aws4_request', store.access_key,
                                                left(stamp, 8), store.region)), stamp, seconds);
    RETURN address.url || '?' || query || '&X-Amz-Signature='
           || imgexport.sigv4(method, address.path, query, ARRAY['host:' || address.host],
                              'UNSIGNED-PAYLOAD', at, store.region,
                              imgexport.secret_value(store.secret));
END $$;
COMMENT ON FUNCTION imgexport.s3_presign(imgexport.store, text, text, interval, timestamptz) IS
    'A URL by which anyone may do so with an object of an S3 until it expires, in 1 second to 7 days. Errors: 22023 expires_in, 42704 no such secret.';
REVOKE ALL ON FUNCTION imgexport.s3_presign(imgexport.store, text, text, interval, timestamptz)
    FROM PUBLIC;

CREATE FUNCTION imgexport.fill_in_secrets(value text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hole text[];
    filled text := value;
BEGIN
    FOR hole IN SELECT DISTINCT regexp_matches(value, '\{secret:([A-Za-z0-9_.-]+)\}', 'g') LOOP
        filled := replace(filled, '{secret:' || hole[1] || '}', imgexport.secret_value(hole[1]));
    END LOOP;
    RETURN filled;
END $$;
COMMENT ON FUNCTION imgexport.fill_in_secrets(text) IS
    'A text with the secrets that it names as {secret:NAME}. Errors: 42704 there is none.';
REVOKE ALL ON FUNCTION imgexport.fill_in_secrets(text) FROM PUBLIC;

-- What the worker sends.  A file has a root and a key, and no request.
CREATE FUNCTION imgexport.object_request(store text, verb text, key text, query text,
        payload_hash text, mime text, at timestamptz, OUT kind text, OUT root text,
        OUT method text, OUT url text, OUT headers text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place imgexport.store := imgexport.store_named(store);
BEGIN
    -- Two installations, or two stores, may share a directory, bucket or server: nothing is
    -- written or removed there but what is this one's.
    IF verb <> 'GET' AND NOT coalesce(starts_with(key, imgexport.key_prefix(store)), false) THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('object "%s" is not one of store "%s" of this installation', key, store),
            DETAIL = format('Its keys begin with "%s".', imgexport.key_prefix(store));
    END IF;
    kind := place.kind;
    root := CASE kind WHEN 'file' THEN place.location END;
    method := CASE WHEN kind = 'http' AND verb = 'PUT' THEN place.method ELSE verb END;
    IF kind = 's3' THEN
        SELECT r.url, r.headers INTO url, headers
        FROM imgexport.s3_request(place, verb, key, query, payload_hash, at) AS r;
    ELSIF kind = 'http' THEN
        url := rtrim(place.location, '/') || '/' || imgexport.uri_encode(key, '/');
        headers := (SELECT string_agg(h.key || ': ' || imgexport.fill_in_secrets(h.value), E'\n')
                    FROM jsonb_each_text(place.headers) AS h);
    END IF;
    IF verb = 'PUT' AND kind IN ('s3', 'http') THEN
        headers := concat_ws(E'\n', headers, 'Content-Type: ' || mime,
                             'Cache-Control: ' || place.cache_control);
    END IF;
    headers := coalesce(headers, '');
END $$;
COMMENT ON FUNCTION imgexport.object_request(text, text, text, text, text, text, timestamptz) IS
    'How something is done with an object of a store: kind; root, of a file; method, URL and headers, of s3 and http. verb: PUT, GET, DELETE, POST. Errors: 42501 a key that is not this installation''s, which may only be read; 42704 no such store or secret.';
REVOKE ALL ON FUNCTION imgexport.object_request(text, text, text, text, text, text, timestamptz)
    FROM PUBLIC;

CREATE FUNCTION imgexport.read_file(root text, key text, start int8 DEFAULT 0,
        most int8 DEFAULT NULL, OUT data bytea, OUT size int8)
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_read_file';
COMMENT ON FUNCTION imgexport.read_file(text, text, int8, int8) IS
    'Bytes of a file of a store, and how long it is in all; NULL and NULL where there is none. start: default 0. most: bytes at most, default all. Errors: 42501 root is not among imgexport.store_directories or key leads out of it, 58030.';
REVOKE ALL ON FUNCTION imgexport.read_file(text, text, int8, int8) FROM PUBLIC;

CREATE FUNCTION imgexport.list_files(root text, OUT key text, OUT size int8,
        OUT changed_at timestamptz) RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_list_files';
COMMENT ON FUNCTION imgexport.list_files(text) IS
    'Every file under a store''s directory, unfinished ones too; symbolic links are not followed. Errors: 42501 root is not among imgexport.store_directories, 58030.';
REVOKE ALL ON FUNCTION imgexport.list_files(text) FROM PUBLIC;

CREATE FUNCTION imgexport.directory_space(root text, OUT writable boolean, OUT free_bytes int8)
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_directory_space';
COMMENT ON FUNCTION imgexport.directory_space(text) IS
    'Whether the server may write into a store''s directory, and how much room its file system has, in bytes. Errors: 42501 root is not among imgexport.store_directories, 58P01.';
REVOKE ALL ON FUNCTION imgexport.directory_space(text) FROM PUBLIC;

CREATE FUNCTION imgexport.call_http(method text, url text, headers text, OUT status int,
        OUT body bytea)
    LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_call_http';
COMMENT ON FUNCTION imgexport.call_http(text, text, text) IS
    'Send a request to a store now. headers: a line each. Private networks as imgexport.store_allowed_networks. Errors: IX004, IX005, IX006.';
REVOKE ALL ON FUNCTION imgexport.call_http(text, text, text) FROM PUBLIC;
