# 200 jobs, and in the middle the worker's helpers are killed, the worker is terminated and
# the server restarts without warning: 200 are completed, each with exactly one set of images.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('crash', 'imgexport.codec_processes = 2');

sub ask { return $node->safe_psql('postgres', $_[0]) }

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-1080p.jpg') . "'), 1000), 'png') AS data");

sub worker_pid { return ask("SELECT coalesce(max(pid), 0) FROM imgexport.workers() WHERE database = 'postgres'") }

# Processor time that a process has used, 0 when it is gone.
sub cpu_ticks
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/stat") or return 0;
	my $line = <$file> // '';

	return $line =~ /\) (.*)/ ? (split / /, $1)[11] : 0;
}

sub completed { return ask("SELECT count(*) FROM imgexport.job WHERE state = 'completed'") }

sub wait_for_progress
{
	my ($before) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) > $before FROM imgexport.job WHERE state = 'completed'")
	  or die 'no progress';
}

ask("INSERT INTO imgexport.job (source, recipe, outputs, max_attempts)
	 SELECT data, '[{\"resize\": {\"width\": 700}}, {\"blur\": {\"sigma\": 3}}]', '{\"a\": {\"format\": \"webp\"}, \"b\": {\"format\": \"jpeg\"}}', 20
	 FROM picture, generate_series(1, 200)");
wait_for_progress(0);

# Helpers of the worker, with a job in their hands.
foreach my $round (1 .. 3)
{
	my $pid = worker_pid();
	my @codecs = split /\n/, `pgrep -P $pid imgexport-codec`;

	kill 'KILL', $codecs[0] if @codecs;
	wait_for_progress(completed());
}
cmp_ok(ask("SELECT count(*) FROM imgexport.job WHERE error_code = 'IX007'"), '>', 0,
	'killing a codec fails the attempt of a job, and only that');

# The worker itself.
foreach my $round (1 .. 2)
{
	my $pid = worker_pid();

	ask("SELECT pg_terminate_backend($pid)") if $pid;
	$node->poll_query_until('postgres', "SELECT coalesce(max(pid), 0) NOT IN (0, $pid) FROM imgexport.workers()")
	  or die 'the worker did not come back';
	wait_for_progress(completed());
}
pass('a worker that is terminated comes back');

# Everything at once.
$node->stop('immediate');
$node->start;
wait_for_progress(completed());
pass('after an immediate restart the work goes on');

$node->poll_query_until('postgres', "SELECT count(*) = 200 FROM imgexport.job WHERE state = 'completed'");
is(completed(), 200, 'all 200 are completed');
is(ask("SELECT count(*) || ' ' || count(DISTINCT (job_id, name)) FROM imgexport.image"), '400 400',
	'each with exactly one set of images');
is(ask("SELECT count(DISTINCT sha256) FROM imgexport.image"), 2, 'and the same ones');
is(ask("SELECT count(*) FROM imgexport.job WHERE worker IS NOT NULL OR lease_until IS NOT NULL"), 0,
	'no claim is left');

# A job that kills its helper again and again fails by itself, and others do not wait for it.
ask("UPDATE imgexport.queue SET concurrency = 1 WHERE name = 'scrape'");
my $killer = ask("INSERT INTO imgexport.job (source, recipe, max_attempts, queue, outputs)
	SELECT data, '[{\"resize\": {\"width\": 6000}}, {\"blur\": {\"sigma\": 300}}]', 2, 'scrape', '{\"x\": {\"format\": \"avif\"}}' FROM picture
	RETURNING job_id");
foreach my $attempt (1 .. 2)
{
	$node->poll_query_until('postgres', "SELECT attempts = $attempt AND state = 'processing' FROM imgexport.job WHERE job_id = '$killer'")
	  or die 'the job did not start';
	my $pid = worker_pid();
	my @busy;
	for (1 .. 100)
	{
		@busy = grep { cpu_ticks($_) > 5 } split /\n/, `pgrep -P $pid imgexport-codec`;
		usleep(50_000);
		last if ask("SELECT state <> 'processing' OR attempts <> $attempt FROM imgexport.job WHERE job_id = '$killer'") eq 't';
		kill 'KILL', @busy;
	}
}
$node->poll_query_until('postgres', "SELECT state = 'failed' AND error_code = 'IX007' AND attempts = 2 FROM imgexport.job WHERE job_id = '$killer'")
  or fail('a job that kills its helper');
pass('a job that kills its helper again and again fails by itself');

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal 11/, 'no server process crashed');
$node->stop;
done_testing();
