-- The same numbers for Prometheus, as JSON, and as rows.

CREATE FUNCTION imgexport.metrics()
    RETURNS TABLE (name text, kind text, help text, labels jsonb, value float8)
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH w AS (SELECT * FROM imgexport.workers() WHERE database = current_database())
    SELECT 'imgexport_' || m.name, m.kind, m.help, m.labels, m.value FROM (
        SELECT 'up', 'gauge', 'Whether a worker runs in this database.', NULL::jsonb,
               count(w.pid)::float8 FROM w
        UNION ALL
        SELECT 'attempts_total', 'counter', 'Attempts at jobs, by how they ended.',
               jsonb_build_object('outcome', o.outcome), o.value
        FROM w, LATERAL (VALUES ('completed', w.completed), ('failed', w.failed), ('retried', w.retried))
             AS o(outcome, value)
        UNION ALL
        SELECT n.name, 'counter', n.help, NULL, n.value FROM w, LATERAL (VALUES
            ('jobs_warned_total', 'Jobs completed with warnings.', w.warned),
            ('images_total', 'Images stored.', w.images),
            ('image_bytes_total', 'Bytes of images stored.', w.image_bytes),
            ('fetched_bytes_total', 'Bytes fetched.', w.fetched_bytes),
            ('helpers_lost_total', 'Helper processes that ended in the middle of work.', w.helpers_lost),
            ('webhooks_delivered_total', 'Webhooks delivered.', w.delivered),
            ('webhook_failures_total', 'Attempts to deliver a webhook that failed.', w.delivery_failures))
             AS n(name, help, value)
        UNION ALL
        SELECT 'phase_seconds_total', 'counter', 'Time that jobs spent, by phase.',
               jsonb_build_object('phase', p.phase), p.ms / 1000.0
        FROM w, LATERAL (VALUES ('fetch', w.fetch_ms), ('decode', w.decode_ms), ('process', w.process_ms),
                                ('encode', w.encode_ms), ('store', w.store_ms)) AS p(phase, ms)
        UNION ALL
        SELECT 'preset_jobs_total', 'counter', 'Jobs of a preset, by how they ended.',
               jsonb_build_object('preset', p.preset, 'outcome', o.outcome), o.value
        FROM imgexport.presets() p, LATERAL (VALUES ('completed', p.completed), ('failed', p.failed)) AS o(outcome, value)
        WHERE p.database = current_database()
        UNION ALL
        SELECT 'preset_seconds_total', 'counter', 'Time that jobs of a preset were in work.',
               jsonb_build_object('preset', p.preset), p.ms / 1000.0
        FROM imgexport.presets() p WHERE p.database = current_database()
        UNION ALL
        SELECT 'service_calls_total', 'counter', 'Requests to a service, by how they ended.',
               jsonb_build_object('service', s.service, 'outcome', o.outcome), o.value
        FROM imgexport.services() s, LATERAL (VALUES ('success', s.successes), ('failure', s.failures)) AS o(outcome, value)
        WHERE s.database = current_database()
        UNION ALL
        SELECT n.name, n.kind, n.help, jsonb_build_object('service', s.service), n.value
        FROM imgexport.services() s, LATERAL (VALUES
            ('service_cached_total', 'counter', 'Answers of a service that were known.', s.cached::float8),
            ('service_seconds_total', 'counter', 'Time that requests to a service took.', s.ms / 1000.0),
            ('service_cost_total', 'counter', 'What requests to a service cost.', s.cost::float8),
            ('service_running', 'gauge', 'Requests to a service under way.', s.running::float8),
            ('service_breaker_open', 'gauge', 'Whether a service is left alone for now.',
             (coalesce(s.breaker_open_until > now(), false))::int::float8)) AS n(name, kind, help, value)
        WHERE s.database = current_database()
        UNION ALL
        SELECT 'jobs_running', 'gauge', 'Jobs in work.', NULL, w.running FROM w
        UNION ALL
        SELECT 'queue_jobs', 'gauge', 'Open jobs of a queue, by what they are at.',
               jsonb_build_object('queue', j.queue, 'state', s.state), s.value
        FROM imgexport.stat_job j, LATERAL (VALUES ('due', j.due), ('scheduled', j.scheduled),
             ('blocked', j.blocked), ('retrying', j.retrying), ('processing', j.processing)) AS s(state, value)
        UNION ALL
        SELECT 'queue_oldest_due_seconds', 'gauge', 'For how long the oldest job of a queue has been due.',
               jsonb_build_object('queue', j.queue), coalesce(extract(epoch FROM j.oldest_due), 0)
        FROM imgexport.stat_job j
        UNION ALL
        SELECT 'queue_paused', 'gauge', 'Whether a queue is paused.',
               jsonb_build_object('queue', j.queue), j.paused::int FROM imgexport.stat_job j
        UNION ALL
        SELECT 'queue_concurrency', 'gauge', 'Jobs of a queue at once at most.',
               jsonb_build_object('queue', j.queue), j.concurrency FROM imgexport.stat_job j
        UNION ALL
        SELECT 'host_breaker_open', 'gauge', 'Whether a host is left alone for now.',
               jsonb_build_object('host', h.host), (coalesce(h.breaker_open_until > now(), false))::int
        FROM imgexport.stat_host h WHERE h.failures_in_a_row > 0
        UNION ALL
        SELECT 'outbox', 'gauge', 'Webhooks and removals of objects that wait, or have failed.',
               jsonb_build_object('kind', 'webhook', 'state', d.state), d.value
        FROM (SELECT s.state, (SELECT count(*) FROM imgexport.delivery d
                               WHERE d.state = s.state AND (s.state = 'pending' OR d.finished_at > now() - interval '1 day')) AS value
              FROM (VALUES ('pending'), ('failed')) AS s(state)) AS d
        UNION ALL
        SELECT 'outbox', 'gauge', 'Webhooks and removals of objects that wait, or have failed.',
               jsonb_build_object('kind', 'removal', 'state', s.state),
               (SELECT count(*) FROM imgexport.removal r WHERE r.state = s.state AND r.run_at <= now())
        FROM (VALUES ('pending'), ('failed')) AS s(state)
    ) AS m(name, kind, help, labels, value)
$$;
COMMENT ON FUNCTION imgexport.metrics() IS
    'The numbers to watch: name, kind (counter or gauge), help, labels, value; seconds and bytes. Counters begin at 0 when the server starts. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.metrics() FROM PUBLIC;

CREATE FUNCTION imgexport.metrics_prometheus() RETURNS text
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(format(E'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n%4$s', name, help, kind, lines), '' ORDER BY name)
    FROM (SELECT name, help, kind, string_agg(name || coalesce('{' || (
              SELECT string_agg(format('%s="%s"', l.key,
                         replace(replace(replace(l.value, '\', '\\'), '"', '\"'), E'\n', '\n')), ',')
              FROM jsonb_each_text(labels) AS l) || '}', '') || ' ' || value || E'\n', '') AS lines
          FROM imgexport.metrics() GROUP BY name, help, kind) AS families
$$;
COMMENT ON FUNCTION imgexport.metrics_prometheus() IS
    'imgexport.metrics in the text format of Prometheus, version 0.0.4. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.metrics_prometheus() FROM PUBLIC;

-- What both a preset and a service are told by; seconds.
CREATE FUNCTION imgexport.metrics_of(successes int8, failures int8, ms int8) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('requests', successes + failures, 'successes', successes, 'failures', failures,
        'total_processing_time', round(ms / 1000.0, 3),
        'success_rate', round(successes::numeric / nullif(successes + failures, 0), 4),
        'avg_processing_time', round(ms / 1000.0 / nullif(successes + failures, 0), 4))
$$;
COMMENT ON FUNCTION imgexport.metrics_of(int8, int8, int8) IS
    'requests, successes, failures, total_processing_time and avg_processing_time in seconds, success_rate from 0 to 1; the last two are null where there was nothing. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.metrics_of(int8, int8, int8) FROM PUBLIC;

CREATE FUNCTION imgexport.metrics_json() RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT imgexport.metrics_of(w.completed, w.failed, w.ms) || jsonb_build_object('retries', w.retried,
        'api_calls', s.calls, 'api4ai_calls', s.api4ai_calls, 'services', s.services, 'presets', p.presets)
    FROM (SELECT coalesce(sum(completed), 0)::int8 AS completed, coalesce(sum(failed), 0)::int8 AS failed,
                 coalesce(sum(retried), 0) AS retried,
                 coalesce(sum(fetch_ms + decode_ms + process_ms + encode_ms + store_ms), 0)::int8 AS ms
          FROM imgexport.workers() WHERE database = current_database()) AS w,
         (SELECT coalesce(sum(calls), 0) AS calls,
                 coalesce(sum(calls) FILTER (WHERE service LIKE 'api4ai%'), 0) AS api4ai_calls,
                 coalesce(jsonb_object_agg(service, imgexport.metrics_of(successes, failures, ms)
                          || jsonb_build_object('cached', cached, 'cost', cost)), '{}') AS services
          FROM imgexport.services() WHERE database = current_database()) AS s,
         (SELECT coalesce(jsonb_object_agg(preset, imgexport.metrics_of(completed, failed, ms)), '{}') AS presets
          FROM imgexport.presets() WHERE database = current_database()) AS p
$$;
COMMENT ON FUNCTION imgexport.metrics_json() IS
    'Of all jobs: requests, successes, failures, total_processing_time and avg_processing_time in seconds, success_rate from 0 to 1, retries; api_calls, requests to services, and api4ai_calls, those of them whose name begins so; presets and services: the same of each by name, of services cached and cost as well. The rates are null before the first job. Since the server started. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.metrics_json() FROM PUBLIC;

CREATE VIEW imgexport.storage_usage WITH (security_invoker) AS
    SELECT i.store, date_trunc('day', i.created_at) AS day, count(*) AS images, sum(i.bytes) AS bytes
    FROM imgexport.image i WHERE i.bytes IS NOT NULL GROUP BY 1, 2;
COMMENT ON VIEW imgexport.storage_usage IS
    'Images and their bytes by store and by the day that they were made on. Of owners who see only their own, their own.';

CREATE FUNCTION imgexport.http_metrics_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN accept ~* 'application/json' THEN imgexport.http_json(200, imgexport.metrics_json())
        ELSE (200, E'Content-Type: text/plain; version=0.0.4; charset=utf-8\nCache-Control: no-store',
              convert_to(imgexport.metrics_prometheus(), 'UTF8'), NULL, NULL, NULL)::imgexport.http_answer END
$$;
COMMENT ON FUNCTION imgexport.http_metrics_as(regrole, text, text, text, text) IS
    'What imgexport.http_metrics returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_metrics_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_metrics(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_metrics(text, text, text, text) IS
    'GET /metrics: imgexport.metrics_prometheus, or imgexport.metrics_json where Accept asks for JSON. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_metrics(text, text, text, text) FROM PUBLIC;
