-- The product-photo pipeline: the ground is taken out, by a service or here, the object cut
-- out with some room around it and put on a shadow, in three sizes.

CREATE FUNCTION imgexport.product_recipe(options jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known text[] := '{background,skip_background_removal,service,fallback,tolerance,holes,padding,shadow,store}';
    wrong text := (SELECT k FROM jsonb_object_keys(options) AS k WHERE k <> ALL (known) LIMIT 1);
    services text[] := ARRAY(SELECT s.name FROM imgexport.service s
                             WHERE s.kind = 'background' AND s.enabled ORDER BY s.name);
    service text := coalesce(options->>'service', CASE WHEN cardinality(services) = 1 THEN services[1] END);
    background text := coalesce(options->>'background',
        CASE WHEN (options->>'skip_background_removal')::boolean THEN 'skip'
             WHEN service IS NOT NULL OR cardinality(services) > 1 THEN 'service' ELSE 'local' END);
    here jsonb := jsonb_build_object('remove_background', jsonb_strip_nulls(jsonb_build_object(
        'tolerance', options->'tolerance', 'holes', options->'holes')));
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('a product shot has no option "%s"', wrong),
            HINT = 'Options are ' || array_to_string(known, ', ') || '.';
    ELSIF background NOT IN ('service', 'local', 'skip') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'background must be "service", "local" or "skip"';
    ELSIF coalesce(options->>'fallback', 'local') NOT IN ('local', 'skip') THEN
        RAISE invalid_parameter_value USING MESSAGE = 'fallback must be "local" or "skip"';
    ELSIF background = 'service' AND service IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the option service must say which service takes the background out',
            HINT = CASE WHEN services = '{}' THEN 'imgexport.add_service makes one of a template.'
                        ELSE 'It is one of ' || array_to_string(services, ', ') || '.' END;
    END IF;
    RETURN CASE background
            WHEN 'local' THEN jsonb_build_array(here)
            WHEN 'service' THEN jsonb_build_array(jsonb_build_object('service', jsonb_build_object(
                'name', service, 'on_error', 'skip') || CASE WHEN options->>'fallback' = 'local'
                    THEN jsonb_build_object('fallback', jsonb_build_array(here)) ELSE '{}' END))
            ELSE '[]' END
        || jsonb_build_array(jsonb_build_object('autocrop', jsonb_build_object(
               'padding', coalesce(options->'padding', '50'))))
        || CASE WHEN (options->>'shadow')::boolean IS NOT FALSE THEN '["shadow"]' ELSE '[]'::jsonb END;
END $$;
COMMENT ON FUNCTION imgexport.product_recipe(jsonb) IS
    'The recipe of a product shot. options: background: service, local or skip, default service where there is one, else local; skip_background_removal: true for skip; service: its name, needed where there are several; fallback: what is done where it fails: skip (default) or local; tolerance, holes: as in img_remove_background; padding: pixels around the object, default 50; shadow: default true. Errors: 22023 an option.';
REVOKE ALL ON FUNCTION imgexport.product_recipe(jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.product_json(images jsonb, filename text, original_size jsonb,
        processed_size jsonb, warnings jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN images || jsonb_build_object('success', true, 'warnings', warnings,
        'metadata', jsonb_build_object('filename', filename, 'original_size', original_size,
                                       'processed_size', processed_size));
END $$;
COMMENT ON FUNCTION imgexport.product_json(jsonb, text, jsonb, jsonb, jsonb) IS
    'What is answered of a product shot: images by name in base64, success, warnings, metadata. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.product_json(jsonb, text, jsonb, jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.product_shot(image bytea, options jsonb DEFAULT '{}',
        OUT name text, OUT data bytea, OUT width int, OUT height int, OUT warning text)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    recipe jsonb := imgexport.product_recipe(options);
    service jsonb := recipe->0->'service';
    problem text;
BEGIN
    IF service IS NOT NULL THEN
        recipe := recipe - 0;
        BEGIN
            image := @extschema@.img_service(image, service->>'name', on_error => 'fail');
        EXCEPTION WHEN OTHERS THEN
            IF NOT imgexport.is_service_failure(SQLSTATE) THEN
                RAISE;
            END IF;
            problem := format('step service was %s: %s',
                              CASE WHEN service ? 'fallback' THEN 'replaced' ELSE 'skipped' END, SQLERRM);
            recipe := coalesce(service->'fallback', '[]') || recipe;
        END;
    END IF;
    -- As a column, or the planner would have the recipe run, and written, by itself.
    RETURN QUERY SELECT e.name, e.data, e.width, e.height, problem
        FROM (SELECT image AS source OFFSET 0) AS s,
             @extschema@.img_export(@extschema@.img_apply(s.source, recipe),
                 (SELECT p.outputs FROM imgexport.preset p WHERE p.name = 'product')) AS e;
END $$;
COMMENT ON FUNCTION imgexport.product_shot(bytea, jsonb) IS
    'A product shot now: processed, grid and detail, as the preset product has them. options: as in imgexport.product_recipe. warning: what was done without. Errors: IX001 not an image, 22023 an option.';
REVOKE ALL ON FUNCTION imgexport.product_shot(bytea, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.product_shot_json(image_base64 text, filename text DEFAULT NULL,
        options jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    image bytea := @extschema@.img_from_data_uri(image_base64);
BEGIN
    IF image IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'image_base64 is missing';
    ELSIF options ? 'store' THEN
        RAISE feature_not_supported USING MESSAGE = 'product_shot_json stores nothing',
            HINT = 'Hand in a job with the preset product and a store, or use POST /process-image.';
    END IF;
    -- What is wrong with them is said before what is wrong with the image.
    PERFORM imgexport.product_recipe(coalesce(options, '{}'));
    RETURN (SELECT imgexport.product_json(jsonb_object_agg(s.name, imgexport.to_base64(s.data)), filename,
                (SELECT jsonb_build_array(f.width, f.height) FROM @extschema@.img_info(image) AS f),
                jsonb_agg(jsonb_build_array(s.width, s.height)) FILTER (WHERE s.name = 'processed')->0,
                jsonb_agg(DISTINCT s.warning) FILTER (WHERE s.warning IS NOT NULL))
            FROM imgexport.product_shot(image, coalesce(options, '{}')) AS s);
END $$;
COMMENT ON FUNCTION imgexport.product_shot_json(text, text, jsonb) IS
    'A product shot now, as JSON: processed, grid and detail in base64, success, warnings (null where there are none), metadata with filename, original_size and processed_size [width, height] in pixels. image_base64: or a data URI. options: as in imgexport.product_recipe. Errors: IX001 not an image, 22023 an argument or option, 0A000 store.';
REVOKE ALL ON FUNCTION imgexport.product_shot_json(text, text, jsonb) FROM PUBLIC;
