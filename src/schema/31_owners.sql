-- Whose a row is.  An owner is a label of a role: its name, until another role comes by that name.

CREATE TABLE imgexport.owner_role (
    label     name PRIMARY KEY,
    role      oid NOT NULL,
    role_name name,
    cluster   int8 NOT NULL,
    channel   text NOT NULL DEFAULT 'imgexport_' || replace(gen_random_uuid()::text, '-', ''),
    UNIQUE (role, cluster)
);
COMMENT ON TABLE imgexport.owner_role IS
    'Labels of the roles that own rows. role: OID of the role that a label was given to when it first wrote a row; it keeps it when it is renamed, and another role that gets its name later has a label of its own. role_name: what the role was called when the worker last looked, NULL: it is gone; by that a role is found again in another cluster (the system identifier) than the one that it was bound in. channel: where the role is told of the end of its jobs, for nobody else to know.';
REVOKE ALL ON imgexport.owner_role FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.owner_role', '');

CREATE FUNCTION imgexport.forget_owners() RETURNS trigger
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_forget_owners';
COMMENT ON FUNCTION imgexport.forget_owners() IS
    'Trigger: all sessions read imgexport.owner_role anew. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.forget_owners() FROM PUBLIC;
CREATE TRIGGER forget_owners AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON imgexport.owner_role
    FOR EACH STATEMENT EXECUTE FUNCTION imgexport.forget_owners();
-- Also where others are muted: replication, a restore.
ALTER TABLE imgexport.owner_role ENABLE ALWAYS TRIGGER forget_owners;

CREATE FUNCTION imgexport.cluster() RETURNS int8
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT system_identifier FROM pg_control_system() $$;
COMMENT ON FUNCTION imgexport.cluster() IS
    'The system identifier of this server, in which OIDs of roles mean what they say. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.cluster() FROM PUBLIC;

CREATE FUNCTION imgexport.find_label(role regrole, OUT label name, OUT bound boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    here int8 := imgexport.cluster();
    role_name name := (SELECT r.rolname FROM pg_roles r WHERE r.oid = role);
    suffix text := '';
    tried int := 0;
BEGIN
    SELECT o.label INTO label FROM imgexport.owner_role o WHERE (o.role, o.cluster) = (role, here);
    bound := FOUND;
    IF bound THEN
        RETURN;
    END IF;
    -- Of a database that was dumped in another cluster, where one role was called so.
    label := (SELECT min(o.label::text) FROM imgexport.owner_role o
              WHERE o.role_name = role_name AND o.cluster <> here HAVING count(*) = 1);
    WHILE label IS NULL LOOP
        label := (left(role_name::text, 63 - length(suffix)) || suffix)::name;
        IF EXISTS (SELECT FROM imgexport.owner_role o WHERE o.label = label) THEN
            label := NULL;
        END IF;
        suffix := concat('/', role::oid, '/' || nullif(tried, 0));
        tried := tried + 1;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgexport.find_label(regrole) IS
    'The label of a role, or the one that it would get: its name, or where another role has or had that, its name and OID. bound: whether it has it. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.find_label(regrole) FROM PUBLIC;

CREATE FUNCTION imgexport.bind_label(role regrole) RETURNS name
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found record := imgexport.find_label(role);
    here int8 := imgexport.cluster();
    role_name name := (SELECT r.rolname FROM pg_roles r WHERE r.oid = role);
BEGIN
    IF found.bound THEN
        RETURN found.label;
    ELSIF role_name IS NULL THEN
        RAISE undefined_object USING MESSAGE = format('role %s does not exist', role::oid);
    END IF;
    -- Whoever was known by this name is not called so any more.
    UPDATE imgexport.owner_role o SET role_name = (SELECT r.rolname FROM pg_roles r WHERE r.oid = o.role)
    WHERE o.role_name = role_name AND o.cluster = here;
    INSERT INTO imgexport.owner_role AS o (label, role, role_name, cluster)
    VALUES (found.label, role, role_name, here)
    ON CONFLICT ON CONSTRAINT owner_role_pkey DO UPDATE SET role = excluded.role, cluster = excluded.cluster
    WHERE o.cluster <> here;
    -- Another session of the role was first, or of another role that is called so now.
    IF NOT EXISTS (SELECT FROM imgexport.owner_role o
                   WHERE (o.label, o.role, o.cluster) = (found.label, role, here)) THEN
        RAISE serialization_failure USING
            MESSAGE = format('owner "%s" was bound to another role at the same time', found.label),
            HINT = 'Try again.';
    END IF;
    RETURN found.label;
END $$;
COMMENT ON FUNCTION imgexport.bind_label(regrole) IS
    'The label of a role, from now on. Errors: 40001 another role has taken it at the same time, 42704 there is no such role.';
REVOKE ALL ON FUNCTION imgexport.bind_label(regrole) FROM PUBLIC;

CREATE FUNCTION imgexport.owner_of(role regrole) RETURNS name
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT f.label FROM imgexport.find_label(role) AS f);
END $$;
COMMENT ON FUNCTION imgexport.owner_of(regrole) IS
    'The owner that a role''s rows have. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.owner_of(regrole) FROM PUBLIC;

-- What the worker asks before it does something as the owner of a job.
CREATE FUNCTION imgexport.owner_oid(label name) RETURNS oid
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known imgexport.owner_role;
    role oid;
BEGIN
    SELECT o.* INTO known FROM imgexport.owner_role o WHERE o.label = label;
    IF known.cluster = imgexport.cluster() THEN
        RETURN (SELECT r.oid FROM pg_roles r WHERE r.oid = known.role);
    END IF;
    role := (SELECT r.oid FROM pg_roles r WHERE r.rolname = coalesce(known.role_name, label));
    -- Rows that a superuser has inserted for a role may be its first.
    RETURN CASE WHEN role IS NOT NULL AND imgexport.owner_of(role) = label
                     AND imgexport.bind_label(role) = label THEN role END;
END $$;
COMMENT ON FUNCTION imgexport.owner_oid(name) IS
    'The role that a label stands for; NULL where it does not exist any more. Errors: 40001.';
REVOKE ALL ON FUNCTION imgexport.owner_oid(name) FROM PUBLIC;

CREATE FUNCTION imgexport.current_owner() RETURNS name
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'imgexport_current_owner';
COMMENT ON FUNCTION imgexport.current_owner() IS
    'The owner that rows of the current role have: its name when it wrote its first row, or, where another role had that before, its name and OID. Errors: none.';

CREATE FUNCTION imgexport.bind_owner() RETURNS name
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_bind_owner';
COMMENT ON FUNCTION imgexport.bind_owner() IS
    'The same, written into imgexport.owner_role: what policies ask when a row is inserted. Errors: 40001 another role has taken the name at the same time.';
REVOKE ALL ON FUNCTION imgexport.bind_owner() FROM PUBLIC;

-- Functions with the same name and _as run as the owner of the extension, by the C function
-- imgexport_as_owner, which tells them who called.  They ask here whose rows that role sees.
CREATE FUNCTION imgexport.sees_all(caller regrole) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r WHERE r.oid = caller);
END $$;
COMMENT ON FUNCTION imgexport.sees_all(regrole) IS
    'Whether row-level security does not hold for a role. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.sees_all(regrole) FROM PUBLIC;

CREATE FUNCTION imgexport.may_see(caller regrole, owner name) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN owner = imgexport.owner_of(caller) OR imgexport.sees_all(caller);
END $$;
COMMENT ON FUNCTION imgexport.may_see(regrole, name) IS
    'Whether row-level security would show an owner''s rows to a caller, for functions that do not run as the caller. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.may_see(regrole, name) FROM PUBLIC;

-- Whom a batch belongs to, from before its first row can be seen.
CREATE TABLE imgexport.batch_owner (
    batch_id uuid PRIMARY KEY,
    owner    name NOT NULL
);
COMMENT ON TABLE imgexport.batch_owner IS
    'Batches whose ids came from outside the transaction that wrote their first row: so no two roles can begin the same batch at the same time.';
REVOKE ALL ON imgexport.batch_owner FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('imgexport.batch_owner', '');

CREATE FUNCTION imgexport.claim_batch(batch_id uuid) RETURNS boolean
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_claim_batch';
COMMENT ON FUNCTION imgexport.claim_batch(uuid) IS
    'Whether the current role may write rows of a batch: what policies ask. True, or an error. Errors: 42501 it belongs to another role.';
REVOKE ALL ON FUNCTION imgexport.claim_batch(uuid) FROM PUBLIC;

-- Who listens to a channel hears all that is said there, so each owner has one that nobody can guess.
CREATE FUNCTION imgexport.notify_channel_as(caller regrole) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner name := imgexport.bind_label(caller);
BEGIN
    RETURN (SELECT o.channel FROM imgexport.owner_role o WHERE o.label = owner);
END $$;
COMMENT ON FUNCTION imgexport.notify_channel_as(regrole) IS
    'What imgexport.notify_channel returns to a role that calls it. Errors: the same.';
REVOKE ALL ON FUNCTION imgexport.notify_channel_as(regrole) FROM PUBLIC;

CREATE FUNCTION imgexport.notify_channel() RETURNS text
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'imgexport_as_owner';
COMMENT ON FUNCTION imgexport.notify_channel() IS
    'The channel to LISTEN to for the ends of the current role''s jobs that notify. Anyone who knows its name can listen too. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.notify_channel() FROM PUBLIC;

CREATE FUNCTION imgexport.notify_owner(owner name, payload text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM imgexport.owner_oid(owner);
    PERFORM pg_notify(o.channel, payload) FROM imgexport.owner_role o WHERE o.label = owner;
    PERFORM pg_notify('imgexport', '');
END $$;
COMMENT ON FUNCTION imgexport.notify_owner(name, text) IS
    'Notify the channel of an owner; on the channel imgexport, which any role can listen to, only that something has ended. Errors: none.';
REVOKE ALL ON FUNCTION imgexport.notify_owner(name, text) FROM PUBLIC;
