# What is deleted, by whomever and however, leaves nothing hanging.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use WebServer;

my $node = new_node('deleted', "imgexport.fetch_timeout = '60s'");
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $outputs = q('{"png": {"width": 16}}');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

sub counts { return ask("SELECT total || ' ' || completed || ' ' || failed || ' ' || (finished_at IS NOT NULL) FROM imgexport.batch WHERE batch_id = '$_[0]'") }

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 64), 'png') AS data;
	 INSERT INTO imgexport.queue (name, paused) VALUES ('paused', true), ('gone', true)");

# A batch of four: one done, one failed, one in work, one that waits; the last two are deleted.
my %deleted = (
	'one by one' => "DELETE FROM imgexport.job WHERE batch_id = '%s' AND state = 'processing'; DELETE FROM imgexport.job WHERE batch_id = '%s' AND state = 'pending'",
	'at once' => "DELETE FROM imgexport.job WHERE batch_id = '%s' AND state IN ('pending', 'processing')",
	'all of them' => "DELETE FROM imgexport.job WHERE batch_id = '%s'",
	'by TRUNCATE' => 'TRUNCATE imgexport.job, imgexport.image, imgexport.variant');
foreach my $how (sort keys %deleted)
{
	my $key = $how =~ s/ /_/gr;
	my $batch = ask("SELECT imgexport.submit(urls => '{$url/dune.jpg,$url/missing.jpg}', outputs => $outputs, webhook_url => '$url/hook/$key')");

	wait_for("count(*) = 2 FROM imgexport.job WHERE batch_id = '$batch' AND finished_at IS NOT NULL", "$how: two have ended");
	wait_for("count(*) = 0 FROM imgexport.delivery WHERE state IN ('pending', 'processing')", "$how: which was told of");
	ask("DELETE FROM imgexport.delivery");
	kill 'STOP', $web->{pid};
	ask("INSERT INTO imgexport.job (batch_id, source_url, outputs) VALUES ('$batch', '$url/dune.jpg', $outputs);
		 INSERT INTO imgexport.job (batch_id, source, outputs, queue) SELECT '$batch', data, $outputs, 'paused' FROM picture;
		 UPDATE imgexport.batch SET total = 4, finished_at = NULL WHERE batch_id = '$batch'");
	wait_for("count(*) = 1 FROM imgexport.job WHERE batch_id = '$batch' AND state = 'processing'", "$how: one is in work");
	ask($deleted{$how} =~ s/%s/$batch/gr);
	is(counts($batch), '2 1 1 true', "G9: $how: the batch is finished without them");
	kill 'CONT', $web->{pid};
	wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$batch'", "G9: $how: which is told");
	wait_for("running = 0 FROM imgexport.workers() WHERE database = 'postgres'", "G9: $how: nothing is in work any more");
	is(ask("SELECT count(*) FROM imgexport.delivery WHERE batch_id = '$batch' AND event = 'batch.completed'"), 1, "G9: $how: once");
	is(counts($batch), '2 1 1 true', "G9: $how: and nothing is counted later");
}

# One that has ended is counted still, and one of several batches in one statement.
my $one = ask("SELECT imgexport.submit(urls => '{$url/dune.jpg,$url/dune.jpg?2}', outputs => $outputs, run_at => now() + interval '1 hour')");
my $two = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs)");
wait_for("finished_at IS NOT NULL FROM imgexport.batch WHERE batch_id = '$two'", 'another batch is done');
ask("DELETE FROM imgexport.job WHERE batch_id = '$two' OR source_url LIKE '%?2'");
is(counts($one), '1 0 0 false', 'G9: a batch with one left waits for it');
is(counts($two), '1 1 0 true', 'G9: what has ended is not counted out');

# A batch is deleted while its jobs are in work.
kill 'STOP', $web->{pid};
my $batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs)");
wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch'", 'G9.1: a job is in work');
ask("DELETE FROM imgexport.batch WHERE batch_id = '$batch'");
kill 'CONT', $web->{pid};
wait_for("state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'", 'G9.1: it is completed though its batch is deleted');

# What a job depends on, or needs, is deleted while it waits; the worker has nothing else to do.
$batch = ask("SELECT imgexport.submit_batch('[{\"name\": \"a\", \"milestone\": true, \"run_at\": \"2999-01-01\"}, {\"name\": \"b\", \"milestone\": true, \"depends_on\": [\"a\"]}]')");
wait_for("count(*) = 1 FROM imgexport.job WHERE batch_id = '$batch' AND waits_for IS NOT NULL", 'G9.2: a job waits for another');
ask("DELETE FROM imgexport.job WHERE batch_id = '$batch' AND run_at > now()");
wait_for("state = 'failed' AND error ~ 'which it depends on, was not completed' FROM imgexport.job WHERE batch_id = '$batch'", 'G9.2: and fails when that is deleted');
is(counts($batch), '1 0 1 true', 'G9.2: which ends the batch');
$batch = ask("INSERT INTO imgexport.job (source, outputs, queue) SELECT data, $outputs, 'gone' FROM picture RETURNING batch_id");
ask("DELETE FROM imgexport.queue WHERE name = 'gone'");
wait_for("state = 'failed' AND error ~ 'queue \"gone\" does not exist' FROM imgexport.job WHERE batch_id = '$batch'", 'G9.3: so does one whose queue is deleted');
ask("INSERT INTO imgexport.preset (name, outputs) VALUES ('gone', $outputs); INSERT INTO imgexport.store (name, kind, location) VALUES ('gone', 'http', '$url/nowhere')");
$batch = ask("INSERT INTO imgexport.job (source, outputs, preset, store, queue, max_attempts) SELECT data, $outputs, p, s, 'paused', 1 FROM picture, (VALUES ('gone', NULL), (NULL, 'gone')) AS v(p, s) RETURNING batch_id");
ask("DELETE FROM imgexport.preset WHERE name = 'gone'; DELETE FROM imgexport.store WHERE name = 'gone'; UPDATE imgexport.queue SET paused = false WHERE name = 'paused'");
wait_for("string_agg(state, ' ' ORDER BY error) = 'failed failed' FROM imgexport.job WHERE queue = 'paused' AND (preset = 'gone' OR store = 'gone')", 'G9.3: its preset or store');

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'no process crashed');
$web->stop;
$node->stop;
done_testing();
