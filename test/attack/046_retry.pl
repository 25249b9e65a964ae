# retry() keeps what a job depends on, and who has its key.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;
use WebServer;

my $node = new_node('retry', "imgexport.fetch_timeout = '60s'");
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# G3: a parent that fails, a child and a milestone after them.
my $batch = ask("SELECT imgexport.submit_batch('[
	{\"name\": \"parent\", \"source_url\": \"$url/missing.jpg\", \"max_attempts\": 1},
	{\"name\": \"child\", \"source_url\": \"$url/dune.jpg\", \"depends_on\": [\"parent\"], \"max_attempts\": 1},
	{\"milestone\": true, \"depends_on\": [\"child\", \"parent\"], \"webhook_url\": \"$url/hook/milestone\"}]', outputs => '{\"png\": {\"width\": 16}}')");
wait_for("count(*) = 3 FROM imgexport.job WHERE batch_id = '$batch' AND state = 'failed'", 'G3: all fail with the first');
foreach my $round (1 .. 2)
{
	is(ask("SELECT imgexport.retry('$batch')"), 3, 'G3: all are tried again');
	wait_for("finished_at IS NOT NULL FROM imgexport.batch WHERE batch_id = '$batch'", 'G3: they end');
	is(ask("SELECT string_agg(state || ' ' || (error ~ 'which it depends on'), ', ' ORDER BY job_id) FROM imgexport.job WHERE batch_id = '$batch'"),
		'failed false, failed true, failed true', 'G3: and fail with the first again');
}
kill 'STOP', $web->{pid};
ask("UPDATE imgexport.job SET source_url = '$url/dune.jpg?2' WHERE batch_id = '$batch' AND source_url LIKE '%missing%'; SELECT imgexport.retry('$batch')");
wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch' AND source_url LIKE '%2'", 'G3: the parent is in work');
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'pending' AND blocked"), 2, 'G3: the others wait for it');
kill 'CONT', $web->{pid};
wait_for("completed = 3 AND failed = 0 AND finished_at IS NOT NULL FROM imgexport.batch WHERE batch_id = '$batch'", 'G3: and all are completed after it');
is(ask("SELECT bool_and(depends_on IS NOT NULL) FROM imgexport.job WHERE batch_id = '$batch' AND (milestone OR source_url NOT LIKE '%2')"), 't', 'G3: what they depended on is still known');

# G4: a key that another job has by now.
my $one = ask("SELECT imgexport.submit(source_url => '$url/missing.jpg', unique_key => 'k', max_attempts => 1)");
wait_for("state = 'failed' FROM imgexport.job WHERE batch_id = '$one'", 'G4: a job with a key has failed');
my $two = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', unique_key => 'k', run_at => now() + interval '1 day')");
isnt($two, $one, 'G4: another one gets it');
my ($code, $out, $error) = $node->psql('postgres', "SELECT imgexport.retry('$one')");
is($out, 0, 'G4: the first is not tried again');
like($error, qr/NOTICE: .*is not retried: another job with its unique_key is open/, 'G4: which is told');
is(ask("SELECT count(*) FROM imgexport.job WHERE unique_key = 'k' AND state = 'pending'"), 1, 'G4: one is open');
ask("SELECT imgexport.cancel('$two'); SELECT imgexport.pause('default')");
is(ask("SELECT imgexport.retry('$one')"), 1, 'G4: once the other has ended it is');
is(ask("SELECT imgexport.retry('$two')"), 0, 'G4: and keeps the other from it');
is(ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', unique_key => 'k') = '$one'"), 't', 'G4: as it does with new ones');
# Two ended ones with a key in a batch.
$batch = ask("SELECT imgexport.new_id()");
ask("INSERT INTO imgexport.job (batch_id, source_url, unique_key, run_at) VALUES ('$batch', '$url/dune.jpg', 'both', now() + interval '1 day'); SELECT imgexport.cancel('$batch');
	INSERT INTO imgexport.job (batch_id, source_url, unique_key, run_at) VALUES ('$batch', '$url/dune.jpg', 'both', now() + interval '1 day'); SELECT imgexport.cancel('$batch')");
is(ask("SELECT imgexport.retry('$batch')"), 1, 'G4: of two with one key in a batch one is tried again');

$web->stop;
$node->stop;
done_testing();
