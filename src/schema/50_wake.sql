-- Waking the worker.  Losing a wake-up costs time and no job.

CREATE FUNCTION imgexport.wake() RETURNS void
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_wake';
COMMENT ON FUNCTION imgexport.wake() IS
    'Have this database''s worker look for work when the transaction commits. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.wake() FROM PUBLIC;

CREATE FUNCTION imgexport.wake_on_change() RETURNS trigger
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_wake_on_change';
COMMENT ON FUNCTION imgexport.wake_on_change() IS
    'Trigger: the same, after a statement that may have made work. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.wake_on_change() FROM PUBLIC;

CREATE TRIGGER wake AFTER INSERT ON imgexport.job
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.wake_on_change();
CREATE TRIGGER wake AFTER INSERT OR UPDATE ON imgexport.queue
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.wake_on_change();
CREATE TRIGGER wake AFTER INSERT OR UPDATE ON imgexport.schedule
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.wake_on_change();

-- Where triggers do not fire, in a session that plays a replica or for a row that a subscription
-- brings, these do; the latter fires none for statements.
CREATE TRIGGER wake_replica AFTER INSERT ON imgexport.job
    FOR EACH ROW EXECUTE FUNCTION imgexport.wake_on_change();
CREATE TRIGGER wake_replica AFTER INSERT OR UPDATE ON imgexport.queue
    FOR EACH ROW EXECUTE FUNCTION imgexport.wake_on_change();
CREATE TRIGGER wake_replica AFTER INSERT OR UPDATE ON imgexport.schedule
    FOR EACH ROW EXECUTE FUNCTION imgexport.wake_on_change();
ALTER TABLE imgexport.job ENABLE REPLICA TRIGGER wake_replica;
ALTER TABLE imgexport.queue ENABLE REPLICA TRIGGER wake_replica;
ALTER TABLE imgexport.schedule ENABLE REPLICA TRIGGER wake_replica;

CREATE FUNCTION imgexport.recheck_claims() RETURNS void
    LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'imgexport_recheck_claims';
COMMENT ON FUNCTION imgexport.recheck_claims() IS
    'Have the worker drop, once this transaction has committed, what it works on and has no claim to any more. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.recheck_claims() FROM PUBLIC;

CREATE FUNCTION imgexport.is_preloaded() RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_is_preloaded';
COMMENT ON FUNCTION imgexport.is_preloaded() IS
    'Whether shared_preload_libraries has imgexport, without which no job is run. Errors: none.';

CREATE FUNCTION imgexport.workers(OUT database name, OUT pid int, OUT started_at timestamptz,
        OUT running int, OUT completed int8, OUT failed int8, OUT retried int8, OUT warned int8,
        OUT images int8, OUT image_bytes int8, OUT fetched_bytes int8, OUT fetch_ms int8,
        OUT decode_ms int8, OUT process_ms int8, OUT encode_ms int8, OUT store_ms int8,
        OUT helpers_lost int8, OUT delivered int8, OUT delivery_failures int8)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 5 AS 'MODULE_PATHNAME', 'imgexport_workers';
COMMENT ON FUNCTION imgexport.workers() IS
    'The databases of this server that jobs are run in: their worker (pid and started_at are NULL while none lives), jobs in work, and what was done since the server started: attempts by their end, images and their bytes, milliseconds by phase, helper processes that ended in the middle of work, webhooks delivered and failed attempts of that. Errors: none; no rows where imgexport is not preloaded.';
REVOKE ALL ON FUNCTION imgexport.workers() FROM PUBLIC;

CREATE FUNCTION imgexport.hosts(OUT database name, OUT host text, OUT running int,
        OUT fetched int8, OUT failed int8, OUT fetched_bytes int8, OUT fetch_ms int8,
        OUT failures_in_a_row int, OUT breaker_open_until timestamptz, OUT last_error text,
        OUT last_used timestamptz) RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 20 AS 'MODULE_PATHNAME', 'imgexport_hosts';
COMMENT ON FUNCTION imgexport.hosts() IS
    'The hosts that jobs have fetched from lately, the 1024 last used ones: transfers under way, done and failed, bytes, milliseconds; and whether the circuit breaker keeps jobs from it, until when, after which error. Errors: none; no rows where imgexport is not preloaded.';
REVOKE ALL ON FUNCTION imgexport.hosts() FROM PUBLIC;

CREATE FUNCTION imgexport.presets(OUT database name, OUT preset text, OUT completed int8,
        OUT failed int8, OUT ms int8) RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'imgexport_presets';
COMMENT ON FUNCTION imgexport.presets() IS
    'Jobs by preset since the server started, of 128 presets: completed, failed, milliseconds in work. Errors: none; no rows where imgexport is not preloaded.';
REVOKE ALL ON FUNCTION imgexport.presets() FROM PUBLIC;

CREATE TRIGGER remove_object AFTER DELETE ON imgexport.image
    FOR EACH ROW WHEN (OLD.key IS NOT NULL) EXECUTE FUNCTION imgexport.remove_object();
CREATE TRIGGER remove_objects BEFORE TRUNCATE ON imgexport.image
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.remove_object();
