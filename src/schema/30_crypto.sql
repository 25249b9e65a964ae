-- What signatures are made of, and requests to S3 signed by AWS Signature Version 4
-- (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html).

CREATE FUNCTION imgexport.hmac_sha256(message bytea, key bytea) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_hmac_sha256';
COMMENT ON FUNCTION imgexport.hmac_sha256(bytea, bytea) IS
    'HMAC-SHA256 (RFC 2104) of a message: 32 bytes. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.hmac_sha256(bytea, bytea) FROM PUBLIC;

CREATE FUNCTION imgexport.same_bytes(a bytea, b bytea) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_same_bytes';
COMMENT ON FUNCTION imgexport.same_bytes(bytea, bytea) IS
    'Whether two values are equal, in a time that does not tell where they differ: for signatures. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.same_bytes(bytea, bytea) FROM PUBLIC;

CREATE FUNCTION imgexport.uri_encode(value text, keep text DEFAULT '') RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bytes bytea := convert_to(value, 'UTF8');
BEGIN
    RETURN (SELECT coalesce(string_agg(
                CASE WHEN byte < 128 AND strpos('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~' || keep, chr(byte)) > 0
                     THEN chr(byte) ELSE '%' || lpad(upper(to_hex(byte)), 2, '0') END, '' ORDER BY nth), '')
            FROM generate_series(0, length(bytes) - 1) AS nth, LATERAL (SELECT get_byte(bytes, nth)) AS b(byte));
END $$;
COMMENT ON FUNCTION imgexport.uri_encode(text, text) IS
    'A text as part of a URL: all but A-Z a-z 0-9 - . _ ~ as %XX of its UTF-8 (RFC 3986, section 2). keep: further characters that stay, default none. Errors: 22P05 a character that UTF-8 has not.';
REVOKE ALL ON FUNCTION imgexport.uri_encode(text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.uri_decode(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(convert_from(string_agg(
        CASE WHEN part ~ '^%[0-9A-Fa-f]{2}$' THEN decode(substr(part, 2), 'hex')
             ELSE convert_to(part, 'UTF8') END, '' ORDER BY nth), 'UTF8'), '')
    FROM (SELECT m[1] AS part, nth
          FROM regexp_matches(value, '%[0-9A-Fa-f]{2}|%|[^%]+', 'g') WITH ORDINALITY AS r(m, nth)) AS p
$$;
COMMENT ON FUNCTION imgexport.uri_decode(text) IS
    'The text that a part of a URL stands for: %XX is a byte of UTF-8, + is itself. Errors: 22021 bytes that are no UTF-8.';
REVOKE ALL ON FUNCTION imgexport.uri_decode(text) FROM PUBLIC;

-- Both hashes and signature are in lower-case hexadecimal digits.
CREATE FUNCTION imgexport.sigv4(method text, path text, query text, headers text[],
        payload_hash text, at timestamptz, region text, secret text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stamp text := to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"');
    scope text := concat_ws('/', left(stamp, 8), region, 's3', 'aws4_request');
    request text := concat_ws(E'\n', method, path, query, array_to_string(headers, E'\n'), '',
                              imgexport.sigv4_names(headers), payload_hash);
    key bytea := convert_to('AWS4' || secret, 'UTF8');
    part text;
BEGIN
    FOREACH part IN ARRAY string_to_array(scope, '/') LOOP
        key := imgexport.hmac_sha256(convert_to(part, 'UTF8'), key);
    END LOOP;
    RETURN encode(imgexport.hmac_sha256(convert_to(
        concat_ws(E'\n', 'AWS4-HMAC-SHA256', stamp, scope,
                  encode(sha256(convert_to(request, 'UTF8')), 'hex')), 'UTF8'), key), 'hex');
END $$;
COMMENT ON FUNCTION imgexport.sigv4(text, text, text, text[], text, timestamptz, text, text) IS
    'The AWS Signature Version 4 of a request to S3. path, query: as they are sent, the query sorted by name. headers: "name:value" in lower case, sorted. payload_hash: SHA-256 of the body in hexadecimal digits, or UNSIGNED-PAYLOAD. secret: the secret access key. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.sigv4(text, text, text, text[], text, timestamptz, text, text)
    FROM PUBLIC;

CREATE FUNCTION imgexport.sigv4_names(headers text[]) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg(split_part(header, ':', 1), ';' ORDER BY nth)
    FROM unnest(headers) WITH ORDINALITY AS h(header, nth));
END $$;
COMMENT ON FUNCTION imgexport.sigv4_names(text[]) IS
    'Which headers a signature covers, as it says it: host;x-amz-date. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.sigv4_names(text[]) FROM PUBLIC;
