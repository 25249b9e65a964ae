# Servers that answer as no good one does: what is sent once stays sent once, the status decides,
# and what is announced is believed where it is too much.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use OddServer;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('odd', "imgexport.service_allowed_networks = '127.0.0.0/8'", "imgexport.store_allowed_networks = '127.0.0.0/8'",
	"imgexport.fetch_timeout = '20s'", "imgexport.fetch_max_bytes = '1MB'");
my $server = OddServer->start(photo('dune.jpg'));
my $url = $server->url;

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# A service that costs 1 a request and is asked once.
sub add_service
{
	my ($name, $path) = @_;

	ask(qq(SELECT imgexport.add_service('rembg', '{"url": "$url$path", "retries": 0, "price": 1, "cache_for": null}', '$name')));
}

sub costs { return ask("SELECT calls, failures, cost FROM imgexport.services() WHERE service = '$_[0]'") }

ask("CREATE TABLE shot AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('dune.jpg') . "'), 40, 30), 'png') AS image");

# E4: a session asks one service over and over, which ends each connection at the second request.
add_service('kept', '/kept/1');
my $call = "SELECT length(img_service(image, 'kept', on_error => 'fail')) > 0 FROM shot;";
is(ask($call x 5), join("\n", ('t') x 5), 'E4: a service that drops kept connections answers every call');
is($server->count('POST /kept/1'), 5, 'E4: ... and gets each POST once');
is(costs('kept'), '5|0|5', 'E4: ... and each is paid once');
add_service('silent', '/silent/1');
like(error_of($node, "SELECT img_service(image, 'silent', on_error => 'fail') FROM shot"), qr/IX005/, 'E4: a service that never answers fails');
is($server->count('POST /silent/1'), 1, 'E4: ... and gets one POST');
is(costs('silent'), '1|1|1', 'E4: ... which is paid, as it may have been done');
add_service('refuses', '/torn/500/service');
like(error_of($node, "SELECT img_service(image, 'refuses', on_error => 'fail') FROM shot"), qr/IX005: .*500/, 'E4: a service that says no');
is(costs('refuses'), '1|1|0', 'E4: ... costs nothing');
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"http://127.0.0.1:1/\", \"retries\": 0, \"price\": 1}', 'gone')");
like(error_of($node, "SELECT img_service(image, 'gone', on_error => 'fail') FROM shot"), qr/IX005/, 'E4: a service that cannot be reached');
is(costs('gone'), '1|1|0', 'E4: ... costs nothing, as nothing was sent');
# E4.1: a body for which libcurl would ask first, and send again after a 417.
ask("CREATE TABLE large AS SELECT img_extend(image, 700, 700, 700, 700) AS image FROM shot");
ask(qq(SELECT imgexport.add_service('rembg', '{"url": "$url/expects/1", "retries": 0, "price": 1, "image_format": "png", "cache_for": null}', 'expects')));
is(ask("SELECT length(img_service(image, 'expects', on_error => 'fail')) > 0 FROM large"), 't', 'E4.1: a POST is sent without asking first');
is($server->count('POST /expects/1'), 1, 'E4.1: ... once');

# The same for webhooks and stores.
my $outputs = q('{"a": {"format": "png", "width": 32}}');
my $submit = "SELECT imgexport.submit(source => pg_read_binary_file('" . photo('dune.jpg') . "'), outputs => $outputs, max_attempts => 1";
foreach my $i (1 .. 4)
{
	my $batch = ask("$submit, webhook_url => '$url/kept/hook')");
	wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$batch'", "E4: webhook $i is delivered");
}
is($server->count('POST /kept/hook'), 4, 'E4: each webhook was sent once');
ask("INSERT INTO imgexport.store (name, kind, location, method) VALUES ('posts', 'http', '$url/kept', 'POST')");
my $stored = ask("SELECT imgexport.submit(urls => array_agg('$url/good/' || i), outputs => $outputs, store => 'posts', max_attempts => 1) FROM generate_series(1, 4) i");
ask("CALL imgexport.wait('$stored', '60s')");
is(ask("SELECT string_agg(DISTINCT state, ' ') FROM imgexport.job WHERE batch_id = '$stored'"), 'completed', 'E4: objects are stored by POST');
is(ask("SELECT string_agg(key, ' ') FROM imgexport.image WHERE batch_id = '$stored'") =~ s{(\S+)}{$server->count("POST /kept/$1")}ger, '1 1 1 1', 'E4: each of them once');

# E11: once a webhook or a store has said yes, whatever follows is not wanted.
my $number = 0;
foreach my $path ('torn/200', 'torn/204', 'garbled/202', 'large/200', 'part')
{
	my $batch = ask("$submit, webhook_url => '$url/$path/" . ++$number . "')");
	wait_for("state = 'delivered' AND attempts = 1 FROM imgexport.delivery WHERE batch_id = '$batch'", "E11: a webhook answered $path is delivered");
}
foreach my $path ('torn/200', 'garbled/201', 'large/200')
{
	(my $name = $path) =~ s{\W}{}g;
	ask("INSERT INTO imgexport.store (name, kind, location) VALUES ('$name', 'http', '$url/$path')");
	my $batch = ask("$submit, store => '$name')");
	ask("CALL imgexport.wait('$batch', '60s')");
	is(ask("SELECT state, error FROM imgexport.job WHERE batch_id = '$batch'"), 'completed|', "E11.1: a store that answers $path has it");
	ask("DELETE FROM imgexport.image WHERE batch_id = '$batch'; UPDATE imgexport.removal SET run_at = now() WHERE store = '$name'; SELECT imgexport.wake()");
	wait_for("count(*) = 0 FROM imgexport.removal WHERE store = '$name'", "E11.1: ... and removes it");
}
like(error_of($node, "SELECT img_fetch('$url/torn/200/1')"), qr/IX005/, 'E11: a fetched body that breaks off is an error');
like(error_of($node, "SELECT img_fetch('$url/garbled/200/1')"), qr/IX005/, 'E11: so are chunks that are none');
foreach my $path ('torn/404/1', 'garbled/404/1', 'large/404/1')
{
	like(error_of($node, "SELECT img_fetch('$url/$path')"), qr/IX005: .*answered 404/, "E11.2: $path: an error's body does not matter");
}
like(error_of($node, "SET imgexport.fetch_timeout = '1500ms'; SELECT img_fetch('$url/drip/404/1')"), qr/IX005: .*answered 404/, 'E11.2: not even when it never ends');

# E9: what is announced and too large is refused before any of it comes.
foreach my $size ('1048577', '1000000000000', '18446744073709551616', '9' x 40, '1000000000000?gzip')
{
	my $start = time;
	like(error_of($node, "SELECT img_fetch('$url/announced/$size')"), qr/IX003: .*1048576 bytes/, "E9: $size bytes are refused");
	cmp_ok(time - $start, '<', 10, 'E9: ... long before the time limit');
}

# E12: a part that nobody asked for, and redirects.
like(error_of($node, "SELECT img_fetch('$url/part')"), qr/IX005: .*part/, 'E12: a part is not the whole');
my $whole = "= pg_read_binary_file('" . photo('dune.jpg') . "')";
my %leads = ('/a b' => 'with a blank', "$url/a b" => 'absolute with a blank', "$url/a%20b" => 'encoded', "//127.0.0.1:$server->{port}/a b" => 'without a scheme',
	'../a b' => 'relative', "$url/a b#there" => 'with a fragment');
foreach my $location (sort keys %leads)
{
	(my $encoded = $location) =~ s/([^\w.\/:-])/sprintf '%%%02x', ord $1/ge;
	is(ask("SELECT img_fetch('$url/to/302?$encoded') $whole"), 't', "E12: a redirect $leads{$location} is followed");
}
foreach my $status (301, 302, 303, 307, 308)
{
	is(ask("SELECT img_fetch('$url/to/$status?/good/r') $whole"), 't', "E12.1: $status is followed");
	is(ask("SELECT img_fetch('$url/to/${status}t?/good/r') $whole"), 't', "E12.1: ... also where its body breaks off");
}
foreach my $status (300, 304, 305, 306, 399)
{
	like(error_of($node, "SELECT img_fetch('$url/to/$status?/good/r')"), qr/IX005: .*answered $status/, "E12.1: $status is not");
}
my %nowhere = ('' => qr/IX005: .*answered 302/, 'file:///etc/passwd' => qr/22023|IX006/, 'ftp://127.0.0.1/' => qr/22023|IX006/, "http://user:pw\@127.0.0.1:$server->{port}/good" => qr/22023/,
	"http://:pw\@127.0.0.1:$server->{port}/good" => qr/22023/, 'http://' => qr/IX005|22023/, 'http://[::1/' => qr/IX005|22023/, '//' => qr/IX005|22023/, 'javascript:alert(1)' => qr/IX005|22023/,
	'http://127.0.0.1:1/' => qr/IX005: could not connect/);
foreach my $location (sort keys %nowhere)
{
	like(error_of($node, "SELECT img_fetch('$url/to/302?$location')"), $nowhere{$location}, 'E12.1: to "' . ($location =~ s/:\d+//r) . '" is not');
}
add_service('moved', '/to/307?/good/moved');
like(error_of($node, "SELECT img_service(image, 'moved', on_error => 'fail') FROM shot"), qr/IX005: .*answered 307/, 'E12.2: a POST is not sent on');
is($server->count('POST /good/moved'), 0, 'E12.2: ... nowhere');

# H13: the largest time limits are long, not over.
foreach my $setting ('fetch_timeout', 'fetch_connect_timeout', 'store_timeout', 'codec_timeout')
{
	ask("ALTER SYSTEM SET imgexport.$setting = 2147483647");
}
ask('SELECT pg_reload_conf()');
wait_for("current_setting('imgexport.store_timeout') = '2147483647ms'", 'H13: all limits are as long as can be');
is(ask("SELECT img_fetch('$url/good/1') $whole"), 't', 'H13: a session fetches');
is(ask("SELECT img_fetch('$url/good/1', '24 days') $whole"), 't', 'H13: ... with a long limit of its own');
is(ask("SELECT (img_info(img_resize(image, 20))).width FROM shot"), 20, 'H13: ... and renders');
is(ask("SELECT status FROM imgexport.call_http('GET', '$url/good/1', '')"), 200, 'H13: ... and asks a store');
my $batch = ask("SELECT imgexport.submit(source_url => '$url/good/2', outputs => $outputs, store => 'large200', max_attempts => 1, webhook_url => '$url/good/hook')");
wait_for("state = 'delivered' FROM imgexport.delivery WHERE batch_id = '$batch'", 'H13: a job does all of it');
is(ask("SELECT state, error FROM imgexport.job WHERE batch_id = '$batch'"), 'completed|', 'H13: ... well');

$server->stop;
$node->stop;
done_testing();
