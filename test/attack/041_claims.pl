# A claim is known by a token, the worker waits for nobody's lock, and what the server itself could
# not do is nobody's failure.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use WebServer;

my $node = new_node('claims', "imgexport.fetch_timeout = '60s'");
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $outputs = q('{"png": {"width": 16}}');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

sub worker_pid { return ask("SELECT max(pid) FROM imgexport.workers() WHERE database = 'postgres'") }

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 64), 'png') AS data;
	 CREATE ROLE other LOGIN; CALL imgexport.grant_access('other')");

# A session that keeps what it has locked until it is told to let go.
sub holding
{
	my (@statements) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	$session->query_safe('BEGIN');
	$session->query_safe($_) foreach @statements;
	return $session;
}

sub let_go
{
	my ($session, $how) = @_;

	$session->query_safe($how // 'COMMIT');
	$session->quit;
}

# A job of another role is done meanwhile.
sub others_go_on
{
	my ($what) = @_;
	my $batch = ask("SET ROLE other; SELECT imgexport.submit(source => '" . ask('SELECT data FROM picture') . "', outputs => $outputs)");

	wait_for("state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'", "$what: another owner's job is completed meanwhile");
}

wait_for("max(pid) > 0 FROM imgexport.workers() WHERE database = 'postgres'", 'the worker is there');
my $pid = worker_pid();

# G2: the old attempt of a job that was cancelled and is tried again.  It would fail, the new one does not.
kill 'STOP', $web->{pid};
my $batch = ask("SELECT imgexport.submit(source_url => '$url/flaky/1/old/dune.jpg', outputs => $outputs, max_attempts => 1)");
wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch'", 'G2: a job is in work');
my $claim = ask("SELECT claim FROM imgexport.job WHERE batch_id = '$batch'");
ask("BEGIN; SELECT imgexport.cancel('$batch'); SELECT imgexport.retry('$batch'); COMMIT");
wait_for("state = 'processing' AND attempts = 1 AND claim <> '$claim' FROM imgexport.job WHERE batch_id = '$batch'", 'G2: and again, by another claim');
kill 'CONT', $web->{pid};
wait_for("finished_at IS NOT NULL FROM imgexport.job WHERE batch_id = '$batch'", 'G2: it ends');
is(ask("SELECT state, error_code FROM imgexport.job WHERE batch_id = '$batch'"), 'completed|', 'G2: well, whatever came of the old attempt');
is(ask("SELECT completed + failed || ' ' || total FROM imgexport.batch WHERE batch_id = '$batch'"), '1 1', 'G2: and counts once');

# Everything that a worker writes of a row, it writes by the claim alone.
foreach my $table ('job', 'delivery', 'removal')
{
	is(ask("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'imgexport' AND table_name = '$table' AND column_name = 'claim'"),
		1, "G2: a claim of imgexport.$table has a token");
}
kill 'STOP', $web->{pid};
$batch = ask("SELECT imgexport.submit(source_url => '$url/missing.jpg?claim', outputs => $outputs, max_attempts => 1)");
wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch'", 'G2: another is in work');
ask("UPDATE imgexport.job SET claim = gen_random_uuid() WHERE batch_id = '$batch'");
kill 'CONT', $web->{pid};
others_go_on('G2');
is(ask("SELECT state, error IS NULL FROM imgexport.job WHERE batch_id = '$batch'"), 'processing|t', 'G2: without its claim nothing is written');
ask("UPDATE imgexport.job SET lease_until = now() WHERE batch_id = '$batch'; SELECT imgexport.wake()");
wait_for("state = 'failed' AND crashes = 1 FROM imgexport.job WHERE batch_id = '$batch'", 'G2.1: a claim that nobody keeps ends with its lease, though the worker is the one that made it');
$batch = ask("SELECT imgexport.submit(source => data, outputs => $outputs, webhook_url => '$url/hook/claim?answers=500') FROM picture");
wait_for("attempts = 1 AND state = 'pending' FROM imgexport.delivery WHERE batch_id = '$batch'", 'G2.2: so has a webhook');

# G6: rows that others have locked.
ask("INSERT INTO imgexport.queue (name, concurrency) VALUES ('slow', 50)");
foreach my $lock ('imgexport.job', 'imgexport.batch')
{
	kill 'STOP', $web->{pid};
	$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, queue => 'slow', max_attempts => 1, webhook_url => '$url/hook/rows')");
	wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch'", "G6: $lock: a job is in work");
	my $session = holding("SELECT FROM $lock WHERE batch_id = '$batch' FOR UPDATE");
	kill 'CONT', $web->{pid};
	others_go_on("G6: a row of $lock is locked") foreach 1 .. 3;
	is(ask("SELECT state FROM imgexport.job WHERE batch_id = '$batch'"), 'processing', "G6: $lock: it waits");
	let_go($session);
	wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$batch'", "G6: $lock: and is written down when it may be");
	is(ask("SELECT j.state, j.attempts, b.completed, b.finished_at IS NOT NULL, (SELECT count(*) FROM imgexport.image i WHERE i.batch_id = '$batch')
		FROM imgexport.job j JOIN imgexport.batch b USING (batch_id) WHERE batch_id = '$batch'"), 'completed|1|1|t|1', "G6: $lock: once, in its first attempt");
}

# A transaction that has cancelled its own job and stays open; first it takes its time, then it changes its mind.
foreach my $how ('COMMIT', 'ROLLBACK')
{
	kill 'STOP', $web->{pid};
	$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, queue => 'slow', max_attempts => 1)");
	wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch'", "G6: cancel, $how: a job is in work");
	my $session = holding("SELECT imgexport.cancel('$batch')");
	kill 'CONT', $web->{pid};
	others_go_on('G6: an open transaction has cancelled a job') foreach 1 .. 2;
	let_go($session, $how);
	my $end = $how eq 'COMMIT' ? 'cancelled' : 'completed';
	wait_for("state = '$end' FROM imgexport.job WHERE batch_id = '$batch'", "G6: cancel, $how: it is $end");
}

# Rows that are to be claimed, settled, told or removed, while somebody has them locked.
my $waiting = ask("INSERT INTO imgexport.job (source, outputs, run_at) SELECT data, $outputs, now() + interval '1 hour' FROM picture RETURNING batch_id");
my $late = ask("INSERT INTO imgexport.job (source, outputs, run_at, deadline) SELECT data, $outputs, now() + interval '1 hour', now() + interval '1 hour' FROM picture RETURNING batch_id");
my $milestone = ask("SELECT imgexport.submit_batch('[{\"name\": \"a\", \"milestone\": true, \"run_at\": \"2999-01-01\"}]')");
ask("UPDATE imgexport.job SET run_at = now() WHERE batch_id IN ('$waiting', '$milestone'); UPDATE imgexport.job SET deadline = now() WHERE batch_id = '$late'");
my $session = holding("SELECT FROM imgexport.job WHERE batch_id IN ('$waiting', '$late') FOR UPDATE",
	"SELECT FROM imgexport.batch WHERE batch_id = '$milestone' FOR UPDATE", 'SELECT imgexport.wake()');
others_go_on('G6: rows that are due are locked') foreach 1 .. 2;
let_go($session, 'ROLLBACK');
wait_for("string_agg(state, ' ' ORDER BY state) = 'completed completed failed' FROM imgexport.job WHERE batch_id IN ('$waiting', '$late', '$milestone')",
	'G6: they are taken up though nobody says that they are free');

# G5, G6: whole tables, each in turn, while a job with an only attempt is on its way.
foreach my $table (split /\n/, ask("SELECT relname FROM pg_class WHERE relnamespace = 'imgexport'::regnamespace AND relkind = 'r' ORDER BY 1"))
{
	kill 'STOP', $web->{pid};
	$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, queue => 'slow', max_attempts => 1, webhook_url => '$url/hook/$table')");
	my $more = ask("SELECT imgexport.submit(source => data, outputs => $outputs, run_at => now() + interval '1 day', max_attempts => 1) FROM picture");
	wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch'", "G5: $table: a job is in work");
	$session = holding("UPDATE imgexport.job SET run_at = now() WHERE batch_id = '$more'", 'SELECT imgexport.wake()', "LOCK TABLE imgexport.$table IN ACCESS EXCLUSIVE MODE");
	kill 'CONT', $web->{pid};
	# The photograph has come, and the worker has had the time to try.
	$node->poll_query_until('postgres', "SELECT fetched > 0 AND running = 0 FROM imgexport.hosts() WHERE database = 'postgres'") or fail("G5: $table: fetched");
	$session->query_safe('SELECT pg_sleep(0.5)');
	let_go($session);
	wait_for("count(*) = 2 FROM imgexport.job WHERE batch_id IN ('$batch', '$more') AND state = 'completed' AND attempts = 1 AND error IS NULL", "G5: $table: its lock costs nobody an attempt");
	wait_for("state = 'delivered' AND attempts = 1 FROM imgexport.delivery WHERE batch_id = '$batch'", "G5: $table: nor a webhook");
	is(scalar @{ decode_json($web->ask("/hooked/$table")) }, 1, "G5: $table: which is sent once");
}
is(worker_pid(), $pid, 'G5: it is the same worker all the time');

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|deadlock detected/, 'no process crashed');
$web->stop;
$node->stop;
done_testing();
