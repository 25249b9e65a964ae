# Services asked by jobs: many at once, with nothing held meanwhile, and with a crash in the middle.
use strict;
use warnings;

use lib 'test/lib';
use File::Temp qw(tempdir);
use ImgTest;
use ServiceServer;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $server = ServiceServer->start;
my $url = $server->url;
# Without autovacuum, whose transactions would be taken for the worker's.
my $node = new_node('servicejobs', 'autovacuum = off', "imgexport.service_allowed_networks = '127.0.0.0/8'", 'imgexport.codec_processes = 1');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# Submit jobs of so many different images with a recipe; returns the batch, done or not.
sub submit
{
	my ($recipe, %more) = @_;
	my $count = $more{count} // 1;
	my $first = our $images++;

	$images += $count;
	my $batch = ask('SELECT imgexport.new_id()');
	ask(sprintf(q(INSERT INTO imgexport.job (batch_id, source, recipe, outputs, max_attempts, on_error, metadata, deadline, queue)
		SELECT '%s', img_convert(img_modulate(image, 1, 1, (n * 7) %% 360), 'png'), '%s', '%s', %d, '%s', '{"own": true}', %s, 'wide'
		FROM shot, generate_series(%d, %d) AS n), $batch, $recipe, $more{outputs} // '{"out": {"format": "png"}}', $more{max_attempts} // 1,
		$more{on_error} // 'fail', $more{deadline} // 'NULL', $first + 1, $first + $count));
	return $batch;
}

sub finished
{
	my ($batch, $what) = @_;

	wait_for("NOT EXISTS (SELECT FROM imgexport.job WHERE batch_id = '$batch' AND finished_at IS NULL)", $what // 'they end');
}

sub done
{
	my $batch = submit(@_);

	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM imgexport.job WHERE batch_id = '$batch' AND finished_at IS NULL)");
	return $batch;
}

sub outcome { return ask("SELECT state, error, warnings->>0 FROM imgexport.job WHERE batch_id = '$_[0]'") }

sub size_of { return ask("SELECT (img_info(img_autocrop(data, 0))).width || 'x' || (img_info(img_autocrop(data, 0))).height FROM imgexport.image WHERE batch_id = '$_[0]'") }

ask(sprintf(q(CREATE TABLE shot AS SELECT img_extend(img_convert(img_resize(pg_read_binary_file('%s'), 40, 30), 'png'), 20, 20, 20, 20) AS image), photo('dune.jpg')));
ask("INSERT INTO imgexport.queue (name, concurrency) VALUES ('wide', 100)");
ask(qq(SELECT imgexport.set_secret('$_', 'key-of-$_') FROM (VALUES (1)) AS v)) foreach qw(api4ai analysis generate);
ask("SELECT imgexport.add_service('$_->[0]', '{\"url\": \"$url$_->[1]\"}')") foreach [ 'rembg', '/api/remove' ], [ 'api4ai', '/api/v1/background' ], [ 'analysis', '/analyze' ], [ 'generate', '/generate' ];
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"$url/slow/2500/api/remove\", \"concurrency\": 30, \"retries\": 0}', 'slow')");
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"http://127.0.0.1:1/\", \"retries\": 0, \"cache_for\": null}', 'dead')");
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"$url/flaky/2/job/api/remove\"}', 'flaky')");
ask("SELECT imgexport.add_service('remove.bg', '{\"url\": \"$url/damaged/body\", \"send\": \"body\", \"request\": {}, \"headers\": {}}', 'damaged')");

# One after another, side by side, and in outputs.
my $batch = done('[{"service": {"name": "api4ai"}}, {"service": {"name": "analysis"}}, {"autocrop": {"padding": 0}}]');
is(outcome($batch), 'completed||', 'a recipe goes on with what a service made');
is(size_of($batch), '40x30', '... the cut-out');
is(ask("SELECT j.metadata->'ai_analysis'->'labels', j.metadata->'own', i.metadata = j.metadata FROM imgexport.job j JOIN imgexport.image i USING (batch_id) WHERE batch_id = '$batch'"), '["dune", "sky"]|true|t', 'an analysis goes into the metadata, beside what was there');
is(ask("SELECT count(*) FROM imgexport.job WHERE metadata \@> '{\"ai_analysis\": {\"labels\": [\"dune\"]}}'"), 1, '... where it is found');
is(ask("SELECT (timings->>'service')::int > 0 FROM imgexport.job WHERE batch_id = '$batch'"), 't', 'a job says how long its services took');
$batch = done('[]', outputs => '{"cut": {"steps": [{"service": {"name": "rembg"}}], "format": "png"}, "made": {"steps": [{"service": {"name": "generate", "parameters": {"prompt": "x"}}}], "format": "png"}, "plain": {"format": "png"}}');
is(ask("SELECT string_agg(name || ' ' || (img_info(data)).has_alpha, ',' ORDER BY name) FROM imgexport.image WHERE batch_id = '$batch'"), 'cut true,made false,plain false', 'outputs have services of their own');
foreach my $asked ([ 'rembg', '/api/remove', 1, '{}' ], [ 'generate', '/generate', 2, '{"prompt": "x"}' ])
{
	my ($service, $path, $times, $parameters) = @$asked;
	my $output = qq({"steps": [{"service": {"name": "$service", "parameters": $parameters}}], "format": "png"});
	$server->asked('');
	$batch = done('[]', outputs => qq({"a": $output, "b": $output}));
	is(ask("SELECT count(*) FROM imgexport.image WHERE batch_id = '$batch'"), 2, "two outputs ask $service for the same");
	is(($server->asked($path))[0], $times, $times == 1 ? '... of which one is sent' : '... of which both are, as nothing is remembered');
}
$batch = done('[{"service": {"name": "dead", "fallback": [{"service": {"name": "dead", "fallback": [{"service": {"name": "rembg"}}]}}]}}, {"autocrop": {"padding": 0}}]');
is(size_of($batch), '40x30', 'a fallback may be a service, whose fallback may be one');
is(ask("SELECT jsonb_array_length(warnings) FROM imgexport.job WHERE batch_id = '$batch'"), 1, '... and is warned of once');

# Failures.
$batch = done('[{"service": {"name": "dead"}}, "flip"]');
like(outcome($batch), qr/^completed\|\|step service was skipped: service "dead" failed: could not connect/, 'a background that cannot be taken out stays, with a warning');
$batch = done('[{"service": {"name": "dead", "on_error": "fail"}}]');
like(outcome($batch), qr/^failed\|service "dead" (failed: could not connect|is left alone)/, '... unless the step says fail');
$batch = done('[{"service": {"name": "dead", "on_error": "fail"}}]', on_error => 'keep_original');
is(ask("SELECT name FROM imgexport.image WHERE batch_id = '$batch'"), 'original', '... and the job may keep its source');
$batch = done('[{"service": {"name": "nobody"}}]');
is(outcome($batch), 'failed|service "nobody" does not exist|', 'what the caller got wrong is a failure');
$batch = done('[{"service": {"name": "generate"}}]');
is(outcome($batch), 'failed|service "generate" needs the parameter "prompt"|', '... so are parameters');
$batch = done('[{"service": {"name": "flaky", "on_error": "fail"}}, {"autocrop": {"padding": 0}}]');
is(size_of($batch), '40x30', 'a request is sent again');
is(ask("SELECT attempts FROM imgexport.job WHERE batch_id = '$batch'"), 1, '... in the same attempt of the job');
$batch = done('[{"service": {"name": "damaged"}}, "flip"]');
like(outcome($batch), qr/^completed\|\|step service was skipped: image is damaged/, 'a damaged answer is skipped too');
is(ask("SELECT count(*) FROM imgexport.service_answer WHERE service = 'damaged'"), 0, '... and not remembered');
$batch = done('[{"service": {"name": "damaged", "on_error": "fail"}}]');
is(outcome($batch), 'failed|image is damaged|', '... or the job fails');
is(ask("SELECT count(*) FROM imgexport.service_answer WHERE service = 'damaged'"), 0, '... and remembers nothing either');
ask("INSERT INTO imgexport.preset (name, recipe, outputs) VALUES ('tried', '[{\"service\": {\"name\": \"rembg\"}}, {\"autocrop\": {\"padding\": 0}}]', '{\"png\": {}}')");
foreach my $service ('dead', 'damaged')
{
	$batch = done(qq([{"service": {"name": "$service", "on_error": "fail"}}]), on_error => 'preset:tried');
	like(outcome($batch), qr/^completed\|\|preset "tried" was used: /, "or goes on by another preset ($service)");
	is(size_of($batch), '40x30', '... which may ask another service');
}
is(ask("SELECT count(*) FROM imgexport.service_answer WHERE service = 'damaged'"), 0, '... and nothing damaged is remembered then');
ask("CREATE FUNCTION public.img_waits(image bytea) RETURNS bytea LANGUAGE sql AS 'SELECT public.img_service(image, ''rembg'', on_error => ''fail'')'");
$batch = done('["public.waits"]');
like(outcome($batch), qr/^failed\|a worker does not wait for a service/, 'no function may keep the worker waiting');

# Many at once, and nothing is held: with one codec, others go by.
$server->asked('');
$batch = submit('[{"service": {"name": "slow"}}]', count => 60);
wait_for("sum(running) >= 20 FROM imgexport.services() WHERE service = 'slow'", 'many are asked at once');
my $quick = done('["flip"]');
is(outcome($quick), 'completed||', 'while others are rendered');
is(ask("SELECT count(*) > 0 FROM imgexport.job WHERE batch_id = '$batch' AND state = 'processing'"), 't', '... before those are');
finished($batch);
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'completed' AND warnings IS NULL"), 60, 'all come out');
is(ask("SELECT string_agg(warnings::text || coalesce(error, ''), ' ') FROM imgexport.job WHERE batch_id = '$batch'"), '', '... with nothing to warn of');
my ($asked, $at_once) = $server->asked('/slow/2500/api/remove');
is($asked, 60, 'each was asked for once');
cmp_ok($at_once, '>=', 20, "... up to $at_once at once");
cmp_ok($at_once, '<=', 31, '... and no more than its concurrency allows');
my $again = submit('[{"service": {"name": "slow"}}]', count => 0);
ask("INSERT INTO imgexport.job (batch_id, source, recipe, outputs) SELECT '$again', source, recipe, outputs FROM imgexport.job WHERE batch_id = '$batch'");
finished($again);
is(($server->asked('/slow/2500/api/remove'))[0], 0, 'what was asked once is known');
is(ask("SELECT calls, cached FROM imgexport.services() WHERE service = 'slow'"), '60|60', '... and counted as such');

# Sessions and jobs share what a service can bear.
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"$url/slow/200/api/remove\", \"concurrency\": 2, \"retries\": 0}', 'narrow')");
my $script = tempdir(CLEANUP => 1) . '/ask.sql';
append_to_file($script, "SELECT length(img_service(img_modulate(image, 1, 1, 9 * :client_id + 5), 'narrow', on_error => 'fail')) FROM shot;\n");
$server->asked('');
$batch = submit('[{"service": {"name": "narrow", "on_error": "fail"}}]', count => 6);
my ($told, $complained) = run_command([ 'pgbench', '-n', '-c', '6', '-t', '1', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ]);
like($told, qr{actually processed: 6/6}, 'sessions wait for room') or diag($complained);
finished($batch);
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'completed'"), 6, '... as jobs do');
($asked, $at_once) = $server->asked('/slow/200/api/remove');
is("$asked $at_once", '12 2', '... and together they ask no more at once than its concurrency');
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"$url/slow/60000/api/remove\", \"timeout\": \"1 min\"}', 'endless')");
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_until(qr/asking/, "\\echo asking\nSELECT length(img_service(img_flip(image), 'endless')) FROM shot;\n");
wait_for("sum(running) = 1 FROM imgexport.services() WHERE service = 'endless'", 'a session asks');
ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'img_flip.image., .endless' AND pid <> pg_backend_pid()");
wait_for("sum(running) = 0 FROM imgexport.services() WHERE service = 'endless'", '... and is terminated, which makes room');
eval { $session->quit };

# In the middle of a call: cancelled, overdue, a crash of the worker, of its network process.
$batch = submit('[{"service": {"name": "slow"}}]', count => 3);
wait_for("sum(running) = 3 FROM imgexport.services() WHERE service = 'slow'", 'three are asked');
is(ask("SELECT imgexport.cancel('$batch')"), 3, '... and cancelled');
wait_for("sum(running) = 0 FROM imgexport.services() WHERE service = 'slow'", '... which ends the requests');
is(ask("SELECT DISTINCT state FROM imgexport.job WHERE batch_id = '$batch'"), 'cancelled', '... and the jobs');
$batch = done('[{"service": {"name": "slow"}}]', deadline => "now() + interval '400 ms'");
is(outcome($batch), 'failed|deadline passed in phase service|', 'a deadline holds');
$batch = submit('[{"service": {"name": "slow"}}]', count => 5, max_attempts => 3);
wait_for("sum(running) = 5 FROM imgexport.services() WHERE service = 'slow'", 'five are asked');
my $worker = ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'");
ask("SELECT pg_terminate_backend($worker)");
finished($batch);
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'completed' AND warnings IS NULL"), 5, '... and come out although the worker was terminated');
is(ask("SELECT running FROM imgexport.services() WHERE service = 'slow'"), 0, '... which leaves nothing counted as under way');
$batch = submit('[{"service": {"name": "slow", "on_error": "fail"}}]', count => 4, max_attempts => 3);
wait_for("sum(running) = 4 FROM imgexport.services() WHERE service = 'slow'", 'four are asked');
$worker = ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'");
kill 'KILL', split /\n/, `pgrep -P $worker imgexport-net`;
finished($batch);
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'completed' AND warnings IS NULL"), 4, '... and come out although the network process was killed');
ask("INSERT INTO imgexport.preset (name, recipe, outputs) VALUES ('slowly', '[{\"service\": {\"name\": \"slow\"}}]', '{\"png\": {}}')");
$batch = submit('[{"crop": {"x": 9999, "y": 0, "width": 1, "height": 1}}]', count => 2, max_attempts => 3, on_error => 'preset:slowly');
wait_for("sum(running) = 2 FROM imgexport.services() WHERE service = 'slow'", 'two that fell back on another preset ask');
ask("SELECT pg_terminate_backend($worker)");
finished($batch);
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'completed' AND attempts = 1 AND warnings->>0 ~ '^preset \"slowly\" was used'"), 2, '... and do so again after the worker was terminated, which costs no attempt');
$batch = submit('[{"service": {"name": "slow"}}]', count => 5, max_attempts => 3);
wait_for("sum(running) = 5 FROM imgexport.services() WHERE service = 'slow'", 'five more are asked');
$node->stop('immediate');
$node->start;
finished($batch);
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$batch' AND state = 'completed' AND warnings IS NULL"), 5, '... and come out although the server crashed');
my $said = slurp_file($node->logfile);
is(scalar(grep { /PANIC|TRAP|terminated by signal (?!9)/ } split /\n/, $said), 0, 'nothing else crashed');
is(scalar(grep { /key-of-/ && !/set_secret/ } split /\n/, $said), 0, 'no secret is in the log');

# A worker with nothing to do does nothing, services or not.
ask('SELECT pg_sleep(2)');
my $before = ask("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'");
ask('SELECT pg_sleep(3)');
my $between = ask("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'");
cmp_ok($between - $before, '<=', 4, 'a worker that has nothing to do runs no statement');

$node->stop;
done_testing();
