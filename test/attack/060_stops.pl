# Stops: a planned one costs a job nothing, a crash costs it a crash, and pg_upgrade finds nothing running.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $node = new_node('stops', 'imgexport.max_crashes = 3', 'imgexport.fetch_timeout = 600s');
my $outputs = '{"a": {"format": "png", "width": 16}}';

sub ask { my ($statement, $database) = @_; return $node->safe_psql($database // 'postgres', $statement) }

sub wait_for
{
	my ($condition, $what, $database) = @_;

	$node->poll_query_until($database // 'postgres', "SELECT $condition") or die "in vain: $what";
}

# A job with one attempt whose source does not come before it is released.
sub held_job
{
	my ($key, $database) = @_;

	return ask("INSERT INTO imgexport.job (source_url, outputs, max_attempts)
				VALUES ('$url/held/$key/dune.jpg', '$outputs', 1) RETURNING job_id", $database);
}

sub completes
{
	my ($job, $key, $database) = @_;

	$web->ask("/release/$key");
	wait_for("state = 'completed' FROM imgexport.job WHERE job_id = '$job'", 'the job ends', $database);
}

sub in_progress { my ($job, $database) = @_; wait_for("state = 'processing' FROM imgexport.job WHERE job_id = '$job'", "$job in progress", $database) }

my $counts = "state, attempts, crashes FROM imgexport.job WHERE job_id =";

# Planned stops.
my $job = held_job('a');
foreach my $mode ('fast', 'smart', 'fast')
{
	in_progress($job);
	$node->stop($mode);
	$node->start;
}
in_progress($job);
ask("SELECT pg_terminate_backend(pid) FROM imgexport.workers() WHERE database = 'postgres'");
in_progress($job);
completes($job, 'a');
is(ask("SELECT $counts '$job'"), 'completed|1|0', 'F6: four planned stops cost a job with one attempt nothing');

# What a stop finds in the outbox is not charged either.
ask("INSERT INTO imgexport.delivery (batch_id, url, event) VALUES (imgexport.new_id(), '$url/held/b/dune.jpg', 'batch.completed');
	 SELECT imgexport.wake()");
wait_for("state = 'processing' FROM imgexport.delivery", 'a webhook is on its way');
$node->append_conf('postgresql.conf', 'imgexport.enabled = off');
$node->restart;
is(ask("SELECT state, attempts, worker IS NULL FROM imgexport.delivery"), 'pending|0|t', 'F6.1: nor a webhook on its way');
ask('DELETE FROM imgexport.delivery');
$node->append_conf('postgresql.conf', 'imgexport.enabled = on');
$node->reload;

# Commands that need the database to themselves.
ask('CREATE DATABASE shop');
ask('CREATE EXTENSION imgexport', 'shop');
$job = held_job('c', 'shop');
in_progress($job, 'shop');
ask('ALTER DATABASE shop RENAME TO store');
in_progress($job, 'store');
ask('CREATE DATABASE other TEMPLATE store');
in_progress($job, 'store');
ask('ALTER DATABASE store SET TABLESPACE pg_default');
in_progress($job, 'store');
completes($job, 'c', 'store');
is(ask("SELECT $counts '$job'", 'store'), 'completed|1|0', 'F6.2: nor does a command that needs the database');
like(slurp_file($node->logfile), qr/imgexport gave back 1 jobs at a planned stop/, 'F6: the log tells');

# Crashes have a budget of their own.
$job = held_job('d');
in_progress($job);
$node->stop('immediate');
$node->start;
completes($job, 'd');
is(ask("SELECT $counts '$job'"), 'completed|1|1', 'F6.3: a crash costs a crash and no attempt');
$job = held_job('e');
foreach my $crashes (0 .. 2)
{
	wait_for("state = 'processing' AND crashes = $crashes FROM imgexport.job WHERE job_id = '$job'", 'it has another go');
	$node->stop('immediate');
	$node->start;
}
wait_for("state = 'failed' FROM imgexport.job WHERE job_id = '$job'", 'the job fails');
is(ask("SELECT $counts '$job'"), 'failed|0|3', 'F6.4: a job that has had all its crashes ends');
like(ask("SELECT error FROM imgexport.job WHERE job_id = '$job'"), qr/worker died/, 'F6.4: and says why');
is(ask("SELECT imgexport.retry(batch_id) FROM imgexport.job WHERE job_id = '$job'"), 1, 'F6.4: retry');
is(ask("SELECT crashes FROM imgexport.job WHERE job_id = '$job'"), 0, 'F6.4: gives them back');
ask('DELETE FROM imgexport.job');

# pg_upgrade starts both servers with -b.
ask("INSERT INTO imgexport.job (source_url, outputs, run_at) SELECT '$url/dune.jpg?' || i, '$outputs', now() + interval '1 h' FROM generate_series(1, 5) i");
$node->stop;
system_or_bail('pg_ctl', '-s', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', "-b -p " . $node->port, 'start');
is(ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'imgexport%'"), 0, 'F5: nothing of ours runs in a server that pg_upgrade has started');
ask("UPDATE imgexport.job SET run_at = now() - interval '1 h'");
is(ask("SELECT count(*) FROM imgexport.job WHERE attempts > 0"), 0, 'F5: due jobs stay');
system_or_bail('pg_ctl', '-s', '-w', '-m', 'fast', '-D', $node->data_dir, 'stop');

my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init;
$upgraded->append_conf('postgresql.conf', "shared_preload_libraries = 'imgexport'");
my $bin = $node->config_data('--bindir');
command_ok([ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $upgraded->data_dir, '-b', $bin, '-B', $bin,
	'-s', $node->host, '-p', $node->port, '-P', $upgraded->port ], 'F5: pg_upgrade of a database with due jobs');
$upgraded->append_conf('postgresql.conf', 'imgexport.enabled = off');
$upgraded->start;
is($upgraded->safe_psql('postgres', "SELECT count(*) FROM imgexport.job WHERE state = 'pending' AND attempts = 0"), 5,
	'F5: brings every job along, as it was');
$upgraded->stop;

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal 11/, 'no server process crashed');
$web->stop;
done_testing();
