# Faults in the middle of work: each begins one, and returns what ends it (undef: it ends by itself).
#
# A fault gets the chaos (test/soak/050_chaos.pl): node, moody (test/server/moody.py), folder, and
#
#	ask(sql)		as superuser, again and again while the server is away
#	killed			how many processes of the server were killed, each a crash that was asked for
#	steered			batches that were cancelled, tried again or deleted from, by what was done
package Faults;

use strict;
use warnings;

use IO::Handle;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

my $tables = 'imgexport.job, imgexport.image, imgexport.batch, imgexport.delivery, imgexport.removal, imgexport.schedule';

sub pid_of
{
	my ($chaos, $kind) = @_;

	return $chaos->ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'imgexport $kind' ORDER BY random() LIMIT 1");
}

# A process of the server that PostgreSQL cannot lose without restarting all of them.
sub kill_server_process
{
	my ($chaos, $kind) = @_;
	my $pid = pid_of($chaos, $kind) or return;

	$chaos->{killed}++;
	kill 'KILL', $pid;
	return;
}

# Helper processes of the worker and the evaluator.
sub helpers
{
	my ($chaos, $name) = @_;
	my @parents = split /\n/, $chaos->ask("SELECT pid FROM pg_stat_activity WHERE backend_type IN ('imgexport worker', 'imgexport evaluator')");

	return map { split /\n/, `pgrep -P $_ $name` } @parents;
}

sub stop_for_a_moment
{
	my ($signal_back, @pids) = @_;

	kill 'STOP', @pids if @pids;
	return sub { kill 'CONT', @pids if @pids && $signal_back };
}

sub mood
{
	my ($chaos, $role, $mood) = @_;

	$chaos->{moody}->ask("/mood/$role/$mood");
	return sub { $chaos->{moody}->ask("/mood/$role/well") };
}

# A session of its own that does something slow; its end is waited for.
sub session
{
	my ($chaos, $sql) = @_;
	my $node = $chaos->{node};

	open(my $session, '-|', 'psql', '-XAtq', '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-c', "$sql")
	  or die "could not start psql: $!";
	return sub { local ($?, $!); close($session) };
}

# A setting of the database, that a worker of its own starts with.
sub database_setting
{
	my ($chaos, $setting) = @_;
	my ($name) = $setting =~ /^(\S+)/;

	$chaos->ask("ALTER DATABASE postgres SET $setting");
	$chaos->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'imgexport worker'");
	return sub {
		# As a superuser in template1, whom the setting does not bind.
		$chaos->ask("ALTER DATABASE postgres RESET $name", 'template1');
		$chaos->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'imgexport worker'", 'template1');
	};
}

sub server_setting
{
	my ($chaos, $setting) = @_;
	my ($name) = $setting =~ /^(\S+)/;

	$chaos->ask("ALTER SYSTEM SET $setting");
	$chaos->ask('SELECT pg_reload_conf()');
	return sub { $chaos->ask("ALTER SYSTEM RESET $name"); $chaos->ask('SELECT pg_reload_conf()') };
}

# A batch that has work left, or one that has failed.
sub some_batch
{
	my ($chaos, $states) = @_;

	return $chaos->ask("SELECT batch_id FROM imgexport.job WHERE state IN ($states) AND metadata ? 'kind' ORDER BY random() LIMIT 1");
}

sub steer
{
	my ($chaos, $how, $states, $sql) = @_;
	my $batch = some_batch($chaos, $states) or return;

	# Noted first: the server may go away before it answers.
	$chaos->{steered}{$batch}{$how} = 1;
	$sql =~ s/BATCH/'$batch'/g;
	$chaos->ask($sql);
	return;
}

sub fill_disk
{
	my ($chaos) = @_;
	my $file = "$chaos->{disk}/fill";

	open(my $fill, '>', $file) or die "could not fill the disk: $!";
	$fill->autoflush(1);
	foreach my $size (65536, 4096, 1)
	{
		1 while syswrite($fill, 'x' x $size);
	}
	close($fill);
	return sub { unlink $file };
}

my @faults = (
	# Processes.
	[ 'worker is killed' => sub { kill_server_process($_[0], 'worker') } ],
	[ 'worker stands still' => sub { stop_for_a_moment(1, pid_of($_[0], 'worker') || ()) } ],
	[ 'worker is terminated' => sub { $_[0]->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'imgexport worker'"); undef } ],
	[ 'worker is cancelled' => sub { $_[0]->ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'imgexport worker'"); undef } ],
	[ 'launcher is killed' => sub { kill_server_process($_[0], 'launcher') } ],
	[ 'launcher is terminated, then the worker' => sub {
		$_[0]->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'imgexport %' ORDER BY backend_type");
		undef } ],
	[ 'evaluator is killed' => sub { kill_server_process($_[0], 'evaluator') } ],
	[ 'evaluator is terminated' => sub { $_[0]->ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'imgexport evaluator'"); undef } ],
	[ 'evaluator stands still' => sub { stop_for_a_moment(1, pid_of($_[0], 'evaluator') || ()) } ],
	[ 'codecs are killed' => sub { kill 'KILL', helpers($_[0], 'imgexport-codec'); undef } ],
	[ 'codecs stand still' => sub { stop_for_a_moment(1, helpers($_[0], 'imgexport-codec')) } ],
	[ 'codecs hang for good' => sub { stop_for_a_moment(0, helpers($_[0], 'imgexport-codec')) } ],
	[ 'network process is killed' => sub { kill 'KILL', helpers($_[0], 'imgexport-net'); undef } ],
	[ 'network process stands still' => sub { stop_for_a_moment(1, helpers($_[0], 'imgexport-net')) } ],
	[ 'network process hangs for good' => sub { stop_for_a_moment(0, helpers($_[0], 'imgexport-net')) } ],
	[ 'file process is killed' => sub { kill 'KILL', helpers($_[0], 'imgexport-files'); undef } ],
	[ 'file process stands still' => sub { stop_for_a_moment(1, helpers($_[0], 'imgexport-files')) } ],
	[ 'file process hangs for good' => sub { stop_for_a_moment(0, helpers($_[0], 'imgexport-files')) } ],
	[ 'every helper is killed' => sub { kill 'KILL', helpers($_[0], 'imgexport'); undef } ],
	[ 'server crashes' => sub { $_[0]->restart('immediate'); undef } ],
	[ 'server is restarted' => sub { $_[0]->restart('fast'); undef } ],

	# Stores.
	[ 'disk of a store is full' => \&fill_disk ],
	[ 'directory of a store may not be written' => sub {
		my ($chaos) = @_;
		chmod 0500, "$chaos->{folder}/files";
		return sub { chmod 0755, "$chaos->{folder}/files" } } ],
	[ 'directory of a store is gone' => sub {
		my ($chaos) = @_;
		rename "$chaos->{folder}/files", "$chaos->{folder}/gone";
		return sub { rename "$chaos->{folder}/gone", "$chaos->{folder}/files" } } ],
	(map { my $mood = $_; [ "store: $mood" => sub { mood($_[0], 'store', $mood) } ] } qw(slow hang close lost 500 403 garbage)),
	[ 'S3 stands still' => sub { my ($chaos) = @_; stop_for_a_moment(1, $chaos->{s3}{pid}) } ],
	[ 'secrets are missing' => sub {
		my ($chaos) = @_;
		rename "$chaos->{folder}/secrets", "$chaos->{folder}/secrets.gone";
		return sub { rename "$chaos->{folder}/secrets.gone", "$chaos->{folder}/secrets" } } ],

	# Sources, services and webhooks.
	(map { my $mood = $_; [ "source: $mood" => sub { mood($_[0], 'source', $mood) } ] } qw(slow hang close lost 500 429)),
	(map { my $mood = $_; [ "service: $mood" => sub { mood($_[0], 'service', $mood) } ] } qw(slow hang close lost 500 429 garbage)),
	(map { my $mood = $_; [ "webhook: $mood" => sub { mood($_[0], 'hook', $mood) } ] } qw(slow hang close lost 500)),

	# Locks of others.
	(map { my $table = $_; [ "$table is locked" => sub { session($_[0], "BEGIN; LOCK TABLE $table IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.7)") } ] }
		split(/, /, $tables), 'imgexport.queue', 'imgexport.store', 'imgexport.preset'),
	[ 'all tables are locked' => sub { session($_[0], "BEGIN; LOCK TABLE $tables IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.7)") } ],
	[ 'rows are locked' => sub { session($_[0], "BEGIN; SELECT count(*) FROM (SELECT FROM imgexport.job FOR UPDATE) j; SELECT pg_sleep(0.7)") } ],
	[ 'cancel() that is rolled back' => sub {
		session($_[0], "BEGIN; SELECT count(imgexport.cancel(batch_id)) FROM imgexport.job WHERE state = 'processing'; SELECT pg_sleep(0.7); ROLLBACK") } ],
	[ 'old snapshot' => sub { session($_[0], 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM imgexport.job; SELECT pg_sleep(1.5)') } ],
	[ 'tables are written anew' => sub { $_[0]->ask_once('VACUUM FULL imgexport.job'); $_[0]->ask_once('REINDEX TABLE imgexport.image'); undef } ],

	# Settings.
	(map { my $setting = $_; [ "ALTER DATABASE SET $setting" => sub { database_setting($_[0], $setting) } ] }
		"lock_timeout = '1ms'", "statement_timeout = '3ms'", 'default_transaction_read_only = on',
		"default_transaction_isolation = 'serializable'", "session_replication_role = 'replica'", "search_path = 'app'",
		"idle_in_transaction_session_timeout = '1ms'", "work_mem = '64kB'", "role = 'app'", "TimeZone = 'Asia/Kathmandu'", "DateStyle = 'SQL, DMY'"),
	(map { my $setting = $_; [ "reload with $setting" => sub { server_setting($_[0], $setting) } ] }
		"imgexport.codec_timeout = '2s'", 'imgexport.helper_max_requests = 1', 'imgexport.enabled = off', 'imgexport.fetch_concurrency = 1'),

	# People.
	[ 'role is renamed' => sub { my ($chaos) = @_; $chaos->ask('ALTER ROLE app RENAME TO other'); return sub { $chaos->ask('ALTER ROLE other RENAME TO app') } } ],
	[ 'batch is cancelled' => sub { steer($_[0], 'cancelled', "'pending', 'processing'", 'SELECT imgexport.cancel(BATCH)') } ],
	[ 'batch is cancelled and tried again at once' => sub {
		steer($_[0], 'retried', "'processing'", 'SELECT imgexport.cancel(BATCH); SELECT imgexport.retry(BATCH)') } ],
	[ 'failed batch is tried again' => sub { steer($_[0], 'retried', "'failed', 'cancelled'", 'SELECT imgexport.retry(BATCH)') } ],
	[ 'jobs are deleted' => sub { steer($_[0], 'deleted', "'pending', 'processing', 'completed'", 'DELETE FROM imgexport.job WHERE batch_id = BATCH') } ],
	[ 'images are deleted' => sub { steer($_[0], 'emptied', "'completed'", 'DELETE FROM imgexport.image WHERE batch_id = BATCH') } ],
	[ 'webhooks are sent again' => sub { steer($_[0], 'replayed', "'completed'", 'SELECT imgexport.replay(BATCH)') } ],
	[ 'queue is paused' => sub { my ($chaos) = @_; $chaos->ask("SELECT imgexport.pause('default')"); return sub { $chaos->ask("SELECT imgexport.resume('default')") } } ],
	[ 'queue is slow' => sub {
		my ($chaos) = @_;
		$chaos->ask("UPDATE imgexport.queue SET concurrency = 1, rate_limit = 5, host_limit = 1 WHERE name = 'default'");
		return sub { $chaos->ask("UPDATE imgexport.queue SET concurrency = 10, rate_limit = NULL, host_limit = NULL WHERE name = 'default'") } } ],
	[ 'extension is updated' => sub { $_[0]->ask_once('ALTER EXTENSION imgexport UPDATE'); undef } ],
	[ 'database is copied' => sub { $_[0]->ask_once('CREATE DATABASE copied TEMPLATE postgres'); $_[0]->ask('DROP DATABASE IF EXISTS copied'); undef } ]);

# All of them, as [name, begin].
sub all { return @faults }

1;
