-- What is posted.  The server's role owns the jobs that come of it, and needs no table for that.

CREATE FUNCTION imgexport.give_batch(batch_id uuid, owner name) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE imgexport.job j SET owner = owner WHERE j.batch_id = batch_id;
    UPDATE imgexport.batch b SET owner = owner WHERE b.batch_id = batch_id;
    UPDATE imgexport.product p SET owner = owner WHERE p.batch_id = batch_id;
END $$;
COMMENT ON FUNCTION imgexport.give_batch(uuid, name) IS
    'Make a batch that this transaction has submitted another owner''s. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.give_batch(uuid, name) FROM PUBLIC;

CREATE FUNCTION imgexport.http_field(names text[], parts bytea[], variadic wanted text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT convert_from(parts[nth], 'UTF8') FROM unnest(names) WITH ORDINALITY AS n(name, nth)
    WHERE name = ANY (wanted) ORDER BY nth LIMIT 1
$$;
COMMENT ON FUNCTION imgexport.http_field(text[], bytea[], text[]) IS
    'The text of the first field of one of these names; NULL where there is none. Errors: 22021.';
REVOKE ALL ON FUNCTION imgexport.http_field(text[], bytea[], text[]) FROM PUBLIC;

CREATE FUNCTION imgexport.http_later(more text, ms int) RETURNS imgexport.http_answer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (202, NULL::text, NULL::bytea, NULL::int8, more, ms)::imgexport.http_answer;
END $$;
COMMENT ON FUNCTION imgexport.http_later(text, int) IS
    'The answer is not ready: ask for more in so many milliseconds. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_later(text, int) FROM PUBLIC;

-- What a service has no parameter for it is not told.
CREATE FUNCTION imgexport.variation_recipe(service text, prompt text, variation int) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own jsonb := (SELECT s.parameters FROM imgexport.service s
        WHERE s.name = service AND s.kind = 'generate' AND s.enabled);
BEGIN
    IF service IS NULL THEN
        RETURN '[]';
    ELSIF own IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no service "%s" of kind "generate"', service);
    END IF;
    RETURN jsonb_build_array(jsonb_build_object('service', jsonb_build_object('name', service, 'parameters',
        (SELECT coalesce(jsonb_object_agg(p.key, p.value), '{}')
         FROM jsonb_each(jsonb_strip_nulls(jsonb_build_object('prompt', prompt, 'variation', variation))) AS p
         WHERE own ? p.key))));
END $$;
COMMENT ON FUNCTION imgexport.variation_recipe(text, text, int) IS
    'The step by which a service of kind generate makes a variation of an image; none where service is NULL. Errors: 22023 there is no such service.';
REVOKE ALL ON FUNCTION imgexport.variation_recipe(text, text, int) FROM PUBLIC;

-- An image to be exported, as the export pipeline takes it: aspect_ratio 16:9 is cut to first.
CREATE FUNCTION imgexport.http_upload_image(owner name, image bytea, names text[], parts bytea[])
    RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    aspect text := imgexport.http_field(names, parts, 'aspect_ratio');
    script text := imgexport.http_field(names, parts, 'script');
    service text := imgexport.http_field(names, parts, 'service');
    preset text := coalesce(imgexport.http_field(names, parts, 'preset'), 'export');
    store text := imgexport.http_field(names, parts, 'store');
    variations int := coalesce(imgexport.http_field(names, parts, 'count')::int, 1);
    most int := imgexport.setting('max_variations')::int;
    batch uuid := imgexport.new_id();
BEGIN
    IF variations NOT BETWEEN 1 AND most THEN
        RETURN imgexport.http_error(400, format('count must be 1 to %s', most),
                                    'imgexport.max_variations sets the limit.');
    ELSIF variations > 1 AND service IS NULL THEN
        RETURN imgexport.http_error(400, 'count must be 1 where no service makes variations',
                                    'The field service names one of kind generate.');
    END IF;
    PERFORM imgexport.check_submission(preset, 'default', store);
    INSERT INTO imgexport.job (batch_id, source, preset, store, priority, max_attempts, image_index, recipe, metadata)
    SELECT batch, image, preset, store, 10, 2, n,
           nullif(imgexport.variation_recipe(service, script, n + 1)
                  || CASE WHEN aspect IS NOT NULL
                          THEN jsonb_build_array(jsonb_build_object('crop_to', jsonb_build_object('aspect', aspect)))
                          ELSE '[]' END, '[]'),
           jsonb_strip_nulls(jsonb_build_object('script', script, 'aspect_ratio', aspect, 'service', service,
                                                'variation', CASE WHEN service IS NOT NULL THEN n + 1 END))
    FROM generate_series(0, variations - 1) AS n;
    INSERT INTO imgexport.batch (batch_id, total) VALUES (batch, variations);
    PERFORM imgexport.give_batch(batch, owner);
    RETURN imgexport.http_later('export ' || batch, 10);
END $$;
COMMENT ON FUNCTION imgexport.http_upload_image(name, bytea, text[], bytea[]) IS
    'POST /api/upload with an image: preset, default export, store, aspect_ratio (16:9), script; service, of kind generate, makes count variations of it, by script as its prompt. Errors: 22023.';
REVOKE ALL ON FUNCTION imgexport.http_upload_image(name, bytea, text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.exports_json(batch_id uuid) RETURNS jsonb
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT jsonb_build_object('request_id', batch_id, 'variations', jsonb_agg(v.variation))
        FROM (SELECT jsonb_build_object('id', j.job_id, 'metadata', j.metadata, 'error', j.error,
                  'storage_path', imgexport.source_path(j.batch_id, j.job_id),
                  'exports', (SELECT jsonb_object_agg(i.name, jsonb_build_object('format', i.format,
                          'url', imgexport.url(i.image_id), 'file_path', i.key, 'size', i.bytes,
                          'exported_at', to_char(i.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')))
                      FROM imgexport.image i
                      WHERE (i.batch_id, i.job_id) = (j.batch_id, j.job_id))) AS variation
              FROM imgexport.job j WHERE j.batch_id = batch_id ORDER BY j.image_index, j.job_id) AS v);
END $$;
COMMENT ON FUNCTION imgexport.exports_json(uuid) IS
    'What was exported of a batch: request_id, and of each job id, metadata, error, storage_path and, by output, format, url, file_path (in its store), size in bytes and exported_at. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.exports_json(uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.http_upload_as(caller regrole, path text, query text, type text, names text[], files text[],
        parts bytea[]) RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    csv bytea := (SELECT p FROM unnest(names, files, parts) AS f(n, f, p)
                  WHERE f.f IS NOT NULL OR n IN ('csv', 'file', 'body') LIMIT 1);
    batch uuid;
BEGIN
    IF csv IS NULL THEN
        RETURN imgexport.http_error(400, 'there is no CSV and no image in the request',
            'Send it as a file of multipart/form-data, or as the body.');
    ELSIF @extschema@.img_is_image(csv) THEN
        RETURN imgexport.http_upload_image(imgexport.bind_label(caller), csv, names, parts);
    END IF;
    batch := imgexport.submit_csv(
        regexp_replace(convert_from(csv, 'UTF8'), '^\ufeff', ''),
        preset => coalesce(imgexport.http_field(names, parts, 'preset'), 'compress'),
        webhook_url => imgexport.http_field(names, parts, 'webhookUrl', 'webhook_url', 'webhook'));
    PERFORM imgexport.give_batch(batch, imgexport.bind_label(caller));
    RETURN imgexport.http_json(202, (SELECT jsonb_build_object('requestId', batch,
        'status', 'PENDING', 'totalImages', s->'totalImages', 'warnings', s->'warnings',
        'statusUrl', '/api/status/' || batch) FROM imgexport.status(batch) AS s));
EXCEPTION WHEN bad_copy_file_format OR invalid_parameter_value OR character_not_in_repertoire
               OR check_violation OR invalid_text_representation OR numeric_value_out_of_range THEN
    RETURN imgexport.http_error(400, SQLERRM);
END $$;
COMMENT ON FUNCTION imgexport.http_upload_as(regrole, text, text, text, text[], text[], bytea[]) IS
    'What imgexport.http_upload does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_upload_as(regrole, text, text, text, text[], text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.http_upload(path text, query text, type text, names text[], files text[], parts bytea[]) RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_upload(text, text, text, text[], text[], bytea[]) IS
    'POST /api/upload: a CSV with the columns Serial Number, Product Name, Input Image URLs, as a file of a form or the body; fields preset, webhookUrl. requestId, status and totalImages, with 202. Or an image, which is exported: request_id and variations, when that is done. Errors: none; 400 for what is neither.';
REVOKE ALL ON FUNCTION imgexport.http_upload(text, text, text, text[], text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.http_images(names text[], files text[], parts bytea[])
    RETURNS TABLE (filename text, image bytea)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(f.file, f.name), f.part
    FROM unnest(names, files, parts) WITH ORDINALITY AS f(name, file, part, nth)
    WHERE (f.file IS NOT NULL OR f.name IN ('image', 'images', 'file', 'body')) AND f.part <> ''
    ORDER BY f.nth
$$;
COMMENT ON FUNCTION imgexport.http_images(text[], text[], bytea[]) IS
    'The images of a form: its files, in their order. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_images(text[], text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.http_process_as(caller regrole, path text, query text, type text, names text[],
        files text[], parts bytea[]) RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch uuid := imgexport.new_id();
    preset text := coalesce(imgexport.http_field(names, parts, 'preset'), 'process');
    store text := imgexport.http_field(names, parts, 'store');
    analysis text := coalesce(imgexport.http_field(names, parts, 'analysis'),
        (SELECT min(s.name) FROM imgexport.service s WHERE s.kind = 'analysis' AND s.enabled HAVING count(*) = 1));
    total int;
BEGIN
    PERFORM imgexport.check_submission(preset, 'default', store);
    INSERT INTO imgexport.job (batch_id, source, preset, recipe, store, priority, max_attempts, image_index, metadata)
    SELECT batch, i.image, preset,
           CASE WHEN analysis <> 'none' THEN
               coalesce((SELECT p.recipe FROM imgexport.preset p WHERE p.name = preset), '[]')
               || jsonb_build_array(jsonb_build_object('service', jsonb_build_object(
                      'name', analysis, 'on_error', 'skip'))) END,
           store, 10, 2, nth - 1, jsonb_build_object('filename', i.filename)
    FROM imgexport.http_images(names, files, parts) WITH ORDINALITY AS i(filename, image, nth);
    GET DIAGNOSTICS total = ROW_COUNT;
    IF total = 0 THEN
        RETURN imgexport.http_error(400, 'there is no image in the request',
            'Send it as a file of multipart/form-data, or as the body.');
    END IF;
    INSERT INTO imgexport.batch (batch_id, total) VALUES (batch, total);
    PERFORM imgexport.give_batch(batch, imgexport.bind_label(caller));
    RETURN imgexport.http_later(CASE WHEN path ~ '/batch/?$' THEN 'batch ' ELSE 'process ' END || batch, 10);
EXCEPTION WHEN invalid_parameter_value OR character_not_in_repertoire THEN
    RETURN imgexport.http_error(400, SQLERRM);
END $$;
COMMENT ON FUNCTION imgexport.http_process_as(regrole, text, text, text, text[], text[], bytea[]) IS
    'What imgexport.http_process does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_process_as(regrole, text, text, text, text[], text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.http_process(path text, query text, type text, names text[], files text[], parts bytea[]) RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_process(text, text, text, text[], text[], bytea[]) IS
    'POST /process, /process/batch: images of a form, or one as the body, through the queue; fields preset, default process, store, and analysis: a service of that kind, default the only one there is, none for none. Answered when all are done: filename, path, metadata, ai_analysis, optimized_path, thumbnail_path, warnings of each. Errors: none; 400.';
REVOKE ALL ON FUNCTION imgexport.http_process(text, text, text, text[], text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.processed_json(batch uuid) RETURNS TABLE (nth int, result jsonb)
    LANGUAGE sql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT j.image_index, jsonb_build_object(
        'success', j.state = 'completed', 'filename', j.metadata->>'filename',
        'path', imgexport.source_path(j.batch_id, j.job_id),
        'metadata', CASE WHEN @extschema@.img_is_image(j.source)
                         THEN @extschema@.img_metadata(j.source)
                              || jsonb_build_object('filename', j.metadata->>'filename') END,
        'ai_analysis', j.metadata->'ai_analysis', 'warnings', j.warnings,
        'optimized_path', o.urls->>'optimized', 'thumbnail_path', o.urls->>'thumbnail',
        'outputs', o.urls) || CASE WHEN j.error IS NULL THEN '{}'
            ELSE jsonb_build_object('error', j.error, 'error_code', j.error_code) END
    FROM imgexport.job j LEFT JOIN LATERAL (
        SELECT jsonb_object_agg(i.name, imgexport.url(i.image_id)) AS urls FROM imgexport.image i
        WHERE (i.batch_id, i.job_id) = (j.batch_id, j.job_id)) AS o ON true
    WHERE j.batch_id = batch ORDER BY j.image_index
$$;
COMMENT ON FUNCTION imgexport.processed_json(uuid) IS
    'What became of each image of a batch that was posted. Errors: IX001 a source that is damaged where its metadata are.';
REVOKE ALL ON FUNCTION imgexport.processed_json(uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.http_again_as(caller regrole, more text) RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text := split_part(more, ' ', 1);
    batch uuid := split_part(more, ' ', 2);
    started timestamptz;
    results jsonb;
    good int;
BEGIN
    SELECT min(j.created_at) INTO started FROM imgexport.job j
    WHERE j.batch_id = batch AND imgexport.may_see(caller, j.owner);
    IF started IS NULL THEN
        RETURN imgexport.http_error(404, 'there is no such request');
    END IF;
    IF EXISTS (SELECT FROM imgexport.job j
               WHERE j.batch_id = batch AND j.state IN ('pending', 'processing')) THEN
        -- Short waits first, so that small images are not kept waiting; then seldom.
        RETURN CASE WHEN clock_timestamp() > started + interval '5 minutes'
            THEN imgexport.http_json(202, jsonb_build_object('requestId', batch, 'status', 'PROCESSING',
                                     'statusUrl', '/api/status/' || batch))
            ELSE imgexport.http_later(more, least(500, 10 + extract(epoch FROM
                clock_timestamp() - started)::int * 100)) END;
    END IF;
    IF kind = 'product' THEN
        RETURN imgexport.http_product(batch);
    ELSIF kind = 'export' THEN
        RETURN imgexport.http_json(CASE WHEN EXISTS (SELECT FROM imgexport.image i WHERE i.batch_id = batch)
                                        THEN 200 ELSE 422 END, imgexport.exports_json(batch));
    END IF;
    SELECT coalesce(jsonb_agg(p.result ORDER BY p.nth), '[]'),
           count(*) FILTER (WHERE (p.result->>'success')::boolean) INTO results, good
    FROM imgexport.processed_json(batch) AS p;
    IF kind = 'batch' THEN
        RETURN imgexport.http_json(200, jsonb_build_object('success', good > 0, 'processed', good,
            'requestId', batch, 'results', results));
    END IF;
    RETURN imgexport.http_json(CASE WHEN good = 1 THEN 200 ELSE 422 END,
                               results->0 || jsonb_build_object('requestId', batch));
END $$;
COMMENT ON FUNCTION imgexport.http_again_as(regrole, text) IS
    'What imgexport.http_again does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_again_as(regrole, text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_again(more text) RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_again(text) IS
    'An answer that was not ready before. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.http_again(text) FROM PUBLIC;

CREATE FUNCTION imgexport.http_metadata(path text, query text, type text, names text[],
        files text[], parts bytea[]) RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    results jsonb := '[]';
    image record;
    result jsonb;
    good int := 0;
BEGIN
    FOR image IN SELECT * FROM imgexport.http_images(names, files, parts) LOOP
        BEGIN
            result := @extschema@.img_metadata(image.image) || jsonb_build_object('filename', image.filename);
            good := good + 1;
        EXCEPTION WHEN SQLSTATE 'IX001' OR SQLSTATE 'IX002' OR SQLSTATE 'IX003' THEN
            result := jsonb_build_object('success', false, 'filename', image.filename,
                                         'error', SQLERRM, 'error_code', SQLSTATE);
        END;
        results := results || result;
    END LOOP;
    IF results = '[]' THEN
        RETURN imgexport.http_error(400, 'there is no image in the request');
    ELSIF path ~ '/batch/?$' THEN
        RETURN imgexport.http_json(200, jsonb_build_object('success', good > 0, 'processed', good,
                                                           'results', results));
    END IF;
    RETURN imgexport.http_json(CASE WHEN results->0 ? 'error' THEN 422 ELSE 200 END, results->0);
END $$;
COMMENT ON FUNCTION imgexport.http_metadata(text, text, text, text[], text[], bytea[]) IS
    'POST /metadata, /metadata/batch: img_metadata of images of a form, at once. Errors: none; 400, 422.';
REVOKE ALL ON FUNCTION imgexport.http_metadata(text, text, text, text[], text[], bytea[]) FROM PUBLIC;

-- The product-photo service: JSON in, and images in base64 out.

CREATE FUNCTION imgexport.http_process_image_as(caller regrole, path text, query text, type text, names text[],
        files text[], parts bytea[]) RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    request jsonb;
    image bytea;
    options jsonb;
    store text;
    batch uuid;
BEGIN
    BEGIN
        request := convert_from(parts[1], 'UTF8')::jsonb;
        image := @extschema@.img_from_data_uri(request->>'image_base64');
    EXCEPTION WHEN OTHERS THEN
        RETURN imgexport.http_error(400, 'the body must be JSON with image_base64: ' || SQLERRM);
    END;
    IF image IS NULL THEN
        RETURN imgexport.http_error(400, 'image_base64 is missing');
    END IF;
    options := coalesce(nullif(request->'options', 'null'), '{}');
    IF coalesce((request->>'upload_to_storage')::boolean, false) THEN
        store := coalesce(options->>'store', (SELECT min(s.name) FROM imgexport.store s
                                              WHERE s.kind <> 'table' HAVING count(*) = 1));
        IF store IS NULL THEN
            RETURN imgexport.http_error(400, 'upload_to_storage needs options.store',
                                        'imgexport.store lists the stores.');
        END IF;
    END IF;
    batch := imgexport.submit(source => image, preset => 'product', recipe => imgexport.product_recipe(options),
                              store => store, priority => 10, max_attempts => 2,
                              metadata => jsonb_build_object('filename', request->>'filename'));
    PERFORM imgexport.give_batch(batch, imgexport.bind_label(caller));
    RETURN imgexport.http_later('product ' || batch, 20);
EXCEPTION WHEN invalid_parameter_value OR invalid_text_representation THEN
    RETURN imgexport.http_error(400, SQLERRM);
END $$;
COMMENT ON FUNCTION imgexport.http_process_image_as(regrole, text, text, text, text[], text[], bytea[]) IS
    'What imgexport.http_process_image does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.http_process_image_as(regrole, text, text, text, text[], text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.http_process_image(path text, query text, type text, names text[], files text[], parts bytea[]) RETURNS imgexport.http_answer
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.http_process_image(text, text, text, text[], text[], bytea[]) IS
    'POST /process-image: JSON of image_base64, filename, options as in imgexport.product_recipe, store among them, upload_to_storage. The preset product: processed, grid and detail in base64, metadata, storage_urls. Errors: none; 400, 422.';
REVOKE ALL ON FUNCTION imgexport.http_process_image(text, text, text, text[], text[], bytea[]) FROM PUBLIC;

CREATE FUNCTION imgexport.http_product(batch uuid) RETURNS imgexport.http_answer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    job imgexport.job;
    images jsonb;
    urls jsonb;
    stored boolean;
    size jsonb;
BEGIN
    SELECT j.* INTO job FROM imgexport.job j WHERE j.batch_id = batch;
    IF job.state <> 'completed' THEN
        RETURN imgexport.http_error(422, job.error);
    END IF;
    SELECT jsonb_object_agg(i.name, imgexport.to_base64(imgexport.image_bytes(i.image_id))),
           jsonb_object_agg(i.name, imgexport.url(i.image_id)), bool_or(i.store <> 'table'),
           jsonb_agg(jsonb_build_array(i.width, i.height)) FILTER (WHERE i.name = 'processed')->0
    INTO images, urls, stored, size
    FROM imgexport.image i WHERE i.batch_id = batch;
    RETURN imgexport.http_json(200, imgexport.product_json(images, job.metadata->>'filename',
            (SELECT jsonb_build_array(f.width, f.height) FROM @extschema@.img_info(job.source) AS f),
            size, job.warnings)
        || jsonb_build_object('requestId', batch, 'storage_urls', CASE WHEN stored THEN urls END));
END $$;
COMMENT ON FUNCTION imgexport.http_product(uuid) IS
    'The answer of /process-image when its job is done. Errors: as imgexport.image_bytes.';
REVOKE ALL ON FUNCTION imgexport.http_product(uuid) FROM PUBLIC;
