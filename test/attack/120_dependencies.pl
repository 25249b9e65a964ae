# Jobs that wait for others: what they cost, and that none is forgotten.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Test::More;

my $node = new_node('dependencies');
my $image = "'\\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b'::bytea";

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $name) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $name);
}

# Another owner's job is done, and the worker that does it is the one that was there before.
my $pid = ask("SELECT pid FROM imgexport.workers() WHERE pid IS NOT NULL")
  || do { $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM imgexport.workers() WHERE pid IS NOT NULL"); ask('SELECT pid FROM imgexport.workers() WHERE pid IS NOT NULL') };
sub others_work
{
	my ($name) = @_;
	my $batch = ask("INSERT INTO imgexport.job (source) VALUES ($image) RETURNING batch_id");

	wait_for("state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'", "$name: another job is completed");
	is(ask('SELECT pid FROM imgexport.workers()'), $pid, "$name: by the same worker");
	return ask("SELECT extract(epoch FROM finished_at - created_at) < 10 FROM imgexport.job WHERE batch_id = '$batch'");
}

# As many as one job may have, and one more.
like(error_of($node, "INSERT INTO imgexport.job (milestone, depends_on) SELECT true, array_agg(imgexport.new_id()) FROM generate_series(1, 1001)"),
	qr/23514/, 'B2: a job depends on 1000 others at most');
like(error_of($node, "INSERT INTO imgexport.job (milestone, depends_on) VALUES (true, $_)"), qr/23514/, "B2: depends_on may not be $_")
  foreach "'{}'", "'{{00000000-0000-0000-0000-000000000001}}'", "'[5:5]={00000000-0000-0000-0000-000000000001}'", "'{NULL}'";

# Jobs that wait for others which are not due.
my ($jobs, $dependencies) = slow_checks() ? (2000, 1000) : (300, 300);
ask("SET synchronous_commit = off; INSERT INTO imgexport.job (batch_id, job_id, milestone, run_at)
	SELECT '00000000-0000-0000-0000-00000000000a', ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, true, now() + interval '1 day' FROM generate_series(1, $dependencies) AS n;
	INSERT INTO imgexport.job (batch_id, milestone, depends_on)
	SELECT '00000000-0000-0000-0000-00000000000a', true, (SELECT array_agg(job_id) FROM imgexport.job WHERE batch_id = '00000000-0000-0000-0000-00000000000a')
	FROM generate_series(1, $jobs)");
is(others_work('B2: so many dependencies'), 't', 'B2: and is not kept waiting by them');
wait_for("count(*) = $jobs FROM imgexport.job WHERE blocked AND waits_for IS NOT NULL", 'B2: each waits for one of them');
ask("UPDATE imgexport.job SET run_at = now() WHERE NOT blocked AND state = 'pending'; SELECT imgexport.wake()");
is(others_work('B2: when they end'), 't', 'B2: nor while they end');
wait_for("count(*) = 0 FROM imgexport.job WHERE state = 'pending'", 'B2: all are completed in the end');
is(ask("SELECT string_agg(DISTINCT state, ' ') FROM imgexport.job"), 'completed', 'B2: none has failed');
is(ask("SELECT bool_and(cardinality(depends_on) = $dependencies AND NOT blocked) FROM imgexport.job WHERE depends_on IS NOT NULL"), 't',
	'B2: what they depended on is still known');

# The last of several fails while the first is not due; one is deleted; one is cancelled.
ask('DELETE FROM imgexport.job');
foreach my $how ("UPDATE imgexport.job SET deadline = now() - interval '1 second' WHERE job_id = '%s'",
	"DELETE FROM imgexport.job WHERE job_id = '%s'", "SELECT imgexport.cancel('00000000-0000-0000-0000-00000000000b', '%s')")
{
	my $b = '00000000-0000-0000-0000-00000000000b';
	my ($first, $last) = split /\n/, ask("INSERT INTO imgexport.job (batch_id, milestone, run_at) SELECT '$b', true, now() + interval '1 day' FROM generate_series(1, 2) RETURNING job_id");
	my $job = ask("INSERT INTO imgexport.job (batch_id, milestone, depends_on) VALUES ('$b', true, '{$first,$last}') RETURNING job_id");
	wait_for("waits_for = '$first' FROM imgexport.job WHERE job_id = '$job'", 'B2.1: a job waits for the first of two');
	ask(sprintf($how, $last) . '; SELECT imgexport.wake()');
	wait_for("state = 'failed' AND error ~ '$last' FROM imgexport.job WHERE job_id = '$job'", "B2.1: and fails at once with the other: $how");
}

# A dependent whose row is locked when its dependency ends is found later.
my $b = '00000000-0000-0000-0000-00000000000c';
my $one = ask("INSERT INTO imgexport.job (batch_id, milestone, run_at) VALUES ('$b', true, now() + interval '1 day') RETURNING job_id");
my $two = ask("INSERT INTO imgexport.job (batch_id, milestone, depends_on) VALUES ('$b', true, '{$one}') RETURNING job_id");
wait_for("waits_for = '$one' FROM imgexport.job WHERE job_id = '$two'", 'B2.2: a job waits');
my $locker = $node->background_psql('postgres');
$locker->query("BEGIN; SELECT 1 FROM imgexport.job WHERE job_id = '$two' FOR UPDATE");
ask("UPDATE imgexport.job SET run_at = now() WHERE job_id = '$one'; SELECT imgexport.wake()");
wait_for("state = 'completed' FROM imgexport.job WHERE job_id = '$one'", 'B2.2: its dependency ends while its row is locked');
$locker->quit;
wait_for("state = 'completed' FROM imgexport.job WHERE job_id = '$two'", 'B2.2: it is found all the same');

# Queues that do not exist, by the thousand.
ask("INSERT INTO imgexport.job (milestone, queue) SELECT true, 'nowhere' || n FROM generate_series(1, 3000) AS n");
is(others_work('B2.3: jobs of 3,000 queues that are not there'), 't', 'B2.3: and is not kept waiting by them');
wait_for("count(*) = 3000 FROM imgexport.job WHERE queue ~ 'nowhere' AND state = 'failed'", 'B2.3: they fail');

unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/ERROR:(?!.*violates check).*|terminating|FATAL/, 'B2: nothing is in the log');
$node->stop;
done_testing();
