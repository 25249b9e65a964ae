-- Jobs that are deleted before they ended leave their batch, which then waits for the others alone.

CREATE FUNCTION imgexport.leave_batch() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := now();
BEGIN
    WITH gone AS MATERIALIZED (
        SELECT d.batch_id, d.owner, count(*)::int AS jobs FROM deleted AS d
        WHERE d.state IN ('pending', 'processing') GROUP BY d.batch_id, d.owner),
    counted AS (
        UPDATE imgexport.batch b
        SET total = greatest(b.total - g.jobs, 0),
            finished_at = CASE WHEN b.completed + b.failed >= b.total - g.jobs THEN at END
        FROM gone g
        WHERE b.batch_id = g.batch_id AND b.owner = g.owner AND b.finished_at IS NULL
        RETURNING b.batch_id, b.owner, b.webhook_url, b.finished_at)
    INSERT INTO imgexport.delivery (batch_id, owner, url, event)
    SELECT c.batch_id, c.owner, c.webhook_url, 'batch.completed' FROM counted c
    WHERE c.webhook_url IS NOT NULL AND c.finished_at IS NOT NULL;
    PERFORM imgexport.recheck_claims();
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.leave_batch() IS
    'Trigger: jobs that are deleted before they ended count in their batch no more, which is finished if they were the last; the worker drops what it works on. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.leave_batch() FROM PUBLIC;
CREATE TRIGGER leave_batch AFTER DELETE ON imgexport.job REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.leave_batch();

CREATE FUNCTION imgexport.empty_batches() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at timestamptz := now();
BEGIN
    WITH counted AS (
        UPDATE imgexport.batch b SET total = b.completed + b.failed, finished_at = at
        WHERE b.finished_at IS NULL
        RETURNING b.batch_id, b.owner, b.webhook_url)
    INSERT INTO imgexport.delivery (batch_id, owner, url, event)
    SELECT c.batch_id, c.owner, c.webhook_url, 'batch.completed' FROM counted c
    WHERE c.webhook_url IS NOT NULL;
    PERFORM imgexport.recheck_claims();
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.empty_batches() IS
    'Trigger: the same of all jobs at once. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.empty_batches() FROM PUBLIC;
CREATE TRIGGER empty_batches AFTER TRUNCATE ON imgexport.job
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.empty_batches();

-- What jobs name may be gone: the worker finds out at once.
CREATE TRIGGER wake_deleted AFTER DELETE ON imgexport.queue
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.wake_on_change();
