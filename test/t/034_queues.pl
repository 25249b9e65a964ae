# When jobs start: rates, hosts, dependencies, keys, pauses.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use JSON::PP;
use Test::More;

my $node = new_node('queues');
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;

sub ask { return $node->safe_psql('postgres', $_[0]) }
sub finish { ask("CALL imgexport.wait('$_[0]', '60s')") }
sub tracked { return decode_json($web->ask("/tracked/$_[0]")) }

my $outputs = q('{"png": {"width": 16}}');

# At most so many at once of a queue, and of a host.
ask("INSERT INTO imgexport.queue (name, concurrency, host_limit) VALUES ('polite', 20, 3), ('wide', 7, NULL)");
my $wide = ask("SELECT imgexport.submit(urls => array_agg('$url/track/wide/100/dune.jpg?' || i), outputs => $outputs, queue => 'wide') FROM generate_series(1, 25) i");
finish($wide);
is(tracked('wide')->{peak}, 7, 'a queue runs as many at once as its concurrency says');
my $polite = ask("SELECT imgexport.submit(urls => array_agg('$url/track/polite/200/dune.jpg?' || i), outputs => $outputs, queue => 'polite') FROM generate_series(1, 30) i");
(my $local = $url) =~ s/127\.0\.0\.1/localhost/;
my $others = ask("SELECT imgexport.submit(urls => array_agg('$local/track/others/10/dune.jpg?' || i), outputs => $outputs, queue => 'polite') FROM generate_series(1, 3) i");
finish($others);
cmp_ok(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$polite' AND state = 'pending'"), '>', 10, 'one host does not hold up another');
like(ask("SELECT imgexport.why(job_id) FROM imgexport.job WHERE batch_id = '$polite' AND state = 'pending' ORDER BY job_id LIMIT 1"),
	qr/waiting: 3 jobs fetch from host .*, the limit of queue "polite"/, 'why() says what a job waits for');
finish($polite);
is(tracked('polite')->{peak}, 3, 'nor gets more than its limit');

# No more within an interval than the rate says.
ask("INSERT INTO imgexport.queue (name, concurrency, rate_limit, rate_interval) VALUES ('slow', 50, 5, '500 ms')");
my $slow = ask("SELECT imgexport.submit(urls => array_agg('$url/track/slow/1/dune.jpg?' || i), outputs => $outputs, queue => 'slow') FROM generate_series(1, 21) i");
finish($slow);
my @starts = map { ask("SELECT extract(epoch FROM started_at) FROM imgexport.job WHERE batch_id = '$slow' ORDER BY started_at OFFSET $_ LIMIT 1") } 0 .. 20;
my @early = grep { $starts[ $_ + 5 ] - $starts[$_] < 0.499 } 0 .. 15;
is("@early", '', 'of any six jobs the last starts an interval after the first');

# Priority within a queue, and pause.
is(ask("SELECT imgexport.pause('wide'), imgexport.pause('wide')"), 't|f', 'a queue is paused once');
my @batches = map { ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, queue => 'wide', priority => $_)") } 1, 3, 2;
ask("UPDATE imgexport.queue SET concurrency = 1 WHERE name = 'wide'");
ask('SELECT pg_sleep(0.5)');
is(ask("SELECT count(*) FROM imgexport.job WHERE queue = 'wide' AND state = 'pending'"), 3, 'a paused queue starts nothing');
like(ask("SELECT imgexport.why(job_id) FROM imgexport.job WHERE batch_id = '$batches[0]'"), qr/queue "wide" is paused/, 'and why() says so');
is(ask("SELECT imgexport.resume('wide')"), 't', 'resumed');
finish($_) foreach @batches;
is(ask("SELECT string_agg(priority::text, ' ' ORDER BY started_at) FROM imgexport.job WHERE queue = 'wide' AND priority > 0"), '3 2 1',
	'the most urgent first');

# Jobs that wait for others, and a milestone that waits for all.
my $graph = ask("SELECT imgexport.submit_batch(format('[
	{\"name\": \"a\", \"source_url\": \"%1\$s/track/a/300/dune.jpg\"},
	{\"name\": \"b\", \"source_url\": \"%1\$s/track/b/10/wood.jpg\"},
	{\"name\": \"c\", \"source_url\": \"%1\$s/track/c/10/dune.jpg\", \"depends_on\": [\"a\", \"b\"]},
	{\"name\": \"end\", \"milestone\": true, \"depends_on\": [\"a\", \"b\", \"c\"]}]', '$url')::jsonb, outputs => $outputs)");
is(ask("SELECT blocked FROM imgexport.stat_job WHERE queue = 'batch'"), 2, 'two jobs are blocked');
finish($graph);
is(ask("SELECT string_agg(state, ' ') FROM imgexport.job WHERE batch_id = '$graph'"), 'completed completed completed completed', 'then all are completed');
is(ask("SELECT bool_and(later.started_at >= earlier.finished_at) FROM imgexport.job earlier, imgexport.job later
	WHERE earlier.batch_id = '$graph' AND later.batch_id = '$graph' AND earlier.source_url ~ '/[ab]/' AND (later.source_url ~ '/c/' OR later.milestone)"),
	't', 'in their order');
is(ask("SELECT count(*) FROM imgexport.image WHERE batch_id = '$graph'"), 3, 'a milestone makes no image');
$graph = ask("SELECT imgexport.submit_batch(format('[
	{\"name\": \"a\", \"source_url\": \"%1\$s/missing.jpg\"},
	{\"name\": \"b\", \"source_url\": \"%1\$s/dune.jpg\", \"depends_on\": [\"a\"]},
	{\"name\": \"c\", \"milestone\": true, \"depends_on\": [\"b\"]}]', '$url')::jsonb, outputs => $outputs)");
finish($graph);
is(ask("SELECT string_agg(state || ' ' || error_code, ', ' ORDER BY job_id) FROM imgexport.job WHERE batch_id = '$graph'"),
	'failed IX005, failed 55000, failed 55000', 'what depends on a job that failed fails too, and so on');
is(ask("SELECT failed || ' ' || (finished_at IS NOT NULL) FROM imgexport.batch WHERE batch_id = '$graph'"), '3 true', 'and is counted');

# A job that is inserted for one that has long been completed.
my $late = ask("INSERT INTO imgexport.job (batch_id, milestone, depends_on) SELECT batch_id, true, ARRAY[job_id] FROM imgexport.job
	WHERE batch_id = '$batches[0]' RETURNING job_id");
$node->poll_query_until('postgres', "SELECT state = 'completed' FROM imgexport.job WHERE job_id = '$late'") or fail('a late dependent');
pass('what a job depends on may be completed already');

# A key, from many sessions at once.
my @sessions = map { $node->background_psql('postgres') } 1 .. 8;
ask("SELECT imgexport.pause('default')");
$_->{stdin} .= "SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, unique_key => 'same');\n" foreach @sessions;
my %answers = map { chomp(my $answer = $_->query('SELECT 1')); (split /\n/, $answer)[0] => 1 } @sessions;
is(scalar keys %answers, 1, 'eight sessions get one batch');
is(ask("SELECT count(*) FROM imgexport.job WHERE unique_key = 'same'"), 1, 'and one job');
ask("SELECT imgexport.resume('default')");
my ($same) = keys %answers;
finish($same);
isnt(ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, unique_key => 'same')"), $same, 'once it is done there can be another');
$_->quit foreach @sessions;

$web->stop;
$node->stop;
done_testing();
