-- The job path.  The keys and defaults are such that the same tables can be distributed:
-- batch_id first in every key, ids without sequences, one foreign key, and nothing in an
-- INSERT but a trigger that wakes.

CREATE FUNCTION imgexport.new_id() RETURNS uuid
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_new_id';
COMMENT ON FUNCTION imgexport.new_id() IS
    'A new id that sorts by time: UUID version 7 (RFC 9562). Errors: none.';

CREATE TABLE imgexport.queue (
    name          text PRIMARY KEY,
    concurrency   int NOT NULL DEFAULT 10 CHECK (concurrency BETWEEN 1 AND 1000),
    paused        boolean NOT NULL DEFAULT false,
    rate_limit    int CHECK (rate_limit BETWEEN 1 AND 100000),
    rate_interval interval NOT NULL DEFAULT '1 second'
                  CHECK (rate_interval > '0' AND rate_interval <= '1 day'),
    host_limit    int CHECK (host_limit BETWEEN 1 AND 1000),
    max_priority  int NOT NULL DEFAULT 100 CHECK (max_priority >= 0)
);
COMMENT ON TABLE imgexport.queue IS
    'Queues: how many of their jobs run at once (concurrency, 1 to 1000), whether any do (paused), how many are started within rate_interval, at most a day (rate_limit, 1 to 100000; none: any number), how many run at once that fetch from one host (host_limit, 1 to 1000; none: any number), and the highest priority that a role may give its jobs (max_priority, default 100).';
INSERT INTO imgexport.queue (name, concurrency) VALUES ('default', 10), ('batch', 5), ('scrape', 3);

CREATE TABLE imgexport.preset (
    name        text PRIMARY KEY,
    recipe      jsonb CHECK (imgexport.is_recipe(recipe)),
    outputs     jsonb CHECK (imgexport.are_outputs(outputs)),
    expires_in  interval CHECK (expires_in > '0' AND expires_in <= '1000 years'),
    store       text REFERENCES imgexport.store ON UPDATE CASCADE,
    description text
);
COMMENT ON TABLE imgexport.preset IS
    'Named recipes with their outputs; what a job leaves out is taken from its preset.';
INSERT INTO imgexport.preset (name, outputs, description) VALUES
    ('export', '{"png": {"options": {"compression": 9}}, "jpeg": {"quality": 85},
                 "webp": {"quality": 80}}', 'PNG, JPEG and WebP of the image'),
    ('export-high', '{"png": {"options": {"compression": 9}}, "jpeg": {"quality": 95},
                      "webp": {"quality": 90}}', 'PNG, JPEG and WebP, better and larger'),
    ('export-low', '{"png": {"options": {"compression": 9}}, "jpeg": {"quality": 75},
                     "webp": {"quality": 70}}', 'PNG, JPEG and WebP, smaller'),
    ('jpeg', '{"jpeg": {"quality": 85}}', 'a JPEG of the image'),
    ('compress', '{"compressed": {"quality": 50}}', 'the same format, smaller'),
    ('process', '{"optimized": {"quality": 80},
                  "thumbnail": {"steps": [{"thumbnail": {"width": 256, "height": 256}}]}}',
     'the same format, smaller by little that is seen, and inside 256 pixels'),
    ('thumbnails', '{"small":  {"steps": [{"thumbnail": {"width": 128, "height": 128}}], "format": "webp"},
                     "medium": {"steps": [{"thumbnail": {"width": 256, "height": 256}}], "format": "webp"},
                     "large":  {"steps": [{"thumbnail": {"width": 512, "height": 512}}], "format": "webp"}}',
     'WebP inside 128, 256 and 512 pixels, never larger than it was');
INSERT INTO imgexport.preset (name, recipe, outputs, description) VALUES
    ('product', '["remove_background", "autocrop", "shadow"]',
     '{"processed": {"format": "png", "options": {"compression": 4}},
       "grid": {"steps": [{"resize": {"width": 600, "height": 400, "fit": "contain",
                                      "background": "transparent"}}], "format": "png"},
       "detail": {"steps": [{"resize": {"width": 1200, "height": 800, "fit": "contain",
                                        "background": "transparent"}}], "format": "png"}}',
     'a studio shot without its ground, cut out, with a shadow; also in 600x400 and 1200x800');
INSERT INTO imgexport.preset (name, outputs, expires_in, description) VALUES
    ('scrape', '{"jpeg": {"quality": 85}}', '24 hours', 'a JPEG of the image, kept for a day');

CREATE TABLE imgexport.batch (
    batch_id    uuid PRIMARY KEY DEFAULT imgexport.new_id(),
    owner       name NOT NULL DEFAULT imgexport.current_owner(),
    total       int NOT NULL DEFAULT 0 CHECK (total >= 0),
    completed   int NOT NULL DEFAULT 0,
    failed      int NOT NULL DEFAULT 0,
    warned      int NOT NULL DEFAULT 0,
    webhook_url imgexport.web_url CHECK (webhook_url ~* '^https?://' AND octet_length(webhook_url) <= 2000),
    warnings    jsonb CHECK (pg_column_size(warnings) <= 1048576),
    metadata    jsonb CHECK (pg_column_size(metadata) <= 1048576),
    created_at  timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00'),
    finished_at timestamptz CHECK (finished_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00')
) WITH (fillfactor = 70);
COMMENT ON TABLE imgexport.batch IS
    'Jobs that belong together: how many, how many are completed, failed (cancelled ones too) and completed with warnings. The worker keeps the counts. warnings: what its intake left out; webhook_url: who is told when all are done.';

CREATE TABLE imgexport.product (
    batch_id      uuid NOT NULL,
    product_index int NOT NULL CHECK (product_index >= 0),
    owner         name NOT NULL DEFAULT imgexport.current_owner(),
    serial_number text CHECK (octet_length(serial_number) <= 100000),
    product_name  text CHECK (octet_length(product_name) <= 100000),
    PRIMARY KEY (batch_id, product_index)
);
COMMENT ON TABLE imgexport.product IS
    'What a CSV''s rows are about; the jobs of its images name it by product_index, from 0.';

CREATE TABLE imgexport.job (
    batch_id      uuid NOT NULL DEFAULT imgexport.new_id(),
    job_id        uuid NOT NULL DEFAULT imgexport.new_id(),
    owner         name NOT NULL DEFAULT imgexport.current_owner(),
    source_url    imgexport.web_url CHECK (source_url ~* '^https?://'),
    source        bytea CHECK (octet_length(source) <= 268435456),
    base_url      imgexport.web_url CHECK (base_url ~* '^https?://'),
    base          bytea CHECK (octet_length(base) <= 268435456),
    milestone     boolean NOT NULL DEFAULT false,
    recipe        jsonb CHECK (pg_column_size(recipe) <= 262144) CHECK (imgexport.is_recipe(recipe)),
    outputs       jsonb CHECK (pg_column_size(outputs) <= 262144) CHECK (imgexport.are_outputs(outputs)),
    preset        text CHECK (octet_length(preset) <= 200),
    queue         text NOT NULL DEFAULT 'default' CHECK (queue <> '' AND octet_length(queue) <= 200),
    priority      int NOT NULL DEFAULT 0 CHECK (priority BETWEEN -1000000000 AND 1000000000),
    run_at        timestamptz NOT NULL DEFAULT now() CHECK (run_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00'),
    deadline      timestamptz CHECK (deadline BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00'),
    depends_on    uuid[] CHECK (cardinality(depends_on) BETWEEN 1 AND 1000
                                AND array_ndims(depends_on) = 1 AND array_lower(depends_on, 1) = 1
                                AND array_position(depends_on, NULL) IS NULL),
    unique_key    text CHECK (octet_length(unique_key) <= 1000),
    max_attempts  int NOT NULL DEFAULT 5 CHECK (max_attempts BETWEEN 1 AND 100),
    on_error      text NOT NULL DEFAULT 'fail'
                  CHECK (on_error IN ('fail', 'skip', 'keep_original', 'store_url')
                         OR on_error LIKE 'preset:_%' AND octet_length(on_error) <= 200),
    expires_in    interval CHECK (expires_in > '0' AND expires_in <= '1000 years'),
    store         text CHECK (octet_length(store) <= 200),
    notify        boolean NOT NULL DEFAULT false,
    webhook_url   imgexport.web_url CHECK (webhook_url ~* '^https?://' AND octet_length(webhook_url) <= 2000),
    metadata      jsonb CHECK (pg_column_size(metadata) <= 1048576),
    product_index int CHECK (product_index >= 0),
    image_index   int CHECK (image_index >= 0),
    -- Host and port, as limits and the circuit breaker know them.
    host          text GENERATED ALWAYS AS
                  (lower(substring(source_url FROM '^[[:alpha:]]+://([^/?#]*)'))) STORED,
    state         text NOT NULL DEFAULT 'pending'
                  CHECK (state IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    -- Of depends_on, so many from the beginning are completed; the job waits for this one of the
    -- others, or has not been settled since something changed.
    dependencies_done int NOT NULL DEFAULT 0 CHECK (dependencies_done >= 0),
    waits_for     uuid,
    blocked       boolean GENERATED ALWAYS AS
                  (depends_on IS NOT NULL AND dependencies_done < cardinality(depends_on)) STORED,
    attempts      int NOT NULL DEFAULT 0,
    -- Workers that died while they had it, which costs no attempt.
    crashes       int NOT NULL DEFAULT 0,
    worker        text,
    claim         uuid,
    lease_until   timestamptz,
    error         text,
    error_code    text,
    warnings      jsonb,
    timings       jsonb,
    source_bytes  int8,
    created_at    timestamptz NOT NULL DEFAULT now() CHECK (created_at BETWEEN '1970-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00'),
    started_at    timestamptz,
    finished_at   timestamptz,
    PRIMARY KEY (batch_id, job_id),
    CONSTRAINT one_source CHECK
        (num_nonnulls(source_url, source) = CASE WHEN milestone THEN 0 ELSE 1 END
         OR source_url IS NULL AND state = 'completed'),
    CONSTRAINT one_base CHECK (num_nonnulls(base_url, base) <= 1)
) WITH (fillfactor = 70);
ALTER TABLE imgexport.job ALTER source SET STORAGE EXTERNAL, ALTER base SET STORAGE EXTERNAL;
COMMENT ON TABLE imgexport.job IS
    'One image to be made into outputs. An INSERT is all it takes: the worker wakes when it commits. A milestone has no image: it is done when what it depends_on is.';
-- What is claimed next, when the next one is due, what is claimed by whom, what waits for
-- others, and what has to be done by when.
CREATE INDEX job_claim ON imgexport.job (queue, priority DESC, run_at)
    WHERE state = 'pending' AND NOT blocked AND NOT milestone;
CREATE INDEX job_milestone ON imgexport.job (queue, run_at)
    WHERE state = 'pending' AND NOT blocked AND milestone;
CREATE INDEX job_due ON imgexport.job (run_at) WHERE state = 'pending' AND NOT blocked;
CREATE INDEX job_claimed ON imgexport.job (lease_until) WHERE state = 'processing';
CREATE INDEX job_unsettled ON imgexport.job (owner)
    WHERE state = 'pending' AND blocked AND waits_for IS NULL;
CREATE INDEX job_waiting ON imgexport.job (batch_id, waits_for)
    WHERE state = 'pending' AND waits_for IS NOT NULL;
CREATE INDEX job_blocked ON imgexport.job (batch_id, job_id) WHERE state = 'pending' AND blocked;
CREATE INDEX job_deadline ON imgexport.job (deadline)
    WHERE state = 'pending' AND deadline IS NOT NULL;
CREATE INDEX job_finished ON imgexport.job (finished_at) WHERE finished_at IS NOT NULL;

-- From the beginning of depends_on, up to the first that is not completed; a hundred at a time,
-- so that no job holds up the others.
CREATE FUNCTION imgexport.next_dependency(batch_id uuid, depends_on uuid[], completed int,
        OUT done int, OUT waits_for uuid, OUT broken uuid)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    most int := least(completed + 100, cardinality(depends_on));
    state text;
BEGIN
    done := completed;
    WHILE done < most LOOP
        state := (SELECT j.state FROM imgexport.job j
                  WHERE j.batch_id = batch_id AND j.job_id = depends_on[done + 1]);
        IF state IN ('pending', 'processing') THEN
            waits_for := depends_on[done + 1];
            RETURN;
        ELSIF state IS DISTINCT FROM 'completed' THEN
            broken := depends_on[done + 1];
            RETURN;
        END IF;
        done := done + 1;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.next_dependency(uuid, uuid[], int) IS
    'What a job waits for: how many of depends_on are completed, from the beginning, after those that were; the next one, where it is open; or the one that was not completed. All of them done: neither. After a hundred it stops with neither, to be called again. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.next_dependency(uuid, uuid[], int) FROM PUBLIC;

-- One open job a key.  It is a table of its own, because a key of imgexport.job would have
-- to contain the batch.
CREATE TABLE imgexport.job_key (
    owner      name NOT NULL DEFAULT imgexport.current_owner(),
    unique_key text NOT NULL,
    batch_id   uuid NOT NULL,
    job_id     uuid NOT NULL,
    PRIMARY KEY (owner, unique_key)
);
CREATE INDEX job_key_job ON imgexport.job_key (batch_id, job_id);
COMMENT ON TABLE imgexport.job_key IS
    'Which job has a unique_key, or had it last. The INSERT of a job keeps it.';

CREATE TABLE imgexport.image (
    batch_id   uuid NOT NULL,
    job_id     uuid NOT NULL,
    image_id   uuid NOT NULL DEFAULT imgexport.new_id(),
    owner      name NOT NULL DEFAULT imgexport.current_owner(),
    name       text NOT NULL,
    format     text,
    width      int,
    height     int,
    bytes      int8,
    sha256     bytea,
    store      text NOT NULL DEFAULT 'table',
    key        text,
    data       bytea,
    source_url text,
    metadata   jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (batch_id, job_id, image_id),
    UNIQUE (batch_id, job_id, name),
    FOREIGN KEY (batch_id, job_id) REFERENCES imgexport.job ON DELETE CASCADE,
    CONSTRAINT somewhere CHECK
        (num_nonnulls(data, key) = 1 AND num_nulls(bytes, sha256) = 0
         OR source_url IS NOT NULL)
);
ALTER TABLE imgexport.image ALTER data SET STORAGE EXTERNAL;
COMMENT ON TABLE imgexport.image IS 'What jobs have made: one row an output, with its bytes as data or, in a store elsewhere, under key. Where nothing could be made and the job says store_url, a row has only source_url.';
CREATE INDEX image_expiry ON imgexport.image (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX image_age ON imgexport.image (created_at);
-- URLs name an image by its id alone; an object stays while any row names its key.
CREATE INDEX image_id ON imgexport.image (image_id);
CREATE INDEX image_object ON imgexport.image (store, key) WHERE key IS NOT NULL;

-- Who writes the first row of a batch owns it.
CREATE FUNCTION imgexport.take_batch(batch_id uuid, owner name) RETURNS boolean
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known name := coalesce(
        (SELECT o.owner FROM imgexport.batch_owner o WHERE o.batch_id = batch_id),
        (SELECT b.owner FROM imgexport.batch b WHERE b.batch_id = batch_id),
        (SELECT j.owner FROM imgexport.job j WHERE j.batch_id = batch_id LIMIT 1),
        (SELECT p.owner FROM imgexport.product p WHERE p.batch_id = batch_id LIMIT 1));
BEGIN
    IF known IS NULL THEN
        INSERT INTO imgexport.batch_owner (batch_id, owner) VALUES (batch_id, owner)
        ON CONFLICT ON CONSTRAINT batch_owner_pkey DO NOTHING;
        known := (SELECT o.owner FROM imgexport.batch_owner o WHERE o.batch_id = batch_id);
    END IF;
    RETURN known IS NOT DISTINCT FROM owner;
END $$;
COMMENT ON FUNCTION imgexport.take_batch(uuid, name) IS
    'Whether a batch is an owner''s; one that is nobody''s becomes so. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.take_batch(uuid, name) FROM PUBLIC;

CREATE FUNCTION imgexport.check_priority(queue text, priority int) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    most int := coalesce((SELECT q.max_priority FROM imgexport.queue q WHERE q.name = queue), 100);
BEGIN
    IF priority > most THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('priority in queue "%s" must be at most %s, not %s', queue, most, priority),
            HINT = 'imgexport.queue.max_priority sets the limit.';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgexport.check_priority(text, int) IS
    'Whether a job''s priority is one that its queue allows: what policies ask. True, or an error. Errors: 22023.';
REVOKE ALL ON FUNCTION imgexport.check_priority(text, int) FROM PUBLIC;

-- Owners see their own rows, and write what is theirs to say: not how a job stands, nor what has
-- been counted.  Superusers and the worker see and write all.  What a policy does not allow is
-- done by functions for their callers.
ALTER TABLE imgexport.batch ENABLE ROW LEVEL SECURITY;
ALTER TABLE imgexport.product ENABLE ROW LEVEL SECURITY;
ALTER TABLE imgexport.job_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE imgexport.job ENABLE ROW LEVEL SECURITY;
ALTER TABLE imgexport.image ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON imgexport.batch FOR SELECT USING (owner = imgexport.current_owner());
CREATE POLICY see ON imgexport.product FOR SELECT USING (owner = imgexport.current_owner());
CREATE POLICY see ON imgexport.job_key FOR SELECT USING (owner = imgexport.current_owner());
CREATE POLICY see ON imgexport.job FOR SELECT USING (owner = imgexport.current_owner());
CREATE POLICY see ON imgexport.image FOR SELECT USING (owner = imgexport.current_owner());
CREATE POLICY submit ON imgexport.batch FOR INSERT WITH CHECK (
    owner = imgexport.bind_owner() AND (completed, failed, warned) = (0, 0, 0)
    AND (finished_at IS NULL OR total = 0) AND imgexport.claim_batch(batch_id));
CREATE POLICY submit ON imgexport.product FOR INSERT WITH CHECK (
    owner = imgexport.bind_owner() AND imgexport.claim_batch(batch_id));
CREATE POLICY submit ON imgexport.job FOR INSERT WITH CHECK (
    owner = imgexport.bind_owner() AND state = 'pending' AND (attempts, crashes, dependencies_done) = (0, 0, 0)
    AND num_nonnulls(waits_for, worker, lease_until, error, error_code, warnings, timings,
                     source_bytes, started_at, finished_at) = 0
    AND (priority <= 0 OR imgexport.check_priority(queue, priority))
    AND imgexport.claim_batch(batch_id));

SELECT pg_catalog.pg_extension_config_dump('imgexport.queue', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.preset', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.batch', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.product', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.job', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.job_key', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.image', '');
