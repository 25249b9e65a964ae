-- What the gallery page shows.

CREATE FUNCTION imgexport.gallery_job(job imgexport.job) RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'job_id', job.job_id,
        'name', coalesce(job.metadata->>'filename', substring(job.source_url FROM '([^/?#]+)(?:[?#].*)?$'), 'image'),
        'source_url', job.source_url,
        'source', imgexport.source_path(job.batch_id, job.job_id),
        'source_bytes', job.source_bytes, 'state', job.state, 'attempts', job.attempts,
        'max_attempts', job.max_attempts, 'error', job.error, 'error_code', job.error_code,
        'warnings', job.warnings, 'timings', job.timings,
        'images', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'image_id', i.image_id, 'name', i.name, 'format', i.format, 'width', i.width,
                'height', i.height, 'bytes', i.bytes, 'url', imgexport.url(i.image_id),
                'thumbnail', CASE WHEN i.bytes IS NOT NULL
                                  THEN imgexport.variant_url(i.image_id, 'w_360,h_270,fit_inside', 'webp') END)
                ORDER BY i.name)
            FROM imgexport.image i WHERE (i.batch_id, i.job_id) = (job.batch_id, job.job_id)), '[]'))
$$;
COMMENT ON FUNCTION imgexport.gallery_job(imgexport.job) IS
    'A job as the gallery shows it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.gallery_job(imgexport.job) FROM PUBLIC;

CREATE FUNCTION imgexport.gallery(batches int DEFAULT 20, jobs int DEFAULT 30) RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE latest AS (
        -- Ids sort by time: the last batches are found from the end of the key.
        (SELECT j.batch_id, 1 AS nth FROM imgexport.job j ORDER BY j.batch_id DESC LIMIT 1)
        UNION ALL
        SELECT (SELECT j.batch_id FROM imgexport.job j WHERE j.batch_id < l.batch_id
                ORDER BY j.batch_id DESC LIMIT 1), l.nth + 1
        FROM latest l WHERE l.batch_id IS NOT NULL AND l.nth < batches),
    batch AS (
        SELECT l.batch_id, l.nth, s.*, i.bytes
        FROM latest l CROSS JOIN LATERAL (
            SELECT count(*) AS total, count(*) FILTER (WHERE j.state = 'completed') AS completed,
                   count(*) FILTER (WHERE j.state IN ('failed', 'cancelled')) AS failed,
                   count(*) FILTER (WHERE j.warnings IS NOT NULL) AS warned,
                   count(*) FILTER (WHERE j.state = 'pending') AS pending,
                   min(j.created_at) AS created_at, max(j.finished_at) AS finished_at,
                   sum(j.source_bytes) AS source_bytes
            FROM imgexport.job j WHERE j.batch_id = l.batch_id) AS s
        CROSS JOIN LATERAL (SELECT sum(i.bytes) AS bytes FROM imgexport.image i
                            WHERE i.batch_id = l.batch_id) AS i
        WHERE l.batch_id IS NOT NULL)
    SELECT jsonb_build_object(
        'generated_at', imgexport.iso_time(now()),
        'health', imgexport.health(),
        'queues', (SELECT jsonb_agg(to_jsonb(s) - 'oldest_due' || jsonb_build_object(
                       'oldest_due_s', round(extract(epoch FROM s.oldest_due))) ORDER BY s.queue)
                   FROM imgexport.stat_job s),
        'totals', (SELECT jsonb_build_object('batches', count(*), 'jobs', coalesce(sum(b.total), 0),
                       'images', (SELECT count(*) FROM imgexport.image i JOIN batch b USING (batch_id)),
                       'source_bytes', coalesce(sum(b.source_bytes), 0), 'bytes', coalesce(sum(b.bytes), 0))
                   FROM batch b),
        'batches', coalesce((SELECT jsonb_agg(jsonb_build_object(
            'batch_id', b.batch_id,
            'state', CASE WHEN b.completed + b.failed = b.total
                          THEN CASE WHEN b.completed > 0 THEN 'COMPLETED' ELSE 'FAILED' END
                          WHEN b.pending = b.total THEN 'PENDING' ELSE 'PROCESSING' END,
            'total', b.total, 'completed', b.completed, 'failed', b.failed, 'warned', b.warned,
            'created_at', imgexport.iso_time(b.created_at),
            'finished_at', CASE WHEN b.completed + b.failed = b.total THEN imgexport.iso_time(b.finished_at) END,
            'source_bytes', b.source_bytes, 'bytes', b.bytes,
            'jobs', (SELECT jsonb_agg(imgexport.gallery_job(j) ORDER BY j.image_index, j.job_id)
                     FROM (SELECT j.* FROM imgexport.job j WHERE j.batch_id = b.batch_id
                           ORDER BY j.state <> 'failed', j.image_index, j.job_id LIMIT jobs) AS j)) ORDER BY b.nth)
            FROM batch b), '[]'))
$$;
COMMENT ON FUNCTION imgexport.gallery(int, int) IS
    'What the gallery page shows: health, queues, totals, and the last batches with their jobs and images. batches, jobs: at most so many, default 20, with 30 jobs of each, the failed ones first. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.gallery(int, int) FROM PUBLIC;

CREATE FUNCTION imgexport.http_gallery_as(caller regrole, path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    body jsonb := imgexport.gallery();
    etag text := format('"%s"', md5((body - 'generated_at')::text));
BEGIN
    IF imgexport.http_has_etag(etags, etag) THEN
        RETURN (304, 'ETag: ' || etag || E'\nCache-Control: no-cache', NULL, octet_length(body::text), NULL, NULL)::imgexport.http_answer;
    END IF;
    RETURN (200, E'Content-Type: application/json\nCache-Control: no-cache\nETag: ' || etag,
            convert_to(body::text, 'UTF8'), NULL, NULL, NULL)::imgexport.http_answer;
END $$;
COMMENT ON FUNCTION imgexport.http_gallery_as(regrole, text, text, text, text) IS
    'What imgexport.http_gallery returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_gallery_as(regrole, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_gallery(path text, query text, accept text, etags text)
    RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_gallery(text, text, text, text) IS
    'GET /api/gallery: what imgexport.gallery says. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_gallery(text, text, text, text) FROM PUBLIC;
