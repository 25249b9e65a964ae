# What a job does when something fails: goes on without, keeps the original, stores the URL,
# is tried again, stops in time; and a host that fails is left alone.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('failures', 'imgexport.codec_processes = 2');
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub run_batch
{
	my ($arguments) = @_;
	my $batch = ask("SELECT imgexport.submit($arguments)");

	ask("CALL imgexport.wait('$batch', '60s')");
	return $batch;
}

sub job { return ask("SELECT $_[1] FROM imgexport.job WHERE batch_id = '$_[0]'") }
sub image { return ask("SELECT $_[1] FROM imgexport.image WHERE batch_id = '$_[0]'") }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

ask("CREATE TABLE picture AS SELECT pg_read_binary_file('" . photo('photo-720p.jpg') . "') AS data;
	 ALTER TABLE picture ADD cut bytea; UPDATE picture SET cut = substr(data, 1, 20000)");
my $small = q('{"png": {"width": 32}}');

# The whole job.
my $batch = run_batch("source_url => '$url/notes.txt', on_error => 'fail'");
is(job($batch, "state || ' ' || error_code"), 'failed IX001', 'fail: it fails');
$batch = run_batch("source_url => '$url/notes.txt', on_error => 'skip'");
like(job($batch, "state || ' ' || warnings"), qr/^completed .*not an image/, 'skip: done, with nothing and a warning');
is(image($batch, 'count(*)'), 0, 'and nothing');
$batch = run_batch("source_url => '$url/notes.txt', on_error => 'keep_original', metadata => '{\"a\": 1}'");
is(image($batch, "name || ' ' || bytes || ' ' || (format IS NULL) || ' ' || (sha256(data) = sha256)"), 'original ' . (-s photo('notes.txt')) . ' true true',
	'keep_original: the source as it came');
$batch = run_batch("source => (SELECT cut FROM picture), on_error => 'keep_original'");
is(image($batch, "format || ' ' || (data = (SELECT cut FROM picture))"), 'jpeg true', 'with its format, where it has one');
$batch = run_batch("source_url => '$url/missing.jpg', on_error => 'keep_original'");
is(job($batch, "state || ' ' || error_code"), 'failed IX005', 'where there is none to keep it fails');
$batch = run_batch("source_url => '$url/missing.jpg', on_error => 'store_url'");
is(image($batch, "source_url || ' ' || (data IS NULL)"), "$url/missing.jpg true", 'store_url: the URL');
is(ask("SELECT (status->'images'->0->'outputs'->'original') - 'imageId' FROM imgexport.status('$batch') AS status"),
	qq({"url": "$url/missing.jpg", "converted": false}), 'which status() tells as its output');
is(ask("SELECT completed || ' ' || warned FROM imgexport.batch WHERE batch_id = '$batch'"), '1 1', 'and the batch counts the warning');
$batch = run_batch("source_url => '$url/flaky/2/keep/dune.jpg', on_error => 'store_url', outputs => $small");
is(job($batch, "state || ' ' || attempts || ' ' || coalesce(warnings::text, '-')"), 'completed 3 -', 'but what may pass is tried first');

# Another preset, for a new way of doing it that may fail.
ask("INSERT INTO imgexport.preset (name, recipe, outputs) VALUES
	('new', '[{\"crop\": {\"x\": 9999, \"y\": 0, \"width\": 1, \"height\": 1}}]', '{\"png\": {}}');
	INSERT INTO imgexport.preset (name, outputs, expires_in) VALUES ('old', '{\"png\": {\"width\": 48}}', '1 hour')");
$batch = run_batch("source_url => '$url/dune.jpg', preset => 'new', on_error => 'preset:old', base_url => '$url/wings.jpg', metadata => '{\"a\": 1}'");
is(job($batch, "state || ' ' || attempts || ' ' || preset"), 'completed 1 new', 'preset: the job goes on by another one');
like(job($batch, 'warnings::text'), qr/^\["preset \\"old\\" was used instead of \\"new\\": .*"\]$/, 'and says so');
is(image($batch, "name || ' ' || width || ' ' || metadata || ' ' || (expires_at BETWEEN now() + '50 min' AND now() + '1 hour')"),
	'png 48 {"a": 1} true', 'with its outputs, and what belongs to it');
$batch = run_batch("source => (SELECT cut FROM picture), preset => 'new', on_error => 'preset:old'");
is(job($batch, "state || ' ' || error_code || ' ' || jsonb_array_length(warnings)"), 'failed IX001 1', 'where that fails too, it fails');
$batch = run_batch("source_url => '$url/missing.jpg', preset => 'new', on_error => 'preset:old'");
is(job($batch, "state || ' ' || error_code || ' ' || (warnings IS NULL)"), 'failed IX005 true', 'and where its source did not come');
$batch = run_batch("source => (SELECT data FROM picture), outputs => $small, preset => 'export', on_error => 'preset:old'");
is(image($batch, "name || ' ' || width"), 'png 32', 'what can be done needs no other');
is(ask("SELECT string_agg(preset || ' ' || completed || ' ' || failed, ', ' ORDER BY preset) FROM imgexport.presets() WHERE preset IN ('new', 'old')"),
	'new 0 3, old 1 1', 'each is counted by how it went');
like(error_of($node, "SELECT imgexport.submit(source_url => '$url/dune.jpg', on_error => 'preset:none')"), qr/22023.*preset "none" does not exist/, 'it has to be there');
like(error_of($node, "INSERT INTO imgexport.job (source_url, on_error) VALUES ('$url/dune.jpg', 'preset:')"), qr/23514/, 'and to have a name');

# One step of a recipe.
my $crop = '{"crop": {"x": 9999, "y": 0, "width": 1, "height": 1, "on_error": "skip"}}';
$batch = run_batch("source => (SELECT data FROM picture), recipe => '[$crop, {\"flip\": {}}]', outputs => $small");
like(job($batch, "state || ' ' || warnings"), qr/^completed .*step crop was skipped/, 'a step that fails is skipped where it says so');
is(image($batch, "data = (SELECT i.data FROM picture, img_export(img_flip(picture.data), $small) i)"), 't', 'and the others are made');
$batch = run_batch("source => (SELECT data FROM picture), recipe => '[$crop]', outputs => '{\"a\": {\"steps\": [$crop], \"format\": \"png\"}, \"b\": {\"format\": \"webp\"}}'");
is(job($batch, "state || ' ' || jsonb_array_length(warnings)"), 'completed 1', 'of many outputs it is told once');
ask("CREATE FUNCTION public.img_moody(image bytea) RETURNS bytea LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'not today'; END \$\$");
$batch = run_batch("source => (SELECT data FROM picture), recipe => '[{\"public.moody\": {\"on_error\": \"skip\"}}]', outputs => $small");
is(job($batch, "state || ' ' || warnings"), 'completed ["step public.moody was skipped: not today"]', 'a step of one\'s own as well');
$batch = run_batch("source => (SELECT data FROM picture), recipe => '[\"public.moody\"]', outputs => $small");
is(job($batch, "state || ' ' || error"), 'failed not today', 'which else fails the job');
my ($code, $out, $err) = $node->psql('postgres', "SELECT length(img_apply(data, '[$crop]')) FROM picture");
is($code, 0, 'in a query a step is skipped as well');
like($err, qr/WARNING:  step crop was skipped/, 'with a WARNING');
like(error_of($node, "SELECT img_apply(data, '[{\"flip\": {\"on_error\": \"cry\"}}]') FROM picture"), qr/22023.*"skip" or "fail"/s, 'on_error is checked');

# The base, in each way that it can be missing.
foreach my $base ("base_url => '$url/missing.jpg'", "base_url => '$url/notes.txt'", "base => 'no image'", "base => (SELECT cut FROM picture)")
{
	foreach my $recipe ('[]', '[{"composite": {"opacity": 0.5}}]')
	{
		$batch = run_batch("source => (SELECT data FROM picture), $base, recipe => '$recipe', outputs => $small");
		like(job($batch, "state || ' ' || warnings"), qr/^completed .*(base|composite) was skipped/, "done without: $base, $recipe");
		is(image($batch, "img_similarity(data, (SELECT i.data FROM picture, img_export(picture.data, $small) i)) > 0.98"), 't', 'and the image is itself');
	}
}

# Cancelled in the middle: while it is fetched, and while it is rendered.
$batch = ask("SELECT imgexport.submit(source_url => '$url/drip', queue => 'scrape')");
wait_for("running = 1 FROM imgexport.stat_host", 'a job fetches');
like(ask("SELECT imgexport.why(job_id) FROM imgexport.job WHERE batch_id = '$batch'"), qr/^in work since .* attempt 1 of 5/, 'why() says since when');
is(ask("SELECT imgexport.cancel('$batch')"), 1, 'it is cancelled');
wait_for("running = 0 FROM imgexport.stat_host", 'and its transfer is given up');
my $heavy = "source => (SELECT data FROM picture), recipe => '[{\"resize\": {\"width\": 8000}}, {\"blur\": {\"sigma\": 500}}]', outputs => '{\"x\": {\"format\": \"avif\"}}'";
$batch = ask("SELECT imgexport.submit($heavy)");
wait_for("state = 'processing' FROM imgexport.job WHERE batch_id = '$batch'", 'a job is rendered');
ask("SELECT pg_sleep(0.3); SELECT imgexport.cancel('$batch')");
my $worker = ask('SELECT pid FROM imgexport.stat_worker');
wait_for("running = 0 FROM imgexport.stat_worker", 'cancelled, it ends at once');
is(job($batch, "state || ' ' || (worker IS NULL)"), 'cancelled true', 'and stays cancelled');
is(ask('SELECT pid FROM imgexport.stat_worker'), $worker, 'the worker is the same');

# Deadlines: before it starts, and in the middle.
$batch = run_batch("source => (SELECT data FROM picture), deadline => now() - interval '1 s'");
is(job($batch, "state || ' ' || error_code || ' ' || attempts"), 'failed IX004 0', 'what is too late is not begun');
$batch = run_batch("source_url => '$url/drip', deadline => now() + interval '1 s'");
is(job($batch, "state || ' ' || error"), 'failed deadline passed in phase fetch', 'and what gets too late is ended');
$batch = run_batch("source_url => '$url/status/503', deadline => now() + interval '2 s'");
is(job($batch, "state || ' ' || error_code || ' ' || (attempts < 5)"), 'failed IX005 true', 'nor is it tried again after it');
is(ask("SELECT imgexport.status('$batch')->>'status'"), 'FAILED', 'which status() tells');

# A host that fails again and again is left alone, others are not, and one job finds out that it is back.
$web->stop;
my $dead = ask("SELECT imgexport.submit(urls => array_agg('$url/dune.jpg?' || i), max_attempts => 100) FROM generate_series(1, 20) i");
wait_for("breaker_open_until > now() AND failures_in_a_row >= 5 FROM imgexport.stat_host WHERE '$url' ~ host", 'the breaker opens');
ask("UPDATE imgexport.job SET run_at = now() WHERE batch_id = '$dead' AND state = 'pending'; SELECT imgexport.wake()");
ask('SELECT pg_sleep(1.5)');
cmp_ok(ask("SELECT sum(attempts) FROM imgexport.job WHERE batch_id = '$dead'"), '<', 40, 'then nothing is tried');
like(ask("SELECT imgexport.why(job_id) FROM imgexport.job WHERE batch_id = '$dead' AND state = 'pending' AND run_at <= now() LIMIT 1"),
	qr/waiting: host .* has failed \d+ times in a row and is left alone until /, 'why() says so');
my $other = WebServer->start($ENV{PHOTOS} // 'photos');
$batch = run_batch("source_url => '" . $other->url . "/dune.jpg', outputs => $small");
is(job($batch, 'state'), 'completed', 'another host is not held up');

# Timings and log lines.
is(ask("SELECT string_agg(key, ' ' ORDER BY key) FROM imgexport.job, jsonb_object_keys(timings) AS key WHERE batch_id = '$batch'"),
	'decode encode fetch process service store total', 'a job says where its time went, by phase');
run_batch("source_url => '" . $other->url . "/missing.jpg?token=s3cret'");
my $log = join "\n", grep { !/statement: / } split /\n/, slurp_file($node->logfile);
like($log, qr/imgexport job [0-9a-f-]{36}: attempt 1 of 5 failed after \d+ ms: server answered 404.*\n.*DETAIL:  SQLSTATE IX005, phase fetch, host 127.0.0.1:\d+, failed\./,
	'a line of the log has job, host, phase, SQLSTATE and ms');
unlike($log, qr/s3cret/, 'and no secrets');
wait_for("query ~ '^[0-9]+ jobs: [0-9]+ in fetch' FROM pg_stat_activity WHERE backend_type = 'imgexport worker'", 'pg_stat_activity has the progress');
is(ask("SELECT completed > 10 AND failed > 3 AND warned > 10 AND images > 10 AND decode_ms > 0 FROM imgexport.stat_worker"), 't', 'and stat_worker the sums');

$other->stop;
$node->stop;
done_testing();
