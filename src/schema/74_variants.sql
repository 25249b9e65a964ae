-- Variants on the fly: /img/KEY.SIGNATURE/OPTIONS/ID.FORMAT, rendered once and kept for a while.

CREATE TABLE imgexport.variant (
    batch_id   uuid NOT NULL,
    job_id     uuid NOT NULL,
    image_id   uuid NOT NULL,
    options    text NOT NULL,
    format     text NOT NULL,
    sha256     bytea NOT NULL,
    data       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (batch_id, job_id, image_id, options, format),
    FOREIGN KEY (batch_id, job_id, image_id) REFERENCES imgexport.image ON DELETE CASCADE
);
ALTER TABLE imgexport.variant ALTER data SET STORAGE EXTERNAL;
COMMENT ON TABLE imgexport.variant IS
    'Variants of images that were asked for by URL, for as long as imgexport.variant_lifetime says. It is a cache: its rows may be deleted at any time.';
CREATE INDEX variant_expiry ON imgexport.variant (expires_at);
REVOKE ALL ON imgexport.variant FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.variant', '');

CREATE FUNCTION imgexport.variant_recipe(options text, format text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    option text[];
    scale float8 := 1;
    resize jsonb := '{}';
    crop jsonb;
    others jsonb := '[]';
    convert jsonb := jsonb_build_object('format', format);
BEGIN
    FOR option IN SELECT regexp_match(o, '^([a-z]+)_(.+)$') FROM regexp_split_to_table(options, ',') AS o LOOP
        CASE
            WHEN option[1] IN ('w', 'h') AND option[2] ~ '^[1-9][0-9]{0,4}$' THEN
                resize := resize || jsonb_build_object(CASE option[1] WHEN 'w' THEN 'width' ELSE 'height' END, option[2]::int);
            WHEN option[1] = 'fit' AND option[2] IN ('cover', 'contain', 'fill', 'inside', 'outside') THEN
                resize := resize || jsonb_build_object('fit', option[2]);
            WHEN option[1] = 'g' AND option[2] ~ '^[a-z]{4,9}$' THEN
                resize := resize || jsonb_build_object('gravity', option[2]);
            WHEN option[1] = 'bg' AND option[2] ~ '^([0-9a-f]{6}([0-9a-f]{2})?|[a-z]{3,20})$' THEN
                resize := resize || jsonb_build_object('background',
                    CASE WHEN option[2] ~ '^[0-9a-f]+$' THEN '#' ELSE '' END || option[2]);
            WHEN option[1] = 'dpr' AND option[2] ~ '^[1-4](\.[0-9]{1,2})?$' THEN
                scale := option[2]::float8;
            WHEN option[1] = 'q' AND option[2] ~ '^(100|[1-9][0-9]?)$' THEN
                convert := convert || jsonb_build_object('quality', option[2]::int);
            WHEN option[1] = 'blur' AND option[2] ~ '^[0-9]{1,3}(\.[0-9]{1,2})?$' THEN
                others := others || jsonb_build_object('blur', jsonb_build_object('sigma', option[2]::float8));
            WHEN option[1] = 'rot' AND option[2] IN ('90', '180', '270') THEN
                others := others || jsonb_build_object('rotate', jsonb_build_object('angle', option[2]::int));
            WHEN option[1] = 'gray' AND option[2] = '1' THEN
                others := others || '["grayscale"]'::jsonb;
            WHEN option[1] = 'crop' AND option[2] ~ '^[0-9]{1,5}-[0-9]{1,5}-[1-9][0-9]{0,4}-[1-9][0-9]{0,4}$' THEN
                crop := jsonb_build_object('x', split_part(option[2], '-', 1)::int, 'y', split_part(option[2], '-', 2)::int,
                    'width', split_part(option[2], '-', 3)::int, 'height', split_part(option[2], '-', 4)::int);
            WHEN option[1] = 'exp' AND option[2] ~ '^[0-9]{1,12}$' OR options = 'plain' THEN
                NULL;
            ELSE
                RAISE invalid_parameter_value USING
                    MESSAGE = format('options "%s" are not understood', options),
                    HINT = 'plain, or some of w_, h_, fit_, g_, bg_, dpr_, q_, blur_, rot_, gray_1, crop_X-Y-W-H and exp_, with commas between them.';
        END CASE;
    END LOOP;
    IF resize ?| '{width,height}' THEN
        resize := (SELECT jsonb_object_agg(key, CASE WHEN key IN ('width', 'height')
                          THEN to_jsonb(round(value::text::float8 * scale)::int) ELSE value END)
                   FROM jsonb_each(resize)) || '{"enlarge": false}';
        others := jsonb_build_array(jsonb_build_object('resize', resize)) || others;
    END IF;
    IF crop IS NOT NULL THEN
        others := jsonb_build_array(jsonb_build_object('crop', crop)) || others;
    END IF;
    RETURN others || jsonb_build_object('convert', convert);
END $$;
COMMENT ON FUNCTION imgexport.variant_recipe(text, text) IS
    'The recipe that options of a variant''s URL stand for: plain, or with commas between them w_, h_ (pixels), fit_, g_ (gravity), bg_ (colour without #), dpr_ (1 to 4), q_ (1 to 100), blur_ (sigma), rot_ (90, 180, 270), gray_1, crop_X-Y-W-H, exp_ (Unix time). Errors: 22023 what is none of them.';
REVOKE ALL ON FUNCTION imgexport.variant_recipe(text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.variant_url_as(caller regrole, image_id uuid, options text,
        format text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key imgexport.signing_key;
    path text := format('/%s/%s.%s', options, image_id, format);
BEGIN
    IF NOT EXISTS (SELECT FROM imgexport.image i WHERE i.image_id = variant_url_as.image_id
                     AND i.bytes IS NOT NULL AND imgexport.may_see(caller, i.owner)) THEN
        RETURN NULL;
    ELSIF format NOT IN ('auto', 'jpg', 'png', 'webp', 'avif', 'gif') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('format must be auto, jpg, png, webp, avif or gif, not "%s"', format);
    END IF;
    PERFORM imgexport.variant_recipe(options, format);
    key := imgexport.current_signing_key();
    RETURN '/img/' || key.key_id || '.' || imgexport.url_signature('/img' || path, key.secret) || path;
END $$;
COMMENT ON FUNCTION imgexport.variant_url_as(regrole, uuid, text, text) IS
    'What imgexport.variant_url returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.variant_url_as(regrole, uuid, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.variant_url(image_id uuid, options text DEFAULT 'plain',
        format text DEFAULT 'auto') RETURNS text
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.variant_url(uuid, text, text) IS
    'The signed URL of a variant of an image of the caller, which imgexport-httpd renders when it is asked for. options: as imgexport.variant_recipe has them, default plain. format: jpg, png, webp, avif, gif, or auto, by what the asker accepts (default). NULL for an image that is not there or another''s. Errors: 22023 options or format, 55000 no key to sign with.';
REVOKE ALL ON FUNCTION imgexport.variant_url(uuid, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.variant_refusal(signature text, path text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key imgexport.signing_key;
    expires int8 := substring(path FROM '[/,]exp_([0-9]{1,12})[/,]');
    tolerance interval := imgexport.setting('url_clock_tolerance')::interval;
BEGIN
    SELECT k.* INTO key FROM imgexport.signing_key k WHERE k.key_id = split_part(signature, '.', 1);
    RETURN CASE
        WHEN key.key_id IS NULL OR key.not_after < now() THEN 'key is not known, or not any more'
        WHEN NOT imgexport.same_bytes(convert_to(imgexport.url_signature(path, key.secret), 'UTF8'),
                                      convert_to(split_part(signature, '.', 2), 'UTF8'))
            THEN 'signature does not match'
        WHEN to_timestamp(expires) < now() - tolerance THEN 'URL has expired' END;
END $$;
COMMENT ON FUNCTION imgexport.variant_refusal(text, text) IS
    'Why the URL of a variant is not good; NULL where it is. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.variant_refusal(text, text) FROM PUBLIC;

-- Two who ask at once wait for each other here, so that it is rendered once.
CREATE FUNCTION imgexport.make_variant(image_id uuid, options text, format text)
    RETURNS imgexport.variant
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    image record;
    made imgexport.variant;
    bytes bytea;
BEGIN
    SELECT i.batch_id, i.job_id, i.image_id INTO image FROM imgexport.image i WHERE i.image_id = image_id;
    IF pg_is_in_recovery() THEN
        -- A standby can render, and keep nothing.
        bytes := @extschema@.img_apply(imgexport.image_bytes(image_id), imgexport.variant_recipe(options, format));
        RETURN (image.batch_id, image.job_id, image_id, options, format, sha256(bytes), bytes, now(),
                now() + imgexport.setting('variant_lifetime')::interval)::imgexport.variant;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(format('imgexport %s %s %s', image.image_id, options, format), 0));
    SELECT v.* INTO made FROM imgexport.variant v
    WHERE (v.batch_id, v.job_id, v.image_id, v.options, v.format)
        = (image.batch_id, image.job_id, image.image_id, options, format);
    IF made.expires_at > now() THEN
        RETURN made;
    END IF;
    bytes := @extschema@.img_apply(imgexport.image_bytes(image_id), imgexport.variant_recipe(options, format));
    INSERT INTO imgexport.variant AS v (batch_id, job_id, image_id, options, format, sha256, data, expires_at)
    VALUES (image.batch_id, image.job_id, image.image_id, options, format, sha256(bytes), bytes,
            now() + imgexport.setting('variant_lifetime')::interval)
    ON CONFLICT ON CONSTRAINT variant_pkey DO UPDATE
        SET sha256 = excluded.sha256, data = excluded.data, created_at = now(), expires_at = excluded.expires_at
    RETURNING v.* INTO made;
    RETURN made;
END $$;
COMMENT ON FUNCTION imgexport.make_variant(uuid, text, text) IS
    'A variant that is kept, or else rendered and kept, by one session at a time; on a standby rendered alone. Errors: 22023 options, as img_apply.';
REVOKE ALL ON FUNCTION imgexport.make_variant(uuid, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_variant_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := regexp_match(path, '^/img/([A-Za-z0-9_-]+\.[0-9a-f]{64})/([^/]+)/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.(auto|jpg|png|webp|avif|gif)$');
    refusal text;
    image record;
    wanted text;
    variant imgexport.variant;
    headers text;
    etag text;
BEGIN
    IF parts IS NULL THEN
        RETURN imgexport.http_error(404, 'this is no URL of a variant',
            '/img/SIGNATURE/OPTIONS/ID.FORMAT, as imgexport.variant_url makes it.');
    END IF;
    refusal := imgexport.variant_refusal(parts[1], format('/img/%s/%s.%s', parts[2], parts[3], parts[4]));
    IF refusal IS NOT NULL THEN
        RETURN imgexport.http_error(403, refusal);
    END IF;
    SELECT i.batch_id, i.job_id, i.image_id, i.format INTO image FROM imgexport.image i
    WHERE i.image_id = parts[3]::uuid AND i.bytes IS NOT NULL
      AND (i.expires_at IS NULL OR i.expires_at > now());
    IF NOT FOUND THEN
        RETURN imgexport.http_error(404, 'there is no such image');
    END IF;
    -- Of what is liked equally the format that the image has, if everybody can show it.
    wanted := CASE WHEN parts[4] = 'jpg' THEN 'jpeg' WHEN parts[4] <> 'auto' THEN parts[4]
                   ELSE (SELECT f FROM unnest('{jpeg,png,gif,webp,avif}'::text[]) AS f
                         ORDER BY imgexport.accepted_rank(f, accept) / 10,
                                  f = image.format AND f NOT IN ('webp', 'avif') DESC,
                                  imgexport.accepted_rank(f, accept) LIMIT 1) END;
    SELECT v.* INTO variant FROM imgexport.variant v
    WHERE (v.batch_id, v.job_id, v.image_id, v.options, v.format)
        = (image.batch_id, image.job_id, image.image_id, parts[2], wanted) AND v.expires_at > now();
    IF variant.image_id IS NULL THEN
        variant := imgexport.make_variant(image.image_id, parts[2], wanted);
    END IF;
    etag := '"' || left(encode(variant.sha256, 'hex'), 32) || '"';
    headers := concat_ws(E'\n', 'Content-Type: ' || imgexport.mime_type(wanted), 'ETag: ' || etag,
        'Last-Modified: ' || imgexport.http_time(variant.created_at),
        'Cache-Control: public, max-age=' || greatest(extract(epoch FROM variant.expires_at - now())::int8, 0),
        CASE parts[4] WHEN 'auto' THEN 'Vary: Accept' END);
    IF imgexport.http_has_etag(etags, etag) THEN
        RETURN (304, headers, NULL, length(variant.data), NULL, NULL)::imgexport.http_answer;
    END IF;
    RETURN (200, headers, variant.data, NULL, NULL, NULL)::imgexport.http_answer;
END $$;
COMMENT ON FUNCTION imgexport.http_variant_as(regrole, text, text, text, text) IS
    'What imgexport.http_variant returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_variant_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_variant(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_variant(text, text, text, text) IS
    'GET /img/SIGNATURE/OPTIONS/ID.FORMAT: a variant of an image, rendered at most once while it is kept. Errors: as img_apply.';
REVOKE ALL ON FUNCTION imgexport.http_variant(text, text, text, text) FROM PUBLIC;
