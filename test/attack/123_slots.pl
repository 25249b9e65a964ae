# What has a fixed number of places in shared memory: services, presets, hosts, databases.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Test::More;

my $node = new_node('slots', "imgexport.service_allowed_networks = '127.0.0.0/8'");
my $image = "'\\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b'::bytea";

sub ask { return $node->safe_psql('postgres', $_[0]) }

# 70 services that are used, half of them dropped.
ask("CREATE FUNCTION public.state_of(statement text) RETURNS text LANGUAGE plpgsql AS
	\$\$ BEGIN EXECUTE statement; RETURN '00000'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END \$\$");
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"http://127.0.0.1:1/\", \"retries\": 0, \"price\": 1, \"daily_limit\": 5}', 's' || n) FROM generate_series(1, 70) AS n");
is(ask("SELECT string_agg(DISTINCT public.state_of(format(\$\$SELECT length(img_service($image, 's%s', on_error => 'fail'))\$\$, n)), ' ') FROM generate_series(1, 70) AS n"),
	'IX005', 'B5: 70 services are called, each of which fails for its own reason');
ask("DELETE FROM imgexport.service");
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"http://127.0.0.1:1/\", \"retries\": 0}', 'last')");
like(error_of($node, "SELECT length(img_service($image, 'last', on_error => 'fail'))"), qr/IX005/, 'B5: and so is another one when they are dropped');
is(ask("SELECT count(*) <= 64 AND bool_or(service = 'last') FROM imgexport.services()"), 't', 'B5: those used last are counted');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 71 AND sum(calls) = 71 AND sum(failures) = 71 FROM imgexport.service_usage'), 'B5: nothing that was counted is lost');

# Names of presets that are none, and more presets than there is room for.
ask("CREATE ROLE app; CALL imgexport.grant_access('app')");
ask("SET ROLE app; INSERT INTO imgexport.job (source, preset) SELECT $image, 'nowhere' || n FROM generate_series(1, 200) AS n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 200 FROM imgexport.job WHERE state = 'failed'"), 'jobs of presets that do not exist fail');
is(ask('SELECT count(*) FROM imgexport.presets()'), 0, 'B5: presets that do not exist are not counted');
ask("INSERT INTO imgexport.preset (name, outputs) SELECT 'p' || n, '{\"png\": {}}' FROM generate_series(1, 140) AS n");
ask("SET ROLE app; INSERT INTO imgexport.job (source, preset, run_at) SELECT $image, 'p' || n, now() + n * interval '1 ms' FROM generate_series(1, 140) AS n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 140 FROM imgexport.job WHERE state = 'completed'"), 'jobs of 140 presets are completed');
my $batch = ask("SELECT imgexport.submit(source => $image, preset => 'jpeg')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM imgexport.presets() WHERE preset = 'jpeg'"), 'B5: one more is counted');
is(ask('SELECT count(*) FROM imgexport.presets()'), 128, 'B5: in the place of one that was used long ago');

# More hosts than there is room for.
ask("SET ROLE app; INSERT INTO imgexport.job (source_url, max_attempts) SELECT format('http://127.0.0.1:%s/a.jpg', n), 1 FROM generate_series(1, 1100) AS n WHERE n NOT IN (22, 80)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.job WHERE state IN ('pending', 'processing')"), 'jobs that fetch from more than 1,024 hosts end');
is(ask('SELECT count(*) <= 1024 AND max(running) = 0 AND min(running) = 0 FROM imgexport.hosts()'), 't', 'B5: none of which is left running');

# Databases that are created and dropped; with their hosts, services and presets.
foreach my $n (1 .. (slow_checks() ? 140 : 3))
{
	$node->safe_psql('postgres', "CREATE DATABASE d$n");
	if ($n <= 3)
	{
		$node->safe_psql("d$n", "CREATE EXTENSION imgexport; INSERT INTO imgexport.job (source, preset) VALUES ($image, 'jpeg')");
		ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM imgexport.presets() WHERE database = 'd$n'"), "a worker runs in d$n");
	}
	$node->safe_psql('postgres', "DROP DATABASE d$n");
}
$node->safe_psql('postgres', 'CREATE DATABASE final');
$node->safe_psql('final', "CREATE EXTENSION imgexport; INSERT INTO imgexport.job (source) VALUES ($image)");
ok($node->poll_query_until('final', "SELECT state = 'completed' FROM imgexport.job"), 'B5.1: databases that were dropped give their places back');
is(ask("SELECT count(*) FROM imgexport.workers() WHERE pid IS NOT NULL"), 2, 'B5.1: a worker runs in each that is there');

$node->stop;
done_testing();
