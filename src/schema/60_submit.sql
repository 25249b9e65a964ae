-- Handing in jobs.

-- A second job with the key of one that is open is not inserted.
CREATE FUNCTION imgexport.hold_key_as(caller regrole, owner name, unique_key text, batch_id uuid,
        job_id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    held imgexport.job_key;
BEGIN
    -- Its row is going to be refused: nobody else's key is touched for it.
    IF NOT imgexport.may_see(caller, owner) THEN
        RETURN true;
    END IF;
    INSERT INTO imgexport.job_key AS k (owner, unique_key, batch_id, job_id)
    VALUES (owner, unique_key, batch_id, job_id)
    ON CONFLICT ON CONSTRAINT job_key_pkey DO UPDATE SET owner = k.owner
    RETURNING k.* INTO held;
    -- From here on the key is locked; this statement sees whatever its holder has committed.
    IF held.job_id <> job_id THEN
        IF EXISTS (SELECT FROM imgexport.job j
                   WHERE (j.batch_id, j.job_id) = (held.batch_id, held.job_id)
                     AND j.state IN ('pending', 'processing')) THEN
            RETURN false;
        END IF;
        UPDATE imgexport.job_key k SET batch_id = batch_id, job_id = job_id
        WHERE (k.owner, k.unique_key) = (owner, unique_key);
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgexport.hold_key_as(regrole, name, text, uuid, uuid) IS
    'What imgexport.hold_key does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.hold_key_as(regrole, name, text, uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.hold_key(owner name, unique_key text, batch_id uuid, job_id uuid) RETURNS boolean
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.hold_key(name, text, uuid, uuid) IS
    'Whether a job may have a key: no other open job of the owner has it. It has it then. Errors: 40001 two at once in REPEATABLE READ.';
REVOKE ALL ON FUNCTION imgexport.hold_key(name, text, uuid, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.claim_key() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN imgexport.hold_key(NEW.owner, NEW.unique_key, NEW.batch_id, NEW.job_id) THEN NEW END;
END $$;
COMMENT ON FUNCTION imgexport.claim_key() IS
    'Trigger: leaves out a job whose unique_key an open job of the same owner has. Errors: 40001 two at once in REPEATABLE READ.';
REVOKE ALL ON FUNCTION imgexport.claim_key() FROM PUBLIC;
-- A dump has the keys of its jobs, as they were.
CREATE TRIGGER claim_key BEFORE INSERT ON imgexport.job
    FOR EACH ROW WHEN (NEW.unique_key IS NOT NULL AND NEW.state IN ('pending', 'processing')
                       AND NOT imgexport.is_restoring())
    EXECUTE FUNCTION imgexport.claim_key();

CREATE FUNCTION imgexport.check_submission(preset text, queue text, store text DEFAULT NULL,
        on_error text DEFAULT 'fail') RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    lost text := (SELECT wanted FROM unnest(ARRAY[preset, substring(on_error FROM '^preset:(.+)$')]) AS wanted
        WHERE NOT EXISTS (SELECT FROM imgexport.preset p WHERE p.name = wanted) AND wanted IS NOT NULL LIMIT 1);
BEGIN
    IF lost IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('preset "%s" does not exist', lost),
            HINT = 'The table imgexport.preset lists those that do.';
    END IF;
    IF NOT EXISTS (SELECT FROM imgexport.queue q WHERE q.name = queue) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('queue "%s" does not exist', queue),
            HINT = 'The table imgexport.queue lists those that do.';
    END IF;
    IF store IS NOT NULL AND NOT EXISTS (SELECT FROM imgexport.store s WHERE s.name = store) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('store "%s" does not exist', store),
            HINT = 'The table imgexport.store lists those that do.';
    END IF;
    IF NOT imgexport.is_preloaded() THEN
        RAISE WARNING USING
            MESSAGE = 'no worker will run this job',
            HINT = 'Add imgexport to shared_preload_libraries and restart the server.';
    ELSIF NOT imgexport.setting('enabled')::boolean THEN
        RAISE WARNING USING
            MESSAGE = 'no worker runs this job now',
            HINT = 'imgexport.enabled is off.';
    ELSIF imgexport.is_dormant() THEN
        RAISE WARNING USING
            MESSAGE = 'no worker runs this job now: this database is dormant',
            HINT = 'It is a copy, or a dump was restored into it. CALL imgexport.adopt() declares it the original.';
    END IF;
END $$;
COMMENT ON FUNCTION imgexport.check_submission(text, text, text, text) IS
    'Raise what is wrong with a preset, queue, store or the preset of an on_error, and warn where no worker runs. Errors: 22023.';
REVOKE ALL ON FUNCTION imgexport.check_submission(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.submit(source_url text DEFAULT NULL, source bytea DEFAULT NULL,
        recipe jsonb DEFAULT NULL, outputs jsonb DEFAULT NULL, preset text DEFAULT NULL,
        base_url text DEFAULT NULL, base bytea DEFAULT NULL, queue text DEFAULT 'default',
        priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, max_attempts int DEFAULT 5,
        expires_in interval DEFAULT NULL, notify boolean DEFAULT false,
        metadata jsonb DEFAULT NULL, urls text[] DEFAULT NULL, webhook_url text DEFAULT NULL,
        on_error text DEFAULT 'fail', deadline timestamptz DEFAULT NULL,
        unique_key text DEFAULT NULL, store text DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch uuid := imgexport.new_id();
    sources text[] := coalesce(urls, ARRAY[source_url]);
    inserted int;
BEGIN
    IF num_nonnulls(source_url, source, urls) <> 1 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a submission needs exactly one of source_url, source and urls';
    ELSIF unique_key IS NOT NULL AND urls IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'unique_key is the key of one job, and urls are several';
    END IF;
    PERFORM imgexport.check_submission(preset, queue, store, on_error);
    PERFORM imgexport.validate_recipe(recipe), imgexport.validate_outputs(outputs);
    INSERT INTO imgexport.job (batch_id, source_url, source, recipe, outputs, preset, base_url,
                               base, queue, priority, run_at, max_attempts, expires_in, notify,
                               metadata, on_error, deadline, unique_key, store)
    SELECT batch, url, source, recipe, outputs, preset, base_url, base, queue, priority,
           coalesce(run_at, now()), max_attempts, expires_in, notify, metadata, on_error,
           deadline, unique_key, store
    FROM unnest(sources) AS url;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    IF inserted = 0 AND unique_key IS NOT NULL THEN
        RETURN (SELECT k.batch_id FROM imgexport.job_key k
                WHERE (k.owner, k.unique_key) = (imgexport.current_owner(), unique_key));
    END IF;
    INSERT INTO imgexport.batch (batch_id, total, webhook_url, metadata, finished_at)
    VALUES (batch, inserted, webhook_url, metadata, CASE WHEN inserted = 0 THEN now() END);
    RETURN batch;
END $$;
COMMENT ON FUNCTION imgexport.submit(text, bytea, jsonb, jsonb, text, text, bytea, text, int,
        timestamptz, int, interval, boolean, jsonb, text[], text, text, timestamptz, text, text) IS
    'Hand in one job, or one for each of urls, as a batch; returns its id. One of source_url, source and urls: http or https, or an image. recipe, outputs: as in img_apply and img_export. preset: what these leave out is taken from it. base_url, base: an image that is laid under (img_composite). queue: default ''default''. priority: higher ones first, default 0. run_at: not before, default now. max_attempts: 1 to 100, default 5. expires_in: outputs are deleted after so long, default never. notify: NOTIFY imgexport.notify_channel() when done, default false. metadata: goes with the outputs. webhook_url: who is told when all are done. on_error: what a job that cannot be done comes to: fail (default), skip, keep_original, store_url, or preset:NAME, what that preset makes of the source. deadline: not after, default never. unique_key: while a job of the caller with this key is open, its batch is returned and nothing is inserted. store: where outputs are kept, default the preset''s, or the table. Errors: 22023 an argument, 23514 a URL; a WARNING where no worker runs.';
REVOKE ALL ON FUNCTION imgexport.submit(text, bytea, jsonb, jsonb, text, text, bytea, text, int,
        timestamptz, int, interval, boolean, jsonb, text[], text, text, timestamptz, text, text)
    FROM PUBLIC;

CREATE FUNCTION imgexport.submit_batch(items jsonb, preset text DEFAULT NULL,
        recipe jsonb DEFAULT NULL, outputs jsonb DEFAULT NULL, queue text DEFAULT 'batch',
        webhook_url text DEFAULT NULL, on_error text DEFAULT 'fail',
        metadata jsonb DEFAULT NULL) RETURNS uuid
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch uuid := imgexport.new_id();
    known text[] := '{name,source_url,base_url,recipe,outputs,preset,priority,run_at,deadline,
                      max_attempts,expires_in,notify,metadata,on_error,depends_on,milestone,
                      unique_key,webhook_url,store}';
    wrong text;
    inserted int;
BEGIN
    IF jsonb_typeof(items) IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'items must be a JSON array of objects',
            HINT = '[{"source_url": "https://example.com/a.jpg"}] is one of one.';
    END IF;
    SELECT format('item %s is not an object', nth) INTO wrong
    FROM jsonb_array_elements(items) WITH ORDINALITY AS i(item, nth)
    WHERE jsonb_typeof(item) <> 'object' LIMIT 1;
    IF wrong IS NULL THEN
        SELECT format('item %s has no setting "%s"', nth, key) INTO wrong
        FROM jsonb_array_elements(items) WITH ORDINALITY AS i(item, nth),
             jsonb_object_keys(item) AS key
        WHERE key <> ALL (known) LIMIT 1;
    END IF;
    IF wrong IS NULL THEN
        SELECT format('item %s depends on "%s", which no item before it is named', nth, dependency)
        INTO wrong
        FROM jsonb_array_elements(items) WITH ORDINALITY AS i(item, nth),
             jsonb_array_elements_text(nullif(item->'depends_on', 'null')) AS dependency
        WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(items) WITH ORDINALITY AS o(other, at)
                          WHERE at < nth AND other->>'name' = dependency) LIMIT 1;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = wrong;
    END IF;
    PERFORM imgexport.check_submission(coalesce(item->>'preset', preset), queue, item->>'store',
                                       coalesce(item->>'on_error', on_error))
    FROM (SELECT DISTINCT ON (i->>'preset', i->>'store', i->>'on_error') i AS item
          FROM jsonb_array_elements(items) AS i) AS d;
    PERFORM imgexport.validate_recipe(recipe), imgexport.validate_outputs(outputs);
    PERFORM imgexport.validate_recipe(nullif(item->'recipe', 'null')),
            imgexport.validate_outputs(nullif(item->'outputs', 'null'))
    FROM jsonb_array_elements(items) AS item;
    WITH item AS MATERIALIZED (
        SELECT imgexport.new_id() AS job_id, nth, i.item
        FROM jsonb_array_elements(items) WITH ORDINALITY AS i(item, nth)),
    typed AS (
        SELECT item.job_id, item.nth, item.item AS raw, t.*
        FROM item, jsonb_to_record(item.item) AS t(
            name text, source_url text, base_url text, recipe jsonb, outputs jsonb, preset text,
            priority int, run_at timestamptz, deadline timestamptz, max_attempts int,
            expires_in interval, notify boolean, metadata jsonb, on_error text,
            depends_on text[], milestone boolean, unique_key text, webhook_url text, store text))
    INSERT INTO imgexport.job (batch_id, job_id, source_url, base_url, recipe, outputs, preset,
        queue, priority, run_at, deadline, max_attempts, expires_in, notify, metadata, on_error,
        depends_on, milestone, unique_key, webhook_url, store)
    SELECT batch, t.job_id, t.source_url, t.base_url, coalesce(t.recipe, recipe),
           coalesce(t.outputs, outputs), coalesce(t.preset, preset), queue,
           coalesce(t.priority, 0), coalesce(t.run_at, now()), t.deadline,
           coalesce(t.max_attempts, 5), t.expires_in, coalesce(t.notify, false),
           coalesce(t.metadata, metadata), coalesce(t.on_error, on_error),
           (SELECT nullif(array_agg(o.job_id), '{}') FROM typed o
            WHERE o.name = ANY (t.depends_on)),
           coalesce(t.milestone, false), t.unique_key, t.webhook_url, t.store
    FROM typed t ORDER BY t.nth;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    INSERT INTO imgexport.batch (batch_id, total, webhook_url, metadata, finished_at)
    VALUES (batch, inserted, webhook_url, metadata, CASE WHEN inserted = 0 THEN now() END);
    RETURN batch;
END $$;
COMMENT ON FUNCTION imgexport.submit_batch(jsonb, text, jsonb, jsonb, text, text, text, jsonb) IS
    'Hand in a job for each item, as a batch; returns its id. An item is an object of name, source_url, base_url, recipe, outputs, preset, priority, run_at, deadline, max_attempts, expires_in, notify, metadata, on_error, unique_key, webhook_url, store, each as in imgexport.submit; depends_on, names of items before it, which have to be completed first; milestone, true for one without an image. The other arguments hold for items that do not say otherwise. queue: default ''batch''. Errors: 22023 an item or argument, 23514 a URL.';
REVOKE ALL ON FUNCTION imgexport.submit_batch(jsonb, text, jsonb, jsonb, text, text, text, jsonb)
    FROM PUBLIC;
