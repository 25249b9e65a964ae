-- What a rate allows does not begin anew with each worker.

CREATE TABLE imgexport.queue_start (
    queue      text NOT NULL,
    started_at timestamptz NOT NULL,
    starts     int NOT NULL,
    PRIMARY KEY (queue, started_at)
);
COMMENT ON TABLE imgexport.queue_start IS
    'How many jobs of a queue with a rate_limit were started when, for as long as its rate_interval looks back and an hour at least. The worker keeps it.';
REVOKE ALL ON imgexport.queue_start FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.queue_start', '');
