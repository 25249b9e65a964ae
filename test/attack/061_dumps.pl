# Dumps: whatever a database has comes back row by row, whichever way it is restored, and nothing
# of it runs before somebody says so.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $node = new_node('dumps', "imgexport.store_directories = '$folder'");
my $outputs = '{"a": {"format": "png", "width": 16}}';

sub ask { my ($statement, $database, $server) = @_; return ($server // $node)->safe_psql($database // 'postgres', $statement) }

sub wait_for
{
	my ($condition, $what, $database) = @_;

	$node->poll_query_until($database // 'postgres', "SELECT $condition") or die "in vain: $what";
}

# Every table that is dumped, with all its rows, as text.
my $tables = "SELECT relname FROM pg_extension e, unnest(e.extconfig) AS t(oid) JOIN pg_class c ON c.oid = t.oid
			  WHERE e.extname = 'imgexport' ORDER BY 1";

sub contents
{
	my ($database, $server) = @_;
	my %found;

	foreach my $table (split /\n/, ask($tables, $database, $server))
	{
		$found{$table} = ask("SELECT t FROM imgexport.$table t ORDER BY t::text", $database, $server);
	}
	return \%found;
}

# What a dump is to find: something of everything, changed and deleted seeds, an odd owner.
ask("CREATE ROLE gone; CALL imgexport.grant_access('gone')");
mkdir "$folder/files";
ask("INSERT INTO imgexport.store (name, kind, location) VALUES ('files', 'file', '$folder/files');
	 INSERT INTO imgexport.secret VALUES ('s', 'secret');
	 SELECT imgexport.add_service('rembg');
	 INSERT INTO imgexport.service_usage (service, day, calls) VALUES ('rembg', '2024-01-01', 3);
	 INSERT INTO imgexport.service_answer SELECT gen_random_uuid(), 'rembg', 'x', 'y', NULL, now(), now() + interval '1 day';
	 UPDATE imgexport.queue SET concurrency = 3, rate_limit = 7 WHERE name = 'default';
	 DELETE FROM imgexport.queue WHERE name = 'scrape';
	 UPDATE imgexport.preset SET description = 'changed', store = 'files' WHERE name = 'jpeg';
	 DELETE FROM imgexport.preset WHERE name LIKE 'export-%';
	 DELETE FROM imgexport.schedule WHERE name <> 'delete-jobs';
	 UPDATE imgexport.schedule SET cron = '\@yearly', enabled = false;
	 UPDATE imgexport.store SET public_url = 'https://example.com/' WHERE name = 'table';
	 SELECT imgexport.rotate_signing_key('1 year')");
my $batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => '$outputs', store => 'files', unique_key => 'done', webhook_url => '$url/hook/x?answers=500')");
ask("CALL imgexport.wait('$batch', '60s')");
ask("INSERT INTO imgexport.variant SELECT batch_id, job_id, image_id, 'plain', 'png', 'x', 'y', now(), now() + interval '1 day' FROM imgexport.image");
ask("SELECT imgexport.submit_csv(E'Serial Number,Product Name,Input Image URLs\\n1,one,$url/dune.jpg\\n', queue => 'default')");
ask("ALTER SYSTEM SET imgexport.enabled = off; SELECT pg_reload_conf()");
$node->poll_query_until('postgres', "SELECT NOT current_setting('imgexport.enabled')::boolean");
ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', unique_key => 'open', outputs => '$outputs', recipe => '[{\"resize\": {\"width\": 5}}]');
	 SET ROLE gone; INSERT INTO imgexport.job (batch_id, source_url, state) VALUES (gen_random_uuid(), 'http://example.com/', 'pending'); SELECT imgexport.submit(source_url => '$url/dune.jpg', unique_key => 'open', webhook_url => '$url/hook/y')");
ask("INSERT INTO imgexport.job (batch_id, job_id, milestone, depends_on) SELECT batch_id, imgexport.new_id(), true, ARRAY[job_id] FROM imgexport.job WHERE unique_key = 'open' AND owner = 'postgres'");
ask("INSERT INTO imgexport.removal (batch_id, store, key) VALUES (imgexport.new_id(), 'files', 'x')");
ask("DROP OWNED BY gone; DROP ROLE gone") if 0;
ask("UPDATE imgexport.job SET state = 'processing', attempts = 1, worker = 'x', lease_until = now() WHERE unique_key = 'open' AND owner = 'postgres'");
my $original = contents('postgres');
is(join(' ', grep { $original->{$_} eq '' } sort keys %$original), '', 'every table has something to lose');
my $signed = ask("SELECT imgexport.sign_url('/x', '1 day')");

my %dumped = map { $_ => 1 } keys %$original;
is(join(' ', grep { !$dumped{$_} } split /\n/, ask("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'imgexport' AND c.relkind = 'r' ORDER BY 1")), 'restore_mark seed', 'F2: every table is dumped but those that are about the database itself');
is(ask("SELECT string_agg(pg_get_triggerdef(t.oid), '; ') FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = 'imgexport' AND c.relkind = 'r' AND NOT t.tgisinternal AND t.tgtype & 1 = 1 AND t.tgtype & 4 = 4
	  AND pg_get_triggerdef(t.oid) !~ 'is_restoring' AND t.tgfoid <> 'imgexport.wake_on_change'::regproc"), '',
	'F1: no trigger of a row is heard when it is restored, but those that wake a worker');

my @server = ('-h', $node->host, '-p', $node->port);
my $base = $node->backup_dir;
mkdir $base;
command_ok([ 'pg_dump', @server, '-Fc', '-f', "$base/custom", 'postgres' ], 'pg_dump');
command_ok([ 'pg_dump', @server, '-Fd', '-j', '2', '-f', "$base/folder", 'postgres' ], 'pg_dump --jobs');
command_ok([ 'pg_dump', @server, '-f', "$base/plain", 'postgres' ], 'pg_dump of plain SQL');
command_ok([ 'pg_dump', @server, '--inserts', '-f', "$base/inserts", 'postgres' ], 'pg_dump --inserts');
command_ok([ 'pg_dump', @server, '-Fc', '--data-only', '-f', "$base/data", 'postgres' ], 'pg_dump --data-only');
ask("ALTER SYSTEM RESET imgexport.enabled; SELECT pg_reload_conf(); UPDATE imgexport.queue SET paused = true");

sub pg_restore { my ($database, @options) = @_; return [ 'pg_restore', @server, '-d', $database, @options ] }

my @ways = (
	[ plain => 'pg_restore', 0, sub { pg_restore($_[0], "$base/custom") } ],
	[ one => 'pg_restore -1', 0, sub { pg_restore($_[0], '-1', "$base/custom") } ],
	[ strict => 'pg_restore -e', 0, sub { pg_restore($_[0], '-e', "$base/custom") } ],
	[ jobs => 'pg_restore --jobs 4', 0, sub { pg_restore($_[0], '-e', '--jobs', 4, "$base/folder") } ],
	[ psql => 'psql', 0, sub { [ 'psql', @server, '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', "$base/plain" ] } ],
	[ inserts => 'psql of INSERTs', 0, sub { [ 'psql', @server, '-qX', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', "$base/inserts" ] } ],
	[ data => 'pg_restore --data-only where a worker runs', 1, sub { pg_restore($_[0], '-e', "$base/data") } ],
	[ dataone => 'pg_restore --data-only -1', 1, sub { pg_restore($_[0], '-1', "$base/data") } ],
	[ datajobs => 'pg_restore --data-only --jobs 4', 1, sub { pg_restore($_[0], '-e', '--data-only', '--jobs', 4, "$base/folder") } ]);

foreach my $way (@ways)
{
	my ($database, $what, $has_extension, $command) = @$way;

	ask("CREATE DATABASE \"$database\" TEMPLATE template0");
	if ($has_extension)
	{
		ask('CREATE EXTENSION imgexport', $database);
		wait_for("count(*) = 1 FROM imgexport.workers() WHERE database = '$database' AND pid IS NOT NULL", 'a worker', $database);
	}
	my ($stdout, $stderr) = run_command($command->($database));
	is($stderr, '', "F1: $what: no complaint");
	is_deeply(contents($database), $original, "F2: $what: every row is as it was");
	wait_for('imgexport.is_dormant()', 'the copy is dormant', $database);
	is(ask("SELECT count(*) FROM imgexport.job WHERE state = 'pending' AND attempts > 0", $database), 0, "F4: $what: nothing is claimed");
	is(ask("SELECT imgexport.verify_url('$signed')", $database), 't', "F2: $what: URLs signed before are still good");
}
is_deeply(contents('strict'), $original, 'F3: and stays so');
is(ask("SELECT ok, detail ~ 'restored', hint ~ 'adopt' FROM imgexport.check() WHERE item = 'installation'", 'strict'), 'f|t|t', 'F3: check says that it is dormant');
is(ask("SELECT imgexport.health()->>'status'", 'strict'), 'dormant', 'F3: and so does health');
like(slurp_file($node->logfile), qr/imgexport is dormant in database "strict": .*\n.*HINT:  CALL imgexport.adopt/, 'F3: and the log');
my ($code, $out, $errors) = $node->psql('strict', "SELECT imgexport.submit(source_url => '$url/dune.jpg', queue => 'default')");
like($errors, qr/WARNING:  no worker runs this job now: this database is dormant/, 'F3: and submit');
is(ask("SELECT unique_key FROM imgexport.job WHERE unique_key = 'open' AND owner = 'postgres'", 'strict'), 'open', 'F1: a key is held');
is(ask("SELECT imgexport.submit(source_url => 'http://example.com/other', unique_key => 'open') = batch_id FROM imgexport.job_key WHERE unique_key = 'open' AND owner = 'postgres'", 'strict'), 't',
	'F1: by the job that had it');

# A single table into a database that lives.
is(ask("SELECT count(*) FROM imgexport.schedule", 'template1') // '', '', 'x') if 0;
ask('CREATE DATABASE living TEMPLATE template0');
ask('CREATE EXTENSION imgexport', 'living');
command_ok(pg_restore('living', '--data-only', '-t', 'schedule', "$base/custom"), 'F2.1: pg_restore of one table');
is(ask("SELECT t FROM imgexport.schedule t", 'living'), $original->{schedule}, 'F2.1: has its rows and no seeds');
is(ask("SELECT count(*) FROM imgexport.queue", 'living'), 3, 'F2.1: others stay');
wait_for('imgexport.is_dormant()', 'dormant', 'living');

# What foreign keys would have refused is found before anything runs.
ask('CREATE DATABASE orphans TEMPLATE template0');
ask('CREATE EXTENSION imgexport', 'orphans');
command_ok(pg_restore('orphans', '--data-only', '-t', 'image', "$base/custom"), 'F2.5: images without their jobs');
like(error_of($node, 'CALL imgexport.adopt()', 'orphans'), qr/23503.*rows of imgexport.image were restored without those of imgexport.job/s, 'F2.5: are not adopted');
is(ask('SHOW session_replication_role', 'orphans'), 'origin', 'F2.5: foreign keys hold again');
like(error_of($node, "SET row_security = off; SET check_function_bodies = off; BEGIN; INSERT INTO imgexport.secret VALUES ('a', 'b');
	INSERT INTO imgexport.image (batch_id, job_id, name, data) SELECT imgexport.new_id(), imgexport.new_id(), 'x', 'y';
	SET check_function_bodies = on; INSERT INTO imgexport.image (batch_id, job_id, name, source_url) SELECT imgexport.new_id(), imgexport.new_id(), 'x', 'http://x'", 'orphans'),
	qr/23503|23514/, 'F2.5: in the same transaction too');

# The schema alone has everything that CREATE EXTENSION gives, and works.
ask('CREATE DATABASE empty TEMPLATE template0');
command_ok(pg_restore('empty', '--schema-only', "$base/custom"), 'F2.2: pg_restore --schema-only');
is(ask("SELECT count(*) FROM imgexport.queue", 'empty'), 3, 'F2.2: has the seeds');
is(ask("SELECT imgexport.why_dormant() IS NULL", 'empty'), 't', 'F2.2: and runs');

# A dump of a copy that was never adopted is another copy.
command_ok([ 'pg_dump', @server, '-Fc', '-f', "$base/again", 'plain' ], 'F2.3: a dump of a copy');
ask('CREATE DATABASE again TEMPLATE template0');
command_ok(pg_restore('again', '-e', "$base/again"), 'F2.3: is restored');
is_deeply(contents('again'), $original, 'F2.3: as exactly');

# Two installations do not become one.
my $living = ask("CREATE DATABASE other TEMPLATE template0");
ask("CREATE EXTENSION imgexport; INSERT INTO imgexport.store (name, kind, location) VALUES ('mine', 'file', '$folder')", 'other');
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => '$outputs', store => 'mine')", 'other');
ask("CALL imgexport.wait('$batch', '60s')", 'other');
command_fails(pg_restore('other', '-1', "$base/data"), 'F2.4: a dump is not restored into an installation that has objects');
is(ask("SELECT imgexport.why_dormant() IS NULL", 'other'), 't', 'F2.4: which goes on');

# Adopted, it goes on where the original was.
ask("UPDATE imgexport.queue SET paused = false, rate_limit = NULL; CALL imgexport.adopt()", 'strict');
wait_for("count(*) = 0 FROM imgexport.job WHERE state IN ('pending', 'processing')", 'jobs of an adopted copy are done', 'strict');
is(ask("SELECT state, attempts, crashes FROM imgexport.job WHERE unique_key = 'open' AND owner = 'postgres'", 'strict'), 'completed|1|0', 'F3: CALL imgexport.adopt() goes on with its jobs');
is(ask("SELECT i.id::text FROM imgexport.installation i", 'strict'), ask("SELECT i.id::text FROM imgexport.installation i"), 'F3: as the same installation');
is(ask("SELECT ok FROM imgexport.check() WHERE item = 'installation'", 'strict'), 't', 'F3: and check agrees');
my ($again, undef, $notice) = $node->psql('strict', 'CALL imgexport.adopt()');
like($notice, qr/NOTICE:  this database is not dormant/, 'F3: which needs no second time');
like(error_of($node, 'CREATE ROLE anna; CALL imgexport.grant_access($$anna$$); SET ROLE anna; CALL imgexport.adopt()', 'strict'), qr/42501/, 'F3: and is not for everybody');

$web->stop;
$node->stop;
done_testing();
