-- Steering what was handed in.

CREATE FUNCTION imgexport.retry_as(caller regrole, batch_id uuid, job_id uuid) RETURNS int
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    again int;
    at timestamptz := now();
    owner name := imgexport.owner_of(caller);
    all_rows boolean := imgexport.sees_all(caller);
    ids uuid[];
    keyed record;
    taken text;
BEGIN
    ids := ARRAY(
        SELECT j.job_id FROM imgexport.job j
        WHERE j.batch_id = batch_id AND j.state IN ('failed', 'cancelled') AND j.unique_key IS NULL
          AND (job_id IS NULL OR j.job_id = job_id) AND (all_rows OR j.owner = owner));
    -- Of several with one key the first is tried again.
    FOR keyed IN
        SELECT j.batch_id, j.job_id, j.owner, j.unique_key FROM imgexport.job j
        WHERE j.batch_id = batch_id AND j.state IN ('failed', 'cancelled') AND j.unique_key IS NOT NULL
          AND (job_id IS NULL OR j.job_id = job_id) AND (all_rows OR j.owner = owner)
        ORDER BY j.unique_key, j.job_id
    LOOP
        IF keyed.unique_key IS DISTINCT FROM taken
           AND imgexport.hold_key_as(caller, keyed.owner, keyed.unique_key, keyed.batch_id, keyed.job_id) THEN
            ids := ids || keyed.job_id;
            taken := keyed.unique_key;
        ELSE
            RAISE NOTICE 'job % is not retried: another job with its unique_key is open', keyed.job_id;
        END IF;
    END LOOP;
    UPDATE imgexport.job j
    SET state = 'pending', run_at = at, attempts = 0, crashes = 0, finished_at = NULL, deadline = NULL,
        dependencies_done = 0, waits_for = NULL
    WHERE j.batch_id = batch_id AND j.state IN ('failed', 'cancelled') AND j.job_id = ANY (ids);
    GET DIAGNOSTICS again = ROW_COUNT;
    UPDATE imgexport.batch b SET failed = greatest(b.failed - again, 0), finished_at = NULL
    WHERE b.batch_id = batch_id AND again > 0 AND (all_rows OR b.owner = owner);
    PERFORM imgexport.wake();
    RETURN again;
END $$;
COMMENT ON FUNCTION imgexport.retry_as(regrole, uuid, uuid) IS
    'What imgexport.retry does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.retry_as(regrole, uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.retry(batch_id uuid, job_id uuid DEFAULT NULL) RETURNS int
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.retry(uuid, uuid) IS
    'Try the failed and cancelled jobs of a batch again, or one of them, with all their attempts and without a deadline; returns how many. What a job depends on has to be completed first, as at the beginning. A job with a unique_key that an open job has by now is omitted, with a NOTICE. Errors: 40001 two at once in REPEATABLE READ.';
REVOKE ALL ON FUNCTION imgexport.retry(uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.cancel_as(caller regrole, batch_id uuid, job_id uuid) RETURNS int
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ended int;
    at timestamptz := now();
    owner name := imgexport.owner_of(caller);
    all_rows boolean := imgexport.sees_all(caller);
BEGIN
    UPDATE imgexport.job j
    SET state = 'cancelled', finished_at = at, worker = NULL, lease_until = NULL
    WHERE j.batch_id = batch_id AND j.state IN ('pending', 'processing')
      AND (job_id IS NULL OR j.job_id = job_id) AND (all_rows OR j.owner = owner);
    GET DIAGNOSTICS ended = ROW_COUNT;
    WITH counted AS (
        UPDATE imgexport.batch b
        SET failed = b.failed + ended,
            finished_at = CASE WHEN b.completed + b.failed + ended >= b.total THEN at END
        WHERE b.batch_id = batch_id AND ended > 0 AND (all_rows OR b.owner = owner)
        RETURNING b.batch_id, b.owner, b.webhook_url, b.finished_at)
    INSERT INTO imgexport.delivery (batch_id, owner, url, event)
    SELECT c.batch_id, c.owner, c.webhook_url, 'batch.completed' FROM counted c
    WHERE c.webhook_url IS NOT NULL AND c.finished_at IS NOT NULL;
    PERFORM imgexport.recheck_claims();
    RETURN ended;
END $$;
COMMENT ON FUNCTION imgexport.cancel_as(regrole, uuid, uuid) IS
    'What imgexport.cancel does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.cancel_as(regrole, uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.cancel(batch_id uuid, job_id uuid DEFAULT NULL) RETURNS int
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.cancel(uuid, uuid) IS
    'Cancel the jobs of a batch that are not done, or one of them; returns how many. A job in work is stopped. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.cancel(uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_job_as(caller regrole, batch_id uuid, job_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gone boolean;
BEGIN
    DELETE FROM imgexport.job j
    WHERE (j.batch_id, j.job_id) = (batch_id, job_id) AND imgexport.may_see(caller, j.owner);
    gone := FOUND;
    PERFORM imgexport.recheck_claims();
    RETURN gone;
END $$;
COMMENT ON FUNCTION imgexport.delete_job_as(regrole, uuid, uuid) IS
    'What imgexport.delete_job does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.delete_job_as(regrole, uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_job(batch_id uuid, job_id uuid) RETURNS boolean
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.delete_job(uuid, uuid) IS
    'Delete a job of the caller with its images; whether there was one. A job in work is stopped. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.delete_job(uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_batch_as(caller regrole, batch_id uuid) RETURNS int
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    owner name := imgexport.owner_of(caller);
    all_rows boolean := imgexport.sees_all(caller);
    deleted int;
BEGIN
    DELETE FROM imgexport.batch b WHERE b.batch_id = batch_id AND (all_rows OR b.owner = owner);
    DELETE FROM imgexport.product p WHERE p.batch_id = batch_id AND (all_rows OR p.owner = owner);
    DELETE FROM imgexport.delivery d WHERE d.batch_id = batch_id AND (all_rows OR d.owner = owner);
    DELETE FROM imgexport.job_key k WHERE k.batch_id = batch_id AND (all_rows OR k.owner = owner);
    DELETE FROM imgexport.batch_owner o WHERE o.batch_id = batch_id AND (all_rows OR o.owner = owner);
    DELETE FROM imgexport.job j WHERE j.batch_id = batch_id AND (all_rows OR j.owner = owner);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    PERFORM imgexport.recheck_claims();
    RETURN deleted;
END $$;
COMMENT ON FUNCTION imgexport.delete_batch_as(regrole, uuid) IS
    'What imgexport.delete_batch does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.delete_batch_as(regrole, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_batch(batch_id uuid) RETURNS int
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.delete_batch(uuid) IS
    'Delete a batch of the caller with its jobs, their images, products and webhooks that are still to be sent; returns how many jobs. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.delete_batch(uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_image_as(caller regrole, image_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM imgexport.image i WHERE i.image_id = image_id AND imgexport.may_see(caller, i.owner);
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION imgexport.delete_image_as(regrole, uuid) IS
    'What imgexport.delete_image does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.delete_image_as(regrole, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_image(image_id uuid) RETURNS boolean
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.delete_image(uuid) IS
    'Delete an image of the caller, and its object in a store; whether there was one. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.delete_image(uuid) FROM PUBLIC;

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
