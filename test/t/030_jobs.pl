# Jobs at work: URLs in, images out; what fails is told, tried again, or done without.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('jobs');
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;

sub ask { return $node->safe_psql('postgres', $_[0]) }

# Submit, wait, and return the batch.
sub run_batch
{
	my ($arguments) = @_;
	my $batch = ask("SELECT imgexport.submit($arguments)");

	ask("CALL imgexport.wait('$batch', '60s')");
	return $batch;
}

my $batch = run_batch("urls => '{$url/dune.jpg,$url/wood.jpg,$url/missing.jpg,$url/notes.txt}', preset => 'export'");
is(ask("SELECT status - 'images' - 'requestId' - 'products' - 'warnings' FROM imgexport.status('$batch') AS status"),
	'{"status": "COMPLETED", "totalImages": 4, "failedImages": 2, "processedImages": 2}',
	'what can be made is made, the rest is counted');
is(ask("SELECT string_agg(DISTINCT name || ' ' || format || ' ' || count, ', ') FROM (
			SELECT name, format, count(*) FROM imgexport.image WHERE batch_id = '$batch' GROUP BY 1, 2) i"),
	'jpeg jpeg 2, png png 2, webp webp 2', 'a preset makes its outputs');
is(ask("SELECT string_agg(error_code || ' ' || attempts, ', ' ORDER BY error_code) FROM imgexport.job
		WHERE batch_id = '$batch' AND state = 'failed'"),
	'IX001 1, IX005 1', 'what will never work is not tried twice');
is(ask("SELECT bool_and(sha256(data) = sha256 AND length(data) = bytes AND
			(width, height) = ((img_info(data)).width, (img_info(data)).height)) FROM imgexport.image"),
	't', 'rows say what their images are');
is(ask("SELECT (total, completed, failed, finished_at IS NOT NULL) FROM imgexport.batch WHERE batch_id = '$batch'"),
	'(4,2,2,t)', 'the batch has counted along');

# From bytes, with a recipe, without a batch row; one output in the source's format.
my $job = ask("INSERT INTO imgexport.job (source, recipe, metadata)
	VALUES (pg_read_binary_file('" . photo('turned.jpg') . "'), '[{\"resize\": {\"width\": 300}}]', '{\"for\": \"test\"}')
	RETURNING batch_id");
ask("CALL imgexport.wait('$job', '60s')");
is(ask("SELECT (name, format, width, height, metadata->>'for') FROM imgexport.image WHERE batch_id = '$job'"),
	'(output,jpeg,300,169,test)', 'a plain INSERT, upright, with its metadata');

# A base goes under the image; one that does not come is done without.
$batch = run_batch("source_url => '$url/dune.jpg', base_url => '$url/wood.jpg', outputs => '{\"png\": {\"width\": 64}}'");
is(ask("SELECT data = (SELECT data FROM img_export(img_composite(img_fetch('$url/dune.jpg'), img_fetch('$url/wood.jpg')),
			'{\"png\": {\"width\": 64}}')) FROM imgexport.image WHERE batch_id = '$batch'"),
	't', 'a base from a URL is laid under, 70 to 30');
$batch = run_batch("source_url => '$url/dune.jpg', base_url => '$url/missing.jpg', outputs => '{\"png\": {\"width\": 64}}'");
like(ask("SELECT state || ' ' || warnings FROM imgexport.job WHERE batch_id = '$batch'"),
	qr/^completed .*base was skipped: server answered 404/, 'a base that is not there is skipped, with a warning');

# One output of several fails.
$batch = run_batch("source_url => '$url/dune.jpg', outputs => '{\"good\": {\"width\": 64}, \"bad\": {\"steps\": [{\"crop\": {\"x\": 9999, \"y\": 0, \"width\": 1, \"height\": 1}}]}}'");
like(ask("SELECT state || ' ' || warnings FROM imgexport.job WHERE batch_id = '$batch'"),
	qr/^completed .*output \\"bad\\" was skipped: crop/, 'an output that fails is skipped, with a warning');

# What may pass is tried again, and a server's wish for patience is kept to.
$batch = run_batch("source_url => '$url/flaky/2/one/dune.jpg', outputs => '{\"png\": {\"width\": 16}}'");
is(ask("SELECT state || ' ' || attempts FROM imgexport.job WHERE batch_id = '$batch'"), 'completed 3',
	'503 twice, then the file: the third attempt');
$batch = ask("SELECT imgexport.submit(source_url => '$url/status/429?after=3600')");
$node->poll_query_until('postgres', "SELECT attempts = 1 AND state = 'pending' FROM imgexport.job WHERE batch_id = '$batch'");
is(ask("SELECT run_at > now() + interval '59 minutes' FROM imgexport.job WHERE batch_id = '$batch'"), 't',
	'Retry-After is kept to');
$batch = run_batch("source_url => '$url/status/500', max_attempts => 2");
is(ask("SELECT state || ' ' || attempts || ' ' || error_code FROM imgexport.job WHERE batch_id = '$batch'"),
	'failed 2 IX005', 'not more often than max_attempts');

# A queue, a role or a preset that is gone is told, not waited for.
ask("INSERT INTO imgexport.job (source, queue) VALUES ('x', 'nowhere')");
$node->poll_query_until('postgres', "SELECT error = 'queue \"nowhere\" does not exist' FROM imgexport.job WHERE queue = 'nowhere'")
  or fail('a job of no queue');
ask("CREATE ROLE gone; INSERT INTO imgexport.job (source, owner, priority) VALUES ('x', 'gone', 77); DROP ROLE gone");
$node->poll_query_until('postgres', "SELECT state = 'failed' FROM imgexport.job WHERE priority = 77")
  or fail('a job of nobody');

# As its owner: a recipe can do what the submitter can, and no more.
ask("CREATE SCHEMA app; CREATE TABLE app.secret (word text); INSERT INTO app.secret VALUES ('xyzzy');
	CREATE FUNCTION app.img_curious(image bytea) RETURNS bytea LANGUAGE plpgsql AS
	\$\$ BEGIN PERFORM word FROM app.secret; RETURN image; END \$\$;
	CREATE FUNCTION app.img_slow(image bytea) RETURNS bytea LANGUAGE sql AS
	'SELECT image FROM pg_sleep(3600)';
	CREATE ROLE submitter; GRANT USAGE ON SCHEMA app TO submitter; CALL imgexport.grant_access('submitter')");
my $source = "pg_read_binary_file('" . photo('photo-720p.jpg') . "')";
ask("CREATE TABLE public.picture AS SELECT $source AS data; GRANT SELECT ON public.picture TO submitter;
	INSERT INTO imgexport.job (source, recipe, owner, priority)
	SELECT data, '[\"app.curious\"]', 'submitter', 78 FROM public.picture");
$node->poll_query_until('postgres', "SELECT state = 'failed' AND error_code = '42501' FROM imgexport.job WHERE priority = 78")
  or fail('a recipe that reads what its owner may not');
pass('a recipe runs as its owner');

ask("ALTER SYSTEM SET imgexport.evaluate_timeout = '1s'; SELECT pg_reload_conf()");
ask("INSERT INTO imgexport.job (source, recipe, max_attempts, priority) SELECT data, '[\"app.slow\"]', 1, 79 FROM public.picture");
$node->poll_query_until('postgres', "SELECT state = 'failed' AND error_code = '57014' FROM imgexport.job WHERE priority = 79")
  or fail('a recipe that sleeps');
pass('a recipe that never ends is ended');
ask("ALTER SYSTEM RESET imgexport.evaluate_timeout; SELECT pg_reload_conf()");

# Priority, run_at, pause, cancel.
ask("UPDATE imgexport.queue SET paused = true WHERE name = 'scrape'");
$batch = ask("SELECT imgexport.submit(source => (SELECT data FROM public.picture), outputs => '{\"png\": {\"width\": 16}}', queue => 'scrape')");
my $later = ask("SELECT imgexport.submit(source => (SELECT data FROM public.picture), outputs => '{\"png\": {\"width\": 16}}', run_at => now() + interval '1.5 s')");
run_batch("source => (SELECT data FROM public.picture), outputs => '{\"png\": {\"width\": 16}}'");
is(ask("SELECT state FROM imgexport.job WHERE batch_id = '$batch'"), 'pending', 'a paused queue waits');
is(ask("SELECT state FROM imgexport.job WHERE batch_id = '$later'"), 'pending', 'and so does what is not due');
ask("UPDATE imgexport.queue SET paused = false WHERE name = 'scrape'");
ask("CALL imgexport.wait('$batch', '60s')");
pass('a queue that goes on goes on by itself');
ask("CALL imgexport.wait('$later', '60s')");
is(ask("SELECT started_at >= run_at FROM imgexport.job WHERE batch_id = '$later'"), 't', 'what is due later is done later');

# Expiry, by its schedule.
ask("SELECT imgexport.schedule('expire-images', '1 second', 'expire_images')");
$batch = run_batch("source => (SELECT data FROM public.picture), outputs => '{\"png\": {\"width\": 16}}', expires_in => '1 s'");
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.image WHERE batch_id = '$batch'")
  or fail('an image that has expired');
is(ask("SELECT state FROM imgexport.job WHERE batch_id = '$batch'"), 'completed', 'an expired image is deleted, its job stays');

# NOTIFY where it was asked for.
my $listener = $node->background_psql('postgres');
my $channel = ask('SELECT imgexport.notify_channel()');
$listener->query("LISTEN imgexport; LISTEN $channel");
$batch = run_batch("source => (SELECT data FROM public.picture), outputs => '{\"png\": {\"width\": 16}}', notify => true");
my $heard = $listener->query('SELECT 1');
like($heard, qr/"$channel" with payload .*$batch.*completed/, 'NOTIFY tells of the end');
like($heard, qr/notification "imgexport" received/, '... and anybody that there was one, but not of what');
$listener->quit;

# Five sessions at once.
my @sessions = map { $node->background_psql('postgres') } 1 .. 5;
my @batches = map { scalar $_->query("SELECT imgexport.submit(source_url => '$url/dune.jpg', preset => 'jpeg')") } @sessions;
foreach my $one (@batches) { chomp $one; ask("CALL imgexport.wait('$one', '60s')"); }
is(ask("SELECT count(*) FROM imgexport.image WHERE batch_id IN (" . join(',', map { "'$_'" } @batches) . ")"),
	5, 'five sessions at once all get their image');
$_->quit foreach @sessions;

$web->stop;
$node->stop;
done_testing();
