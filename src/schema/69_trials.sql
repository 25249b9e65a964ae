-- A new preset on a part of the traffic, and how each of them does.

CREATE FUNCTION imgexport.pick_preset(shares jsonb, key text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    total numeric;
    point numeric;
    share record;
BEGIN
    SELECT sum(s.value::numeric) INTO total FROM jsonb_each_text(shares) AS s;
    IF coalesce(total, 0) <= 0 OR EXISTS (SELECT FROM jsonb_each_text(shares) AS s WHERE s.value::numeric < 0) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'shares must be presets with numbers that are not negative',
            HINT = '{"product": 90, "product-new": 10} gives one of ten to the new one.';
    END IF;
    -- As wide as its 32 bits are: from 0 to less than the total.
    point := (hashtextextended(key, 0) & 4294967295) * total / 4294967296;
    FOR share IN SELECT s.key AS preset, s.value::numeric AS size FROM jsonb_each_text(shares) AS s ORDER BY s.key LOOP
        IF point < share.size THEN
            RETURN share.preset;
        END IF;
        point := point - share.size;
    END LOOP;
    RETURN share.preset;
END $$;
COMMENT ON FUNCTION imgexport.pick_preset(jsonb, text) IS
    'One of several presets, the same for the same key. shares: presets with their parts of all, which need not sum up to 100. Errors: 22023 shares.';
REVOKE ALL ON FUNCTION imgexport.pick_preset(jsonb, text) FROM PUBLIC;

CREATE FUNCTION imgexport.preset_stats(since interval DEFAULT '1 day', OUT preset text, OUT jobs int8,
        OUT failed int8, OUT warned int8, OUT p50_ms int, OUT p95_ms int, OUT avg_bytes int8)
    RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT j.preset, count(*), count(*) FILTER (WHERE j.state = 'failed'), count(*) FILTER (WHERE j.warnings IS NOT NULL),
           round(percentile_cont(0.5) WITHIN GROUP (ORDER BY (j.timings->>'total')::float8))::int,
           round(percentile_cont(0.95) WITHIN GROUP (ORDER BY (j.timings->>'total')::float8))::int,
           avg((SELECT sum(i.bytes) FROM imgexport.image i WHERE (i.batch_id, i.job_id) = (j.batch_id, j.job_id)))::int8
    FROM imgexport.job j
    WHERE j.finished_at > now() - since AND j.state IN ('completed', 'failed') AND j.preset IS NOT NULL
    GROUP BY j.preset ORDER BY j.preset
$$;
COMMENT ON FUNCTION imgexport.preset_stats(interval) IS
    'How presets do, by the jobs that the caller sees and that finished within since, default a day: how many, failed, completed with warnings, the median and the 95th percentile of their time in milliseconds, and the bytes of a job''s outputs on average. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.preset_stats(interval) FROM PUBLIC;
