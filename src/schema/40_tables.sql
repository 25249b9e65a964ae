-- The job path.  The keys and defaults are such that the same tables can be distributed:
-- batch_id first in every key, ids without sequences, one foreign key, and nothing in an
-- INSERT but a trigger that wakes.

CREATE FUNCTION imgexport.new_id() RETURNS uuid
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_new_id';
COMMENT ON FUNCTION imgexport.new_id() IS
    'A new id that sorts by time: UUID version 7 (RFC 9562). Errors: none.';

CREATE TABLE imgexport.queue (
    name        text PRIMARY KEY,
    concurrency int NOT NULL DEFAULT 10 CHECK (concurrency BETWEEN 1 AND 1000),
    paused      boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE imgexport.queue IS
    'Queues: how many of their jobs run at once (1 to 1000), and whether any do.';
INSERT INTO imgexport.queue VALUES ('default', 10), ('batch', 5), ('scrape', 3);

CREATE TABLE imgexport.preset (
    name        text PRIMARY KEY,
    recipe      jsonb CHECK (imgexport.validate_recipe(recipe)),
    outputs     jsonb CHECK (imgexport.validate_outputs(outputs)),
    expires_in  interval CHECK (expires_in > '0'),
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
    ('product', '{"processed": {"steps": ["remove_background", "autocrop", "shadow"], "format": "png"},
                  "grid": {"steps": ["remove_background", "autocrop", "shadow",
                                     {"resize": {"width": 600, "height": 400, "fit": "contain",
                                                 "background": "transparent"}}], "format": "png"},
                  "detail": {"steps": ["remove_background", "autocrop", "shadow",
                                       {"resize": {"width": 1200, "height": 800, "fit": "contain",
                                                   "background": "transparent"}}], "format": "png"}}',
     'a studio shot without its ground, cut out, with a shadow; also in 600x400 and 1200x800'),
    ('compress', '{"compressed": {"quality": 50}}', 'the same format, smaller'),
    ('thumbnails', '{"small":  {"steps": [{"thumbnail": {"width": 128, "height": 128}}], "format": "webp"},
                     "medium": {"steps": [{"thumbnail": {"width": 256, "height": 256}}], "format": "webp"},
                     "large":  {"steps": [{"thumbnail": {"width": 512, "height": 512}}], "format": "webp"}}',
     'WebP inside 128, 256 and 512 pixels, never larger than it was');

CREATE TABLE imgexport.batch (
    batch_id    uuid PRIMARY KEY DEFAULT imgexport.new_id(),
    owner       name NOT NULL DEFAULT current_user,
    total       int NOT NULL DEFAULT 0,
    completed   int NOT NULL DEFAULT 0,
    failed      int NOT NULL DEFAULT 0,
    metadata    jsonb,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE imgexport.batch IS
    'Jobs that belong together: how many, and how many are done. The worker keeps the counts.';

CREATE TABLE imgexport.job (
    batch_id     uuid NOT NULL DEFAULT imgexport.new_id(),
    job_id       uuid NOT NULL DEFAULT imgexport.new_id(),
    owner        name NOT NULL DEFAULT current_user,
    source_url   text CHECK (source_url ~* '^https?://'),
    source       bytea,
    base_url     text CHECK (base_url ~* '^https?://'),
    base         bytea,
    recipe       jsonb CHECK (imgexport.validate_recipe(recipe)),
    outputs      jsonb CHECK (imgexport.validate_outputs(outputs)),
    preset       text,
    queue        text NOT NULL DEFAULT 'default',
    priority     int NOT NULL DEFAULT 0,
    run_at       timestamptz NOT NULL DEFAULT now(),
    max_attempts int NOT NULL DEFAULT 5 CHECK (max_attempts BETWEEN 1 AND 100),
    expires_in   interval CHECK (expires_in > '0'),
    notify       boolean NOT NULL DEFAULT false,
    metadata     jsonb,
    state        text NOT NULL DEFAULT 'pending'
                 CHECK (state IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    attempts     int NOT NULL DEFAULT 0,
    worker       text,
    lease_until  timestamptz,
    error        text,
    error_code   text,
    warnings     jsonb,
    timings      jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    finished_at  timestamptz,
    PRIMARY KEY (batch_id, job_id),
    CONSTRAINT one_source CHECK (num_nonnulls(source_url, source) = 1),
    CONSTRAINT one_base CHECK (num_nonnulls(base_url, base) <= 1)
) WITH (fillfactor = 70);
ALTER TABLE imgexport.job ALTER source SET STORAGE EXTERNAL, ALTER base SET STORAGE EXTERNAL;
COMMENT ON TABLE imgexport.job IS
    'One image to be made into outputs. An INSERT is all it takes: the worker wakes when it commits.';
-- What is claimed next, when the next one is due, and what is claimed by whom.
CREATE INDEX job_claim ON imgexport.job (queue, priority DESC, run_at) WHERE state = 'pending';
CREATE INDEX job_due ON imgexport.job (run_at) WHERE state = 'pending';
CREATE INDEX job_claimed ON imgexport.job (lease_until) WHERE state = 'processing';

CREATE TABLE imgexport.image (
    batch_id   uuid NOT NULL,
    job_id     uuid NOT NULL,
    image_id   uuid NOT NULL DEFAULT imgexport.new_id(),
    owner      name NOT NULL DEFAULT current_user,
    name       text NOT NULL,
    format     text NOT NULL,
    width      int NOT NULL,
    height     int NOT NULL,
    bytes      int8 NOT NULL,
    sha256     bytea NOT NULL,
    data       bytea NOT NULL,
    metadata   jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (batch_id, job_id, image_id),
    UNIQUE (batch_id, job_id, name),
    FOREIGN KEY (batch_id, job_id) REFERENCES imgexport.job ON DELETE CASCADE
);
ALTER TABLE imgexport.image ALTER data SET STORAGE EXTERNAL;
COMMENT ON TABLE imgexport.image IS 'What jobs have made: one row an output.';
CREATE INDEX image_expiry ON imgexport.image (expires_at) WHERE expires_at IS NOT NULL;

-- Owners see their own rows; superusers and the worker see all.
ALTER TABLE imgexport.batch ENABLE ROW LEVEL SECURITY;
ALTER TABLE imgexport.job ENABLE ROW LEVEL SECURITY;
ALTER TABLE imgexport.image ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON imgexport.batch USING (owner = current_user);
CREATE POLICY owner ON imgexport.job USING (owner = current_user);
CREATE POLICY owner ON imgexport.image USING (owner = current_user);

SELECT pg_catalog.pg_extension_config_dump('imgexport.queue',
    $$WHERE name NOT IN ('default', 'batch', 'scrape')$$);
SELECT pg_catalog.pg_extension_config_dump('imgexport.preset',
    $$WHERE name NOT IN ('export', 'jpeg', 'compress', 'thumbnails')$$);
SELECT pg_catalog.pg_extension_config_dump('imgexport.batch', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.job', '');
SELECT pg_catalog.pg_extension_config_dump('imgexport.image', '');
