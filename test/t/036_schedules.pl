# Schedules at work: on time, in steps, caught up once, and what goes wrong is told.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Without autovacuum, whose transactions would be taken for the worker's.
my $node = new_node('schedules', 'autovacuum = off');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# Jobs long completed, with an image each that has expired, an image that has not, and bytes.
sub fill
{
	my ($count, $age) = @_;

	ask("WITH j AS (INSERT INTO imgexport.job (source, state, finished_at) SELECT '12345', 'completed', now() - interval '$age'
			FROM generate_series(1, $count) RETURNING batch_id, job_id, finished_at)
		INSERT INTO imgexport.image (batch_id, job_id, name, bytes, sha256, data, created_at, expires_at)
		SELECT batch_id, job_id, 'x', 3, '', 'abc', finished_at, finished_at FROM j");
}

fill(2500, '3 days');
ask("INSERT INTO imgexport.job (batch_id, job_id, source, state, finished_at) VALUES ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000001', 'x', 'completed', now());
	INSERT INTO imgexport.image (batch_id, job_id, name, bytes, sha256, data, expires_at)
	VALUES ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000001', 'x', 3, '', 'abc', now() + interval '1 day')");

# A writer that holds one of them locked is not waited for.
my $writer = $node->background_psql('postgres');
$writer->query_safe('BEGIN; UPDATE imgexport.image SET metadata = \'{}\' WHERE ctid = (SELECT min(ctid) FROM imgexport.image)');
ask("SELECT imgexport.schedule('expire-images', '1 second', 'expire_images')");
wait_for('count(*) = 2 FROM imgexport.image', 'all that has expired is deleted, but what is locked');
$writer->query_safe('COMMIT');
wait_for('count(*) = 1 FROM imgexport.image', 'and that once it is not');
$writer->quit;
ask("SELECT imgexport.unschedule('expire-images')");
is(ask("SELECT count(*) FROM imgexport.job"), 2501, 'jobs stay until their own time');

# In several transactions, with the sum as the result.
ask("SELECT imgexport.schedule('clean-temp', '0 2 * * *', 'clean_temp'); UPDATE imgexport.schedule SET next_run = now() - interval '3 days' WHERE name = 'clean-temp'");
wait_for("next_run > now() AND last_result IS NOT NULL FROM imgexport.schedule WHERE name = 'clean-temp'", 'what was missed is made up for');
is(ask("SELECT last_result->>'temp_files_deleted', last_result->>'bytes_freed', progress IS NULL, to_char(next_run AT TIME ZONE 'UTC', 'HH24:MI') FROM imgexport.schedule WHERE name = 'clean-temp'"),
	'2500|12500|t|02:00', 'once, and it says what it freed');
ask("UPDATE imgexport.schedule SET next_run = now() WHERE name = 'delete-jobs'");
wait_for("last_result->>'jobs_deleted' = '2500' FROM imgexport.schedule WHERE name = 'delete-jobs'", 'jobs without images are deleted');
is(ask('SELECT count(*) FROM imgexport.job'), 1, 'and no others');

# A crash in the middle costs nothing; each step takes a moment, so that there is a middle.
fill(20000, '3 days');
ask("CREATE FUNCTION a_moment() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
	CREATE TRIGGER a_moment AFTER DELETE ON imgexport.job EXECUTE FUNCTION a_moment()");
ask("UPDATE imgexport.schedule SET next_run = now(), last_result = NULL WHERE name = 'delete-jobs'; SELECT imgexport.run_task('expire_images', '{}', 50000)");
ask("UPDATE imgexport.schedule SET next_run = now() WHERE name = 'delete-jobs'");
wait_for("progress IS NOT NULL FROM imgexport.schedule WHERE name = 'delete-jobs'", 'a long run is under way');
$node->stop('immediate');
$node->start;
ask('DROP TRIGGER a_moment ON imgexport.job');
wait_for("last_result IS NOT NULL AND progress IS NULL FROM imgexport.schedule WHERE name = 'delete-jobs'", 'after a crash it goes on');
is(ask("SELECT last_result->>'jobs_deleted' FROM imgexport.schedule WHERE name = 'delete-jobs'"), 20000, 'and nothing is counted twice');

# What fails is told, and tried again later; what is switched off is not run.
ask("ALTER TABLE imgexport.image RENAME TO elsewhere; UPDATE imgexport.schedule SET next_run = now() WHERE name = 'clean-temp';
	SELECT imgexport.schedule('broken', '1 second', 'clean_outputs', '{\"older_than\": \"100 years\"}')");
wait_for("last_error ~ 'does not exist' AND next_run > now() FROM imgexport.schedule WHERE name = 'broken'", 'a task that fails says why');
like(slurp_file($node->logfile), qr/imgexport schedule "broken", task clean_outputs: .*does not exist/, 'in the log too');
ask("ALTER TABLE imgexport.elsewhere RENAME TO image; UPDATE imgexport.schedule SET next_run = now() WHERE name = 'broken'");
wait_for("last_error IS NULL FROM imgexport.schedule WHERE name = 'broken'", 'and goes on when it can');
is(ask("SELECT last_run IS NULL FROM imgexport.schedule WHERE name = 'clean-outputs'"), 't', 'clean-outputs is off until it is wanted');

# Between its runs nothing is done.
ask("SELECT imgexport.unschedule('broken'); UPDATE imgexport.schedule SET cron = '0 0 29 2 *'");
ask('SELECT pg_sleep(1.5)');
my $statistics = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'";
ask('CREATE DATABASE watch');
my $before = $node->safe_psql('watch', $statistics);
$node->safe_psql('watch', 'SELECT pg_sleep(4)');
is($node->safe_psql('watch', $statistics), $before, 'an idle worker with schedules runs no transaction');

$node->stop;
done_testing();
