-- Housekeeping by the clock: cron expressions and the tasks that they run.

CREATE FUNCTION imgexport.next_run(cron text, after timestamptz DEFAULT now(),
        time_zone text DEFAULT NULL) RETURNS timestamptz
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_next_run';
COMMENT ON FUNCTION imgexport.next_run(text, timestamptz, text) IS
    'When a cron expression is due next: minute hour day month weekday, with names, ranges, lists, steps and $ for the last day of a month; @hourly, @daily, @weekly, @monthly, @yearly; or "30 seconds" (1 to 59). As in cron, a day is due by either of day and weekday where neither begins with *, a time that the clock skips is due right after, and one that comes twice is due once. after: default now. time_zone: default imgexport.schedule_timezone. NULL when it is never due. Errors: 22023 not an expression, no such time zone.';

CREATE TABLE imgexport.schedule (
    name        text PRIMARY KEY,
    cron        text NOT NULL,
    task        text NOT NULL CHECK (task IN ('expire_images', 'delete_jobs', 'clean_temp',
                                              'clean_outputs', 'release_claims')),
    options     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    time_zone   text,
    enabled     boolean NOT NULL DEFAULT true,
    next_run    timestamptz,
    last_run    timestamptz,
    last_result jsonb,
    last_error  text,
    progress    jsonb
);
COMMENT ON TABLE imgexport.schedule IS
    'What is done by the clock. The worker keeps next_run and what the last run came to; a run that was missed is made up for, once.';

CREATE FUNCTION imgexport.set_next_run() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM imgexport.check_task(NEW.task, NEW.options);
    NEW.next_run := imgexport.next_run(NEW.cron, now(), NEW.time_zone);
    NEW.progress := NULL;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgexport.set_next_run() IS
    'Trigger: a schedule that is new or changed is due by its expression from now on. Errors: 22023 its expression, time zone or options.';
REVOKE ALL ON FUNCTION imgexport.set_next_run() FROM PUBLIC;

-- Each task takes at most so many rows at a time, skips what others have locked, and says what
-- it freed, and whether there is more.

CREATE FUNCTION imgexport.task_age(options jsonb, key text, fallback interval DEFAULT NULL)
    RETURNS interval
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    age interval := coalesce((options->>key)::interval, fallback);
BEGIN
    IF age < '0' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s must not be negative', key);
    END IF;
    RETURN age;
END $$;
COMMENT ON FUNCTION imgexport.task_age(jsonb, text, interval) IS
    'An interval among a task''s options. Errors: 22007 not an interval, 22023 a negative one.';
REVOKE ALL ON FUNCTION imgexport.task_age(jsonb, text, interval) FROM PUBLIC;

CREATE FUNCTION imgexport.check_task(task text, options jsonb) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known text[] := CASE task WHEN 'expire_images' THEN '{older_than,preset}'
                              WHEN 'delete_jobs' THEN '{completed,failed}'
                              WHEN 'clean_temp' THEN '{older_than}'
                              WHEN 'clean_outputs' THEN '{older_than}'
                              WHEN 'release_claims' THEN '{}' END;
    key text;
BEGIN
    IF known IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('task "%s" does not exist', task),
            HINT = 'Tasks are expire_images, delete_jobs, clean_temp, clean_outputs and release_claims.';
    END IF;
    FOR key IN SELECT jsonb_object_keys(options) LOOP
        IF key <> ALL (known) THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('task "%s" has no option "%s"', task, key);
        ELSIF key <> 'preset' THEN
            PERFORM imgexport.task_age(options, key);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.check_task(text, jsonb) IS
    'Raise what is wrong with a task and its options. Errors: 22023, 22007.';
REVOKE ALL ON FUNCTION imgexport.check_task(text, jsonb) FROM PUBLIC;

CREATE TRIGGER next_run BEFORE INSERT OR UPDATE OF cron, time_zone, task, options, enabled
    ON imgexport.schedule FOR EACH ROW WHEN (NOT imgexport.is_restoring())
    EXECUTE FUNCTION imgexport.set_next_run();

CREATE FUNCTION imgexport.expire_images(options jsonb, most int) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := clock_timestamp();
    age interval := imgexport.task_age(options, 'older_than');
    expired int;
    aged int := 0;
    freed int8;
    more_freed int8 := 0;
BEGIN
    WITH gone AS (
        DELETE FROM imgexport.image WHERE (batch_id, job_id, image_id) IN (
            SELECT batch_id, job_id, image_id FROM imgexport.image WHERE expires_at <= at
            ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING bytes)
    SELECT count(*), coalesce(sum(bytes), 0) INTO expired, freed FROM gone;
    IF age IS NOT NULL THEN
        WITH gone AS (
            DELETE FROM imgexport.image WHERE (batch_id, job_id, image_id) IN (
                SELECT batch_id, job_id, image_id FROM imgexport.image i
                WHERE created_at <= at - age
                  AND (NOT options ? 'preset' OR EXISTS (
                       SELECT FROM imgexport.job j
                       WHERE (j.batch_id, j.job_id, j.preset)
                           = (i.batch_id, i.job_id, options->>'preset')))
                ORDER BY created_at LIMIT most FOR UPDATE SKIP LOCKED)
            RETURNING bytes)
        SELECT count(*), coalesce(sum(bytes), 0) INTO aged, more_freed FROM gone;
    END IF;
    DELETE FROM imgexport.variant v WHERE (v.batch_id, v.job_id, v.image_id, v.options, v.format) IN (
        SELECT o.batch_id, o.job_id, o.image_id, o.options, o.format FROM imgexport.variant o
        WHERE o.expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED);
    DELETE FROM imgexport.service_answer a WHERE a.answer_id IN (
        SELECT o.answer_id FROM imgexport.service_answer o
        WHERE o.expires_at <= at ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED);
    RETURN jsonb_build_object('images_deleted', expired + aged,
                              'bytes_freed', freed + more_freed,
                              'more', greatest(expired, aged) >= most);
END $$;
COMMENT ON FUNCTION imgexport.expire_images(jsonb, int) IS
    'Task: delete images, variants and services'' answers past their expires_at, and with older_than those that are older as well, of a preset where one is named. most: at a time. Errors: 22007 older_than.';
REVOKE ALL ON FUNCTION imgexport.expire_images(jsonb, int) FROM PUBLIC;

CREATE FUNCTION imgexport.clean_outputs(options jsonb, most int) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := clock_timestamp();
    age interval := imgexport.task_age(options, 'older_than', '7 days');
    deleted int;
    freed int8;
BEGIN
    WITH gone AS (
        DELETE FROM imgexport.image WHERE (batch_id, job_id, image_id) IN (
            SELECT batch_id, job_id, image_id FROM imgexport.image WHERE created_at <= at - age
            ORDER BY created_at LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING bytes)
    SELECT count(*), coalesce(sum(bytes), 0) INTO deleted, freed FROM gone;
    RETURN jsonb_build_object('output_files_deleted', deleted, 'bytes_freed', freed,
                              'more', deleted >= most);
END $$;
COMMENT ON FUNCTION imgexport.clean_outputs(jsonb, int) IS
    'Task: delete images that are older than older_than, default 7 days, whether or not they expire. most: at a time. Errors: 22007 older_than.';
REVOKE ALL ON FUNCTION imgexport.clean_outputs(jsonb, int) FROM PUBLIC;

CREATE FUNCTION imgexport.clean_temp(options jsonb, most int) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := clock_timestamp();
    age interval := imgexport.task_age(options, 'older_than', '1 day');
    cleaned int;
    freed int8;
BEGIN
    WITH spent AS (
        SELECT batch_id, job_id,
               coalesce(length(source), 0) + coalesce(length(base), 0) AS size
        FROM imgexport.job
        WHERE finished_at <= at - age AND state = 'completed'
          AND (source IS NOT NULL OR base IS NOT NULL)
        ORDER BY finished_at LIMIT most FOR UPDATE SKIP LOCKED), cleaned AS (
        UPDATE imgexport.job j SET source = NULL, base = NULL FROM spent
        WHERE (j.batch_id, j.job_id) = (spent.batch_id, spent.job_id)
        RETURNING spent.size)
    SELECT count(*), coalesce(sum(size), 0) INTO cleaned, freed FROM cleaned;
    RETURN jsonb_build_object('temp_files_deleted', cleaned, 'bytes_freed', freed,
                              'more', cleaned >= most);
END $$;
COMMENT ON FUNCTION imgexport.clean_temp(jsonb, int) IS
    'Task: forget the bytes that jobs came with (source, base) once they have been completed for longer than older_than, default 1 day. most: at a time. Errors: 22007 older_than.';
REVOKE ALL ON FUNCTION imgexport.clean_temp(jsonb, int) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_jobs(options jsonb, most int) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := clock_timestamp();
    completed_age interval := imgexport.task_age(options, 'completed', '1 day');
    failed_age interval := imgexport.task_age(options, 'failed', '14 days');
    emptied uuid[];
    jobs int;
    batches int;
    deliveries int;
BEGIN
    WITH gone AS (
        DELETE FROM imgexport.job WHERE (batch_id, job_id) IN (
            SELECT batch_id, job_id FROM imgexport.job j
            WHERE finished_at <= at - least(completed_age, failed_age)
              AND finished_at <= at - CASE state WHEN 'completed' THEN completed_age
                                                 ELSE failed_age END
              AND state IN ('completed', 'failed', 'cancelled')
              AND NOT EXISTS (SELECT FROM imgexport.image i
                              WHERE (i.batch_id, i.job_id) = (j.batch_id, j.job_id))
              AND NOT EXISTS (SELECT FROM imgexport.job o
                              WHERE o.batch_id = j.batch_id
                                AND o.state IN ('pending', 'processing'))
            ORDER BY finished_at LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING batch_id)
    SELECT count(*), array_agg(DISTINCT batch_id) INTO jobs, emptied FROM gone;
    DELETE FROM imgexport.delivery WHERE (batch_id, delivery_id) IN (
        SELECT batch_id, delivery_id FROM imgexport.delivery
        WHERE finished_at <= at - failed_age
        ORDER BY finished_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS deliveries = ROW_COUNT;
    -- A batch goes with the last of its jobs.
    emptied := (SELECT array_agg(b) FROM unnest(emptied) AS b
                WHERE NOT EXISTS (SELECT FROM imgexport.job j WHERE j.batch_id = b));
    DELETE FROM imgexport.product WHERE batch_id = ANY (emptied);
    DELETE FROM imgexport.batch WHERE batch_id = ANY (emptied);
    GET DIAGNOSTICS batches = ROW_COUNT;
    DELETE FROM imgexport.job_key k WHERE batch_id = ANY (emptied);
    DELETE FROM imgexport.batch_owner WHERE batch_id = ANY (emptied);
    RETURN jsonb_build_object('jobs_deleted', jobs, 'batches_deleted', batches,
                              'deliveries_deleted', deliveries,
                              'more', greatest(jobs, deliveries) >= most);
END $$;
COMMENT ON FUNCTION imgexport.delete_jobs(jsonb, int) IS
    'Task: delete jobs that are done and have no images (any more), and batches without jobs. completed, failed: how long they are kept, default 1 day and 14 days; cancelled ones and deliveries as failed ones. most: at a time. Errors: 22007 an interval.';
REVOKE ALL ON FUNCTION imgexport.delete_jobs(jsonb, int) FROM PUBLIC;

CREATE FUNCTION imgexport.release_claims(options jsonb, most int) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := clock_timestamp();
    jobs int;
    deliveries int;
BEGIN
    -- As the worker does it; the jobs that have had their last crash are left to it.
    UPDATE imgexport.job SET state = 'pending', worker = NULL, claim = NULL, lease_until = NULL,
        crashes = least(crashes, 1000000) + 1, attempts = greatest(attempts - 1, 0)
    WHERE (batch_id, job_id) IN (
        SELECT batch_id, job_id FROM imgexport.job
        WHERE state = 'processing' AND lease_until < at
          AND crashes + 1 < imgexport.setting('max_crashes')::int
        ORDER BY lease_until LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS jobs = ROW_COUNT;
    UPDATE imgexport.delivery SET state = 'pending', worker = NULL, claim = NULL, lease_until = NULL
    WHERE (batch_id, delivery_id) IN (
        SELECT batch_id, delivery_id FROM imgexport.delivery
        WHERE state = 'processing' AND lease_until < at
        ORDER BY lease_until LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS deliveries = ROW_COUNT;
    PERFORM imgexport.wake();
    RETURN jsonb_build_object('jobs_released', jobs, 'deliveries_released', deliveries,
                              'more', greatest(jobs, deliveries) >= most);
END $$;
COMMENT ON FUNCTION imgexport.release_claims(jsonb, int) IS
    'Task: have jobs and deliveries claimed anew whose worker has not renewed its claim. most: at a time. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.release_claims(jsonb, int) FROM PUBLIC;

CREATE FUNCTION imgexport.run_task(task text, options jsonb DEFAULT '{}', most int DEFAULT 1000)
    RETURNS jsonb
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM imgexport.check_task(task, options);
    RETURN CASE task WHEN 'expire_images' THEN imgexport.expire_images(options, most)
                     WHEN 'delete_jobs' THEN imgexport.delete_jobs(options, most)
                     WHEN 'clean_temp' THEN imgexport.clean_temp(options, most)
                     WHEN 'clean_outputs' THEN imgexport.clean_outputs(options, most)
                     WHEN 'release_claims' THEN imgexport.release_claims(options, most) END;
END $$;
COMMENT ON FUNCTION imgexport.run_task(text, jsonb, int) IS
    'Run a task of a schedule now, on at most so many rows; what it freed, and whether there is more. most: default 1000. Errors: 22023 no such task or option.';
REVOKE ALL ON FUNCTION imgexport.run_task(text, jsonb, int) FROM PUBLIC;

CREATE FUNCTION imgexport.add_counts(a jsonb, b jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(key, total) FROM (
        SELECT key, sum(value::numeric) AS total
        FROM (SELECT * FROM jsonb_each_text(a) UNION ALL SELECT * FROM jsonb_each_text(b)) AS counts
        WHERE key <> 'more' GROUP BY key) AS sums
$$;
COMMENT ON FUNCTION imgexport.add_counts(jsonb, jsonb) IS
    'The sum of what two runs of a task have freed. Errors: 22P02 something that is no number.';
REVOKE ALL ON FUNCTION imgexport.add_counts(jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.cleanup(what text DEFAULT 'all', older_than interval DEFAULT NULL)
    RETURNS jsonb
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tasks text[] := CASE what WHEN 'all' THEN '{expire_images,clean_temp,clean_outputs}'
                              WHEN 'temp' THEN '{clean_temp}'
                              WHEN 'outputs' THEN '{clean_outputs}'
                              WHEN 'expired' THEN '{expire_images}' END;
    options jsonb := CASE WHEN older_than IS NULL THEN '{}'
                          ELSE jsonb_build_object('older_than', older_than) END;
    freed jsonb := '{"temp_files_deleted": 0, "output_files_deleted": 0, "bytes_freed": 0}';
    step jsonb;
    task text;
BEGIN
    IF tasks IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'what must be all, temp, outputs or expired, not ' || quote_nullable(what);
    END IF;
    FOREACH task IN ARRAY tasks LOOP
        LOOP
            step := imgexport.run_task(task, CASE WHEN what = 'all' AND task = 'expire_images'
                                                  THEN '{}' ELSE options END);
            freed := imgexport.add_counts(freed, step);
            EXIT WHEN NOT (step->>'more')::boolean;
        END LOOP;
    END LOOP;
    RETURN freed;
END $$;
COMMENT ON FUNCTION imgexport.cleanup(text, interval) IS
    'Clean up now, and say what was freed: temp_files_deleted, output_files_deleted, images_deleted (expired ones), bytes_freed. what: all, temp (the bytes that completed jobs came with), outputs (images of any age limit), expired (past their expires_at). older_than: default 1 day for temp, 7 days for outputs. Errors: 22023 what.';
REVOKE ALL ON FUNCTION imgexport.cleanup(text, interval) FROM PUBLIC;

CREATE FUNCTION imgexport.schedule(name text, cron text, task text, options jsonb DEFAULT '{}',
        time_zone text DEFAULT NULL) RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO imgexport.schedule AS s (name, cron, task, options, time_zone)
    VALUES (name, cron, task, options, time_zone)
    ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, task = excluded.task,
        options = excluded.options, time_zone = excluded.time_zone, enabled = true
    RETURNING s.next_run
$$;
COMMENT ON FUNCTION imgexport.schedule(text, text, text, jsonb, text) IS
    'Run a task by the clock, or by another one than before; when it is due first. cron, time_zone: as in imgexport.next_run. task, options: expire_images {older_than, preset}, delete_jobs {completed, failed}, clean_temp {older_than}, clean_outputs {older_than}, release_claims. Errors: 22023 any of them.';
REVOKE ALL ON FUNCTION imgexport.schedule(text, text, text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION imgexport.unschedule(name text) RETURNS boolean
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (DELETE FROM imgexport.schedule s WHERE s.name = unschedule.name
                  RETURNING s.name)
    SELECT EXISTS (SELECT FROM gone)
$$;
COMMENT ON FUNCTION imgexport.unschedule(text) IS
    'Forget a schedule; whether there was one. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.unschedule(text) FROM PUBLIC;

-- Whoever wants images to live no longer than a week enables clean-outputs: what is stored in a
-- table is not deleted unasked.
INSERT INTO imgexport.schedule (name, cron, task, options, enabled) VALUES
    ('expire-images', '*/30 * * * *', 'expire_images', '{}', true),
    ('delete-jobs', '17 * * * *', 'delete_jobs', '{"completed": "1 day", "failed": "14 days"}', true),
    ('clean-temp', '0 2 * * *', 'clean_temp', '{"older_than": "1 day"}', true),
    ('clean-outputs', '0 2 * * *', 'clean_outputs', '{"older_than": "7 days"}', false),
    ('release-claims', '@hourly', 'release_claims', '{}', true);
SELECT pg_catalog.pg_extension_config_dump('imgexport.schedule', '');
