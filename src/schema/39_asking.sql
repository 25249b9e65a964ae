-- Asking a service: what is sent, what is known already, what an answer means.

-- What a step needs to know before it has an image to send.
CREATE FUNCTION imgexport.service_plan(service text, parameters jsonb, caller regrole,
        OUT kind text, OUT image_format text, OUT max_side int, OUT apply text,
        OUT metadata_key text, OUT parameters_in_full jsonb, OUT concurrency int)
    LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    row imgexport.service;
    wrong text;
BEGIN
    SELECT s.* INTO row FROM imgexport.service s WHERE s.name = service;
    IF row.name IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('service "%s" does not exist', service),
            HINT = 'imgexport.add_service makes one of a template.';
    ELSIF row.allowed_role IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_roles r WHERE r.rolname = row.allowed_role AND pg_has_role(caller, r.oid, 'MEMBER')) THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('permission denied for service "%s"', service);
    ELSIF jsonb_typeof(coalesce(parameters, '{}')) <> 'object' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'parameters must be a JSON object';
    END IF;
    SELECT p INTO wrong FROM jsonb_object_keys(parameters) AS p WHERE NOT row.parameters ? p LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('service "%s" has no parameter "%s"', service, wrong),
            HINT = 'Its parameters are: ' || coalesce((SELECT string_agg(p, ', ' ORDER BY p)
                       FROM jsonb_object_keys(row.parameters) AS p), 'none') || '.';
    END IF;
    parameters_in_full := row.parameters || coalesce(parameters, '{}');
    SELECT p.key INTO wrong FROM jsonb_each(parameters_in_full) AS p WHERE p.value = 'null' LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('service "%s" needs the parameter "%s"', service, wrong);
    END IF;
    kind := row.kind; image_format := row.image_format; max_side := row.max_side;
    apply := row.apply; metadata_key := row.metadata_key; concurrency := row.concurrency;
END $$;
COMMENT ON FUNCTION imgexport.service_plan(text, jsonb, regrole) IS
    'What has to be known of a service before it is asked; parameters with the defaults of those that are left out. caller: who asks. Errors: 42704 no such service, 42501 caller may not use it, 22023 a parameter.';
REVOKE ALL ON FUNCTION imgexport.service_plan(text, jsonb, regrole) FROM PUBLIC;

CREATE FUNCTION imgexport.fill_in_request(template jsonb, parameters jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE jsonb_typeof(template)
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(f.key, imgexport.fill_in_request(f.value, parameters)), '{}')
                            FROM jsonb_each(template) AS f)
        WHEN 'array' THEN (SELECT coalesce(jsonb_agg(imgexport.fill_in_request(e.value, parameters) ORDER BY e.nth), '[]')
                           FROM jsonb_array_elements(template) WITH ORDINALITY AS e(value, nth))
        WHEN 'string' THEN coalesce(parameters->substring(template #>> '{}' FROM '^\{([a-z_][a-z0-9_]*)\}$'), template)
        ELSE template END;
END $$;
COMMENT ON FUNCTION imgexport.fill_in_request(jsonb, jsonb) IS
    'A request with its parameters in their places. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.fill_in_request(jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.to_base64(image bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN split_part(@extschema@.img_data_uri(image), ',', 2);
END $$;
COMMENT ON FUNCTION imgexport.to_base64(bytea) IS
    'An image in base64, in one line. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.to_base64(bytea) FROM PUBLIC;

-- The body of a request.  Nobody can guess a boundary and put it into what it bounds.
CREATE FUNCTION imgexport.service_body(service imgexport.service, fields jsonb, image bytea,
        OUT type text, OUT body bytea)
    LANGUAGE plpgsql VOLATILE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mime text := imgexport.mime_type(service.image_format);
    boundary text := 'imgexport-' || replace(gen_random_uuid()::text, '-', '');
    image_text text := CASE service.image_as WHEN 'data_uri' THEN @extschema@.img_data_uri(image)
        WHEN 'base64' THEN imgexport.to_base64(image) END;
    field record;
    part text;
BEGIN
    IF service.send = 'body' THEN
        type := mime;
        body := image;
    ELSIF service.send = 'json' THEN
        type := 'application/json';
        body := convert_to(replace(fields::text, '"{image}"', '"' || coalesce(image_text, '') || '"'), 'UTF8');
    ELSIF service.send = 'form' THEN
        type := 'application/x-www-form-urlencoded';
        body := convert_to((SELECT string_agg(imgexport.uri_encode(f.key) || '='
            -- Of base64 these need it; the rest is long and has nothing to be encoded.
            || CASE WHEN f.value = '{image}'
                    THEN replace(replace(replace(replace(replace(replace(image_text, '+', '%2B'), '/', '%2F'),
                                 '=', '%3D'), ':', '%3A'), ';', '%3B'), ',', '%2C')
                    ELSE imgexport.uri_encode(f.value) END, '&')
            FROM jsonb_each_text(fields) AS f), 'UTF8');
    ELSE
        type := 'multipart/form-data; boundary=' || boundary;
        body := '';
        FOR field IN SELECT f.key, f.value FROM jsonb_each_text(fields) AS f LOOP
            part := format(E'--%s\r\nContent-Disposition: form-data; name="%s"', boundary,
                           replace(replace(replace(field.key, '"', '%22'), E'\r', '%0D'), E'\n', '%0A'));
            body := body || CASE
                WHEN field.value = '{image}' AND service.image_as = 'bytes'
                    THEN convert_to(format(E'%s; filename="image.%s"\r\nContent-Type: %s\r\n\r\n', part,
                             imgexport.file_extension(service.image_format), mime), 'UTF8') || image
                ELSE convert_to(part || E'\r\n\r\n'
                                || CASE WHEN field.value = '{image}' THEN image_text ELSE field.value END, 'UTF8')
                END || '\x0d0a'::bytea;
        END LOOP;
        body := body || convert_to('--' || boundary || E'--\r\n', 'UTF8');
    END IF;
END $$;
COMMENT ON FUNCTION imgexport.service_body(imgexport.service, jsonb, bytea) IS
    'The body of a request and its media type. fields: with "{image}" where the image goes. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.service_body(imgexport.service, jsonb, bytea) FROM PUBLIC;

-- A request, or the answer that is known to it.  What it may cost is looked at when it is sent.
CREATE FUNCTION imgexport.service_request(service text, parameters jsonb, image bytea,
        OUT request_hash bytea, OUT known_image bytea, OUT known_result jsonb, OUT remembered boolean,
        OUT url text, OUT headers text, OUT body bytea, OUT timeout_ms int, OUT retries int,
        OUT price_micros int8, OUT day_limit_micros int8,
        OUT month_limit_micros int8, OUT day_micros int8, OUT month_micros int8)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    row imgexport.service;
    fields jsonb;
    made record;
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
BEGIN
    SELECT s.* INTO row FROM imgexport.service s WHERE s.name = service;
    IF row.name IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('service "%s" does not exist any more', service);
    ELSIF NOT row.enabled THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('service "%s" is not enabled', service);
    END IF;
    fields := imgexport.fill_in_request(row.request, parameters);
    request_hash := sha256(image || convert_to(jsonb_build_array(row.kind, row.url, row.send, row.image_as,
                                                                 row.image_format, fields, row.result,
                                                                 row.result_path::text)::text, 'UTF8'));
    remembered := row.cache_for IS NOT NULL;
    IF remembered THEN
        SELECT a.image, a.result INTO known_image, known_result FROM imgexport.service_answer a
        WHERE a.service = service AND a.request_hash = request_hash AND a.expires_at > clock_timestamp()
        ORDER BY a.created_at DESC LIMIT 1;
        IF known_image IS NOT NULL OR known_result IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    SELECT b.* INTO made FROM imgexport.service_body(row, fields, image) AS b;
    url := row.url;
    body := made.body;
    headers := concat_ws(E'\n', 'Content-Type: ' || made.type,
        (SELECT string_agg(h.key || ': ' || imgexport.fill_in_secrets(h.value), E'\n')
         FROM jsonb_each_text(row.headers) AS h));
    timeout_ms := greatest(1, extract(epoch FROM row.timeout) * 1000);
    retries := row.retries;
    price_micros := row.price * 1000000;
    day_limit_micros := row.daily_limit * 1000000;
    month_limit_micros := row.monthly_limit * 1000000;
    SELECT coalesce(sum(u.cost) FILTER (WHERE u.day = today), 0) * 1000000, coalesce(sum(u.cost), 0) * 1000000
    INTO day_micros, month_micros
    FROM imgexport.service_usage u
    WHERE u.service = service AND u.day BETWEEN date_trunc('month', today)::date AND today;
END $$;
COMMENT ON FUNCTION imgexport.service_request(text, jsonb, bytea) IS
    'How a service is asked about an image: URL, headers and body, price and limits in millionths and what was spent; or the answer, where it is known. remembered: whether the answer is going to be. parameters: in full. Errors: 42704 no such service or secret, 55000 it is not enabled.';
REVOKE ALL ON FUNCTION imgexport.service_request(text, jsonb, bytea) FROM PUBLIC;

-- By its first bytes alone: the worker has no codec to wait for.
CREATE FUNCTION imgexport.sniffed_format(data bytea) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_sniffed_format';
COMMENT ON FUNCTION imgexport.sniffed_format(bytea) IS
    'The format that data begins like: jpeg, png, webp, gif, tiff, heif, avif; NULL for others. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.sniffed_format(bytea) FROM PUBLIC;

CREATE FUNCTION imgexport.keep_answer(service text, request_hash bytea, image bytea, result jsonb)
        RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF image IS NOT NULL AND imgexport.sniffed_format(image) IS NULL THEN
        RAISE SQLSTATE 'IX005' USING
            MESSAGE = format('answer of service "%s" is no image', service);
    END IF;
    INSERT INTO imgexport.service_answer (answer_id, service, request_hash, image, result, expires_at)
    SELECT gen_random_uuid(), s.name, request_hash, image, result, now() + s.cache_for
    FROM imgexport.service s WHERE s.name = service AND s.cache_for IS NOT NULL;
END $$;
COMMENT ON FUNCTION imgexport.keep_answer(text, bytea, bytea, jsonb) IS
    'Remember an answer for as long as its service says. Errors: IX005 it is no image.';
REVOKE ALL ON FUNCTION imgexport.keep_answer(text, bytea, bytea, jsonb) FROM PUBLIC;

-- What is in an answer.
CREATE FUNCTION imgexport.read_answer(service text, request_hash bytea, body bytea,
        OUT image bytea, OUT result jsonb, OUT url text, OUT own_host boolean)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    row imgexport.service;
    found jsonb;
    value text;
    lacking boolean;
BEGIN
    SELECT s.* INTO row FROM imgexport.service s WHERE s.name = service;
    IF row.name IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('service "%s" does not exist any more', service);
    END IF;
    IF row.result = 'body' THEN
        image := body;
    ELSE
        BEGIN
            found := jsonb_path_query_first(convert_from(body, 'UTF8')::jsonb, row.result_path);
            result := CASE WHEN row.result = 'json' THEN found END;
            value := CASE WHEN jsonb_typeof(found) = 'string' THEN found #>> '{}' END;
            image := CASE WHEN row.result = 'base64' THEN @extschema@.img_from_data_uri(value) END;
        EXCEPTION WHEN data_exception OR program_limit_exceeded OR feature_not_supported THEN
            RAISE SQLSTATE 'IX005' USING
                MESSAGE = format('answer of service "%s" cannot be read: %s', service, SQLERRM),
                DETAIL = format('The encoding of this database is %s; UTF8 has all that JSON may have.',
                                current_setting('server_encoding'));
        END;
        lacking := CASE row.result WHEN 'json' THEN coalesce(result, 'null') = 'null'
            WHEN 'url' THEN coalesce(value, '') !~* '^https?://\S+$' ELSE value IS NULL END;
        IF lacking THEN
            RAISE SQLSTATE 'IX005' USING
                MESSAGE = format('answer of service "%s" has no %s%s', service,
                    CASE row.result WHEN 'json' THEN 'result' WHEN 'url' THEN 'URL' ELSE 'image' END,
                    ' at ' || nullif(row.result_path::text, '$')),
                DETAIL = format('It begins with %s.', quote_literal(left(convert_from(body, 'UTF8'), 200)));
        END IF;
    END IF;
    IF row.result = 'url' THEN
        url := value;
        own_host := lower(substring(url FROM '^[[:alpha:]]+://([^/?#]*)'))
                    = lower(substring(row.url FROM '^[[:alpha:]]+://([^/?#]*)'));
    ELSE
        PERFORM imgexport.keep_answer(service, request_hash, image, result);
    END IF;
END $$;
COMMENT ON FUNCTION imgexport.read_answer(text, bytea, bytea) IS
    'What a service has answered: an image, the result of an analysis, or a URL that is to be fetched, and whether that is on the service''s own host. It is remembered. Errors: IX005 it is not what its row says.';
REVOKE ALL ON FUNCTION imgexport.read_answer(text, bytea, bytea) FROM PUBLIC;

CREATE FUNCTION imgexport.services(OUT database name, OUT service text, OUT running int,
        OUT calls int8, OUT successes int8, OUT failures int8, OUT cached int8, OUT ms int8,
        OUT cost numeric, OUT spent_today numeric, OUT spent_this_month numeric,
        OUT failures_in_a_row int, OUT breaker_open_until timestamptz, OUT last_error text)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'imgexport_services';
COMMENT ON FUNCTION imgexport.services() IS
    'What was asked of services since the server started, by database: requests under way, sent, answered, failed, answers from the cache, milliseconds, cost; what was spent today and this month (UTC); whether the circuit breaker keeps them from being asked, until when, after which error. Errors: none; no rows where imgexport is not preloaded.';
REVOKE ALL ON FUNCTION imgexport.services() FROM PUBLIC;

-- Counted whatever becomes of the transaction.
CREATE FUNCTION imgexport.call_service(service text, url text, headers text, body bytea,
        timeout_ms int, retries int, concurrency int, price_micros int8, day_limit_micros int8,
        month_limit_micros int8, day_micros int8, month_micros int8) RETURNS bytea
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_call_service';
COMMENT ON FUNCTION imgexport.call_service(text, text, text, bytea, int, int, int, int8, int8, int8, int8, int8) IS
    'Send a request, as imgexport.service_request makes it, to a service when it has room for it, and wait; again where it fails in a way that may pass. Errors: IX003 the answer is too large, IX004 out of time, IX005 it failed, IX006 an address that is refused, 53400 its limit is spent, 55000 imgexport is not preloaded, or a worker would wait.';
REVOKE ALL ON FUNCTION imgexport.call_service(text, text, text, bytea, int, int, int, int8, int8, int8, int8, int8)
    FROM PUBLIC;

CREATE FUNCTION imgexport.fetch_answer(url text, own_host boolean, timeout_ms int) RETURNS bytea
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_fetch_answer';
COMMENT ON FUNCTION imgexport.fetch_answer(text, boolean, int) IS
    'The image that a service has answered with the URL of. On its own host it may be where services may be, else where img_fetch may fetch from. Errors: IX003, IX004, IX005, IX006.';
REVOKE ALL ON FUNCTION imgexport.fetch_answer(text, boolean, int) FROM PUBLIC;

-- Who may ask does not read what services are like: these run as their owner.
CREATE FUNCTION imgexport.describe_service_as(caller regrole, service text, parameters jsonb,
        OUT kind text, OUT image_format text, OUT max_side int, OUT apply text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT p.kind, p.image_format, p.max_side, p.apply INTO kind, image_format, max_side, apply
    FROM imgexport.service_plan(service, parameters, caller) AS p;
END $$;
COMMENT ON FUNCTION imgexport.describe_service_as(regrole, text, jsonb) IS
    'What imgexport.describe_service returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.describe_service_as(regrole, text, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.describe_service(service text, parameters jsonb,
        OUT kind text, OUT image_format text, OUT max_side int, OUT apply text)
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.describe_service(text, jsonb) IS
    'What the caller has to know of a service before asking it. Errors: as imgexport.service_plan.';
REVOKE ALL ON FUNCTION imgexport.describe_service(text, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.ask_service_as(caller regrole, service text, parameters jsonb, image bytea,
        OUT answer bytea, OUT result jsonb)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plan record;
    request record;
    found record;
BEGIN
    plan := imgexport.service_plan(service, parameters, caller);
    request := imgexport.service_request(service, plan.parameters_in_full, image);
    IF request.url IS NULL THEN
        PERFORM imgexport.count_cached(service);
        answer := request.known_image;
        result := request.known_result;
        RETURN;
    END IF;
    found := imgexport.read_answer(service, request.request_hash,
        imgexport.call_service(service, request.url, request.headers, request.body,
            request.timeout_ms, request.retries, plan.concurrency, request.price_micros,
            request.day_limit_micros, request.month_limit_micros, request.day_micros, request.month_micros));
    answer := found.image;
    result := found.result;
    IF found.url IS NOT NULL THEN
        answer := imgexport.fetch_answer(found.url, found.own_host, request.timeout_ms);
        PERFORM imgexport.keep_answer(service, request.request_hash, answer, NULL);
    END IF;
END $$;
COMMENT ON FUNCTION imgexport.ask_service_as(regrole, text, jsonb, bytea) IS
    'What imgexport.ask_service returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.ask_service_as(regrole, text, jsonb, bytea) FROM PUBLIC;

CREATE FUNCTION imgexport.ask_service(service text, parameters jsonb, image bytea,
        OUT answer bytea, OUT result jsonb)
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.ask_service(text, jsonb, bytea) IS
    'Ask a service about an image in its format, and wait: the image that it answers, or the result of an analysis. Errors: IX003 the answer is too large, IX004 out of time, IX005 it failed or its answer is not what its row says, IX006 an address that is refused, 42704, 42501, 22023, 53400 its limit is spent, 55000 it is not enabled.';
REVOKE ALL ON FUNCTION imgexport.ask_service(text, jsonb, bytea) FROM PUBLIC;

CREATE FUNCTION imgexport.count_cached(service text) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_count_cached';
COMMENT ON FUNCTION imgexport.count_cached(text) IS
    'Count an answer that was known. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.count_cached(text) FROM PUBLIC;

CREATE FUNCTION imgexport.is_service_failure(code text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A limit or transfer, a dead helper; a secret is lost, the limit is spent, it is not enabled.
    RETURN code IN ('IX003', 'IX004', 'IX005', 'IX006', 'IX007', '42704', '53400', '55000');
END $$;
COMMENT ON FUNCTION imgexport.is_service_failure(text) IS
    'Whether an SQLSTATE of asking a service is its failure, which may be done without, and not the caller''s. Errors: none.';

CREATE FUNCTION @extschema@.img_service(image bytea, name text, parameters jsonb DEFAULT '{}',
        fallback jsonb DEFAULT NULL, on_error text DEFAULT NULL) RETURNS bytea
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 1000000
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plan record;
    sent bytea;
    answer bytea;
BEGIN
    IF image IS NULL OR name IS NULL THEN
        RETURN NULL;
    ELSIF on_error NOT IN ('skip', 'fail') THEN
        RAISE invalid_parameter_value USING MESSAGE = 'on_error must be "skip" or "fail"';
    END IF;
    plan := imgexport.describe_service(name, parameters);
    IF plan.kind = 'analysis' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('service "%s" makes no image', name),
            HINT = 'img_analyze returns what it says of one; a job puts it into its metadata.';
    END IF;
    sent := imgexport.service_image(image, plan.image_format, plan.max_side);
    BEGIN
        answer := (SELECT a.answer FROM imgexport.ask_service(name, parameters, sent) AS a);
    EXCEPTION WHEN OTHERS THEN
        IF NOT imgexport.is_service_failure(SQLSTATE) OR fallback IS NULL
           AND coalesce(on_error, CASE plan.kind WHEN 'background' THEN 'skip' END, 'fail') = 'fail' THEN
            RAISE;
        END IF;
        RAISE WARNING USING MESSAGE = format('step service was %s: %s',
            CASE WHEN fallback IS NULL THEN 'skipped' ELSE 'replaced' END, SQLERRM);
        RETURN CASE WHEN fallback IS NULL THEN image ELSE @extschema@.img_apply(image, fallback) END;
    END;
    RETURN imgexport.apply_answer(image, answer, plan.apply);
END $$;
COMMENT ON FUNCTION @extschema@.img_service(bytea, text, jsonb, jsonb, text) IS
    'What a service makes of an image, as the row in imgexport.service says; this waits for it, a step of a job''s recipe does not. name: of the service. parameters: those that its row lists. fallback: a recipe that is run instead where it fails, default none. on_error: skip or fail, where it fails and there is no fallback; default skip for kind background, with a warning, and fail for others. Errors: IX004 out of time, IX005 it failed, IX006 an address that is refused, 22023 an argument, 42501, 42704 no such service, 53400 its limit is spent, 55000 it is not enabled.';
REVOKE ALL ON FUNCTION @extschema@.img_service(bytea, text, jsonb, jsonb, text) FROM PUBLIC;

CREATE FUNCTION @extschema@.img_analyze(image bytea, name text, parameters jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 1000000
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plan record;
BEGIN
    IF image IS NULL OR name IS NULL THEN
        RETURN NULL;
    END IF;
    plan := imgexport.describe_service(name, parameters);
    IF plan.kind <> 'analysis' THEN
        RAISE invalid_parameter_value USING MESSAGE = format('service "%s" is of kind "%s", not "analysis"', name, plan.kind);
    END IF;
    RETURN (SELECT a.result FROM imgexport.ask_service(name, parameters,
                imgexport.service_image(image, plan.image_format, plan.max_side)) AS a);
END $$;
COMMENT ON FUNCTION @extschema@.img_analyze(bytea, text, jsonb) IS
    'What a service of kind analysis says of an image; this waits for it. name: of the service. parameters: those that its row lists. Errors: as img_service.';
REVOKE ALL ON FUNCTION @extschema@.img_analyze(bytea, text, jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.service_image(image bytea, format text, max_side int) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'imgexport_service_image';
COMMENT ON FUNCTION imgexport.service_image(bytea, text, int) IS
    'An image as it is sent to a service: in its format, and inside max_side pixels unless NULL. Errors: IX001.';
REVOKE ALL ON FUNCTION imgexport.service_image(bytea, text, int) FROM PUBLIC;

CREATE FUNCTION imgexport.apply_answer(image bytea, answer bytea, apply text) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'imgexport_apply_answer';
COMMENT ON FUNCTION imgexport.apply_answer(bytea, bytea, text) IS
    'What an image becomes by a service''s answer. apply: image: the answer itself; mask or alpha: the image, cut out by the answer or by its alpha. Errors: IX001.';
