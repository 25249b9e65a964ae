-- Services that are asked about an image: to take out its ground, to say what is on it, to
-- make another one of it.  What is sent and what comes back is said by a row; secrets are
-- named, never held.

-- What a template of a request may hold in the place of a value: "{image}", or a parameter.
CREATE FUNCTION imgexport.service_placeholders(template jsonb) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT substring(v #>> '{}' FROM '^\{([a-z_][a-z0-9_]*)\}$')
    FROM jsonb_path_query(template, 'strict $.**') AS v
    WHERE jsonb_typeof(v) = 'string' AND v #>> '{}' ~ '^\{[a-z_][a-z0-9_]*\}$'
$$;
COMMENT ON FUNCTION imgexport.service_placeholders(jsonb) IS
    'The names of a request''s placeholders, "{image}" among them. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.service_placeholders(jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.check_service(kind text, send text, image_as text, request jsonb,
        parameters jsonb, result text, headers jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holes text[] := ARRAY(SELECT imgexport.service_placeholders(request));
    problem text := CASE
        WHEN (kind = 'analysis') <> (result = 'json')
            THEN 'result must be "json" for kind "analysis", and for no other'
        WHEN jsonb_typeof(request) <> 'object' OR jsonb_typeof(parameters) <> 'object'
            THEN 'request and parameters must be JSON objects'
        WHEN parameters ? 'image'
            THEN 'no parameter may be called "image"'
        WHEN send = 'body' AND (image_as <> 'bytes' OR request <> '{}')
            THEN 'send "body" is the image''s bytes and nothing else: request must be {}'
        WHEN send IN ('form', 'json') AND image_as = 'bytes'
            THEN format('send "%s" needs image_as "base64" or "data_uri"', send)
        WHEN send IN ('form', 'multipart') AND EXISTS (
            SELECT FROM jsonb_each(request) AS f WHERE jsonb_typeof(f.value) IN ('object', 'array'))
            THEN format('fields of send "%s" must be texts, numbers or booleans', send)
        WHEN send <> 'body' AND kind <> 'generate' AND 'image' <> ALL (holes)
            THEN 'request must have "{image}" somewhere'
        WHEN EXISTS (SELECT FROM unnest(holes) AS h WHERE h <> 'image' AND NOT parameters ? h)
            THEN format('request has placeholders that are no parameters: %s', (
                SELECT string_agg(h, ', ' ORDER BY h) FROM unnest(holes) AS h
                WHERE h <> 'image' AND NOT parameters ? h))
        WHEN NOT imgexport.are_headers(headers)
            THEN 'headers must be a JSON object of names and one-line texts'
        END;
BEGIN
    IF problem IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = problem;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgexport.check_service(text, text, text, jsonb, jsonb, text, jsonb) IS
    'Raise what is wrong with a service; true where nothing is. Errors: 22023.';

CREATE TABLE imgexport.service (
    name          text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9_.-]{1,63}$'),
    kind          text NOT NULL CHECK (kind IN ('background', 'analysis', 'generate')),
    url           imgexport.web_url NOT NULL CHECK (url ~* '^https?://[^/?#@\s]+(/\S*)?$'),
    headers       jsonb NOT NULL DEFAULT '{}',
    send          text NOT NULL DEFAULT 'multipart'
                  CHECK (send IN ('multipart', 'body', 'form', 'json')),
    image_as      text NOT NULL DEFAULT 'bytes' CHECK (image_as IN ('bytes', 'base64', 'data_uri')),
    image_format  text NOT NULL DEFAULT 'png' CHECK (image_format IN ('png', 'jpeg', 'webp')),
    max_side      int CHECK (max_side BETWEEN 16 AND 100000),
    request       jsonb NOT NULL DEFAULT '{"image": "{image}"}',
    parameters    jsonb NOT NULL DEFAULT '{}',
    result        text NOT NULL DEFAULT 'body' CHECK (result IN ('body', 'base64', 'url', 'json')),
    result_path   jsonpath NOT NULL DEFAULT '$',
    apply         text NOT NULL DEFAULT 'image' CHECK (apply IN ('image', 'alpha', 'mask')),
    metadata_key  text NOT NULL DEFAULT 'ai_analysis' CHECK (metadata_key <> ''),
    timeout       interval NOT NULL DEFAULT '30 seconds'
                  CHECK (timeout > '0' AND timeout <= '10 minutes'),
    retries       int NOT NULL DEFAULT 2 CHECK (retries BETWEEN 0 AND 10),
    concurrency   int NOT NULL DEFAULT 10 CHECK (concurrency BETWEEN 1 AND 500),
    cache_for     interval DEFAULT '30 days' CHECK (cache_for > '0'),
    price         numeric(12,6) NOT NULL DEFAULT 0 CHECK (price >= 0),
    daily_limit   numeric(12,2) CHECK (daily_limit >= 0),
    monthly_limit numeric(12,2) CHECK (monthly_limit >= 0),
    allowed_role  name,
    enabled       boolean NOT NULL DEFAULT true,
    CHECK (imgexport.check_service(kind, send, image_as, request, parameters, result, headers))
);
COMMENT ON TABLE imgexport.service IS
    'HTTP services that steps ask. kind: background, analysis, generate. url, headers (with {secret:NAME} in them). send: how: multipart (default), body, form, json. image_as: bytes (default), base64, data_uri. image_format: png (default), jpeg, webp. max_side: what is sent is brought inside so many pixels, 16 to 100000, default not. request: the fields, or the JSON, with "{image}" and "{parameter}" where those go. parameters: what a step may set, with defaults; a null has to be set. result: body (the image itself, default), base64 (or a data URI), url (to be fetched), json (an analysis); result_path: where in the JSON, the first thing that the JSON path finds. apply: image (default) takes the place of the one that was sent, alpha or mask cut it out at its own size. metadata_key: where an analysis goes in a job''s metadata, default ai_analysis. timeout: of one request, default 30 s, to 10 minutes. retries: 0 to 10, default 2. concurrency: requests at once, 1 to 500, default 10; others wait. cache_for: answers are kept so long, default 30 days; NULL: not. price: of one request; daily_limit, monthly_limit: what may be spent in a day or month (UTC). allowed_role: only its members may use it. enabled: default true.';
REVOKE ALL ON imgexport.service FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.service', '');

CREATE TABLE imgexport.service_usage (
    service   text NOT NULL,
    day       date NOT NULL,
    calls     int8 NOT NULL DEFAULT 0,
    successes int8 NOT NULL DEFAULT 0,
    failures  int8 NOT NULL DEFAULT 0,
    cached    int8 NOT NULL DEFAULT 0,
    ms        int8 NOT NULL DEFAULT 0,
    cost      numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (service, day)
);
COMMENT ON TABLE imgexport.service_usage IS
    'What was asked of services, by day (UTC): requests sent, how they ended, answers from the cache, milliseconds, cost. Written by the worker, a moment after.';
REVOKE ALL ON imgexport.service_usage FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.service_usage', '');

-- Not unique by request: nobody waits for another's transaction to write the same down.
CREATE TABLE imgexport.service_answer (
    answer_id    uuid PRIMARY KEY,
    service      text NOT NULL,
    request_hash bytea NOT NULL,
    image        bytea,
    result       jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    CHECK (num_nonnulls(image, result) = 1)
);
ALTER TABLE imgexport.service_answer ALTER image SET STORAGE EXTERNAL;
COMMENT ON TABLE imgexport.service_answer IS
    'Answers of services by the hash of image and request, so that nothing is asked and paid for twice. Deleting rows forgets them.';
CREATE INDEX service_answer_request ON imgexport.service_answer (service, request_hash);
CREATE INDEX service_answer_expiry ON imgexport.service_answer (expires_at);
REVOKE ALL ON imgexport.service_answer FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.service_answer', '');

-- A template is a row that lacks a name; secrets are called as the service is.
CREATE FUNCTION imgexport.service_template(template text, name text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    secret text := '{secret:' || name || '}';
BEGIN
    RETURN CASE template
        WHEN 'api4ai' THEN jsonb_build_object('kind', 'background',
            'url', 'https://api4.ai/api/v1/background',
            'headers', jsonb_build_object('X-API-Key', secret),
            'send', 'form', 'image_as', 'data_uri', 'request', '{"image": "{image}"}'::jsonb,
            'result', 'base64', 'result_path', '$.results[0].output_image')
        WHEN 'remove.bg' THEN jsonb_build_object('kind', 'background',
            'url', 'https://api.remove.bg/v1.0/removebg',
            'headers', jsonb_build_object('X-Api-Key', secret),
            'send', 'multipart', 'image_as', 'bytes',
            'request', '{"image_file": "{image}", "size": "{size}", "format": "png"}'::jsonb,
            'parameters', '{"size": "auto"}'::jsonb, 'result', 'body')
        WHEN 'rembg' THEN jsonb_build_object('kind', 'background',
            'url', 'http://127.0.0.1:7000/api/remove',
            'send', 'multipart', 'image_as', 'bytes',
            'request', '{"file": "{image}", "model": "{model}", "om": "true", "ppm": "{ppm}"}'::jsonb,
            'parameters', '{"model": "u2net", "ppm": "false"}'::jsonb,
            'max_side', 2048, 'result', 'body', 'apply', 'mask')
        WHEN 'analysis' THEN jsonb_build_object('kind', 'analysis',
            'headers', jsonb_build_object('Authorization', 'Bearer ' || secret),
            'send', 'json', 'image_as', 'data_uri', 'image_format', 'jpeg', 'max_side', 1024,
            'request', '{"image": "{image}"}'::jsonb, 'result', 'json')
        WHEN 'generate' THEN jsonb_build_object('kind', 'generate',
            'headers', jsonb_build_object('Authorization', 'Bearer ' || secret),
            'send', 'json', 'image_as', 'base64',
            'request', '{"image": "{image}", "prompt": "{prompt}", "seed": "{variation}"}'::jsonb,
            'parameters', '{"prompt": null, "variation": 1}'::jsonb,
            'result', 'base64', 'result_path', '$.image', 'cache_for', NULL)
        WHEN 'gemini' THEN jsonb_build_object('kind', 'generate',
            'url', 'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash-image:generateContent',
            'headers', jsonb_build_object('x-goog-api-key', secret),
            'send', 'json', 'image_as', 'base64', 'timeout', '1 minute',
            'request', '{"contents": [{"parts": [{"text": "{prompt}"},
                         {"inline_data": {"mime_type": "image/png", "data": "{image}"}}]}]}'::jsonb,
            'parameters', '{"prompt": null}'::jsonb,
            -- Some of its parts may be texts.
            'result', 'base64', 'result_path', '$.candidates[*].content.parts[*].inlineData.data', 'cache_for', NULL)
        END;
END $$;
COMMENT ON FUNCTION imgexport.service_template(text, text) IS
    'The settings of a service of a kind that is known: api4ai, remove.bg, rembg, analysis, generate, gemini; NULL for others. name: of the secret that its headers name. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.service_template(text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.add_service(template text, settings jsonb DEFAULT '{}',
        name text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    own_name text := coalesce(name, template);
    defaults jsonb := imgexport.service_template(template, own_name);
    columns text;
    wrong text;
BEGIN
    IF defaults IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there is no template "%s"', template),
            HINT = 'Templates are api4ai, remove.bg, rembg, analysis, generate and gemini.';
    END IF;
    SELECT s.key INTO wrong FROM jsonb_object_keys(settings) AS s(key)
    WHERE s.key = 'name' OR NOT EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = 'imgexport.service'::regclass
          AND a.attname = s.key AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = format('a service has no setting "%s"', wrong);
    END IF;
    defaults := defaults || settings || jsonb_build_object('name', own_name);
    SELECT string_agg(quote_ident(k), ', ') INTO columns FROM jsonb_object_keys(defaults) AS k;
    EXECUTE format('INSERT INTO imgexport.service (%1$s)
                    SELECT %1$s FROM jsonb_populate_record(NULL::imgexport.service, $1)', columns)
    USING defaults;
    RETURN own_name;
END $$;
COMMENT ON FUNCTION imgexport.add_service(text, jsonb, text) IS
    'Add a service by a template: api4ai, remove.bg, rembg, analysis, generate, gemini. settings: columns of imgexport.service that are to differ; analysis and generate need a url. name: default the template''s; the secret that it uses is called so too. Returns the name. Errors: 22023 no such template or setting, 23502 no url, 23505 there is one of that name.';
REVOKE ALL ON FUNCTION imgexport.add_service(text, jsonb, text) FROM PUBLIC;
