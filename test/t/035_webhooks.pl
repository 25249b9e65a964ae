# Webhooks: told once all is done, signed, tried again, not after 410, and again where asked to.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('webhooks');
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $outputs = q('{"png": {"width": 16}}');

sub ask { return $node->safe_psql('postgres', $_[0]) }
sub hooked { return decode_json($web->ask("/hooked/$_[0]")) }
sub literal { my ($text) = @_; $text =~ s/'/''/g; return "'$text'" }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

sub verified
{
	my ($post, $secret) = @_;

	return ask('SELECT imgexport.verify_webhook(' . literal(encode_json($post->{headers})) . ', convert_to(' .
		literal($post->{body}) . ", 'UTF8'), '$secret')");
}

# Of a batch, with the status as its data.
my $hook = "$url/hook/first";
my $secret = ask("SELECT imgexport.webhook_secret('$hook')");
my $batch = ask("SELECT imgexport.submit(urls => '{$url/dune.jpg,$url/missing.jpg}', outputs => $outputs, webhook_url => '$hook')");
wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$batch'", 'a batch that is done is told of');
my $posts = hooked('first');
is(scalar @$posts, 1, 'once');
like($posts->[0]{request}, qr{^POST /hook/first HTTP/1}, 'by POST');
is($posts->[0]{headers}{'content-type'}, 'application/json', 'as JSON');
is(verified($posts->[0], $secret), 't', 'with a signature that verifies');
is(verified($posts->[0], 'whsec_' . 'A' x 43 . '='), 'f', 'and not by another secret');
my $body = decode_json($posts->[0]{body});
is("$body->{type} $body->{data}{requestId} $body->{data}{status} $body->{data}{processedImages} $body->{data}{failedImages}",
	"batch.completed $batch COMPLETED 1 1", 'its body is what status() says');
like($body->{timestamp}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'and when');

# Of one job, without a batch.
my $job = ask("INSERT INTO imgexport.job (source_url, outputs, webhook_url) VALUES ('$url/dune.jpg', $outputs, '$url/hook/job') RETURNING job_id");
wait_for("state = 'delivered' FROM imgexport.delivery WHERE job_id = '$job'", 'a job by itself is told of too');
$body = decode_json(hooked('job')->[0]{body});
is("$body->{type} $body->{data}{jobId}", "job.completed $job", 'by its id');

# Again and again until it is taken; the same id and body, a new time.
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, webhook_url => '$url/hook/moody?answers=500,302,200')");
foreach my $attempt (1 .. 2)
{
	wait_for("state = 'pending' AND attempts = $attempt AND run_at > now() FROM imgexport.delivery WHERE batch_id = '$batch'",
		"attempt $attempt was not taken, and there will be another");
	ask("UPDATE imgexport.delivery SET run_at = now() WHERE batch_id = '$batch'; SELECT imgexport.wake()");
}
wait_for("state = 'delivered' AND attempts = 3 AND http_status = 200 FROM imgexport.delivery WHERE batch_id = '$batch'", 'the third is taken');
$posts = hooked('moody');
is(scalar(@$posts), 3, 'a redirect is not followed');
is(join(' ', map { $_->{headers}{'webhook-id'} eq $posts->[0]{headers}{'webhook-id'} && $_->{body} eq $posts->[0]{body} ? 1 : 0 } @$posts), '1 1 1',
	'id and body are the same each time');
is(hooked('elsewhere') ? scalar @{ hooked('elsewhere') } : 0, 0, 'elsewhere nothing came');

# A server that is not there, and one that wishes for patience.
my $gone = WebServer->start($ENV{PHOTOS} // 'photos');
my $gone_url = $gone->url;
$gone->stop;
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, webhook_url => '$gone_url/hook')");
wait_for("state = 'pending' AND attempts = 1 AND error ~ 'could not connect' AND run_at BETWEEN now() AND now() + interval '6 s'
	FROM imgexport.delivery WHERE batch_id = '$batch'", 'what is not there is tried again after seconds');
ask("UPDATE imgexport.delivery SET attempts = 9, run_at = now() WHERE batch_id = '$batch'; SELECT imgexport.wake()");
wait_for("state = 'failed' AND attempts = 10 FROM imgexport.delivery WHERE batch_id = '$batch'", 'and after days it is given up');
is(ask("SELECT imgexport.replay('$batch')"), 1, 'unless it is asked for again');
wait_for("attempts = 1 AND state = 'pending' AND error IS NOT NULL FROM imgexport.delivery WHERE batch_id = '$batch'", 'which it is');
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, webhook_url => '$url/status/429?after=3600')");
wait_for("run_at > now() + interval '50 minutes' FROM imgexport.delivery WHERE batch_id = '$batch' AND attempts = 1", 'Retry-After is kept to');

# 410 is a wish never to hear of it again.
my $tired = "$url/hook/tired?answers=410,200";
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, webhook_url => '$tired')");
wait_for("state = 'failed' AND http_status = 410 FROM imgexport.delivery WHERE batch_id = '$batch'", '410: failed at once');
is(ask("SELECT disabled_because FROM imgexport.webhook WHERE url = '$tired'"), 'it answered 410 Gone', 'and the webhook is disabled');
my $next = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, webhook_url => '$tired')");
wait_for("state = 'failed' AND error = 'webhook is disabled' FROM imgexport.delivery WHERE batch_id = '$next'", 'the next one is not sent');
is(scalar @{ hooked('tired') }, 1, 'not at all');
is(ask("SELECT imgexport.enable_webhook('$tired'), imgexport.replay('$next')"), 't|1', 'until it is enabled again');
wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$next'", 'and replayed');

# Rotated: both secrets verify for a while.
my $rotated = ask("SELECT imgexport.rotate_webhook_secret('$hook')");
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, webhook_url => '$hook')");
wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$batch'", 'told with a new secret');
my $post = hooked('first')->[-1];
is(verified($post, $secret) . verified($post, $rotated), 'tt', 'either secret verifies');
unlike($post->{body} . join('', grep { !/statement: / } split /\n/, slurp_file($node->logfile)), qr/\Q$secret\E|\Q$rotated\E/, 'and neither is told anywhere');

# A batch that is cancelled, and one that nobody else can join.
ask("SELECT imgexport.pause('scrape')");
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', queue => 'scrape', webhook_url => '$url/hook/cancelled')");
ask("SELECT imgexport.cancel('$batch')");
wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$batch'", 'the end of a batch that is cancelled is told of');
is(decode_json(hooked('cancelled')->[0]{body})->{data}{status}, 'FAILED', 'as what it is');
ask("CREATE ROLE eve LOGIN; CALL imgexport.grant_access('eve')");
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg?token=secret', outputs => $outputs)");
like(error_of($node, "SET ROLE eve; INSERT INTO imgexport.job (batch_id, milestone, webhook_url) VALUES ('$batch', true, '$url/hook/eve')"), qr/42501: batch belongs to another role/, 'nobody inserts a job into a batch of somebody else');
ask("CALL imgexport.wait('$batch', '60s')");
is(ask("SELECT completed FROM imgexport.batch WHERE batch_id = '$batch'"), 1, 'and the batch counts its own');
is(ask("SELECT delivered >= 6 AND delivery_failures >= 6 FROM imgexport.stat_worker"), 't', 'stat_worker counts them');

# The server dies while it tells: it is told at least once, and its row is in the right end.
$batch = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => $outputs, webhook_url => '$url/delay/3000/dune.jpg')");
wait_for("state = 'processing' FROM imgexport.delivery WHERE batch_id = '$batch'", 'a delivery is on its way');
$node->stop('immediate');
$node->start;
wait_for("state = 'delivered' AND worker IS NULL FROM imgexport.delivery WHERE batch_id = '$batch'", 'after a crash it is sent again');

$web->stop;
$node->stop;
done_testing();
