# The network process is killed, stopped and replaced with transfers of every kind in flight:
# sources, bases, outputs to a store, service calls, webhooks and removals.  Every job reaches its
# right end, in the same worker.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use OddServer;
use ServiceServer;
use WebServer;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_node('dies', "imgexport.service_allowed_networks = '127.0.0.0/8'", "imgexport.store_allowed_networks = '127.0.0.0/8'",
	"imgexport.fetch_timeout = '2s'", "imgexport.store_timeout = '2s'");
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $services = ServiceServer->start;
my $odd = OddServer->start(photo('dune.jpg'));

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

sub worker { return ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'") }

# The network processes of the worker.
sub nets
{
	my $worker = worker();

	return split /\n/, `pgrep -P $worker imgexport-net`;
}

my $outputs = q('{"a": {"format": "png", "width": 64}, "b": {"format": "webp", "width": 64}, "c": {"format": "jpeg", "width": 64}}');
my $image = '(SELECT image FROM shot)';
ask("CREATE TABLE shot AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('dune.jpg') . "'), 40, 30), 'png') AS image");
ask(sprintf(q(SELECT imgexport.add_service('rembg', '{"url": "%s/slow/700/api/remove", "retries": 8, "cache_for": null}', 'slow')), $services->url));
ask(qq(INSERT INTO imgexport.store (name, kind, location, method, headers) VALUES ('there', 'http', '$url/storage/v1/object/pictures', 'POST', '{"Authorization": "Bearer let-me-in", "x-upsert": "true"}')));
ask(qq(INSERT INTO imgexport.store (name, kind, location) VALUES ('hung', 'http', '@{[$odd->url]}/hold')));

# E1: several transfers of one job at once, and the process dies under them.
my $batch = ask("SELECT imgexport.submit(source => $image, outputs => $outputs, store => 'hung', max_attempts => 1)");
my $worker = worker();
wait_for("count(*) = 1 FROM imgexport.job WHERE batch_id = '$batch' AND state = 'processing'", 'E1: a job has three outputs on their way to a store');
usleep(200000) until nets();
usleep(500000);
kill 'KILL', nets();
wait_for("state = 'failed' AND error ~ 'could not store an output' FROM imgexport.job WHERE batch_id = '$batch'", 'E1: ... and fails, as it had one attempt');
is(worker(), $worker, 'E1: in the same worker');
$batch = ask(qq(SELECT imgexport.submit(source => $image, outputs => $outputs, max_attempts => 1,
	recipe => '[{"service": {"name": "slow", "on_error": "fail"}}, {"service": {"name": "slow", "parameters": {}, "on_error": "fail"}}]')));
wait_for("sum(running) >= 1 FROM imgexport.services() WHERE service = 'slow'", 'E1.1: a job asks services');
kill 'KILL', nets();
wait_for("bool_and(state = 'completed') FROM imgexport.job WHERE batch_id = '$batch'", 'E1.1: ... and gets its answers by another process');
is(worker(), $worker, 'E1.1: in the same worker');

# All kinds at once; faults: killed, stopped, and killed as soon as it is there.
sub submit_all
{
	my ($count, $name) = @_;

	ask("SELECT imgexport.submit(urls => array_agg('$url/delay/100/dune.jpg?$name' || i), outputs => $outputs, max_attempts => 50, store => 'there',
			webhook_url => '$url/hook/$name') FROM generate_series(1, $count) i");
	ask("INSERT INTO imgexport.job (source_url, base_url, outputs, max_attempts, webhook_url) SELECT '$url/delay/100/dune.jpg?$name' || i, '$url/delay/300/photo-720p.jpg',
		$outputs, 50, '$url/hook/job-$name' FROM generate_series(1, $count) i");
	ask(qq(INSERT INTO imgexport.job (source, outputs, max_attempts, recipe, webhook_url) SELECT $image, $outputs, 50,
		'[{"service": {"name": "slow", "on_error": "fail"}}]', '$url/hook/job-$name' FROM generate_series(1, $count)));
	ask("DELETE FROM imgexport.image WHERE ctid IN (SELECT ctid FROM imgexport.image WHERE store = 'there' LIMIT 5);
		UPDATE imgexport.removal SET run_at = now() WHERE store = 'there'");
}

sub all_right
{
	my ($what) = @_;

	ok($node->poll_query_until('postgres', "WITH again AS (UPDATE imgexport.job SET run_at = now() WHERE state = 'pending' AND run_at > now() RETURNING 1),
			later AS (UPDATE imgexport.delivery SET run_at = now() WHERE state = 'pending' AND run_at > now() RETURNING 1),
			removed AS (UPDATE imgexport.removal SET run_at = now() WHERE state = 'pending' AND attempts > 0 AND run_at > now() RETURNING 1)
		SELECT count(*) = 0 AND (SELECT count(*) = 0 FROM imgexport.delivery WHERE state <> 'delivered')
			AND (SELECT count(*) = 0 FROM imgexport.removal WHERE run_at <= now())
			AND (SELECT count(*) + (SELECT count(*) FROM later) + (SELECT count(*) FROM removed) >= 0 FROM again)
		FROM imgexport.job WHERE state <> 'completed'"), "$what: every job, webhook and removal comes to its end")
	  or diag(ask("SELECT state, attempts, error FROM imgexport.job WHERE state <> 'completed'"), ask('SELECT state, attempts, error FROM imgexport.delivery'), ask('SELECT * FROM imgexport.removal'));
	is(ask('SELECT count(*) FROM imgexport.job WHERE warnings IS NOT NULL'), 0, "$what: ... without a warning");
	is(ask("SELECT count(*), count(DISTINCT (job_id, name)) FROM imgexport.image i JOIN imgexport.job j USING (batch_id, job_id)"), ask('SELECT count(*), count(*) FROM imgexport.image'), "$what: ... with each image once");
	is(worker(), $worker, "$what: ... in the same worker");
}

ask('TRUNCATE imgexport.job, imgexport.batch CASCADE; TRUNCATE imgexport.delivery, imgexport.removal');
foreach my $round (1 .. (slow_checks() ? 12 : 1))
{
	submit_all(8, "killed$round");
	for (1 .. 4)
	{
		usleep(200000) until nets();
		usleep(60000 * $_);
		kill 'KILL', nets();
	}
	all_right("E1: killed, round $round");
}
foreach my $round (1 .. (slow_checks() ? 4 : 1))
{
	submit_all(8, "stopped$round");
	usleep(200000) until nets();
	usleep(150000);
	kill 'STOP', nets();
	all_right("E2: stopped, round $round");
}

# E5: it is replaced after so many requests, with others in flight, and none of them is lost.
ask('ALTER SYSTEM SET imgexport.helper_max_requests = 7');
ask('SELECT pg_reload_conf()');
wait_for("current_setting('imgexport.helper_max_requests') = '7'", 'E5: a process has seven requests to live');
my %seen = map { $_ => 1 } nets();
ask('TRUNCATE imgexport.job, imgexport.batch CASCADE');
submit_all(20, 'replaced');
until (ask("SELECT count(*) = 0 FROM imgexport.job WHERE state <> 'completed'") eq 't')
{
	$seen{$_} = 1 foreach nets();
}
all_right('E5: replaced');
cmp_ok(scalar(keys %seen), '>=', 4, 'E5: by ' . keys(%seen) . ' in all');
is(ask('SELECT max(attempts) FROM imgexport.job'), 1, 'E5: and no job was tried twice');
my ($net) = nets();
SKIP:
{
	skip 'it has left already', 1 if !$net;
	open my $limits, '<', "/proc/$net/limits" or skip 'it has left already', 1;
	like(join('', <$limits>), qr/^Max data size\s+536870912/m, 'E5: its memory is limited');
}

unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC|all server processes terminated/, 'E1: and nothing has crashed');
$_->stop foreach $web, $services, $odd;
$node->stop;
done_testing();
