-- Telling others: webhooks by Standard Webhooks 1.0 (https://www.standardwebhooks.com), from an
-- outbox that is written in the transaction that finishes a job.

CREATE TABLE imgexport.webhook (
    owner            name NOT NULL DEFAULT imgexport.current_owner(),
    url              imgexport.web_url NOT NULL CHECK (url ~* '^https?://' AND octet_length(url) <= 2000),
    secret           text NOT NULL DEFAULT 'whsec_' || encode(
                         uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64')
                     CHECK (secret ~ '^whsec_[A-Za-z0-9+/]{32,86}={0,2}$'),
    previous_secret  text,
    previous_until   timestamptz,
    disabled_at      timestamptz,
    disabled_because text,
    PRIMARY KEY (owner, url)
);
COMMENT ON TABLE imgexport.webhook IS
    'Who is told, and the secret that each is told with. A URL that is named by a job or batch and has no row gets one.';

CREATE TABLE imgexport.delivery (
    batch_id    uuid NOT NULL,
    delivery_id uuid NOT NULL DEFAULT imgexport.new_id(),
    job_id      uuid,
    owner       name NOT NULL DEFAULT imgexport.current_owner(),
    url         text NOT NULL,
    event       text NOT NULL,
    payload     text,
    state       text NOT NULL DEFAULT 'pending'
                CHECK (state IN ('pending', 'processing', 'delivered', 'failed')),
    attempts    int NOT NULL DEFAULT 0,
    run_at      timestamptz NOT NULL DEFAULT now(),
    worker      text,
    claim       uuid,
    lease_until timestamptz,
    http_status int,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (batch_id, delivery_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE imgexport.delivery IS
    'The outbox of webhooks: what is to be told, and what became of it. The payload is written down at the first attempt, so that every attempt sends the same.';
CREATE INDEX delivery_due ON imgexport.delivery (run_at) WHERE state = 'pending';
CREATE INDEX delivery_claimed ON imgexport.delivery (lease_until) WHERE state = 'processing';
CREATE INDEX delivery_finished ON imgexport.delivery (finished_at) WHERE finished_at IS NOT NULL;

ALTER TABLE imgexport.webhook ENABLE ROW LEVEL SECURITY;
ALTER TABLE imgexport.delivery ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON imgexport.webhook FOR SELECT USING (owner = imgexport.current_owner());
CREATE POLICY see ON imgexport.delivery FOR SELECT USING (owner = imgexport.current_owner());
SELECT pg_catalog.pg_extension_config_dump('imgexport.webhook', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.delivery', '');

CREATE FUNCTION imgexport.sign_webhook(id text, at timestamptz, body bytea, secret text)
    RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'v1,' || encode(imgexport.hmac_sha256(
        convert_to(id || '.' || floor(extract(epoch FROM at))::int8 || '.', 'UTF8') || body,
        decode(substr(secret, 7), 'base64')), 'base64')
    WHERE starts_with(secret, 'whsec_')
$$;
COMMENT ON FUNCTION imgexport.sign_webhook(text, timestamptz, bytea, text) IS
    'The signature of a webhook by Standard Webhooks 1.0: v1, and HMAC-SHA256 of id.timestamp.body in base64. secret: whsec_ and base64; NULL for another one. Errors: 22023 not base64.';
REVOKE ALL ON FUNCTION imgexport.sign_webhook(text, timestamptz, bytea, text) FROM PUBLIC;

CREATE FUNCTION imgexport.verify_webhook(headers jsonb, body bytea, secret text,
        tolerance interval DEFAULT '5 minutes') RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    header jsonb := (SELECT jsonb_object_agg(lower(key), value)
                     FROM jsonb_each_text(headers) WHERE value IS NOT NULL);
    sent_at timestamptz;
    expected text;
BEGIN
    IF header->>'webhook-timestamp' !~ '^[0-9]{1,11}$' THEN
        RETURN false;
    END IF;
    sent_at := to_timestamp((header->>'webhook-timestamp')::int8);
    IF sent_at NOT BETWEEN now() - tolerance AND now() + tolerance THEN
        RETURN false;
    END IF;
    expected := imgexport.sign_webhook(header->>'webhook-id', sent_at, body, secret);
    RETURN coalesce((SELECT bool_or(imgexport.same_bytes(convert_to(expected, 'UTF8'),
                                                         convert_to(given, 'UTF8')))
                     FROM string_to_table(header->>'webhook-signature', ' ') AS given), false);
END $$;
COMMENT ON FUNCTION imgexport.verify_webhook(jsonb, bytea, text, interval) IS
    'For receivers in SQL: whether a webhook is from who knows the secret, and not old. headers: an object with webhook-id, webhook-timestamp and webhook-signature, in any case. body: as it came. tolerance: default 5 minutes. Errors: none; false for anything that is not right.';
REVOKE ALL ON FUNCTION imgexport.verify_webhook(jsonb, bytea, text, interval) FROM PUBLIC;

-- Which are told, and how, a role changes by these alone.

CREATE FUNCTION imgexport.webhook_secret_as(caller regrole, url text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    owner name := imgexport.bind_label(caller);
BEGIN
    INSERT INTO imgexport.webhook (owner, url) VALUES (owner, url)
    ON CONFLICT ON CONSTRAINT webhook_pkey DO NOTHING;
    RETURN (SELECT w.secret FROM imgexport.webhook w WHERE (w.owner, w.url) = (owner, url));
END $$;
COMMENT ON FUNCTION imgexport.webhook_secret_as(regrole, text) IS
    'What imgexport.webhook_secret returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.webhook_secret_as(regrole, text) FROM PUBLIC;

CREATE FUNCTION imgexport.webhook_secret(url text) RETURNS text
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.webhook_secret(text) IS
    'The secret that webhooks to a URL are signed with; a new one where there was none. Errors: 23514 not http or https.';
REVOKE ALL ON FUNCTION imgexport.webhook_secret(text) FROM PUBLIC;

CREATE FUNCTION imgexport.rotate_webhook_secret_as(caller regrole, url text, keep interval) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed text;
BEGIN
    UPDATE imgexport.webhook w
    SET previous_secret = w.secret, previous_until = now() + keep, secret = DEFAULT
    WHERE (w.owner, w.url) = (imgexport.owner_of(caller), url)
    RETURNING w.secret INTO changed;
    RETURN changed;
END $$;
COMMENT ON FUNCTION imgexport.rotate_webhook_secret_as(regrole, text, interval) IS
    'What imgexport.rotate_webhook_secret does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.rotate_webhook_secret_as(regrole, text, interval) FROM PUBLIC;

CREATE FUNCTION imgexport.rotate_webhook_secret(url text, keep interval DEFAULT '24 hours') RETURNS text
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.rotate_webhook_secret(text, interval) IS
    'A new secret for webhooks to a URL. For so long as keep says, default 24 hours, they are signed with both. NULL where the URL has no secret yet. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.rotate_webhook_secret(text, interval) FROM PUBLIC;

CREATE FUNCTION imgexport.enable_webhook_as(caller regrole, url text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE imgexport.webhook w SET disabled_at = NULL, disabled_because = NULL
    WHERE (w.owner, w.url) = (imgexport.owner_of(caller), url) AND w.disabled_at IS NOT NULL;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION imgexport.enable_webhook_as(regrole, text) IS
    'What imgexport.enable_webhook does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.enable_webhook_as(regrole, text) FROM PUBLIC;

CREATE FUNCTION imgexport.enable_webhook(url text) RETURNS boolean
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.enable_webhook(text) IS
    'Tell a URL again that was disabled because it answered 410; whether it was. What it missed is told again by imgexport.replay. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.enable_webhook(text) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_webhook_as(caller regrole, url text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM imgexport.webhook w WHERE (w.owner, w.url) = (imgexport.owner_of(caller), url);
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION imgexport.delete_webhook_as(regrole, text) IS
    'What imgexport.delete_webhook does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.delete_webhook_as(regrole, text) FROM PUBLIC;

CREATE FUNCTION imgexport.delete_webhook(url text) RETURNS boolean
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.delete_webhook(text) IS
    'Delete the secret of a URL and whether it is disabled; whether there was one. The next webhook to it makes another. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.delete_webhook(text) FROM PUBLIC;

CREATE FUNCTION imgexport.replay_as(caller regrole, batch_id uuid) RETURNS int
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    replayed int;
BEGIN
    UPDATE imgexport.delivery d
    SET state = 'pending', attempts = 0, run_at = statement_timestamp(), finished_at = NULL
    WHERE d.batch_id = batch_id AND d.state IN ('delivered', 'failed')
      AND imgexport.may_see(caller, d.owner);
    GET DIAGNOSTICS replayed = ROW_COUNT;
    PERFORM imgexport.wake();
    RETURN replayed;
END $$;
COMMENT ON FUNCTION imgexport.replay_as(regrole, uuid) IS
    'What imgexport.replay does for a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.replay_as(regrole, uuid) FROM PUBLIC;

CREATE FUNCTION imgexport.replay(batch_id uuid) RETURNS int
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.replay(uuid) IS
    'Send the webhooks of a batch and its jobs once more, with the same ids and bodies; returns how many. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.replay(uuid) FROM PUBLIC;

-- What the worker calls.

CREATE FUNCTION imgexport.webhook_payload(event text, batch_id uuid, job_id uuid, owner name,
        at timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT json_build_object(
        'type', event,
        'timestamp', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'data', imgexport.batch_status(webhook_payload.batch_id, owner)
                || CASE WHEN webhook_payload.job_id IS NULL THEN '{}'
                        ELSE jsonb_build_object('jobId', webhook_payload.job_id) END)::text
$$;
COMMENT ON FUNCTION imgexport.webhook_payload(text, uuid, uuid, name, timestamptz) IS
    'The body of a webhook: its type, the time of the event, and the status of the owner''s jobs in the batch as data, with jobId where it is about one. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.webhook_payload(text, uuid, uuid, name, timestamptz) FROM PUBLIC;

CREATE FUNCTION imgexport.webhook_signatures(owner name, url text, id text, at timestamptz,
        body text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    hook imgexport.webhook;
    bytes bytea := convert_to(body, 'UTF8');
BEGIN
    INSERT INTO imgexport.webhook (owner, url)
    VALUES (webhook_signatures.owner, webhook_signatures.url) ON CONFLICT DO NOTHING;
    SELECT w.* INTO hook FROM imgexport.webhook w
    WHERE w.owner = webhook_signatures.owner AND w.url = webhook_signatures.url;
    IF hook.disabled_at IS NOT NULL THEN
        RETURN NULL;
    END IF;
    RETURN concat_ws(' ', imgexport.sign_webhook(id, at, bytes, hook.secret),
                     CASE WHEN hook.previous_until > at THEN
                         imgexport.sign_webhook(id, at, bytes, hook.previous_secret) END);
END $$;
COMMENT ON FUNCTION imgexport.webhook_signatures(name, text, text, timestamptz, text) IS
    'The webhook-signature of one attempt: by the secret, and by the one before while that is kept; NULL when the webhook is disabled. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.webhook_signatures(name, text, text, timestamptz, text) FROM PUBLIC;
