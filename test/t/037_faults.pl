# Faults with work in flight; after each of them every job is in its right end, no image is lost
# and none is there twice.  (031 has helpers, worker and server that die, 032 databases.)
use strict;
use warnings;

use lib 'test/lib';
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use ImgTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use WebServer;

my $photos = $ENV{PHOTOS} // 'photos';
my $picture = "pg_read_binary_file('" . photo('photo-720p.jpg') . "')";
my $outputs = q('{"a": {"format": "png", "width": 64}, "b": {"format": "webp", "width": 64}}');

sub wait_for
{
	my ($node, $condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# All jobs are completed, each with its two images, and nothing is left claimed.
sub all_is_right
{
	my ($node, $count, $what) = @_;

	wait_for($node, "count(*) = $count FROM imgexport.job WHERE state = 'completed'", "$what: all $count are completed");
	is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT (job_id, name)), count(*) FILTER (WHERE data IS NULL),
			(SELECT count(*) FROM imgexport.job WHERE worker IS NOT NULL OR lease_until IS NOT NULL) FROM imgexport.image"),
		join('|', 2 * $count, 2 * $count, 0, 0), "$what: each with its images");
}

# The network is gone in the middle, and comes back.
my $node = new_node('network', "imgexport.fetch_timeout = '2s'");
my $web = WebServer->start($photos);
my $url = $web->url;
my $submit = "SELECT imgexport.submit(urls => array_agg('$url/delay/20/dune.jpg?' || i), outputs => $outputs, max_attempts => 50) FROM generate_series";
$node->safe_psql('postgres', "$submit(1, 100) i");
wait_for($node, "count(*) > 10 FROM imgexport.job WHERE state = 'completed'", 'network: some are done');
kill 'STOP', $web->{pid};
$node->safe_psql('postgres', "$submit(101, 150) i");
wait_for($node, "count(*) > 0 FROM imgexport.job WHERE state = 'pending' AND attempts > 0", 'network: it hangs, which others find out');
kill 'KILL', $web->{pid};
wait_for($node, "count(*) > 0 FROM imgexport.stat_host WHERE breaker_open_until > now()", 'network: it is dead, and left alone');
$web = WebServer->start($photos, $web->{port});
$node->safe_psql('postgres', "UPDATE imgexport.job SET run_at = now() WHERE state = 'pending'; SELECT imgexport.wake()");
all_is_right($node, 150, 'network dead');

# The extension is updated, and dropped and created again, with work in flight.
$node->safe_psql('postgres', "TRUNCATE imgexport.job, imgexport.image, imgexport.variant; CREATE TABLE picture AS SELECT $picture AS data;
	INSERT INTO imgexport.job (source, outputs) SELECT data, $outputs FROM picture, generate_series(1, 200)");
foreach my $round (1 .. 5)
{
	wait_for($node, "count(*) >= 20 * $round FROM imgexport.job WHERE state = 'completed'", "update $round: work goes on");
	# What an update's script may do to the tables; the extension is locked first, as it is by UPDATE.
	$node->safe_psql('postgres', "BEGIN; ALTER EXTENSION imgexport UPDATE; ALTER TABLE imgexport.image ADD extra$round int;
		ALTER TABLE imgexport.job ADD extra$round int; ALTER TABLE imgexport.batch ADD extra$round int; COMMIT");
}
all_is_right($node, 200, 'extension updated');
foreach my $round (1 .. 5)
{
	$node->safe_psql('postgres', "INSERT INTO imgexport.job (source, outputs) SELECT data, $outputs FROM picture, generate_series(1, 100)");
	wait_for($node, "count(*) > 5 FROM imgexport.job WHERE state = 'completed'", "drop $round: work is in flight");
	$node->safe_psql('postgres', 'DROP EXTENSION imgexport; CREATE EXTENSION imgexport');
}
$node->safe_psql('postgres', "INSERT INTO imgexport.job (source, outputs) SELECT data, $outputs FROM picture, generate_series(1, 20)");
all_is_right($node, 20, 'extension dropped and created');
unlike(slurp_file($node->logfile), qr/deadlock|PANIC|terminated by signal 11/, 'without a deadlock or a crash');

# A standby is promoted with jobs in flight on the primary, which dies.  Half of them wait for a web
# server that hangs, so that there are some in flight however slow or fast the machine is.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('promoted');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', "TRUNCATE imgexport.job, imgexport.image, imgexport.variant;
	INSERT INTO imgexport.job (source, outputs) SELECT data, $outputs FROM picture, generate_series(1, 100)");
kill 'STOP', $web->{pid};
$node->safe_psql('postgres', "SELECT imgexport.submit(urls => array_agg('$url/dune.jpg?' || i), outputs => $outputs, max_attempts => 50) FROM generate_series(1, 100) i");
wait_for($node, "count(*) >= 20 AND (SELECT count(*) > 0 FROM imgexport.job WHERE state = 'processing' AND source_url IS NOT NULL)
	FROM imgexport.job WHERE state = 'completed'", 'standby: work is in flight');
wait_for($standby, 'count(*) > 0 FROM imgexport.job', 'standby: it follows');
$node->stop('immediate');
$standby->promote;
kill 'CONT', $web->{pid};
$standby->safe_psql('postgres', "UPDATE imgexport.job SET run_at = now() WHERE state = 'pending'; SELECT imgexport.wake()");
all_is_right($standby, 200, 'standby promoted');
$standby->stop;
$web->stop;

# A thousand sessions insert at once.
$node = new_node('crowd', 'max_connections = 1050', 'shared_buffers = 32MB', "log_statement = 'none'", 'fsync = off');
$node->safe_psql('postgres', "CREATE TABLE picture AS SELECT img_convert(img_resize($picture, 64), 'png') AS data");
my $script = tempdir(CLEANUP => 1) . '/insert.sql';
append_to_file($script, "INSERT INTO imgexport.job (source, outputs) SELECT data, '{\"a\": {\"format\": \"png\"}, \"b\": {\"format\": \"webp\"}}' FROM picture;\n");
my ($told, $complained) = run_command([ 'pgbench', '-n', '-c', '1000', '-j', '2', '-t', '2', '-f', $script,
	'-h', $node->host, '-p', $node->port, 'postgres' ]);
like($told, qr{actually processed: 2000/2000}, 'a thousand sessions insert two jobs each') or diag($complained);
all_is_right($node, 2000, 'a thousand sessions');
$node->stop;

# The disk is full while images are stored, and then it is not.
SKIP:
{
	skip 'no namespaces to mount a small disk in', 4
	  if system('unshare --user --map-root-user --mount true 2>/dev/null') != 0;
	my $real = `which pg_ctl`;
	chomp $real;
	my $folder = tempdir(CLEANUP => 1);
	mkdir "$folder/$_" foreach 'bin', 'disk';
	symlink abs_path('test/lib/small-disk'), "$folder/bin/pg_ctl";
	local $ENV{PATH} = "$folder/bin:$ENV{PATH}";
	local $ENV{REAL_PG_CTL} = $real;
	local $ENV{SMALL_DISK} = "$folder/disk";
	local $ENV{SMALL_DISK_MB} = 8;
	$node = new_node('full');
	$node->safe_psql('postgres', "CREATE TABLE picture AS SELECT $picture AS data");
	$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$folder/disk'");
	$node->safe_psql('postgres', 'ALTER TABLE imgexport.image SET TABLESPACE small');
	$node->safe_psql('postgres', "INSERT INTO imgexport.job (source, outputs, max_attempts)
		SELECT data, '{\"a\": {\"format\": \"png\", \"width\": 700}, \"b\": {\"format\": \"webp\", \"width\": 64}}', 50 FROM picture, generate_series(1, 40)");
	$node->poll_query_until('postgres', "SELECT pg_read_file('" . abs_path($node->logfile) . "') LIKE '%puts off to write down a finished job: %No space left%'");
	is($node->safe_psql('postgres', "SELECT count(*) FROM imgexport.job WHERE error IS NOT NULL OR attempts > 1"), 0,
		'disk full: what could not be stored waits, and has cost no attempt');
	$node->safe_psql('postgres', 'ALTER TABLE imgexport.image SET TABLESPACE pg_default');
	all_is_right($node, 40, 'disk full');
	is($node->safe_psql('postgres', 'SELECT max(attempts) FROM imgexport.job'), 1, 'disk full: all in their first attempt');
	$node->stop;
}

done_testing();
