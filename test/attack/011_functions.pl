# A user's functions run as the user, in a process of his own, and leave nothing behind: no rights,
# no settings, no locks, and nobody else's time.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('functions', "imgexport.evaluate_timeout = '60s'", 'max_worker_processes = 16');
my $gif = '47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b';

sub ask { return scalar $node->safe_psql('postgres', $_[0]) }

# As a role, which has to have been granted access.
sub ask_as
{
	my ($role, $statements) = @_;

	return scalar $node->safe_psql('postgres', $statements, extra_params => [ '-U', $role ]);
}

# Submit a job; returns its batch.
sub submit
{
	my ($role, $recipe, $arguments, $settings) = @_;

	$arguments = $arguments ? ", $arguments" : '';
	return ask_as($role, ($settings // '') . "SELECT imgexport.submit(source => '\\x$gif', recipe => '$recipe',
		outputs => '{\"png\": {}}'$arguments)");
}

sub job { my ($batch, $what) = @_; return ask("SELECT $what FROM imgexport.job WHERE batch_id = '$batch'") }

sub finished
{
	my ($batch) = @_;

	$node->poll_query_until('postgres',
		"SELECT bool_and(state IN ('completed', 'failed', 'cancelled')) FROM imgexport.job WHERE batch_id = '$batch'")
	  or die "batch $batch does not end";
	return job($batch, "string_agg(state || coalesce(' ' || error_code || ' ' || error, ''), ', ')");
}

ask(q{
	CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN;
	CALL imgexport.grant_access('mallory'); CALL imgexport.grant_access('alice');
	GRANT CREATE ON SCHEMA public TO mallory;
	CREATE SCHEMA mallory AUTHORIZATION mallory;
	CREATE TABLE public.told (at timestamptz DEFAULT clock_timestamp(), what text);
	GRANT INSERT, SELECT ON public.told TO mallory;
});
# Each attack: when it finds itself with a superuser's rights it takes them for good, and it tells.
ask_as('mallory', q{
	CREATE FUNCTION mallory.grab(what text) RETURNS void LANGUAGE plpgsql AS $f$
	BEGIN
		IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
			EXECUTE 'ALTER ROLE mallory SUPERUSER';
		END IF;
		IF current_user <> 'mallory' THEN
			RAISE WARNING 'ran as %: %', current_user, what;
		END IF;
	END $f$;
	CREATE FUNCTION mallory.eq(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $f$
	BEGIN PERFORM mallory.grab('operator'); RETURN a OPERATOR(pg_catalog.=) b; END $f$;
	CREATE OPERATOR mallory.= (LEFTARG = text, RIGHTARG = text, FUNCTION = mallory.eq);
	CREATE FUNCTION mallory.cat(a jsonb, b jsonb) RETURNS jsonb LANGUAGE plpgsql AS $f$
	BEGIN PERFORM mallory.grab('operator'); RETURN a OPERATOR(pg_catalog.||) b; END $f$;
	CREATE OPERATOR mallory.|| (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = mallory.cat);
	CREATE FUNCTION mallory.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $f$
	BEGIN PERFORM mallory.grab('function'); RETURN QUERY SELECT pg_catalog.unnest($1); END $f$;
	CREATE FUNCTION mallory.chk(v text) RETURNS boolean LANGUAGE plpgsql AS $f$
	BEGIN PERFORM mallory.grab('domain'); RETURN true; END $f$;
	CREATE DOMAIN mallory.d AS text CHECK (mallory.chk(value));
	CREATE TYPE mallory.pair AS (a mallory.d);
	CREATE FUNCTION mallory.fallback() RETURNS int LANGUAGE plpgsql AS $f$
	BEGIN PERFORM mallory.grab('default'); RETURN 1; END $f$;
	CREATE FUNCTION mallory.img_dom(image bytea, x mallory.d DEFAULT 'a') RETURNS bytea LANGUAGE sql AS 'SELECT image';
	CREATE FUNCTION mallory.img_row(image bytea, x mallory.pair) RETURNS bytea LANGUAGE sql AS 'SELECT image';
	CREATE FUNCTION mallory.img_default(image bytea, x int DEFAULT mallory.fallback()) RETURNS bytea LANGUAGE sql AS 'SELECT image';
	CREATE FUNCTION public.img_evil(image bytea) RETURNS bytea LANGUAGE plpgsql AS $f$
	BEGIN PERFORM mallory.grab('schema'); RETURN image; END $f$;
	CREATE FUNCTION mallory.img_set(image bytea, name text, value text) RETURNS bytea LANGUAGE plpgsql AS $f$
	BEGIN PERFORM set_config(name, value, false); RETURN image; END $f$;
	CREATE FUNCTION mallory.img_do(image bytea, statement text) RETURNS bytea LANGUAGE plpgsql AS $f$
	BEGIN EXECUTE statement; RETURN image; END $f$;
	CREATE FUNCTION mallory.img_sleep(image bytea, seconds float8 DEFAULT 12) RETURNS bytea LANGUAGE plpgsql AS $f$
	BEGIN PERFORM pg_sleep(seconds); RETURN image; END $f$;
	CREATE FUNCTION mallory.img_blunt(image bytea) RETURNS bytea LANGUAGE sql AS 'SELECT public.img_blur(image, 1)';
	CREATE FUNCTION mallory.img_copy(image bytea) RETURNS bytea LANGUAGE sql AS $f$ SELECT image || ''::bytea $f$;
	CREATE FUNCTION mallory.img_whoami(image bytea) RETURNS bytea LANGUAGE plpgsql AS $f$
	BEGIN
		RAISE '% % % %', session_user, current_user, current_setting('is_superuser'), current_setting('search_path');
	END $f$;
});

sub rights { return ask("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'") }

# A1: settings that a function makes, and operators that wait for the worker's statements.
is(finished(submit('mallory', '[{"mallory.set": {"name": "search_path", "value": "mallory, pg_catalog"}}]')), 'completed',
	'A1: a function may set what it likes');
is(finished(submit('alice', '["flip"]')), 'completed', 'A1: the next job is made');
is(rights(), 'f', 'A1: and nobody is a superuser by it');
foreach my $set (
	[ 'default_transaction_read_only', 'on' ], [ 'statement_timeout', '1' ], [ 'lock_timeout', '1' ],
	[ 'idle_in_transaction_session_timeout', '1' ], [ 'DateStyle', 'German' ], [ 'standard_conforming_strings', 'off' ],
	[ 'exit_on_error', 'on' ], [ 'work_mem', '64' ], [ 'check_function_bodies', 'off' ])
{
	is(finished(submit('mallory', qq([{"mallory.set": {"name": "$set->[0]", "value": "$set->[1]"}}]))), 'completed', "A1: $set->[0]");
}
is(finished(submit('mallory', '["mallory.copy"]')), 'completed', 'A1: a job of the same role is made after all of them');
foreach my $escape (
	'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres', 'RESET SESSION AUTHORIZATION', 'RESET ROLE',
	'SET session_replication_role = replica', 'ALTER ROLE mallory SUPERUSER', 'CREATE TEMP TABLE job (x int)',
	'PREPARE p AS SELECT 1', 'LISTEN imgexport', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
	'ALTER SYSTEM SET search_path = mallory', 'COPY (SELECT 1) TO PROGRAM \'\'true\'\'')
{
	like(finished(submit('mallory', qq([{"mallory.do": {"statement": "$escape"}}]))), qr/^failed (42501|0A000|25001|22023|42809|55000)/,
		"A1: no $escape");
}
like(finished(submit('mallory', '["mallory.whoami"]')), qr/^failed P0001 mallory mallory off pg_catalog, pg_temp$/,
	'A1: it runs as its owner, in a session of his, with the search_path of an extension');
is(rights(), 'f', 'A1: nobody is a superuser');

# What it writes, locks and leaves deferred ends with it.
ask_as('mallory', q{
	CREATE TABLE mallory.note (x int);
	CREATE FUNCTION mallory.deferred() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN PERFORM mallory.grab('deferred trigger'); RETURN NULL; END $f$;
	CREATE TABLE mallory.late (x int);
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON mallory.late DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION mallory.deferred();
});
is(finished(submit('mallory', '[{"mallory.do": {"statement": "INSERT INTO mallory.note VALUES (1)"}}]')), 'completed', 'A1.1: a function may write');
is(ask('SELECT count(*) FROM mallory.note'), '0', 'A1.1: what it has written is taken back');
like(finished(submit('mallory', '[{"mallory.do": {"statement": "INSERT INTO mallory.late VALUES (1)"}}]')), qr/^failed 42501/,
	'A1.1: it may defer nothing');
is(rights(), 'f', 'A1.1: and nothing of it runs later');

# A2: types and defaults.
foreach my $recipe ('[{"mallory.dom": {"x": "boo"}}]', '["mallory.dom"]', '[{"mallory.row": {"x": "(boo)"}}]', '["mallory.default"]')
{
	my $batch = submit('mallory', $recipe);

	is(finished($batch), 'completed', "A2: $recipe is made");
	ask("SELECT imgexport.retry('$batch'); UPDATE imgexport.job SET priority = 1, recipe = recipe, outputs = outputs WHERE batch_id = '$batch'");
	is(finished($batch), 'completed', 'A2: also when a superuser tries it again');
}
ask("INSERT INTO imgexport.preset (name, recipe, outputs) VALUES
	('trap', '[{\"mallory.dom\": {\"x\": \"boo\"}}]', '{\"png\": {\"steps\": [{\"mallory.dom\": {\"x\": \"boo\"}}]}}')");
is(finished(submit('mallory', '[]', "preset => 'trap'")), 'completed', 'A2: a preset is checked without them');
ask("SELECT imgexport.validate_recipe('[{\"mallory.dom\": {\"x\": \"boo\"}}, \"mallory.default\"]')");
is(rights(), 'f', 'A2: nobody is a superuser by it');

# A2.1: a function that only lies in the schema of the extension's is nobody's own step.
like(error_of($node, "SELECT imgexport.submit(source => '\\x$gif', recipe => '[\"evil\"]')"), qr/22023.*there is no step "evil"/s,
	"A2.1: what lies in the extension's schema is not the extension's");
is(finished(submit('mallory', '["public.evil"]')), 'completed', 'A2.1: by its full name it is a function like any other');
is(finished(submit('mallory', '[{"apply": {"recipe": ["public.evil", {"mallory.dom": {"x": "boo"}}]}}, {"try": {"recipe": ["public.evil"]}}]')),
	'completed', 'A2.2: also inside a recipe of a recipe');
is(rights(), 'f', 'A2.1: nobody is a superuser by it');

my @ran = grep { /WARNING:  ran as / } split /\n/, slurp_file($node->logfile);
is_deeply(\@ran, [], 'A1, A2: no function, operator, type or default of his ran as anybody else');

# Dumped and restored: into a database in which his functions are made later than the rows.
my $dump = $node->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-p', $node->port, '-h', $node->host, 'postgres' ], 'it is dumped');
ask('CREATE DATABASE restored');
command_ok([ 'pg_restore', '-e', '-p', $node->port, '-h', $node->host, '-d', 'restored', $dump ],
	'A2.3: a dump is restored whatever its recipes call');
@ran = grep { /WARNING:  ran as / } split /\n/, slurp_file($node->logfile);
is_deeply(\@ran, [], 'A2.3: and nothing of anybody runs');
ask('DROP DATABASE restored');

# A3: locks and time.
is(finished(submit('mallory', '[{"mallory.do": {"statement": "SELECT pg_advisory_lock(4711)"}}]')), 'completed', 'A3: an advisory lock');
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'")
  or fail('A3: it outlives the function');
my $holder = submit('mallory', '[{"mallory.do": {"statement": "LOCK TABLE mallory.note IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5)"}}]');
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'mallory.note'::regclass AND mode = 'AccessExclusiveLock'")
  or fail('A3: a function that locks');
is(finished(submit('alice', '["flip"]')), 'completed', "A3: others' jobs are made while a function holds a lock");
is(job($holder, 'state'), 'processing', 'A3: while it does');
is(finished($holder), 'completed', 'A3: it comes to its end');
is(ask("SELECT count(*) FROM pg_locks WHERE relation = 'mallory.note'::regclass"), '0', 'A3: its lock has gone with it');

# A4: three that sleep, and are more urgent than anything.
my @sleepers = map { submit('mallory', '["mallory.sleep"]', 'priority => 100') } 1 .. 3;
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'imgexport evaluator' AND state = 'active'")
  or fail('A4: an evaluator runs');
is(finished(submit('alice', '["flip"]')), 'completed', "A4: another owner's job is made");
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id IN ('" . join("','", @sleepers) . "') AND state = 'processing'"), '3',
	'A4: while all three of them sleep');
is(ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'imgexport evaluator'"), '1', 'A4: in one process');
ask("SELECT imgexport.cancel('$_')") foreach @sleepers;
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'imgexport evaluator' AND state = 'active'")
  or fail('A4: a cancelled job ends its function');
pass('A4: a cancelled job ends its function');
is(finished(submit('mallory', '["mallory.copy"]')), 'completed', 'A4: and the same owner goes on');

# More of them than a queue runs at once, and others' that have functions too.
ask_as('mallory', "INSERT INTO imgexport.job (batch_id, source, recipe, outputs, priority)
	SELECT '00000000-0000-0000-0000-00000000a4a4', '\\x$gif', '[\"mallory.sleep\"]', '{\"png\": {}}', 100 FROM generate_series(1, 40)");
$node->poll_query_until('postgres', "SELECT count(*) >= 8 FROM imgexport.job WHERE batch_id = '00000000-0000-0000-0000-00000000a4a4' AND state = 'processing'")
  or fail('A4.1: they are taken up');
ask('CREATE SCHEMA alice AUTHORIZATION alice');
ask_as('alice', "CREATE FUNCTION alice.img_own(image bytea) RETURNS bytea LANGUAGE sql AS 'SELECT public.img_flip(image)'");
foreach my $recipe ('["flip"]', '["alice.own"]')
{
	is(finished(submit('alice', $recipe)), 'completed', "A4.1: another owner's $recipe is made");
}
cmp_ok(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '00000000-0000-0000-0000-00000000a4a4' AND state IN ('pending', 'processing')"),
	'>=', 38, 'A4.1: before his forty sleepers');
cmp_ok(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '00000000-0000-0000-0000-00000000a4a4' AND state = 'processing'"),
	'<=', 20, 'A4.1: of which the worker holds a few');
ask("SELECT imgexport.cancel('00000000-0000-0000-0000-00000000a4a4')");

# One that is not to be cancelled.
ask("ALTER SYSTEM SET imgexport.evaluate_timeout = '500ms'; SELECT pg_reload_conf()");
ask_as('mallory', q{
	CREATE FUNCTION mallory.img_stubborn(image bytea) RETURNS bytea LANGUAGE plpgsql AS $f$
	BEGIN
		LOOP
			BEGIN PERFORM pg_sleep(3600);
			EXCEPTION WHEN query_canceled THEN NULL;
			END;
		END LOOP;
	END $f$});
like(finished(submit('mallory', '["mallory.sleep"]', 'max_attempts => 1')), qr/^failed 57014 /, 'A4.2: a function that takes too long is cancelled');
like(finished(submit('mallory', '["mallory.stubborn"]', 'max_attempts => 1')), qr/^failed 57014 /, 'A4.2: one that takes no notice is terminated');
is(finished(submit('mallory', '["mallory.copy"]')), 'completed', 'A4.2: and the same owner goes on');

# Fewer evaluators than owners: they take turns.
ask("ALTER SYSTEM SET imgexport.evaluate_timeout = '60s'; ALTER SYSTEM SET imgexport.evaluators = 1; SELECT pg_reload_conf()");
my @long = map { submit('mallory', '[{"mallory.sleep": {"seconds": 0.5}}]', 'priority => 100') } 1 .. 20;
$node->poll_query_until('postgres', "SELECT count(*) >= 1 FROM imgexport.job WHERE batch_id = '$long[0]' AND state = 'completed'")
  or fail('A4.3: one of many');
is(finished(submit('alice', '["alice.own"]')), 'completed', 'A4.3: an owner gets his turn in the one evaluator');
cmp_ok(ask("SELECT count(*) FROM imgexport.job WHERE batch_id IN ('" . join("','", @long) . "') AND state = 'completed'"), '<', 20,
	"A4.3: before another's are through");
is(finished($_), 'completed', 'A4.3: which are made as well') foreach @long[ 0, 19 ];
ask("ALTER SYSTEM RESET imgexport.evaluators; SELECT pg_reload_conf()");

# An evaluator that ends in the middle costs its own job an attempt, and nothing else.
my $lost = submit('mallory', '[{"mallory.sleep": {"seconds": 3}}]');
$node->poll_query_until('postgres', "SELECT count(pg_terminate_backend(pid)) = 1 FROM pg_stat_activity WHERE backend_type = 'imgexport evaluator' AND state = 'active'")
  or fail('an evaluator to end');
is(finished($lost), 'completed', 'A4.4: a job whose evaluator ends is tried again');
is(job($lost, 'attempts'), '2', 'A4.4: with another attempt');
# And one whose worker ends: the evaluator ends too, and the job is made by the next.
my $orphan = submit('mallory', '[{"mallory.sleep": {"seconds": 30}}]');
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'imgexport evaluator' AND state = 'active'")
  or fail('an evaluator');
ask("SELECT pg_terminate_backend(pid) FROM imgexport.workers()");
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'imgexport evaluator' AND state = 'active' AND backend_start < (SELECT coalesce(max(started_at), 'infinity') FROM imgexport.workers())")
  or fail('A4.5: an evaluator outlives its worker');
pass('A4.5: an evaluator ends with its worker');
ask("SELECT imgexport.cancel('$orphan')");

# A database that has to go does not wait for anybody's function.
ask('CREATE DATABASE other');
$node->safe_psql('other', "CREATE EXTENSION imgexport; CREATE FUNCTION public.img_sleep(image bytea) RETURNS bytea LANGUAGE sql AS 'SELECT image FROM pg_sleep(3600)';
	INSERT INTO imgexport.job (source, recipe, outputs) VALUES ('\\x$gif', '[\"public.sleep\"]', '{\"png\": {}}')");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'other' AND backend_type = 'imgexport evaluator' AND state = 'active'")
  or fail('an evaluator in another database');
is(error_of($node, 'DROP DATABASE other'), '', 'A4.6: DROP DATABASE ends its evaluators');

# What a function makes of an image is what it makes of it in a session, wherever it stands.
my $photo = "pg_read_binary_file('" . photo('photo-720p.jpg') . "')";
ask("CREATE TABLE public.picture AS SELECT $photo AS data; GRANT SELECT ON public.picture TO mallory");
foreach my $case (
	[ '["mallory.blunt", "flip"]', '{"png": {"width": 60}}' ],
	[ '[{"resize": {"width": 90}}, "mallory.copy", "mallory.blunt"]', '{"png": {}}' ],
	[ '["flip"]', '{"a": {"steps": ["mallory.blunt", {"resize": {"width": 40}}], "format": "png"}, "b": {"steps": ["mallory.copy"], "format": "png", "width": 50}}' ])
{
	my ($recipe, $outputs) = @$case;
	my $batch = ask_as('mallory', "SELECT imgexport.submit(source => (SELECT data FROM picture), recipe => '$recipe', outputs => '$outputs')");

	is(finished($batch), 'completed', "$recipe is made");
	is(ask_as('mallory', "SELECT bool_and(i.data = e.data) AND count(*) > 0 FROM picture,
			img_export(img_apply(picture.data, '$recipe'), '$outputs') e JOIN imgexport.image i USING (name) WHERE i.batch_id = '$batch'"),
		't', '... and is the same as in a session');
}

# A7: steps that fail in the middle leave no mode behind for the jobs after them.
my $letters = 'x' x 32590;
my $long_text = ask_as('mallory', "SELECT imgexport.submit(source => '\\x$gif', base => '\\x$gif', outputs => '{\"png\": {}}',
	recipe => '[\"composite\", {\"watermark_text\": {\"text\": \"$letters\"}}, {\"watermark_text\": {\"text\": \"$letters\"}}]', max_attempts => 1)");
like(finished($long_text), qr/^failed 54000/, 'A7: a job whose steps are too long fails');
my $long_base = ask_as('mallory', "SELECT imgexport.submit(source => '\\x$gif', base => '\\x$gif', outputs => '{\"png\": {}}',
	recipe => '[{\"watermark_text\": {\"text\": \"$letters\"}}]', max_attempts => 1)");
finished($long_base);
my $optional = ask_as('mallory', "SELECT imgexport.submit(source => '\\x$gif', outputs => '{\"png\": {}}',
	recipe => '[{\"watermark_text\": {\"text\": \"$letters\", \"on_error\": \"skip\"}}, {\"watermark_text\": {\"text\": \"$letters\", \"on_error\": \"skip\"}}]')");
is(finished($optional), 'completed', 'A7: where they may be skipped it goes on');
my $redacted = '["flip", {"crop": {"x": 9, "y": 9, "width": 1, "height": 1}}]';
like(finished(submit('alice', $redacted)), qr/^failed 22023/, "A7: another owner's failing step fails his job");
is(ask("SELECT count(*) FROM imgexport.image WHERE batch_id = '$long_text'"), '0', 'A7: nothing came of it');

# The same in a session.
like($node->safe_psql('postgres', qq{
	DO \$\$ BEGIN PERFORM img_apply('\\x$gif', '[{"watermark_text": {"text": "$letters", "on_error": "skip"}}]') || ''; EXCEPTION WHEN OTHERS THEN NULL; END \$\$;
	DO \$\$ BEGIN PERFORM img_apply('\\x$gif', '[{"crop": {"x": 9, "y": 9, "width": 1, "height": 1}}]') || ''; RAISE 'skipped';
	EXCEPTION WHEN invalid_parameter_value THEN NULL; END \$\$;
	SELECT 'as it was'}), qr/as it was/, 'A7: no mode is left in a session');

is(rights(), 'f', 'mallory is nobody in the end');
$node->stop;
my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal|PANIC|crash of another server process/, 'no process has crashed');
done_testing();
