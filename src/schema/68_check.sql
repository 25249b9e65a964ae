-- Whether everything is there.

CREATE FUNCTION imgexport.check() RETURNS TABLE (item text, ok boolean, detail text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    helper text;
    about jsonb;
    place imgexport.store;
    service imgexport.service;
    trouble text;
BEGIN
    item := 'version'; ok := true; hint := NULL;
    detail := format('imgexport %s, PostgreSQL %s',
                     (SELECT extversion FROM pg_extension WHERE extname = 'imgexport'),
                     current_setting('server_version'));
    RETURN NEXT;
    item := 'preload';
    ok := imgexport.is_preloaded();
    detail := 'shared_preload_libraries = ' || current_setting('shared_preload_libraries');
    hint := CASE WHEN NOT ok THEN 'Add imgexport and restart the server, or no job is run.' END;
    RETURN NEXT;
    item := 'worker';
    SELECT count(*) > 0, coalesce('process ' || max(w.pid), 'none') INTO ok, detail
    FROM imgexport.workers() w WHERE w.database = current_database() AND w.pid IS NOT NULL;
    hint := CASE WHEN NOT ok THEN 'See the server''s log, max_worker_processes and imgexport.enabled.' END;
    RETURN NEXT;
    item := 'installation';
    detail := coalesce(imgexport.why_dormant(), (SELECT i.id::text FROM imgexport.installation i));
    ok := imgexport.why_dormant() IS NULL;
    hint := CASE WHEN NOT ok THEN 'Nothing runs here. CALL imgexport.adopt() declares this database the original; see "Copies, dumps and upgrades" in doc/backup.md.' END;
    RETURN NEXT;
    item := 'old transactions';
    SELECT count(*) = 0,
           coalesce('process ' || (array_agg(a.pid ORDER BY a.xact_start))[1] || ', open for '
                    || date_trunc('second', now() - min(a.xact_start)), 'none')
    INTO ok, detail
    FROM pg_stat_activity a
    WHERE a.backend_xmin IS NOT NULL AND a.xact_start < now() - interval '1 hour';
    hint := CASE WHEN NOT ok THEN 'While it is open, vacuum cannot give back the space of finished jobs.' END;
    RETURN NEXT;
    FOR place IN SELECT * FROM imgexport.store s WHERE s.kind = 'file' ORDER BY s.name LOOP
        item := 'store ' || place.name;
        BEGIN
            SELECT d.writable, format('%s, %s free%s', place.location, pg_size_pretty(d.free_bytes),
                                      CASE WHEN NOT d.writable THEN ', not writable' ELSE '' END)
            INTO ok, detail FROM imgexport.directory_space(place.location) AS d;
            hint := CASE WHEN NOT ok THEN 'The server''s user needs the right to write there.' END;
        EXCEPTION WHEN OTHERS THEN
            ok := false; detail := SQLERRM;
            hint := 'Make it, and list it in imgexport.store_directories.';
        END;
        RETURN NEXT;
    END LOOP;
    FOR service IN SELECT s.* FROM imgexport.service s WHERE s.enabled ORDER BY s.name LOOP
        item := 'service ' || service.name; ok := true; hint := NULL;
        detail := concat_ws(', ', service.kind, service.url);
        BEGIN
            PERFORM imgexport.fill_in_secrets(h.value) FROM jsonb_each_text(service.headers) AS h;
            trouble := (SELECT u.last_error FROM imgexport.services() u
                WHERE (u.database, u.service) = (current_database(), service.name) AND u.breaker_open_until > now());
            ok := trouble IS NULL;
            detail := concat_ws(', ', detail, trouble);
            hint := CASE WHEN NOT ok THEN 'It failed again and again, and is left alone for a while.' END;
        EXCEPTION WHEN undefined_object THEN
            ok := false;
            detail := SQLERRM;
            hint := 'imgexport.set_secret keeps one.';
        END;
        RETURN NEXT;
    END LOOP;
    item := 'signing key';
    SELECT count(*) > 0, coalesce('made ' || date_trunc('second', now() - max(k.created_at)) || ' ago', 'none')
    INTO ok, detail FROM imgexport.signing_key k WHERE k.not_after IS NULL;
    hint := CASE WHEN NOT ok THEN 'SELECT imgexport.rotate_signing_key(); until then no URL can be signed.' END;
    RETURN NEXT;
    FOREACH helper IN ARRAY ARRAY['codec', 'net'] LOOP
        BEGIN
            about := imgexport.helper_about(helper);
            item := helper; ok := true; hint := NULL;
            detail := concat_ws(', ', about->>'program', 'libvips ' || (about->>'libvips'),
                                'libcurl ' || (about->>'libcurl'),
                                'reads ' || (SELECT string_agg(f, ' ') FROM
                                    jsonb_array_elements_text(about->'loaders') AS f));
            RETURN NEXT;
            item := helper || ' sandbox';
            ok := (about #>> '{sandbox,seccomp}')::boolean
                  AND (about #>> '{sandbox,landlock_abi}')::int > 0;
            detail := format('seccomp %s, Landlock %s',
                             CASE WHEN (about #>> '{sandbox,seccomp}')::boolean
                                  THEN 'on' ELSE 'off' END,
                             CASE WHEN (about #>> '{sandbox,landlock_abi}')::int > 0
                                  THEN 'version ' || (about #>> '{sandbox,landlock_abi}')
                                  ELSE 'off' END);
            hint := CASE WHEN NOT ok THEN 'A newer kernel has both; imgexport.sandbox = require refuses to work without.' END;
            RETURN NEXT;
        EXCEPTION WHEN OTHERS THEN
            item := helper; ok := false; detail := SQLERRM;
            hint := 'Was imgexport installed with "make install"?';
            RETURN NEXT;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.check() IS
    'Whether everything is there that imgexport needs: a row an item, with what to do about it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.check() FROM PUBLIC;

CREATE FUNCTION imgexport.smoke(OUT item text, OUT ok boolean, OUT ms int, OUT detail text)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- A GIF of one pixel.
    pixel bytea := '\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b';
    started timestamptz;
BEGIN
    FOREACH item IN ARRAY '{jpeg,png,webp,gif,tiff,avif,heif}'::text[] LOOP
        started := clock_timestamp();
        BEGIN
            -- Written, read, and written again.
            SELECT i.format = item AND (i.width, i.height) = (1, 1), format('%s bytes', i.bytes) INTO ok, detail
            FROM @extschema@.img_info(@extschema@.img_convert(@extschema@.img_convert(pixel, item) || ''::bytea, item)) AS i;
        EXCEPTION WHEN OTHERS THEN
            ok := false;
            detail := SQLERRM;
        END;
        ms := extract(epoch FROM clock_timestamp() - started) * 1000;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.smoke() IS
    'Whether images of every format can be written and read: one pixel each, with the milliseconds that it took. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.smoke() FROM PUBLIC;
