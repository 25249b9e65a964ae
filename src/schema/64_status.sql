-- How jobs stand.

CREATE FUNCTION imgexport.batch_status(batch_id uuid, owner name) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH job AS MATERIALIZED (
        SELECT j.job_id, j.source_url, j.state, j.attempts, j.error, j.error_code, j.warnings,
               j.timings, j.product_index, j.image_index
        FROM imgexport.job j
        WHERE j.batch_id = batch_status.batch_id
          AND (batch_status.owner IS NULL OR j.owner = batch_status.owner)),
    image AS MATERIALIZED (
        SELECT i.job_id,
               jsonb_object_agg(i.name, jsonb_strip_nulls(jsonb_build_object(
                   'imageId', i.image_id, 'format', i.format, 'width', i.width,
                   'height', i.height, 'bytes', i.bytes, 'converted', i.bytes IS NOT NULL,
                   'url', i.url))) AS outputs,
               jsonb_agg(i.url ORDER BY i.name) AS urls
        -- As imgexport.url says it, which is called where a URL is not the plain one.
        FROM (SELECT i.job_id, i.image_id, i.name, i.format, i.width, i.height, i.bytes,
                     CASE WHEN i.source_url IS NULL AND NOT s.sign AND s.public_url IS NULL
                          THEN '/static/output/' || i.image_id || '.'
                               || CASE i.format WHEN 'jpeg' THEN 'jpg' WHEN 'tiff' THEN 'tif'
                                                ELSE coalesce(i.format, 'bin') END
                          ELSE imgexport.url(i.image_id) END AS url
              FROM imgexport.image i LEFT JOIN imgexport.store s ON s.name = i.store
              WHERE i.batch_id = batch_status.batch_id
                AND (batch_status.owner IS NULL OR i.owner = batch_status.owner)) AS i
        GROUP BY i.job_id),
    product AS (
        SELECT p.product_index, p.serial_number, p.product_name,
               jsonb_agg(j.source_url ORDER BY j.image_index) AS inputs,
               coalesce(jsonb_path_query_array(jsonb_agg(i.urls ORDER BY j.image_index),
                                               '$[*][*] ? (@ != null)'), '[]') AS outputs
        FROM imgexport.product p JOIN job j USING (product_index)
             LEFT JOIN image i USING (job_id)
        WHERE p.batch_id = batch_status.batch_id
        GROUP BY p.product_index, p.serial_number, p.product_name)
    SELECT jsonb_build_object(
        'requestId', batch_status.batch_id,
        'status', CASE WHEN count(*) = 0 THEN 'COMPLETED'
                       WHEN count(*) FILTER (WHERE state = 'processing') > 0 THEN 'PROCESSING'
                       WHEN count(*) FILTER (WHERE state = 'pending') = count(*) THEN 'PENDING'
                       WHEN count(*) FILTER (WHERE state = 'pending') > 0 THEN 'PROCESSING'
                       WHEN count(*) FILTER (WHERE state = 'completed') > 0 THEN 'COMPLETED'
                       ELSE 'FAILED' END,
        'totalImages', count(*),
        'processedImages', count(*) FILTER (WHERE state = 'completed'),
        'failedImages', count(*) FILTER (WHERE state IN ('failed', 'cancelled')),
        'warnings', (SELECT coalesce(b.warnings, '[]') FROM imgexport.batch b
                     WHERE b.batch_id = batch_status.batch_id),
        'products', coalesce((SELECT jsonb_agg(jsonb_build_object(
                'serialNumber', serial_number, 'productName', product_name,
                'inputImageUrls', inputs, 'outputImageUrls', outputs) ORDER BY product_index)
            FROM product), '[]'),
        'images', coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'jobId', job_id, 'sourceUrl', source_url, 'productIndex', product_index,
            'imageIndex', image_index, 'state', state, 'attempts', attempts,
            'error', error, 'errorCode', error_code, 'warnings', warnings,
            'timings', timings, 'outputs', outputs))
            ORDER BY product_index, image_index, job_id), '[]'))
    FROM job LEFT JOIN image USING (job_id)
    HAVING count(*) > 0
        OR EXISTS (SELECT FROM imgexport.batch b WHERE b.batch_id = batch_status.batch_id)
$$;
COMMENT ON FUNCTION imgexport.batch_status(uuid, name) IS
    'What imgexport.status says of the jobs of one owner; NULL: of all that the caller may see. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.batch_status(uuid, name) FROM PUBLIC;

CREATE FUNCTION imgexport.status(batch_id uuid) RETURNS jsonb
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT imgexport.batch_status(batch_id, NULL) $$;
COMMENT ON FUNCTION imgexport.status(uuid) IS
    'How a batch stands: requestId, status (PENDING, PROCESSING, COMPLETED, or FAILED when nothing came out), totalImages, processedImages, failedImages, warnings of its intake, products (serialNumber, productName, inputImageUrls, outputImageUrls), images (jobId, sourceUrl, state, attempts, error, errorCode, warnings, timings in ms by phase, outputs). NULL for a batch that does not exist. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.status(uuid) FROM PUBLIC;

-- What a role may know of the worker and of hosts, which serve all roles: whether jobs can run, not whose.
CREATE FUNCTION imgexport.has_worker_as(caller regrole) RETURNS boolean
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM imgexport.workers() w WHERE w.database = current_database() AND w.pid IS NOT NULL)
$$;
COMMENT ON FUNCTION imgexport.has_worker_as(regrole) IS
    'What imgexport.has_worker returns to a role that calls it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.has_worker_as(regrole) FROM PUBLIC;

CREATE FUNCTION imgexport.has_worker() RETURNS boolean
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.has_worker() IS
    'Whether a worker runs in this database. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.has_worker() FROM PUBLIC;

CREATE FUNCTION imgexport.host_state_as(caller regrole, host text, OUT running int, OUT failures_in_a_row int,
        OUT breaker_open_until timestamptz)
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.running, h.failures_in_a_row, h.breaker_open_until FROM imgexport.hosts() h
    WHERE (h.database, h.host) = (current_database(), host_state_as.host)
$$;
COMMENT ON FUNCTION imgexport.host_state_as(regrole, text) IS
    'What imgexport.host_state returns to a role that calls it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.host_state_as(regrole, text) FROM PUBLIC;

CREATE FUNCTION imgexport.host_state(host text, OUT running int, OUT failures_in_a_row int,
        OUT breaker_open_until timestamptz)
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.host_state(text) IS
    'Why jobs may wait for a host: transfers that run, failures in a row, and until when its circuit breaker is open. It names no job, error or URL. NULLs for a host that was not fetched from lately. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.host_state(text) FROM PUBLIC;

CREATE FUNCTION imgexport.health_workers_as(caller regrole) RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(to_jsonb(w)), '[]') FROM imgexport.workers() w
    WHERE w.database = current_database() AND w.pid IS NOT NULL
      AND has_function_privilege(caller, 'imgexport.workers()', 'EXECUTE')
$$;
COMMENT ON FUNCTION imgexport.health_workers_as(regrole) IS
    'What imgexport.health_workers returns to a role that calls it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.health_workers_as(regrole) FROM PUBLIC;

CREATE FUNCTION imgexport.health_workers() RETURNS jsonb
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.health_workers() IS
    'The rows of imgexport.workers() for this database, to roles that may call that; to others none. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.health_workers() FROM PUBLIC;

CREATE FUNCTION imgexport.health() RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH open AS (
        SELECT count(*) AS size, count(*) FILTER (WHERE state = 'pending') AS pending,
               min(run_at) FILTER (WHERE state = 'pending' AND run_at <= now()
                                     AND NOT blocked) AS oldest
        FROM imgexport.job WHERE state IN ('pending', 'processing'))
    SELECT jsonb_build_object(
        'status', CASE WHEN NOT imgexport.setting('enabled')::boolean THEN 'disabled'
                       WHEN imgexport.is_dormant() THEN 'dormant'
                       WHEN imgexport.has_worker() THEN 'healthy'
                       ELSE 'no worker' END,
        'service', 'imgexport',
        'queue', jsonb_build_object(
            'size', open.size, 'pending', open.pending,
            'concurrency', (SELECT coalesce(sum(concurrency), 0) FROM imgexport.queue
                            WHERE NOT paused)),
        'oldest_job_age_s', round(extract(epoch FROM now() - open.oldest)),
        'last_error', (SELECT jsonb_build_object('jobId', job_id, 'error', error,
                                                 'errorCode', error_code, 'at', finished_at)
                       FROM imgexport.job WHERE state = 'failed' AND finished_at IS NOT NULL
                         AND finished_at > now() - interval '1 day'
                       ORDER BY finished_at DESC LIMIT 1),
        'workers', imgexport.health_workers())
    FROM open
$$;
COMMENT ON FUNCTION imgexport.health() IS
    'Whether jobs are run here: status (healthy, disabled, dormant, no worker), service, queue (size, pending, concurrency), oldest_job_age_s of those that are due, last_error of the last day among the jobs that the caller sees, and workers, for roles that may call imgexport.workers(). Errors: none.';
REVOKE ALL ON FUNCTION imgexport.health() FROM PUBLIC;

CREATE FUNCTION imgexport.why(job_id uuid, batch_id uuid DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    job imgexport.job;
    queue imgexport.queue;
    host record;
    ahead int;
    waits int;
BEGIN
    IF batch_id IS NULL THEN
        SELECT j.* INTO job FROM imgexport.job j WHERE j.job_id = why.job_id;
    ELSE
        SELECT j.* INTO job FROM imgexport.job j
        WHERE (j.batch_id, j.job_id) = (why.batch_id, why.job_id);
    END IF;
    IF job.job_id IS NULL THEN
        RETURN NULL;
    ELSIF job.state = 'completed' THEN
        RETURN format('completed at %s in attempt %s%s', job.finished_at, job.attempts,
                      CASE WHEN job.warnings IS NOT NULL THEN ', with warnings: '
                           || (SELECT string_agg(w, '; ')
                               FROM jsonb_array_elements_text(job.warnings) AS w) ELSE '' END);
    ELSIF job.state = 'failed' THEN
        RETURN format('failed at %s in attempt %s of %s: %s (%s)', job.finished_at, job.attempts,
                      job.max_attempts, job.error, job.error_code);
    ELSIF job.state = 'cancelled' THEN
        RETURN format('cancelled at %s', job.finished_at);
    ELSIF job.state = 'processing' THEN
        RETURN format('in work since %s, attempt %s of %s', job.started_at, job.attempts,
                      job.max_attempts);
    END IF;
    SELECT q.* INTO queue FROM imgexport.queue q WHERE q.name = job.queue;
    IF queue.name IS NULL THEN
        RETURN format('waiting: queue "%s" does not exist', job.queue);
    ELSIF NOT imgexport.is_preloaded() THEN
        RETURN 'waiting: no worker, for imgexport is not in shared_preload_libraries';
    ELSIF NOT imgexport.setting('enabled')::boolean THEN
        RETURN 'waiting: imgexport.enabled is off';
    ELSIF imgexport.is_dormant() THEN
        RETURN 'waiting: this database is dormant, as it is a copy or a dump was restored into it, until imgexport.adopt()';
    ELSIF NOT imgexport.has_worker() THEN
        RETURN 'waiting: no worker runs in this database';
    ELSIF job.blocked THEN
        RETURN format('waiting: depends on %s jobs that are not completed', (
            SELECT count(*) FROM unnest(job.depends_on) AS d(id) WHERE NOT EXISTS (
                SELECT FROM imgexport.job j
                WHERE (j.batch_id, j.job_id, j.state) = (job.batch_id, d.id, 'completed'))));
    ELSIF queue.paused THEN
        RETURN format('waiting: queue "%s" is paused', job.queue);
    ELSIF job.run_at > now() THEN
        RETURN format('waiting: %s at %s%s',
                      CASE WHEN job.attempts > 0 THEN 'retry' ELSE 'due' END, job.run_at,
                      CASE WHEN job.attempts > 0
                           THEN format(', attempt %s of %s failed: %s (%s)', job.attempts,
                                       job.max_attempts, job.error, job.error_code) ELSE '' END);
    END IF;
    SELECT h.* INTO host FROM imgexport.host_state(job.host) AS h;
    SELECT count(*) INTO waits FROM imgexport.job j
    WHERE j.state = 'processing' AND j.queue = job.queue;
    SELECT count(*) INTO ahead FROM imgexport.job j
    WHERE j.state = 'pending' AND NOT j.blocked AND j.queue = job.queue
      AND j.run_at <= now() AND (-j.priority, j.run_at) < (-job.priority, job.run_at);
    RETURN CASE
        WHEN host.breaker_open_until > now() THEN
            format('waiting: host %s has failed %s times in a row and is left alone until %s',
                   job.host, host.failures_in_a_row, host.breaker_open_until)
        WHEN waits >= queue.concurrency THEN
            format('waiting: queue "%s" runs %s jobs, its concurrency, and %s are ahead',
                   job.queue, waits, ahead)
        WHEN host.running >= queue.host_limit THEN
            format('waiting: %s jobs fetch from host %s, the limit of queue "%s"', host.running,
                   job.host, job.queue)
        WHEN queue.rate_limit IS NOT NULL THEN
            format('waiting: queue "%s" starts %s jobs in %s, and %s are ahead', job.queue,
                   queue.rate_limit, queue.rate_interval, ahead)
        ELSE format('waiting: due now, %s are ahead', ahead) END;
END $$;
COMMENT ON FUNCTION imgexport.why(uuid, uuid) IS
    'Why a job is as it is, in a sentence: what it waits for, what went wrong. batch_id: of the job, default any, which takes longer in a large table. NULL for a job that does not exist. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.why(uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.is_own_change(transaction xid) RETURNS boolean
    LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_is_own_change';
COMMENT ON FUNCTION imgexport.is_own_change(xid) IS
    'Whether it is the present transaction, or a part of it, that nobody else sees the changes of. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.is_own_change(xid) FROM PUBLIC;

-- What stays so until somebody does something about it.
CREATE FUNCTION imgexport.why_unfinished(batch_id uuid, give_up timestamptz, OUT reason text, OUT hint text)
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    job record;
BEGIN
    IF pg_is_in_recovery() THEN
        reason := 'this server is a standby, where no job runs';
        hint := 'Call it on the primary.';
    ELSIF NOT imgexport.is_preloaded() THEN
        reason := 'no worker runs, as imgexport is not preloaded';
        hint := 'Add imgexport to shared_preload_libraries and restart the server.';
    ELSIF NOT imgexport.setting('enabled')::boolean THEN
        reason := 'no worker runs, as imgexport.enabled is off';
        hint := 'Turn it on in postgresql.conf and reload the configuration.';
    ELSIF imgexport.is_dormant() THEN
        reason := 'this database is dormant, as it is a copy or a dump was restored into it';
        hint := 'CALL imgexport.adopt() declares it the original.';
    END IF;
    IF reason IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT j.job_id, j.queue, q.paused, j.run_at,
           imgexport.is_own_change(j.xmin) OR imgexport.is_own_change(j.xmax) AS is_own
    INTO job
    FROM imgexport.job j LEFT JOIN imgexport.queue q ON q.name = j.queue
    WHERE j.batch_id = batch_id AND j.state IN ('pending', 'processing')
      AND (imgexport.is_own_change(j.xmin) OR imgexport.is_own_change(j.xmax)
           OR j.state = 'pending' AND (q.paused OR j.run_at > coalesce(give_up, 'infinity')))
    ORDER BY 5 DESC, 3 DESC, j.job_id LIMIT 1;
    IF job.is_own THEN
        reason := format('job %s was submitted, changed or locked by this transaction, so that no worker can have it', job.job_id);
        hint := 'Commit first, and wait in a transaction of its own.';
    ELSIF job.paused THEN
        reason := format('queue "%s" of job %s is paused', job.queue, job.job_id);
        hint := format('SELECT imgexport.resume(%L) goes on with it.', job.queue);
    ELSIF job.job_id IS NOT NULL THEN
        reason := format('job %s is not due before %s', job.job_id, job.run_at);
        hint := 'Give wait a longer timeout.';
    END IF;
END $$;
COMMENT ON FUNCTION imgexport.why_unfinished(uuid, timestamptz) IS
    'Why an open batch cannot finish by itself before a time (NULL: ever), and what to do about it; NULL where it can. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.why_unfinished(uuid, timestamptz) FROM PUBLIC;

CREATE PROCEDURE imgexport.wait(batch_id uuid, timeout interval DEFAULT '1 hour')
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    give_up timestamptz := clock_timestamp() + timeout;
    -- A worker that ended is soon started again.
    missed_since timestamptz;
    told int := -1;
    total int;
    done int;
    failed int;
    obstacle record;
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
        IF total = 0 AND NOT EXISTS (SELECT FROM imgexport.batch b WHERE b.batch_id = batch_id) THEN
            RAISE undefined_object USING
                MESSAGE = format('batch %s does not exist', coalesce(batch_id::text, 'NULL')),
                HINT = 'It may not be committed yet, be another role''s, or have been deleted after it was done.';
        END IF;
        IF done <> told THEN
            RAISE NOTICE '% of % done, % failed', done, total, failed;
            told := done;
        END IF;
        EXIT WHEN done = total;
        obstacle := imgexport.why_unfinished(batch_id, give_up);
        IF obstacle.reason IS NULL THEN
            missed_since := CASE WHEN NOT imgexport.has_worker() THEN coalesce(missed_since, clock_timestamp()) END;
            IF clock_timestamp() > missed_since + interval '10 seconds' THEN
                obstacle.reason := 'no worker runs in this database';
                obstacle.hint := 'See the server''s log, and max_worker_processes.';
            END IF;
        END IF;
        IF obstacle.reason IS NOT NULL THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('batch %s cannot finish: %s', batch_id, obstacle.reason),
                HINT = obstacle.hint;
        ELSIF clock_timestamp() > give_up THEN
            RAISE query_canceled USING
                MESSAGE = format('timed out: %s of %s jobs finished', done, total);
        END IF;
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
COMMENT ON PROCEDURE imgexport.wait(uuid, interval) IS
    'Wait until every job of a batch is done, failed or cancelled, with progress as NOTICEs. timeout: give up after so long, default 1 hour; NULL: never. A batch that cannot finish by itself is an error at once: it was submitted by this transaction, its queue is paused, a job is not due before the timeout, no worker runs. Errors: 57014 not done in time, 55000 it cannot finish, 42704 no such batch, 25000 in a transaction that sees no progress.';
REVOKE ALL ON PROCEDURE imgexport.wait(uuid, interval) FROM PUBLIC;

-- Numbers to watch.

CREATE VIEW imgexport.stat_job WITH (security_invoker) AS
    SELECT q.name AS queue, q.paused, q.concurrency,
           coalesce(j.due, 0) AS due, coalesce(j.scheduled, 0) AS scheduled,
           coalesce(j.blocked, 0) AS blocked, coalesce(j.retrying, 0) AS retrying,
           coalesce(j.processing, 0) AS processing, now() - j.oldest AS oldest_due
    FROM imgexport.queue q LEFT JOIN (
        SELECT queue,
               count(*) FILTER (WHERE state = 'pending' AND NOT blocked
                                  AND run_at <= now()) AS due,
               count(*) FILTER (WHERE state = 'pending' AND NOT blocked
                                  AND run_at > now()) AS scheduled,
               count(*) FILTER (WHERE state = 'pending' AND blocked) AS blocked,
               count(*) FILTER (WHERE state = 'pending' AND attempts > 0) AS retrying,
               count(*) FILTER (WHERE state = 'processing') AS processing,
               min(run_at) FILTER (WHERE state = 'pending' AND NOT blocked
                                     AND run_at <= now()) AS oldest
        FROM imgexport.job WHERE state IN ('pending', 'processing') GROUP BY queue) j
        ON j.queue = q.name;
COMMENT ON VIEW imgexport.stat_job IS
    'The open jobs of each queue: due, scheduled for later, blocked by others, waiting to be tried again, in work; and for how long the oldest has been due. Of owners who see only their own, their own.';

CREATE VIEW imgexport.stat_worker AS
    SELECT pid, started_at, running, completed, failed, retried, warned, images, image_bytes,
           fetched_bytes, fetch_ms, decode_ms, process_ms, encode_ms, store_ms, helpers_lost,
           delivered, delivery_failures
    FROM imgexport.workers() WHERE database = current_database();
COMMENT ON VIEW imgexport.stat_worker IS
    'The worker of this database, and what was done in it since the server started; columns as of imgexport.workers().';

CREATE VIEW imgexport.stat_host AS
    SELECT host, running, fetched, failed, fetched_bytes, fetch_ms, failures_in_a_row,
           breaker_open_until, last_error, last_used
    FROM imgexport.hosts() WHERE database = current_database();
COMMENT ON VIEW imgexport.stat_host IS
    'The hosts that jobs of this database have fetched from lately; columns as of imgexport.hosts().';
