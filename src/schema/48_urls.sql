-- URLs of images, static and signed.
--
-- A signed URL is what was signed and "&signature=" with HMAC-SHA256 of it in hexadecimal
-- digits.  What was signed is path and query with expires (seconds of Unix time) and key, as
-- they are written: nothing is decoded or sorted before, so nothing can be read two ways.

CREATE TABLE imgexport.signing_key (
    key_id     text PRIMARY KEY CHECK (key_id ~ '^[A-Za-z0-9_-]{1,32}$'),
    secret     text NOT NULL DEFAULT encode(uuid_send(gen_random_uuid())
                                            || uuid_send(gen_random_uuid()), 'hex')
               CHECK (length(secret) >= 16),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    not_after  timestamptz
);
COMMENT ON TABLE imgexport.signing_key IS
    'Keys that URLs are signed with: the newest signs, all verify until their not_after. secret: at least 16 characters, or {secret:NAME} of imgexport.secret or the secrets file. For nobody but its owner.';
REVOKE ALL ON imgexport.signing_key FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.signing_key', '');

CREATE FUNCTION imgexport.rotate_signing_key(keep interval DEFAULT '7 days') RETURNS text
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM imgexport.signing_key WHERE not_after < now() - interval '1 day';
    UPDATE imgexport.signing_key SET not_after = least(not_after, now() + keep);
    INSERT INTO imgexport.signing_key (key_id)
    VALUES (to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD') || '-'
            || left(encode(uuid_send(gen_random_uuid()), 'hex'), 6))
    RETURNING key_id
$$;
COMMENT ON FUNCTION imgexport.rotate_signing_key(interval) IS
    'Sign URLs with a new key from now on; returns its id. keep: URLs signed before are good for so long at most, default 7 days. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.rotate_signing_key(interval) FROM PUBLIC;

CREATE FUNCTION imgexport.url_signature(signed text, secret text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN encode(imgexport.hmac_sha256(convert_to(signed, 'UTF8'),
                  convert_to(CASE WHEN secret LIKE '{secret:%}' THEN imgexport.fill_in_secrets(secret)
                                  ELSE secret END, 'UTF8')), 'hex');
END $$;
COMMENT ON FUNCTION imgexport.url_signature(text, text) IS
    'The signature of what is signed, in hexadecimal digits. Errors: 42704 a secret that does not exist.';
REVOKE ALL ON FUNCTION imgexport.url_signature(text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.current_signing_key() RETURNS imgexport.signing_key
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key imgexport.signing_key;
BEGIN
    SELECT k.* INTO key FROM imgexport.signing_key k WHERE k.not_after IS NULL
    ORDER BY k.created_at DESC, k.key_id DESC LIMIT 1;
    IF key.key_id IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'there is no key to sign a URL with',
            HINT = 'SELECT imgexport.rotate_signing_key() makes one.';
    END IF;
    RETURN key;
END $$;
COMMENT ON FUNCTION imgexport.current_signing_key() IS
    'The key that signs now. Errors: 55000 there is none.';
REVOKE ALL ON FUNCTION imgexport.current_signing_key() FROM PUBLIC;

CREATE FUNCTION imgexport.sign_url(path text, expires_in interval DEFAULT '1 hour',
        key_id text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key imgexport.signing_key;
    signed text;
BEGIN
    IF path IS NULL THEN
        RETURN NULL;
    ELSIF path !~ '^/[^#\s]*$' OR path ~ '[?&](expires|key|signature)=' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'path must begin with / and have neither expires, key, signature nor a fragment';
    ELSIF expires_in IS NULL OR expires_in <= '0' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('expires_in must be positive, not %s', coalesce(expires_in::text, 'NULL'));
    END IF;
    IF key_id IS NULL THEN
        key := imgexport.current_signing_key();
    ELSE
        SELECT k.* INTO key FROM imgexport.signing_key k WHERE k.key_id = key_id;
        IF key.key_id IS NULL THEN
            RAISE undefined_object USING MESSAGE = format('signing key "%s" does not exist', key_id);
        END IF;
    END IF;
    signed := path || CASE WHEN strpos(path, '?') > 0 THEN '&' ELSE '?' END || 'expires='
              || ceil(extract(epoch FROM clock_timestamp() + expires_in))::int8 || '&key=' || key.key_id;
    RETURN signed || '&signature=' || imgexport.url_signature(signed, key.secret);
END $$;
COMMENT ON FUNCTION imgexport.sign_url(text, interval, text) IS
    'A path, with a query or without, signed until it expires: HMAC-SHA256 of all that comes before &signature=. expires_in: default 1 hour. key_id: default the newest key. Whoever may call it may sign anything. Errors: 22023 path or expires_in, 42704 no such key, 55000 no key at all.';
REVOKE ALL ON FUNCTION imgexport.sign_url(text, interval, text) FROM PUBLIC;

CREATE FUNCTION imgexport.verify_url_reason(url text, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
-- Taken apart without regular expressions: this is done for every request of a signed URL.
DECLARE
    signed text := split_part(url, '&signature=', 1);
    signature text := split_part(url, '&signature=', 2);
    expires text := split_part(split_part(signed, 'expires=', 2), '&', 1);
    wanted text := split_part(signed, '&key=', 2);
    key record;
BEGIN
    IF strpos(url, 'signature=') = 0 OR url IS NULL THEN
        RETURN 'URL is not signed';
    ELSIF right(signed, 13 + length(expires) + length(wanted)) <> 'expires=' || expires || '&key=' || wanted
          OR length(signature) <> 64 OR translate(signature, '0123456789abcdef', '') <> ''
          OR length(expires) NOT BETWEEN 1 AND 12 OR translate(expires, '0123456789', '') <> ''
          OR strpos(signed, '#') > 0 OR split_part(url, '&signature=', 3) <> '' THEN
        RETURN 'signature is malformed';
    END IF;
    -- With a scheme and host before it, or without.
    IF signed NOT LIKE '/%' THEN
        signed := substr(signed, strpos(signed, '://') + 3);
        signed := substr(signed, strpos(signed, '/'));
    END IF;
    SELECT k.secret, k.not_after INTO key FROM imgexport.signing_key k WHERE k.key_id = wanted;
    IF NOT FOUND OR key.not_after < at THEN
        RETURN 'key is not known, or not any more';
    ELSIF NOT imgexport.same_bytes(decode(imgexport.url_signature(signed, key.secret), 'hex'),
                                   decode(signature, 'hex')) THEN
        RETURN 'signature does not match';
    ELSIF to_timestamp(expires::float8) < at - imgexport.setting('url_clock_tolerance')::interval THEN
        RETURN 'URL has expired';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.verify_url_reason(text, timestamptz) IS
    'Why a signed URL, with its host or without, is not good at a time, default now; NULL where it is. It is good for imgexport.url_clock_tolerance longer than it says. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.verify_url_reason(text, timestamptz) FROM PUBLIC;

CREATE FUNCTION imgexport.verify_url(url text, at timestamptz DEFAULT now()) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN url IS NOT NULL AND imgexport.verify_url_reason(url, at) IS NULL;
END $$;
COMMENT ON FUNCTION imgexport.verify_url(text, timestamptz) IS
    'Whether a signed URL is good at a time, default now; imgexport.verify_url_reason says why not. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.verify_url(text, timestamptz) FROM PUBLIC;

-- It reads keys that its caller may not, so it looks itself whether the image is the caller's.
CREATE FUNCTION imgexport.url_as(caller regrole, image_id uuid, expires_in interval) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    image record;
    place imgexport.store;
    file text;
BEGIN
    SELECT i.owner, i.format, i.store, i.key, i.source_url INTO image
    FROM imgexport.image i WHERE i.image_id = image_id;
    IF NOT FOUND OR NOT imgexport.may_see(caller, image.owner) THEN
        RETURN NULL;
    ELSIF image.source_url IS NOT NULL AND image.key IS NULL THEN
        RETURN image.source_url;
    END IF;
    place := imgexport.store_named(image.store);
    file := image_id || '.' || imgexport.file_extension(image.format);
    IF expires_in IS NULL AND NOT place.sign THEN
        RETURN CASE WHEN place.public_url IS NOT NULL AND image.key IS NOT NULL
                    THEN rtrim(place.public_url, '/') || '/' || imgexport.uri_encode(image.key, '/')
                    ELSE '/static/output/' || file END;
    END IF;
    RETURN imgexport.sign_url('/api/download/' || file, coalesce(expires_in, place.url_expires_in));
EXCEPTION WHEN object_not_in_prerequisite_state OR undefined_object OR insufficient_privilege
               OR undefined_file THEN
    RAISE WARNING USING MESSAGE = 'image has no URL: ' || SQLERRM;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.url_as(regrole, uuid, interval) IS
    'What imgexport.url returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.url_as(regrole, uuid, interval) FROM PUBLIC;

CREATE FUNCTION imgexport.url(image_id uuid, expires_in interval DEFAULT NULL) RETURNS text
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.url(uuid, interval) IS
    'The URL of an image of the caller: at its store''s public_url, else the path /static/output/... of a server of images; for a store that signs, or where expires_in is given, the signed path /api/download/..., good for so long, default the store''s url_expires_in. NULL for an image that is not there or another''s, and, with a WARNING, where it could not be signed: never unsigned instead. Errors: 22023 expires_in.';
REVOKE ALL ON FUNCTION imgexport.url(uuid, interval) FROM PUBLIC;

-- A dump that is restored brings its own, which take its place.
SELECT imgexport.rotate_signing_key();
