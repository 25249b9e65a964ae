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

CREATE FUNCTION imgexport.is_preloaded() RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_is_preloaded';
COMMENT ON FUNCTION imgexport.is_preloaded() IS
    'Whether shared_preload_libraries has imgexport, without which no job is run. Errors: none.';

CREATE FUNCTION imgexport.workers(OUT database name, OUT pid int, OUT started_at timestamptz,
        OUT running int) RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 5 AS 'MODULE_PATHNAME', 'imgexport_workers';
COMMENT ON FUNCTION imgexport.workers() IS
    'The background workers of this server that live: database, process id, since when, jobs in work. Errors: none; no rows where imgexport is not preloaded.';
REVOKE ALL ON FUNCTION imgexport.workers() FROM PUBLIC;
