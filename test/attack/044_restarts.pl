# A worker or a launcher that is replaced: rates hold, and who ends is followed by another.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('restarts', 'restart_after_crash = on');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

sub worker_pid
{
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM imgexport.workers() WHERE database = 'postgres' AND pid IS NOT NULL") or die 'no worker';
	return ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'");
}

sub another_worker
{
	my ($pid, $what) = @_;

	wait_for("count(*) = 1 FROM imgexport.workers() WHERE database = 'postgres' AND pid <> $pid", $what);
}

sub launcher_pid { return ask("SELECT max(pid) FROM pg_stat_activity WHERE backend_type = 'imgexport launcher'") }

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 64), 'png') AS data;
	 INSERT INTO imgexport.queue (name, rate_limit, rate_interval) VALUES ('rated', 2, '1 hour')");

# G7: two an hour, however often the worker starts anew.
my $submit = "INSERT INTO imgexport.job (source, outputs, queue) SELECT data, '{\"png\": {}}', 'rated' FROM picture, generate_series(1, 8)";
ask($submit);
wait_for("count(*) = 2 FROM imgexport.job WHERE queue = 'rated' AND state = 'completed'", 'G7: two jobs of an hour are completed');
my $batch;
sub none_more
{
	my ($what) = @_;

	# Another queue's job is claimed with a look at this one, and completed.
	$batch = ask("INSERT INTO imgexport.job (source, outputs) SELECT data, '{\"png\": {}}' FROM picture RETURNING batch_id");
	wait_for("state = 'completed' FROM imgexport.job WHERE batch_id = '$batch'", "G7: $what: the worker works");
	is(ask("SELECT count(*) FROM imgexport.job WHERE queue = 'rated' AND state <> 'pending'"), 2, "G7: $what: and starts none above the rate");
}
foreach my $round (1 .. 2)
{
	my $pid = worker_pid();
	ask("SELECT pg_terminate_backend($pid)");
	another_worker($pid, "G7: another worker, the $round. time");
	none_more('a worker that was replaced');
}
$node->restart;
none_more('a server that was restarted');
$node->stop('immediate');
$node->start;
none_more('a server that crashed');
ask("DELETE FROM imgexport.job WHERE queue = 'rated' AND state = 'completed'; UPDATE imgexport.queue SET rate_interval = '2 hours' WHERE name = 'rated'");
ask("INSERT INTO imgexport.job (source, outputs) SELECT data, '{\"png\": {}}' FROM picture");
wait_for("count(*) = 0 FROM imgexport.job WHERE queue = 'default' AND state <> 'completed'", 'G7.1: jobs are deleted, and the interval is changed');
is(ask("SELECT count(*) FROM imgexport.job WHERE queue = 'rated' AND state <> 'pending'"), 0, 'G7.1: what was started counts all the same');
ask("UPDATE imgexport.queue SET rate_limit = 3 WHERE name = 'rated'");
wait_for("count(*) = 1 FROM imgexport.job WHERE queue = 'rated' AND state = 'completed'", 'G7.1: one more an hour is one more');
ask("UPDATE imgexport.queue SET rate_limit = 2 WHERE name = 'rated'");
ask("INSERT INTO imgexport.job (source, outputs) SELECT data, '{\"png\": {}}' FROM picture");
wait_for("count(*) = 0 FROM imgexport.job WHERE queue = 'default' AND state <> 'completed'", 'G7.1: and one less');
is(ask("SELECT count(*) FROM imgexport.job WHERE queue = 'rated' AND state <> 'pending'"), 1, 'G7.1: is not two more');

# G8: the launcher is replaced, then the worker that the one before has started ends; nobody inserts.
foreach my $round (1 .. 2)
{
	my $launcher = launcher_pid();
	my $pid = worker_pid();

	ask("SELECT pg_terminate_backend($launcher)");
	wait_for("count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'imgexport launcher' AND pid <> $launcher", 'G8: another launcher');
	is(worker_pid(), $pid, 'G8: which leaves the worker alone');
	my $started = time;
	ask("SELECT pg_terminate_backend($pid)");
	another_worker($pid, 'G8: a worker of the launcher before is followed by another');
	cmp_ok(time - $started, '<', 55, 'G8: though nobody asks, and long before anybody looks');
}
# Both at once.
my $pid = worker_pid();
ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type IN ('imgexport launcher', 'imgexport worker')");
another_worker($pid, 'G8: so it is when both end');
# A worker in its restart delay, and the launcher goes.
$pid = worker_pid();
ask("SELECT pg_terminate_backend($pid)");
ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'imgexport launcher'");
another_worker($pid, 'G8: or the launcher while it waits');

# The server takes all of them through crash recovery, with work in flight.
ask("INSERT INTO imgexport.job (source, outputs, max_attempts) SELECT data, '{\"png\": {}}', 20 FROM picture, generate_series(1, 50)");
$pid = worker_pid();
kill 'KILL', $pid;
# Connections are refused for a while.
local $SIG{PIPE} = 'IGNORE';
usleep(100_000) until eval { $node->psql('postgres', 'SELECT 1', on_error_die => 1); 1 };
wait_for("count(*) = 0 FROM imgexport.job WHERE queue = 'default' AND state <> 'completed'", 'G8.1: a worker that is killed, and the server with it, goes on');
is(ask("SELECT count(*) FROM imgexport.workers() WHERE pid = $pid"), 0, 'G8.1: its slot is nobody\'s');

$node->stop;
done_testing();
