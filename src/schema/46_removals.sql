-- Objects that have to go from their stores: an outbox.  A removal is also written down before
-- its object is, for later: whatever happens then, an object without a row is found again.

CREATE TABLE imgexport.removal (
    batch_id    uuid NOT NULL,
    removal_id  uuid NOT NULL DEFAULT imgexport.new_id(),
    store       text NOT NULL,
    key         text NOT NULL,
    upload_id   text,
    state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'processing', 'failed')),
    attempts    int NOT NULL DEFAULT 0,
    run_at      timestamptz NOT NULL DEFAULT now(),
    worker      text,
    claim       uuid,
    lease_until timestamptz,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (batch_id, removal_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE imgexport.removal IS
    'The outbox of objects that are to be deleted from their stores, unless an image names them when it is time, and of uploads in parts (upload_id) that are to be given up, unless they are complete. A row goes when that is done; one that fails for days stays, with its error.';
CREATE INDEX removal_due ON imgexport.removal (run_at) WHERE state = 'pending';
CREATE INDEX removal_claimed ON imgexport.removal (lease_until) WHERE state = 'processing';
REVOKE ALL ON imgexport.removal FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.removal', '');

-- Whoever may delete an image may not say which objects are deleted: hence SECURITY DEFINER.
-- An object that was not written under this installation's identity (by version 0.1, or by the
-- original of a copy that is an installation of its own now) may be another's: it stays.
CREATE FUNCTION imgexport.remove_object() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO imgexport.removal (batch_id, store, key)
        SELECT OLD.batch_id, OLD.store, OLD.key
        WHERE starts_with(OLD.key, imgexport.key_prefix(OLD.store));
    ELSE
        INSERT INTO imgexport.removal (batch_id, store, key)
        SELECT DISTINCT '00000000-0000-0000-0000-000000000000'::uuid, i.store, i.key FROM imgexport.image i
        WHERE starts_with(i.key, imgexport.key_prefix(i.store));
    END IF;
    PERFORM imgexport.wake();
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.remove_object() IS
    'Trigger: the object of an image that is deleted is deleted too, where its key is one of this installation, and so are all objects by TRUNCATE. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.remove_object() FROM PUBLIC;

CREATE FUNCTION imgexport.keep_used_store() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.name = 'table' THEN
        RAISE object_in_use USING MESSAGE = 'store "table" is always there';
    ELSIF EXISTS (SELECT FROM imgexport.image i WHERE i.store = OLD.name AND i.key IS NOT NULL)
       OR EXISTS (SELECT FROM imgexport.removal r WHERE r.store = OLD.name) THEN
        RAISE object_in_use USING
            MESSAGE = format('store "%s" has objects', OLD.name),
            HINT = 'Delete their rows of imgexport.image first, and wait until imgexport.removal has none of it.';
    END IF;
    RETURN OLD;
END $$;
COMMENT ON FUNCTION imgexport.keep_used_store() IS
    'Trigger: a store is not forgotten, or called otherwise, while images are in it. Errors: 55006.';
REVOKE ALL ON FUNCTION imgexport.keep_used_store() FROM PUBLIC;
CREATE TRIGGER keep_used BEFORE DELETE ON imgexport.store
    FOR EACH ROW WHEN (NOT imgexport.is_restoring()) EXECUTE FUNCTION imgexport.keep_used_store();
CREATE TRIGGER keep_named BEFORE UPDATE OF name, kind ON imgexport.store
    FOR EACH ROW WHEN ((OLD.name, OLD.kind) IS DISTINCT FROM (NEW.name, NEW.kind))
    EXECUTE FUNCTION imgexport.keep_used_store();

-- What the worker calls before it sends an output to a store.
CREATE FUNCTION imgexport.plan_object(store text, batch_id uuid, job_id uuid, owner text,
        name text, format text, data bytea, OUT key text, OUT sha256 bytea, OUT mime text,
        OUT part_bytes int8)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place imgexport.store := imgexport.store_named(store);
BEGIN
    sha256 := sha256(data);
    mime := imgexport.mime_type(format);
    part_bytes := CASE place.kind WHEN 's3' THEN place.part_bytes END;
    key := imgexport.key_prefix(store) || imgexport.object_key(place.key, jsonb_build_object(
        'batch_id', batch_id, 'job_id', job_id, 'owner', owner, 'name', name, 'format', format,
        'ext', imgexport.file_extension(format), 'sha256', encode(sha256, 'hex')));
    INSERT INTO imgexport.removal (batch_id, store, key, run_at)
    VALUES (batch_id, store, key, statement_timestamp() + interval '1 hour');
END $$;
COMMENT ON FUNCTION imgexport.plan_object(text, uuid, uuid, text, text, text, bytea) IS
    'The key, hash and media type of an output, and the size above which it is sent in parts. In an hour its object is removed, unless there is a row for it then. Errors: 42704 no such store.';
REVOKE ALL ON FUNCTION imgexport.plan_object(text, uuid, uuid, text, text, text, bytea) FROM PUBLIC;

-- Enough of XML for what an S3 lists: an element of text, by name.
CREATE FUNCTION imgexport.xml_text(xml text, element text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT replace(replace(replace(replace(replace(replace(
        substring(xml FROM '<' || element || '>([^<]*)</' || element || '>'),
        '&lt;', '<'), '&gt;', '>'), '&quot;', '"'), '&apos;', ''''), '&#39;', ''''), '&amp;', '&')
$$;
COMMENT ON FUNCTION imgexport.xml_text(text, text) IS
    'The text of the first element of a name; NULL where there is none. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.xml_text(text, text) FROM PUBLIC;

CREATE FUNCTION imgexport.objects(place imgexport.store, OUT key text, OUT size int8,
        OUT changed_at timestamptz) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    request record;
    page text;
    token text;
BEGIN
    IF place.kind = 'file' THEN
        RETURN QUERY SELECT * FROM imgexport.list_files(place.location);
        RETURN;
    END IF;
    LOOP
        request := imgexport.s3_request(place, 'GET', '',
            coalesce('continuation-token=' || imgexport.uri_encode(token) || '&', '') || 'list-type=2',
            encode(sha256(''), 'hex'), clock_timestamp());
        page := convert_from((imgexport.call_http('GET', request.url, request.headers)).body, 'UTF8');
        IF strpos(page, '<ListBucketResult') = 0 THEN
            RAISE SQLSTATE 'IX005' USING MESSAGE = 'the list of an S3 is none';
        END IF;
        RETURN QUERY
            SELECT imgexport.xml_text(e[1], 'Key'), imgexport.xml_text(e[1], 'Size')::int8,
                   imgexport.xml_text(e[1], 'LastModified')::timestamptz
            FROM regexp_matches(page, '<Contents>(.*?)</Contents>', 'g') AS e;
        token := imgexport.xml_text(page, 'NextContinuationToken');
        EXIT WHEN token IS NULL;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.objects(imgexport.store) IS
    'What a store of kind file or s3 has: keys, sizes in bytes, and when each was changed. Errors: IX005, IX006, 42501.';
REVOKE ALL ON FUNCTION imgexport.objects(imgexport.store) FROM PUBLIC;

CREATE FUNCTION imgexport.reconcile(store text, repair boolean DEFAULT false,
        older_than interval DEFAULT '1 hour')
    RETURNS TABLE (key text, problem text, bytes int8)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place imgexport.store := imgexport.store_named(store);
    prefix text := imgexport.key_prefix(store);
    found record;
BEGIN
    IF place.kind NOT IN ('file', 's3') THEN
        RAISE feature_not_supported USING
            MESSAGE = format('a store of kind "%s" cannot be listed', place.kind);
    ELSIF repair AND imgexport.why_dormant() IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'objects are not removed here: ' || imgexport.why_dormant(),
            HINT = 'CALL imgexport.adopt() declares this database the original.';
    END IF;
    FOR found IN
        SELECT coalesce(o.key, i.key) AS key, o.key IS NULL AS is_missing, i.key IS NULL AS is_extra,
               o.size, i.bytes
        FROM imgexport.objects(place) AS o
             FULL JOIN (SELECT DISTINCT i.key, i.bytes FROM imgexport.image i
                        WHERE i.store = store AND i.key IS NOT NULL) AS i ON i.key = o.key
        WHERE i.key IS NOT NULL AND o.size IS DISTINCT FROM i.bytes
           OR i.key IS NULL AND starts_with(o.key, prefix) AND o.changed_at <= now() - older_than
        ORDER BY 1
    LOOP
        key := found.key;
        bytes := coalesce(found.size, found.bytes);
        problem := CASE WHEN found.is_missing THEN 'there is no object'
                        WHEN found.is_extra THEN 'no row names it'
                        ELSE format('the row says %s bytes', found.bytes) END;
        IF repair AND found.is_extra THEN
            INSERT INTO imgexport.removal (batch_id, store, key)
            VALUES ('00000000-0000-0000-0000-000000000000', store, key);
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM imgexport.wake();
END $$;
COMMENT ON FUNCTION imgexport.reconcile(text, boolean, interval) IS
    'What a store has and no row names, and the other way round, or with another size. Objects whose keys are not of this store of this installation are not looked at, unless a row names them. repair: have objects without a row removed, default false; a row is never changed. older_than: objects that are younger may be a job''s in work, default 1 hour. Errors: 42704 no such store, 0A000 one that cannot be listed, 55000 repair in a copy that is dormant, IX005.';
REVOKE ALL ON FUNCTION imgexport.reconcile(text, boolean, interval) FROM PUBLIC;
