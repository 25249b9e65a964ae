-- The role that imgexport-httpd connects as.

CREATE PROCEDURE imgexport.grant_delivery(role regrole, uploads boolean DEFAULT true)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA imgexport TO %s', role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION imgexport.http_static, imgexport.http_download, imgexport.http_through,
                    imgexport.http_slice, imgexport.http_job_images, imgexport.http_job_image,
                    imgexport.http_status, imgexport.http_health, imgexport.http_source,
                    imgexport.http_variant, imgexport.http_metrics, imgexport.http_gallery
                    TO %s', role);
    IF uploads THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION imgexport.http_upload, imgexport.http_process,
                        imgexport.http_metadata, imgexport.http_process_image, imgexport.http_again,
                        imgexport.http_json, imgexport.http_error, imgexport.http_images,
                        @extschema@.img_service, @extschema@.img_analyze TO %s', role);
    END IF;
END $$;
COMMENT ON PROCEDURE imgexport.grant_delivery(regrole, boolean) IS
    'Let the role of imgexport-httpd call the functions that answer requests; it cannot read or write any table. uploads: those that take what is posted too, whose jobs are the role''s and may ask services (default true); without, they are refused. imgexport.revoke_access takes it all back. Errors: 42501 the caller may not grant.';
REVOKE ALL ON PROCEDURE imgexport.grant_delivery(regrole, boolean) FROM PUBLIC;
