-- Steering what was handed in.

CREATE FUNCTION imgexport.retry(batch_id uuid, job_id uuid DEFAULT NULL) RETURNS int
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    again int;
    at timestamptz := now();
BEGIN
    UPDATE imgexport.job j
    SET state = 'pending', run_at = at, attempts = 0, finished_at = NULL, deadline = NULL,
        dependencies_done = 0, waits_for = NULL
    WHERE j.batch_id = batch_id AND j.state IN ('failed', 'cancelled')
      AND (job_id IS NULL OR j.job_id = job_id);
    GET DIAGNOSTICS again = ROW_COUNT;
    UPDATE imgexport.batch b SET failed = greatest(b.failed - again, 0), finished_at = NULL
    WHERE b.batch_id = batch_id AND again > 0;
    PERFORM imgexport.wake();
    RETURN again;
END $$;
COMMENT ON FUNCTION imgexport.retry(uuid, uuid) IS
    'Try the failed and cancelled jobs of a batch again, or one of them, with all their attempts and without a deadline; returns how many. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.retry(uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.cancel(batch_id uuid, job_id uuid DEFAULT NULL) RETURNS int
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ended int;
    at timestamptz := now();
BEGIN
    UPDATE imgexport.job j
    SET state = 'cancelled', finished_at = at, worker = NULL, lease_until = NULL
    WHERE j.batch_id = batch_id AND j.state IN ('pending', 'processing')
      AND (job_id IS NULL OR j.job_id = job_id);
    GET DIAGNOSTICS ended = ROW_COUNT;
    WITH counted AS (
        UPDATE imgexport.batch b
        SET failed = b.failed + ended,
            finished_at = CASE WHEN b.completed + b.failed + ended >= b.total THEN at END
        WHERE b.batch_id = batch_id AND ended > 0
        RETURNING b.batch_id, b.owner, b.webhook_url, b.finished_at)
    INSERT INTO imgexport.delivery (batch_id, owner, url, event)
    SELECT c.batch_id, c.owner, c.webhook_url, 'batch.completed' FROM counted c
    WHERE c.webhook_url IS NOT NULL AND c.finished_at IS NOT NULL;
    PERFORM imgexport.recheck_claims();
    RETURN ended;
END $$;
COMMENT ON FUNCTION imgexport.cancel(uuid, uuid) IS
    'Cancel the jobs of a batch that are not done, or one of them; returns how many. A job in work is stopped. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.cancel(uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.pause(queue text) RETURNS boolean
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH changed AS (UPDATE imgexport.queue q SET paused = true
                     WHERE q.name = pause.queue AND NOT q.paused RETURNING q.name)
    SELECT EXISTS (SELECT FROM changed)
$$;
COMMENT ON FUNCTION imgexport.pause(text) IS
    'Start no more jobs of a queue; those in work are finished. Whether it was not paused before. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.pause(text) FROM PUBLIC;

CREATE FUNCTION imgexport.resume(queue text) RETURNS boolean
    LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH changed AS (UPDATE imgexport.queue q SET paused = false
                     WHERE q.name = resume.queue AND q.paused RETURNING q.name)
    SELECT EXISTS (SELECT FROM changed)
$$;
COMMENT ON FUNCTION imgexport.resume(text) IS
    'Go on with a queue. Whether it was paused before. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.resume(text) FROM PUBLIC;
