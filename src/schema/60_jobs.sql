-- Handing in, watching and steering jobs.

CREATE FUNCTION imgexport.submit(source_url text DEFAULT NULL, source bytea DEFAULT NULL,
        recipe jsonb DEFAULT NULL, outputs jsonb DEFAULT NULL, preset text DEFAULT NULL,
        base_url text DEFAULT NULL, base bytea DEFAULT NULL, queue text DEFAULT 'default',
        priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, max_attempts int DEFAULT 5,
        expires_in interval DEFAULT NULL, notify boolean DEFAULT false,
        metadata jsonb DEFAULT NULL, urls text[] DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch uuid := imgexport.new_id();
    sources text[] := coalesce(urls, ARRAY[source_url]);
BEGIN
    IF num_nonnulls(source_url, source, urls) <> 1 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a submission needs exactly one of source_url, source and urls';
    END IF;
    IF preset IS NOT NULL AND NOT EXISTS (SELECT FROM imgexport.preset p WHERE p.name = preset) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('preset "%s" does not exist', preset),
            HINT = 'The table imgexport.preset lists those that do.';
    END IF;
    IF NOT EXISTS (SELECT FROM imgexport.queue q WHERE q.name = queue) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('queue "%s" does not exist', queue),
            HINT = 'The table imgexport.queue lists those that do.';
    END IF;
    INSERT INTO imgexport.batch (batch_id, total, metadata)
    VALUES (batch, cardinality(sources), metadata);
    INSERT INTO imgexport.job (batch_id, source_url, source, recipe, outputs, preset, base_url,
                               base, queue, priority, run_at, max_attempts, expires_in, notify,
                               metadata)
    SELECT batch, url, source, recipe, outputs, preset, base_url, base, queue, priority,
           coalesce(run_at, now()), max_attempts, expires_in, notify, metadata
    FROM unnest(sources) AS url;
    IF NOT imgexport.is_preloaded() THEN
        RAISE WARNING USING
            MESSAGE = 'no worker will run this job',
            HINT = 'Add imgexport to shared_preload_libraries and restart the server.';
    ELSIF NOT current_setting('imgexport.enabled')::boolean THEN
        RAISE WARNING USING
            MESSAGE = 'no worker runs this job now',
            HINT = 'imgexport.enabled is off.';
    END IF;
    RETURN batch;
END $$;
COMMENT ON FUNCTION imgexport.submit(text, bytea, jsonb, jsonb, text, text, bytea, text, int,
        timestamptz, int, interval, boolean, jsonb, text[]) IS
    'Hand in one job, or one for each of urls, as a batch; returns its id. One of source_url, source and urls: http or https, or an image. recipe, outputs: as in img_apply and img_export. preset: what these leave out is taken from it. base_url, base: an image that is laid under (img_composite). queue: default ''default''. priority: higher ones first, default 0. run_at: not before, default now. max_attempts: 1 to 100, default 5. expires_in: outputs are deleted after so long, default never. notify: NOTIFY imgexport when done, default false. metadata: goes with the outputs. Errors: 22023 an argument, 23514 a URL; a WARNING where no worker runs.';
REVOKE ALL ON FUNCTION imgexport.submit(text, bytea, jsonb, jsonb, text, text, bytea, text, int,
        timestamptz, int, interval, boolean, jsonb, text[]) FROM PUBLIC;

CREATE FUNCTION imgexport.status(batch_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'requestId', status.batch_id,
        'status', CASE WHEN count(*) FILTER (WHERE state = 'processing') > 0 THEN 'PROCESSING'
                       WHEN count(*) FILTER (WHERE state = 'pending') = count(*) THEN 'PENDING'
                       WHEN count(*) FILTER (WHERE state = 'pending') > 0 THEN 'PROCESSING'
                       WHEN count(*) FILTER (WHERE state = 'completed') > 0 THEN 'COMPLETED'
                       ELSE 'FAILED' END,
        'totalImages', count(*),
        'processedImages', count(*) FILTER (WHERE state = 'completed'),
        'failedImages', count(*) FILTER (WHERE state IN ('failed', 'cancelled')),
        'images', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'jobId', job_id, 'sourceUrl', source_url, 'state', state, 'attempts', attempts,
            'error', error, 'errorCode', error_code, 'warnings', warnings,
            'outputs', (SELECT jsonb_object_agg(i.name, jsonb_build_object(
                            'imageId', i.image_id, 'format', i.format, 'width', i.width,
                            'height', i.height, 'bytes', i.bytes))
                        FROM imgexport.image i
                        WHERE (i.batch_id, i.job_id) = (job.batch_id, job.job_id))))
            ORDER BY job_id))
    FROM imgexport.job WHERE job.batch_id = status.batch_id
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION imgexport.status(uuid) IS
    'How a batch stands: requestId, status (PENDING, PROCESSING, COMPLETED, or FAILED when nothing came out), totalImages, processedImages, failedImages, images. NULL for a batch that does not exist. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.status(uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.health() RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'status', CASE WHEN NOT current_setting('imgexport.enabled')::boolean THEN 'disabled'
                       WHEN EXISTS (SELECT FROM imgexport.workers() w
                                    WHERE w.database = current_database()) THEN 'healthy'
                       ELSE 'no worker' END,
        'service', 'imgexport',
        'queue', jsonb_build_object(
            'size', (SELECT count(*) FROM imgexport.job WHERE state IN ('pending', 'processing')),
            'pending', (SELECT count(*) FROM imgexport.job WHERE state = 'pending'),
            'concurrency', (SELECT sum(concurrency) FROM imgexport.queue WHERE NOT paused)),
        'workers', coalesce((SELECT jsonb_agg(to_jsonb(w)) FROM imgexport.workers() w
                             WHERE w.database = current_database()), '[]'))
$$;
COMMENT ON FUNCTION imgexport.health() IS
    'Whether jobs are run here: status (healthy, disabled, no worker), service, queue (size, pending, concurrency) and workers. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.health() FROM PUBLIC;

CREATE PROCEDURE imgexport.wait(batch_id uuid, timeout interval DEFAULT NULL)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    give_up timestamptz := clock_timestamp() + timeout;
    told int := -1;
    total int;
    done int;
    failed int;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE invalid_transaction_state USING
            MESSAGE = 'wait sees no progress in this transaction',
            HINT = 'Call it where the isolation level is READ COMMITTED.';
    END IF;
    LOOP
        SELECT count(*), count(*) FILTER (WHERE state IN ('completed', 'failed', 'cancelled')),
               count(*) FILTER (WHERE state IN ('failed', 'cancelled'))
        INTO total, done, failed
        FROM imgexport.job j WHERE j.batch_id = batch_id;
        IF done <> told THEN
            RAISE NOTICE '% of % done, % failed', done, total, failed;
            told := done;
        END IF;
        EXIT WHEN done = total;
        IF clock_timestamp() > give_up THEN
            RAISE query_canceled USING
                MESSAGE = format('%s of %s jobs were done in time', done, total);
        END IF;
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
COMMENT ON PROCEDURE imgexport.wait(uuid, interval) IS
    'Wait until every job of a batch is done, failed or cancelled, with progress as NOTICEs. timeout: give up after so long, default never. Errors: 57014 not done in time, 25000 in a transaction that sees no progress.';
REVOKE ALL ON PROCEDURE imgexport.wait(uuid, interval) FROM PUBLIC;

CREATE FUNCTION imgexport.retry(batch_id uuid) RETURNS int
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    again int;
    at timestamptz := now();
BEGIN
    UPDATE imgexport.job j
    SET state = 'pending', run_at = at, attempts = 0, finished_at = NULL
    WHERE j.batch_id = batch_id AND j.state IN ('failed', 'cancelled');
    GET DIAGNOSTICS again = ROW_COUNT;
    UPDATE imgexport.batch b SET failed = greatest(b.failed - again, 0), finished_at = NULL
    WHERE b.batch_id = batch_id AND again > 0;
    PERFORM imgexport.wake();
    RETURN again;
END $$;
COMMENT ON FUNCTION imgexport.retry(uuid) IS
    'Try the failed and cancelled jobs of a batch again, with all their attempts; returns how many. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.retry(uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.cancel(batch_id uuid) RETURNS int
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ended int;
    at timestamptz := now();
BEGIN
    UPDATE imgexport.job j SET state = 'cancelled', finished_at = at
    WHERE j.batch_id = batch_id AND j.state IN ('pending', 'processing');
    GET DIAGNOSTICS ended = ROW_COUNT;
    UPDATE imgexport.batch b SET failed = b.failed + ended, finished_at = at
    WHERE b.batch_id = batch_id AND ended > 0;
    RETURN ended;
END $$;
COMMENT ON FUNCTION imgexport.cancel(uuid) IS
    'Cancel the jobs of a batch that are not done; returns how many. What a job in work has made is thrown away. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.cancel(uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.check() RETURNS TABLE (item text, ok boolean, detail text, hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    helper text;
    about jsonb;
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
    FROM imgexport.workers() w WHERE w.database = current_database();
    hint := CASE WHEN NOT ok THEN 'See the server''s log, max_worker_processes and imgexport.enabled.' END;
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

CREATE PROCEDURE imgexport.grant_access(role regrole)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA imgexport TO %s', role);
    EXECUTE format('GRANT SELECT ON imgexport.queue, imgexport.preset, imgexport.batch,
                    imgexport.job, imgexport.image TO %s', role);
    EXECUTE format('GRANT INSERT (batch_id, source_url, source, base_url, base, recipe, outputs,
                    preset, queue, priority, run_at, max_attempts, expires_in, notify, metadata),
                    UPDATE (state, run_at, attempts, finished_at), DELETE
                    ON imgexport.job TO %s', role);
    EXECUTE format('GRANT INSERT (batch_id, total, metadata),
                    UPDATE (failed, finished_at), DELETE ON imgexport.batch TO %s', role);
    EXECUTE format('GRANT DELETE ON imgexport.image TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION imgexport.submit, imgexport.status,
                    imgexport.retry, imgexport.cancel, imgexport.wake, imgexport.health,
                    imgexport.workers TO %s', role);
    EXECUTE format('GRANT EXECUTE ON PROCEDURE imgexport.wait TO %s', role);
END $$;
COMMENT ON PROCEDURE imgexport.grant_access(regrole) IS
    'Let a role hand in jobs and see, retry, cancel and delete its own. Whoever has it can have URLs fetched. Errors: 42501 the caller may not grant.';
REVOKE ALL ON PROCEDURE imgexport.grant_access(regrole) FROM PUBLIC;

-- The worker of this database is wanted from the moment that this commits.
SELECT imgexport.wake();
