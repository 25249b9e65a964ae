# Whatever ALTER DATABASE, ALTER ROLE, ALTER SYSTEM or a replicated row does, the worker works.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('settings', 'wal_level = logical', 'max_worker_processes = 16');
my $gif = '47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b';

# From another database, as sessions in that one have the settings as well.
sub ask { return scalar $node->safe_psql('watch', $_[0]) }

$node->safe_psql('postgres', q{
	CREATE ROLE app LOGIN; CALL imgexport.grant_access('app');
	CREATE SCHEMA app AUTHORIZATION app;
	SET ROLE app;
	CREATE FUNCTION app.img_own(image bytea) RETURNS bytea LANGUAGE plpgsql AS $f$ BEGIN RETURN public.img_flip(image); END $f$;
});
$node->safe_psql('postgres', 'CREATE DATABASE watch');
$node->safe_psql('watch', 'CREATE EXTENSION imgexport');
my $super = ask('SELECT current_user');

# A worker that starts with these makes a job, with a function in it, and whatever else is due.
sub works
{
	my ($name, @set) = @_;
	my $count = 0;

	ask('ALTER SYSTEM SET imgexport.enabled = off');
	$node->reload;
	$node->safe_psql('postgres', "INSERT INTO imgexport.job (owner, source, recipe, outputs, webhook_url)
		VALUES ('app', '\\x$gif', '[\"flip\", \"app.own\"]', '{\"png\": {}}', 'http://127.0.0.1:1/')");
	foreach my $statement (@set)
	{
		# Some versions have not all of them, or refuse some.
		my ($code) = $node->psql('template1', $statement);

		$count += $code == 0;
	}
	ask('ALTER SYSTEM RESET imgexport.enabled');
	$node->restart;
	my $done = $node->poll_query_until('watch',
		"SELECT completed = 1 AND delivery_failures > 0 FROM imgexport.workers() WHERE database = 'postgres'");

	ok($done, $name);
	ask("ALTER DATABASE postgres RESET ALL; ALTER ROLE $super RESET ALL; ALTER ROLE $super IN DATABASE postgres RESET ALL;
		ALTER ROLE ALL RESET ALL");
	return $count;
}

works('B4: a worker that has just started makes a job');

my %settings = (
	role => 'app', session_authorization => 'app', search_path => 'app, pg_catalog', default_transaction_read_only => 'on',
	default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on', statement_timeout => '1',
	lock_timeout => '1', idle_in_transaction_session_timeout => '1', idle_session_timeout => '1', transaction_timeout => '1',
	session_replication_role => 'replica', row_security => 'off', exit_on_error => 'on', DateStyle => 'German',
	standard_conforming_strings => 'off', transform_null_equals => 'on', temp_file_limit => '0',
	plan_cache_mode => 'force_custom_plan', 'plpgsql.extra_errors' => 'all', 'plpgsql.variable_conflict' => 'use_column',
	client_min_messages => 'error', TimeZone => 'Asia/Kathmandu', array_nulls => 'off', bytea_output => 'escape');
my @each = map { "ALTER DATABASE postgres SET $_ = " . ($_ eq 'search_path' ? $settings{$_} : "'$settings{$_}'") } sort keys %settings;

cmp_ok(works('B4: ALTER DATABASE SET of ' . scalar(@each) . ' settings that could stop a worker', @each), '>', 20, '... which are taken');
if (slow_checks())
{
	works("B4: $_", $_) foreach @each;
}
else
{
	works("B4: $_", $_) foreach grep { / (role|default_transaction_read_only|session_replication_role) / } @each;
}
works("B4: $_", "$_ default_transaction_read_only = on", "$_ session_replication_role = replica", "$_ search_path = app, pg_catalog",
	"$_ statement_timeout = 1000", "$_ exit_on_error = on")
  foreach "ALTER ROLE $super IN DATABASE postgres SET", "ALTER ROLE ALL IN DATABASE postgres SET";
works('B4: ALTER SYSTEM SET', map { "ALTER SYSTEM SET $_" } "session_replication_role = 'replica'", 'exit_on_error = on', 'lock_timeout = 1',
	'idle_in_transaction_session_timeout = 5000', 'default_transaction_deferrable = on');
ask("ALTER SYSTEM RESET $_") foreach qw(session_replication_role exit_on_error lock_timeout idle_in_transaction_session_timeout default_transaction_deferrable);
$node->reload;

# All that anybody may set, at once, at its ends: as low, and as high, as it goes.  Left out is what tells
# the server where its files are, what it writes to its log, or how much stack it has; and what is ours.
my $not = "name !~ '^(imgexport[.]|log_|trace_|debug_discard|max_stack_depth|zero_damaged|ignore_checksum|transaction_|allow_system)'";
foreach my $end ('min', 'max')
{
	my $value = $end eq 'min' ? "CASE vartype WHEN 'bool' THEN 'off' WHEN 'enum' THEN enumvals[1] ELSE min_val END"
	  : "CASE vartype WHEN 'bool' THEN 'on' WHEN 'enum' THEN enumvals[cardinality(enumvals)] ELSE max_val END";
	my @set = split /\n/, ask("SELECT format('ALTER DATABASE postgres SET %s = %L', name, $value) FROM pg_settings
		WHERE context IN ('user', 'superuser') AND vartype <> 'string' AND $not");

	cmp_ok(works("B4: all settings of a database at their $end", @set), '>', 100, '... which are more than a hundred');
}

# A wake-up comes whatever a session says of triggers, and whoever writes the row.
ask('CREATE DATABASE source');
$node->safe_psql('source', 'CREATE EXTENSION imgexport; CREATE PUBLICATION jobs FOR TABLE imgexport.job');
$node->safe_psql('source', q{UPDATE imgexport.queue SET paused = true});
my $sleeps = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'imgexport worker' AND datname = 'postgres' AND state = 'idle'";
ok($node->poll_query_until('postgres', $sleeps), 'the worker sleeps');
$node->safe_psql('postgres', "SET session_replication_role = replica;
	INSERT INTO imgexport.job (batch_id, source, recipe, outputs) VALUES ('00000000-0000-0000-0000-00000000000c', '\\x$gif', '[\"flip\"]', '{\"png\": {}}')");
ok($node->poll_query_until('postgres', "SELECT state = 'completed' FROM imgexport.job WHERE batch_id = '00000000-0000-0000-0000-00000000000c'"),
	'B4: a session with session_replication_role = replica wakes the worker');
$node->safe_psql('source', "SELECT pg_create_logical_replication_slot('jobs', 'pgoutput')");
$node->safe_psql('postgres', "CREATE SUBSCRIPTION jobs CONNECTION '" . $node->connstr . " dbname=source' PUBLICATION jobs
	WITH (create_slot = false, slot_name = 'jobs', copy_data = false)");
$node->safe_psql('source', "INSERT INTO imgexport.job (batch_id, source, recipe, outputs)
	VALUES ('00000000-0000-0000-0000-00000000000d', '\\x$gif', '[\"flip\"]', '{\"png\": {}}')");
ok($node->poll_query_until('postgres', "SELECT state = 'completed' FROM imgexport.job WHERE batch_id = '00000000-0000-0000-0000-00000000000d'"),
	'B4: and so does a row that is replicated');
$node->safe_psql('postgres', 'ALTER SUBSCRIPTION jobs DISABLE; ALTER SUBSCRIPTION jobs SET (slot_name = NONE); DROP SUBSCRIPTION jobs');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nothing has crashed');
done_testing();
