# Every way to its end leads a job by what it says of errors, and out of its batch.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use WebServer;

my $node = new_node('ends');
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 64), 'png') AS data;
	 INSERT INTO imgexport.preset (name, outputs) VALUES ('other', '{\"png\": {\"width\": 8}}');
	 INSERT INTO imgexport.queue (name, paused) VALUES ('paused', true)");

# The ends that a job can come to, with what makes it come to them: its row as it is then.
my %ends = (
	'a worker that died once too often' =>
	  "state = 'processing', attempts = 1, crashes = current_setting('imgexport.max_crashes')::int - 1, worker = pg_control.system_identifier || '/1/1', lease_until = now() - interval '1 second'",
	'a deadline that passed while it was pending' => "deadline = now() - interval '1 second'",
	'a queue that is gone' => "queue = 'nowhere'",
	'a dependency that failed' => "depends_on = ARRAY[failed.job_id]",
	'a dependency that was deleted' => "depends_on = ARRAY[imgexport.new_id()]");

# What is left of it by its on_error; of a source in the row, of one behind a URL, where that can be had.
my %left = (
	skip => { row => 'completed 0', url => 'completed 0' },
	keep_original => { row => 'completed 1 original', url => 'completed 1 original' },
	store_url => { row => 'failed 0', url => 'completed 1 original' },
	'preset:other' => { row => 'completed 1 png', url => 'completed 1 png' },
	fail => { row => 'failed 0', url => 'failed 0' });

foreach my $end (sort keys %ends)
{
	my %expected;
	foreach my $on_error (sort keys %left)
	{
		foreach my $from ('row', 'url')
		{
			my $is_late = $end =~ /deadline/;
			my $expected = $left{$on_error}{$from};

			# After its deadline nothing is fetched or made any more; what is there can be kept.
			$expected = 'failed 0' if $is_late && ($on_error =~ /preset/ || ($on_error eq 'keep_original' && $from eq 'url'));
			my $source = $from eq 'url' ? "'$url/dune.jpg', NULL" : 'NULL, data';
			my $batch = ask("INSERT INTO imgexport.job (source_url, source, on_error, outputs, queue, webhook_url, notify)
				SELECT $source, '$on_error', '{\"png\": {}}', 'paused', '$url/hook/ends', true FROM picture RETURNING batch_id");
			ask("INSERT INTO imgexport.batch (batch_id, total, webhook_url) VALUES ('$batch', " . ($end =~ /failed/ ? 2 : 1) . ", '$url/hook/ends')");
			my $failed = ask("INSERT INTO imgexport.job (batch_id, source, outputs, state, finished_at) SELECT '$batch', data, '{\"png\": {}}', 'failed', now() FROM picture RETURNING job_id")
			  if $end =~ /that failed/;
			ask("UPDATE imgexport.batch SET failed = 1 WHERE batch_id = '$batch'") if $failed;
			ask("UPDATE imgexport.job SET $ends{$end} FROM pg_control_system() AS pg_control, (SELECT " . ($failed ? "'$failed'::uuid" : 'NULL::uuid') . " AS job_id) AS failed
				WHERE batch_id = '$batch' AND state = 'pending'");
			$expected{$batch} = [ "$on_error of a $from", $expected ];
		}
	}
	ask('SELECT imgexport.wake()');
	foreach my $batch (sort keys %expected)
	{
		my ($what, $state) = @{ $expected{$batch} };
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.job WHERE batch_id = '$batch' AND finished_at IS NULL") or fail("$end: $what");
		is(ask("SELECT j.state || ' ' || count(i.*) || coalesce(' ' || min(i.name), '') FROM imgexport.job j LEFT JOIN imgexport.image i USING (batch_id, job_id)
				WHERE j.batch_id = '$batch' AND (j.state <> 'failed' OR j.error IS NOT NULL) GROUP BY j.job_id, j.state"), $state, "G10: $end: $what");
		is(ask("SELECT completed + failed = total, finished_at IS NOT NULL, (SELECT string_agg(event, ' ' ORDER BY event) FROM imgexport.delivery d WHERE d.batch_id = '$batch')
				FROM imgexport.batch b WHERE batch_id = '$batch'"), 't|t|batch.completed job.' . ($state =~ /^(\w+)/)[0], "G10: $end: $what: counted, and told of once");
	}
}

# Jobs that wait for each other.
sub ring
{
	my ($size, $what, $on_error) = @_;
	my $batch = ask('SELECT imgexport.new_id()');

	ask("INSERT INTO imgexport.batch (batch_id, total) VALUES ('$batch', $size + 2);
		 INSERT INTO imgexport.job (batch_id, job_id, source, outputs, on_error, depends_on)
		SELECT '$batch', ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, data, '{\"png\": {}}', '$on_error',
			ARRAY[('00000000-0000-0000-0000-' || lpad((n % $size + 1)::text, 12, '0'))::uuid] FROM picture, generate_series(1, $size) AS n;
		 INSERT INTO imgexport.job (batch_id, milestone, depends_on) VALUES ('$batch', true, ARRAY['00000000-0000-0000-0000-000000000001'::uuid]);
		 INSERT INTO imgexport.job (batch_id, source, outputs, run_at) SELECT '$batch', data, '{\"png\": {}}', now() + interval '1 day' FROM picture");
	wait_for("count(*) = 1 FROM imgexport.job WHERE batch_id = '$batch' AND finished_at IS NULL", "G11: $what end");
	return $batch;
}
foreach my $case ([ 1, 'a job that depends on itself', 'fail' ], [ 2, 'two that depend on each other', 'fail' ], [ 300, 'a long ring', 'fail' ])
{
	my $batch = ring(@$case);
	is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'failed' AND error_code = '55000' AND error ~ 'depends on'"), $case->[0] + 1, "G11: $case->[1]: with the reason");
	is(ask("SELECT failed || ' ' || (finished_at IS NULL) FROM imgexport.batch WHERE batch_id = '$batch'"), $case->[0] + 1 . ' true', "G11: $case->[1]: and are counted");
}
my $batch = ring(3, 'three with something else to do', 'skip');
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'completed'"), 4, 'G11: whose on_error holds, and the milestone is passed');
# Others that wait for long are left alone.
$batch = ask("SELECT imgexport.submit_batch('[{\"name\": \"a\", \"milestone\": true, \"run_at\": \"2999-01-01\"}, {\"name\": \"b\", \"milestone\": true, \"depends_on\": [\"a\"]}, {\"name\": \"c\", \"milestone\": true, \"depends_on\": [\"b\"]}]')");
ring(2, 'two others', 'fail');
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'pending'"), 3, 'G11: a chain that ends at a job of later is none');

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process crashed');
$web->stop;
$node->stop;
done_testing();
