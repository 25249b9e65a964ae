# SOAK_JOBS jobs (100,000) at full speed, with their rows deleted as they are done, then a trickle
# for SOAK_SECONDS (60), then nothing: memory and tables stay flat, and an idle worker idles.
# The last part, of 40,000 at most, has a transaction open that keeps vacuum from its work.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(sleep time);

my $jobs = $ENV{SOAK_JOBS} // 100_000;
my $seconds = $ENV{SOAK_SECONDS} // 60;
my $chunk = 5_000;
my $node = new_node('queue', "log_statement = 'none'", "autovacuum_naptime = '1s'", 'autovacuum_vacuum_cost_delay = 0',
	"log_min_messages = 'error'", 'max_wal_size = 4GB');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub rss_kb
{
	my $pid = ask('SELECT pid FROM imgexport.stat_worker');
	open(my $file, '<', "/proc/$pid/status") or die;
	my ($kb) = join('', <$file>) =~ /^RssAnon:\s+(\d+)/m;

	return $kb;
}

# Bytes of the tables that jobs go through, with indexes and TOAST.
sub table_bytes
{
	return ask("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname IN ('job', 'image', 'batch', 'delivery')
		AND relnamespace = 'imgexport'::regnamespace");
}

sub wait_for_all
{
	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM imgexport.job WHERE state IN ('pending', 'processing'))")
	  or die 'jobs are not done';
}

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 16, 16), 'png') AS data;
	UPDATE imgexport.queue SET concurrency = 50;
	SELECT imgexport.schedule('delete-jobs', '1 second', 'delete_jobs', '{\"completed\": \"0 s\"}'), imgexport.schedule('expire-images', '1 second', 'expire_images')");

my (@rss, @bytes);
my $start = time;
for (my $done = 0; $done < $jobs; $done += $chunk)
{
	ask("INSERT INTO imgexport.job (source, outputs, expires_in) SELECT data, '{\"png\": {}}', '1 second' FROM picture, generate_series(1, $chunk)");
	wait_for_all();
	push @rss, rss_kb();
	push @bytes, table_bytes();
}
diag(sprintf '%d jobs in %.0f s; worker %d to %d MB; tables %s MB', $jobs, time - $start, min(@rss) / 1024, max(@rss) / 1024,
	join(' ', map { sprintf '%.0f', $_ / 1048576 } @bytes));
my $third = int(@bytes / 3);
cmp_ok(max(@rss[ -$third .. -1 ]), '<', 1.2 * max(@rss[ 0 .. $third ]), 'the worker\'s memory stays flat');
cmp_ok(max(@bytes[ -$third .. -1 ]), '<', 1.5 * max(@bytes[ 0 .. $third ]), 'and so do the tables');
is(ask("SELECT count(*) FROM imgexport.job WHERE state = 'failed'"), 0, 'no job has failed');

# A trickle.
my ($rss, $end) = (rss_kb(), time + $seconds);
while (time < $end)
{
	ask("INSERT INTO imgexport.job (source, outputs, expires_in) SELECT data, '{\"png\": {}}', '1 second' FROM picture");
	sleep 0.05;
}
wait_for_all();
ask('SELECT pg_sleep(5)');
diag(sprintf 'a trickle for %d s; worker %d to %d MB; tables %.0f MB', $seconds, $rss / 1024, rss_kb() / 1024, table_bytes() / 1048576);
cmp_ok(rss_kb(), '<', 1.2 * $rss, 'a trickle leaves the memory flat');
cmp_ok(table_bytes(), '<=', max(@bytes), 'and the tables as they were');

# Nothing to do.
ask("UPDATE imgexport.schedule SET cron = '0 0 29 2 *'; CREATE DATABASE watch");
ask('SELECT pg_sleep(3)');
my $statistics = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'";
my $before = $node->safe_psql('watch', "ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf(); SELECT pg_sleep(3); $statistics");
$node->safe_psql('watch', 'SELECT pg_sleep(20)');
is($node->safe_psql('watch', $statistics), (split /\n/, $before)[-1], 'an idle worker runs no transaction');
$node->safe_psql('watch', 'ALTER SYSTEM RESET autovacuum; SELECT pg_reload_conf()');

# With a transaction open elsewhere nothing can be vacuumed: jobs have to come through all the same.
my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM imgexport.job');
my @took;
for (my $done = 0; $done < min($jobs, 40_000); $done += $chunk)
{
	my $begun = time;

	ask("INSERT INTO imgexport.job (source, outputs, expires_in) SELECT data, '{\"png\": {}}', '1 second' FROM picture, generate_series(1, $chunk)");
	wait_for_all();
	push @took, time - $begun;
}
diag(sprintf 'with a transaction open: seconds by %d jobs %s; tables %.0f MB', $chunk, join(' ', map { sprintf '%.1f', $_ } @took), table_bytes() / 1048576);
cmp_ok($took[-1], '<', 5 * min(@took), 'with a transaction open jobs come through');
$old->query_safe('COMMIT');
$old->quit;
ask("UPDATE imgexport.schedule SET cron = '1 second' WHERE name IN ('delete-jobs', 'expire-images')");
ask('SELECT pg_sleep(5)');
my $grown = table_bytes();
for (1 .. 4)
{
	ask("INSERT INTO imgexport.job (source, outputs, expires_in) SELECT data, '{\"png\": {}}', '1 second' FROM picture, generate_series(1, $chunk)");
	wait_for_all();
}
cmp_ok(table_bytes(), '<=', $grown, 'and what they left behind is used again');

$node->stop;
done_testing();
