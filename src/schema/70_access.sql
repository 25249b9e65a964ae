-- Who may do what.

-- Grants by table, as postgres_fdw and engines that distribute tables write every column; what may
-- be written the policies say.  No grant allows a lock that keeps others waiting: UPDATE and
-- DELETE would, so that whatever needs these is a function.
CREATE PROCEDURE imgexport.grant_access(role regrole)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA imgexport TO %s', role);
    EXECUTE format('GRANT SELECT ON imgexport.queue, imgexport.preset, imgexport.batch,
                    imgexport.product, imgexport.job, imgexport.job_key, imgexport.image,
                    imgexport.webhook, imgexport.delivery, imgexport.schedule,
                    imgexport.stat_job, imgexport.csv_upload TO %s', role);
    EXECUTE format('GRANT SELECT (name, kind, public_url, sign, url_expires_in, retention)
                    ON imgexport.store TO %s', role);
    EXECUTE format('GRANT SELECT (name, kind, parameters, price, allowed_role, enabled)
                    ON imgexport.service TO %s', role);
    EXECUTE format('GRANT INSERT ON imgexport.job, imgexport.batch, imgexport.product,
                    imgexport.csv_upload TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION imgexport.submit, imgexport.submit_batch,
                    imgexport.submit_csv, imgexport.validate_csv, imgexport.parse_csv,
                    imgexport.read_csv, imgexport.csv_columns, imgexport.split_urls,
                    imgexport.validate_url, imgexport.shown_url, imgexport.uploaded_batch, imgexport.check_submission,
                    imgexport.status, imgexport.batch_status, imgexport.url, imgexport.why, imgexport.why_unfinished, imgexport.is_own_change, imgexport.health,
                    imgexport.has_worker, imgexport.host_state, imgexport.health_workers, imgexport.retry, imgexport.cancel,
                    imgexport.delete_job, imgexport.delete_batch, imgexport.delete_image, imgexport.delete_webhook,
                    imgexport.bind_owner, imgexport.claim_batch, imgexport.check_priority, imgexport.hold_key, imgexport.notify_channel,
                    imgexport.wake, imgexport.is_dormant, imgexport.next_run,
                    imgexport.webhook_secret, imgexport.rotate_webhook_secret,
                    imgexport.enable_webhook, imgexport.replay, imgexport.verify_webhook,
                    imgexport.sign_webhook, imgexport.hmac_sha256, imgexport.same_bytes
                    TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION @extschema@.img_service, @extschema@.img_analyze,
                    imgexport.service_image, imgexport.describe_service, imgexport.ask_service,
                    imgexport.product_recipe, imgexport.product_json, imgexport.product_shot,
                    imgexport.product_shot_json, imgexport.to_base64, imgexport.pick_preset, imgexport.preset_stats
                    TO %s', role);
    EXECUTE format('GRANT EXECUTE ON PROCEDURE imgexport.wait TO %s', role);
END $$;
COMMENT ON PROCEDURE imgexport.grant_access(regrole) IS
    'Let a role hand in jobs and see, retry, cancel and delete its own. Whoever has it can have URLs fetched. Errors: 42501 the caller may not grant.';
REVOKE ALL ON PROCEDURE imgexport.grant_access(regrole) FROM PUBLIC;

CREATE PROCEDURE imgexport.grant_monitoring(role regrole)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA imgexport TO %s', role);
    EXECUTE format('GRANT SELECT ON imgexport.queue, imgexport.schedule, imgexport.stat_worker,
                    imgexport.stat_host TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION imgexport.workers, imgexport.hosts, imgexport.services,
                    imgexport.presets TO %s', role);
END $$;
COMMENT ON PROCEDURE imgexport.grant_monitoring(regrole) IS
    'Let a role see the counters of workers and hosts, and no job. Errors: 42501 the caller may not grant.';
REVOKE ALL ON PROCEDURE imgexport.grant_monitoring(regrole) FROM PUBLIC;

CREATE PROCEDURE imgexport.revoke_access(role regrole)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA imgexport FROM %s', role);
    EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA imgexport FROM %s', role);
    EXECUTE format('REVOKE ALL ON SCHEMA imgexport FROM %s', role);
    EXECUTE format('REVOKE ALL ON FUNCTION @extschema@.img_service, @extschema@.img_analyze FROM %s', role);
END $$;
COMMENT ON PROCEDURE imgexport.revoke_access(regrole) IS
    'Take back from a role what grant_access, grant_monitoring and grant_delivery have granted, and whatever else it had on objects of imgexport; its rows stay. Errors: 42501 the caller may not revoke.';
REVOKE ALL ON PROCEDURE imgexport.revoke_access(regrole) FROM PUBLIC;
