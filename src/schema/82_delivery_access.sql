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
        EXECUTE format('CALL imgexport.grant_access(%L)', role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION imgexport.http_upload, imgexport.http_process,
                        imgexport.http_metadata, imgexport.http_process_image, imgexport.http_again,
                        imgexport.http_product, imgexport.http_json, imgexport.http_error,
                        imgexport.http_later, imgexport.http_upload_image, imgexport.variation_recipe, imgexport.exports_json, imgexport.http_field, imgexport.http_images,
                        imgexport.processed_json, imgexport.own_bytes, imgexport.source_path, imgexport.new_id TO %s', role);
    END IF;
END $$;
COMMENT ON PROCEDURE imgexport.grant_delivery(regrole, boolean) IS
    'Let the role of imgexport-httpd call what it serves, and read no table. uploads: it may hand in jobs as well, as imgexport.grant_access lets a role (default true); without, what is posted is refused. Errors: 42501 the caller may not grant.';
REVOKE ALL ON PROCEDURE imgexport.grant_delivery(regrole, boolean) FROM PUBLIC;
