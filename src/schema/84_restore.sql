-- Dumps and copies: a dump is restored row by row as it was, and what was restored or copied does
-- nothing until somebody declares it the original.
--
-- This comes last, as it looks at every table that is dumped and every row that is there by then.

CREATE TABLE imgexport.seed (
    relation name NOT NULL,
    nth      int NOT NULL,
    content  jsonb NOT NULL,
    cleared  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (relation, nth)
);
COMMENT ON TABLE imgexport.seed IS
    'The rows that CREATE EXTENSION has put into tables that are dumped, and whether a restore has cleared them. Of this database alone: it is not dumped.';
REVOKE ALL ON imgexport.seed FROM PUBLIC;

-- What the worker writes into a row does not make it another one.
CREATE FUNCTION imgexport.seed_content(content jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN content - '{next_run,last_run,last_result,last_error,progress}'::text[];
END $$;
COMMENT ON FUNCTION imgexport.seed_content(jsonb) IS
    'A row without what the worker writes into it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.seed_content(jsonb) FROM PUBLIC;

CREATE FUNCTION imgexport.mute_triggers(mute boolean) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_mute_triggers';
COMMENT ON FUNCTION imgexport.mute_triggers(boolean) IS
    'Have no trigger fire for the rows of a superuser''s statement but those that always do, and have them fire again. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.mute_triggers(boolean) FROM PUBLIC;

CREATE FUNCTION imgexport.begin_restore() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Two installations do not become one: where this one has objects its identity stays, and
    -- the restore fails at the other's.
    IF TG_TABLE_NAME <> 'installation' OR NOT EXISTS (
            SELECT FROM imgexport.image i WHERE starts_with(i.key, imgexport.key_prefix(i.store))) THEN
        EXECUTE format('WITH cleared AS (
                UPDATE imgexport.seed s SET cleared = true WHERE s.relation = %1$L AND NOT s.cleared
                RETURNING s.content)
            DELETE FROM imgexport.%1$I t USING cleared c WHERE imgexport.seed_content(to_jsonb(t)) = c.content',
            TG_TABLE_NAME);
    END IF;
    IF NOT EXISTS (SELECT FROM imgexport.restore_mark) THEN
        INSERT INTO imgexport.restore_mark DEFAULT VALUES;
        PERFORM imgexport.wake();
    END IF;
    -- Nor foreign keys, as pg_restore --jobs does not know the order of tables that belong to an
    -- extension; imgexport.adopt() checks them.
    PERFORM imgexport.mute_triggers(true);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.begin_restore() IS
    'Trigger: rows of a dump take the place of those that CREATE EXTENSION has put there and nobody has changed, and nothing runs here any more until imgexport.adopt(). Errors: none.';
REVOKE ALL ON FUNCTION imgexport.begin_restore() FROM PUBLIC;

CREATE FUNCTION imgexport.end_restore() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM imgexport.mute_triggers(false);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgexport.end_restore() IS
    'Trigger: what imgexport.begin_restore() has muted is heard again. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.end_restore() FROM PUBLIC;

-- Every table that is dumped, whichever are added above.
DO $$
DECLARE
    dumped record;
BEGIN
    FOR dumped IN
        SELECT c.relname AS name
        FROM pg_catalog.pg_extension e, LATERAL unnest(e.extconfig) AS t(oid)
             JOIN pg_catalog.pg_class c ON c.oid = t.oid
        WHERE e.extname = 'imgexport'
    LOOP
        EXECUTE format('CREATE TRIGGER begin_restore BEFORE INSERT ON imgexport.%I
            FOR EACH STATEMENT WHEN (imgexport.is_restoring()) EXECUTE FUNCTION imgexport.begin_restore()', dumped.name);
        EXECUTE format('CREATE TRIGGER end_restore AFTER INSERT ON imgexport.%I
            FOR EACH STATEMENT WHEN (imgexport.is_restoring()) EXECUTE FUNCTION imgexport.end_restore()', dumped.name);
        -- Also with session_replication_role = replica.
        EXECUTE format('ALTER TABLE imgexport.%I ENABLE ALWAYS TRIGGER begin_restore,
            ENABLE ALWAYS TRIGGER end_restore', dumped.name);
        EXECUTE format('INSERT INTO imgexport.seed (relation, nth, content)
            SELECT %1$L, row_number() OVER (), imgexport.seed_content(to_jsonb(t)) FROM imgexport.%1$I t', dumped.name);
    END LOOP;
END $$;

CREATE FUNCTION imgexport.plant_seeds() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    planted name;
BEGIN
    FOR planted IN
        SELECT s.relation FROM imgexport.seed s
        WHERE s.cleared AND s.relation NOT IN ('installation', 'signing_key')
        GROUP BY s.relation ORDER BY s.relation DESC
    LOOP
        EXECUTE format('INSERT INTO imgexport.%1$I
            SELECT r.* FROM imgexport.seed s, jsonb_populate_record(NULL::imgexport.%1$I, s.content) AS r
            WHERE s.relation = %1$L AND s.cleared ON CONFLICT DO NOTHING', planted);
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.plant_seeds() IS
    'Put rows back that CREATE EXTENSION had put there and a restore has cleared: a dump of version 0.1 does not have them. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.plant_seeds() FROM PUBLIC;

-- What foreign keys would have said during the restore.
CREATE FUNCTION imgexport.check_restored() RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key record;
    orphaned boolean;
BEGIN
    FOR key IN
        SELECT c.conrelid::regclass AS child, c.confrelid::regclass AS parent,
               (SELECT string_agg(format('p.%I = c.%I', pa.attname, ca.attname), ' AND ')
                FROM unnest(c.conkey, c.confkey) AS k(child, parent)
                     JOIN pg_attribute ca ON (ca.attrelid, ca.attnum) = (c.conrelid, k.child)
                     JOIN pg_attribute pa ON (pa.attrelid, pa.attnum) = (c.confrelid, k.parent)) AS same,
               (SELECT string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND ')
                FROM unnest(c.conkey) AS k(child)
                     JOIN pg_attribute ca ON (ca.attrelid, ca.attnum) = (c.conrelid, k.child)) AS known
        FROM pg_constraint c JOIN pg_extension e ON c.conrelid = ANY (e.extconfig)
        WHERE e.extname = 'imgexport' AND c.contype = 'f'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s))',
                       key.child, key.known, key.parent, key.same) INTO orphaned;
        IF orphaned THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('rows of %s were restored without those of %s', key.child, key.parent),
                HINT = 'Restore both, or delete the rows that lack the other.';
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.check_restored() IS
    'Raise which rows that were restored lack the row that they refer to. Errors: 23503.';
REVOKE ALL ON FUNCTION imgexport.check_restored() FROM PUBLIC;

CREATE PROCEDURE imgexport.adopt(keep_objects boolean DEFAULT true, new_identity boolean DEFAULT false)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text;
    home imgexport.installation;
BEGIN
    LOCK TABLE imgexport.installation IN SHARE ROW EXCLUSIVE MODE;
    reason := imgexport.why_dormant();
    IF reason IS NULL AND NOT new_identity THEN
        RAISE NOTICE 'this database is not dormant';
        RETURN;
    END IF;
    PERFORM imgexport.check_restored();
    SELECT i.* INTO home FROM imgexport.installation i;
    IF home.id IS NULL THEN
        PERFORM imgexport.plant_seeds();
        IF NOT EXISTS (SELECT FROM imgexport.signing_key k WHERE k.not_after IS NULL) THEN
            PERFORM imgexport.rotate_signing_key();
        END IF;
    END IF;
    INSERT INTO imgexport.installation (system_identifier, database)
    SELECT p.system_identifier, p.database FROM imgexport.this_place() AS p
    ON CONFLICT (one) DO UPDATE
    SET system_identifier = excluded.system_identifier, database = excluded.database,
        adopted_at = excluded.adopted_at,
        id = CASE WHEN new_identity THEN excluded.id ELSE installation.id END;
    -- What was to be removed was noted by the original, or by a copy whose rows went for reasons
    -- of its own: an object that stays costs room, and reconcile() finds it.
    IF keep_objects OR new_identity THEN
        DELETE FROM imgexport.removal;
    END IF;
    -- Nobody here has claimed anything.
    UPDATE imgexport.job SET state = 'pending', attempts = greatest(attempts - 1, 0), worker = NULL,
        lease_until = NULL WHERE state = 'processing';
    UPDATE imgexport.delivery SET state = 'pending', attempts = greatest(attempts - 1, 0), worker = NULL,
        lease_until = NULL WHERE state = 'processing';
    UPDATE imgexport.removal SET state = 'pending', attempts = greatest(attempts - 1, 0), worker = NULL,
        lease_until = NULL WHERE state = 'processing';
    -- Schedules that were missed meanwhile are not made up for.
    UPDATE imgexport.schedule SET progress = NULL,
        next_run = imgexport.next_run(cron, now(), time_zone) WHERE enabled;
    DELETE FROM imgexport.restore_mark;
    reason := imgexport.why_dormant();
    IF reason IS NOT NULL THEN
        RAISE WARNING USING MESSAGE = 'this database stays dormant: ' || reason,
            HINT = 'Change imgexport.installation in postgresql.conf and reload it.';
    END IF;
    PERFORM imgexport.end_dormancy();
END $$;
COMMENT ON PROCEDURE imgexport.adopt(boolean, boolean) IS
    'Declare this database the original: from now on its jobs, schedules, webhooks and removals run, and those of no other database with its identity should. keep_objects: objects whose removal was noted before stay in their stores, default true. new_identity: let the original live as well, default false: this database then writes objects under an identity of its own and never removes what was there before. Errors: 42501, 23503 rows were restored without those that they refer to.';
REVOKE ALL ON PROCEDURE imgexport.adopt(boolean, boolean) FROM PUBLIC;

-- The worker of this database is wanted from the moment that this commits.
SELECT imgexport.end_dormancy();
