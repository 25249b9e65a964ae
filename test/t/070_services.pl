# Services: every template against a server that speaks its protocol, and all that goes wrong.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use ServiceServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $server = ServiceServer->start;
my $url = $server->url;
my $dune = photo('dune.jpg');
my $node = new_node('services', "imgexport.service_allowed_networks = '127.0.0.0/8'");

sub ask { return $node->safe_psql('postgres', $_[0]) }

# What a statement says besides its result.
sub said
{
	my ($code, $stdout, $stderr) = $node->psql('postgres', $_[0], extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return $stderr;
}

sub add
{
	my ($template, $path, $settings, $name) = @_;

	$settings = ', ' . $settings if $settings;
	ask(sprintf(q(SELECT imgexport.add_service('%s', '{"url": "%s"%s}', %s)), $template, "$url$path", $settings // '', $name ? "'$name'" : 'NULL'));
}

# A picture on white: 80x70, of which the border of 20 is ground.
ask(sprintf(q(CREATE TABLE shot AS SELECT img_extend(img_convert(img_resize(pg_read_binary_file('%s'), 40, 30), 'png'), 20, 20, 20, 20) AS image), photo('dune.jpg')));
# Is the border clear and the middle not?  As the share of what is opaque.
ask(q(CREATE FUNCTION opaque(image bytea) RETURNS text LANGUAGE sql AS $$
	SELECT (img_info(image)).width || 'x' || (img_info(image)).height || ' '
		|| CASE WHEN NOT (img_info(image)).has_alpha THEN 'opaque'
		   ELSE (img_info(img_autocrop(image, 0))).width || 'x' || (img_info(img_autocrop(image, 0))).height END $$));
ask(qq(SELECT imgexport.set_secret('$_', 'key-of-' || replace('$_', '.', '')))) foreach qw(api4ai remove.bg analysis generate gemini);

# Each template speaks its service's protocol.
my %paths = ('api4ai' => '/api/v1/background', 'remove.bg' => '/v1.0/removebg', 'rembg' => '/api/remove', analysis => '/analyze', generate => '/generate',
	gemini => '/v1beta/models/gemini-2.5-flash-image:generateContent');
add($_, $paths{$_}) foreach sort keys %paths;
foreach my $service ('api4ai', 'remove.bg', 'rembg')
{
	my $answer = "SELECT opaque(img_service(image, '$service', on_error => 'fail')) FROM shot";

	is(ask($answer), '80x70 40x30', "$service takes the ground out");
	$server->asked($paths{$service});
	is(ask($answer), '80x70 40x30', '... again');
	is(($server->asked($paths{$service}))[0], 0, '... without being asked');
}
is(ask("SELECT img_analyze(image, 'analysis') FROM shot"), '{"size": [80, 70], "colour": "sand", "labels": ["dune", "sky"]}', 'an analysis is JSON');
is(ask(q(SELECT opaque(img_service(image, 'generate', '{"prompt": "a cat"}')) FROM shot)), '80x70 opaque', 'a generated image takes the place of the first');
is(ask(q(SELECT opaque(img_service(image, 'gemini', '{"prompt": "a \"cat\""}')) FROM shot)), '80x70 opaque', '... by Gemini too');
is(ask(q(SELECT img_service(image, 'generate', '{"prompt": "a cat"}') = img_service(image, 'generate', '{"prompt": "a cat", "variation": 2}') FROM shot)), 'f', 'parameters are sent');
$server->asked('');
ask(q(SELECT length(img_service(image, 'generate', '{"prompt": "a cat"}')) FROM shot));
is(($server->asked('/generate'))[0], 1, 'what is generated is not remembered');
is(ask(q(SELECT opaque(img_apply(image, '[{"service": {"name": "rembg"}}, {"autocrop": {"padding": 5}}]')) FROM shot)), '50x40 40x30', 'as a step in SQL');
is(ask("SELECT img_service(NULL, 'rembg') IS NULL AND img_service(image, NULL) IS NULL AND img_analyze(NULL, 'analysis') IS NULL FROM shot"), 't', 'NULL is NULL');

# How an image is sent, and where the answer is.
ask(qq(INSERT INTO imgexport.service (name, kind, url, send, request, result, result_path, apply) VALUES
	('body', 'background', '$url/body', 'body', '{}', 'body', '\$', 'image'),
	('alpha', 'background', '$url/body', 'body', '{}', 'body', '\$', 'alpha'),
	('link', 'background', '$url/link/127.0.0.1', 'body', '{}', 'url', '\$.output.url', 'image'),
	('link-elsewhere', 'background', '$url/link/localhost', 'body', '{}', 'url', '\$.output.url', 'image')));
is(ask("SELECT opaque(img_service(image, '$_', on_error => 'fail')) FROM shot"), '80x70 40x30', "service $_") foreach qw(body alpha link link-elsewhere);
ask("UPDATE imgexport.service SET max_side = 40, cache_for = NULL WHERE name IN ('body', 'alpha')");
like(ask("SELECT opaque(img_service(image, 'body')) FROM shot"), qr/^40x35 2\dx1\d$/, 'an image may be sent smaller');
like(ask("SELECT opaque(img_service(image, 'alpha')) FROM shot"), qr/^80x70 4\dx3\d$/, '... and cuts out the large one');
like(said("SET imgexport.fetch_allowed_networks = ''; SELECT length(img_service(image || '', 'link-elsewhere', on_error => 'fail')) FROM (SELECT img_flip(image) FROM shot) AS s(image)"), qr/IX006/, 'a URL in an answer is fetched as any stranger\'s');
is(ask("SET imgexport.fetch_allowed_networks = ''; SELECT opaque(img_service(img_flop(image), 'link', on_error => 'fail')) FROM shot"), '80x70 40x30', '... unless it is on the service\'s own host');
like(said("SET imgexport.service_allowed_networks = ''; SELECT length(img_service(img_negate(image), 'body', on_error => 'fail')) FROM shot"), qr/IX006/, 'services are not in private networks unless listed');

# What answers may be like.
sub says
{
	my ($result, $path, $answer, $how) = @_;

	$how //= 'says';
	ask("DELETE FROM imgexport.service WHERE name = 'says'");
	ask(qq(INSERT INTO imgexport.service (name, kind, url, send, request, result, result_path, cache_for) VALUES
		('says', 'background', '$url/$how/$answer', 'body', '{}', '$result', '$path', NULL)));
	return said("SELECT length(img_service(image, 'says', on_error => 'fail')) FROM shot");
}
like(says('base64', '$.a', 'nonsense'), qr/IX005: answer of service "says" cannot be read: invalid input syntax for type json/, 'no JSON');
like(says('base64', '$.a', '%7B%7D'), qr/IX005: answer of service "says" has no image at \$\."a".*It begins with '\{\}'/s, 'nothing there');
like(says('base64', '$.a[0]', '%7B%22a%22:%5B7%5D%7D'), qr/IX005: .* has no image at \$\."a"\[0\]/, 'a number there');
like(says('base64', '$.a', '%7B%22a%22:%22%2A%2A%2A%22%7D'), qr/IX005: .* cannot be read: text is neither a data: URI with base64 nor base64/, 'no base64');
like(says('base64', '$.a', '%7B%22a%22:%22AAAA%22%7D'), qr/IX005: answer of service "says" is no image/, 'no image');
like(says('base64', '$.a', '%7B%22a%22:%22%5Cu0000%22%7D'), qr/IX005: .* cannot be read: unsupported Unicode/, 'a zero byte');
like(says('url', '$.a', '%7B%22a%22:%22file:///etc/passwd%22%7D'), qr/IX005: .* has no URL at \$\."a"/, 'no URL');
like(says('body', '$', '%7B%7D'), qr/IX005: answer of service "says" is no image/, 'no image as the body');
like(says('base64', '$.a', 20000, 'brackets'), qr/IX005|54001/, 'endless brackets');

# Failures are answered by on_error: background is skipped, anything else is not.
ask("UPDATE imgexport.service SET retries = 0, headers = '{\"X-API-Key\": \"wrong\"}' WHERE name = 'api4ai'");
my $skipped = said("SELECT 'answer: ' || opaque(img_service(img_flip(image), 'api4ai')) FROM shot");
like($skipped, qr/WARNING:  01000: step service was skipped: service "api4ai" failed: .*401/, 'a background that stays is a warning');
like(said("SELECT img_service(img_flip(image), 'api4ai', on_error => 'fail') FROM shot"), qr/IX005: service "api4ai" failed: .*401.*DETAIL: .*invalid API key/s, '... or an error, with what the service says');
like(said("SELECT opaque(img_service(img_flip(image), 'api4ai', fallback => '[\"remove_background\"]')) FROM shot"), qr/step service was replaced: service "api4ai" failed/, '... or something is done instead');
is($node->safe_psql('postgres', "SET client_min_messages = error; SELECT opaque(img_service(img_flip(image), 'api4ai', fallback => '[\"remove_background\"]')) FROM shot"), '80x70 40x30', '... as its recipe says');
ask("UPDATE imgexport.service SET retries = 0, headers = '{}' WHERE name = 'analysis'");
like(said("SELECT img_analyze(img_flip(image), 'analysis') FROM shot"), qr/IX005: service "analysis" failed: .*401/, 'an analysis fails');
ask("UPDATE imgexport.service SET enabled = false WHERE name = 'analysis'");
like(said("SELECT img_analyze(img_flip(image), 'analysis') FROM shot"), qr/55000: service "analysis" is not enabled/, 'a service can be turned off');
ask("UPDATE imgexport.service SET enabled = true, headers = '{\"Authorization\": \"Bearer {secret:analysis}\"}' WHERE name = 'analysis'");
like(said("UPDATE imgexport.service SET url = '$url/status/302' WHERE name = 'says'; SELECT img_service(image, 'says', on_error => 'fail') FROM shot"), qr/IX005: .*302/, 'redirects are not followed');

# What the caller got wrong is an error, whatever on_error says.
my %wrong = (
	"img_service(image, 'nobody')" => qr/42704: service "nobody" does not exist/,
	"img_service(image, 'analysis')" => qr/22023: service "analysis" makes no image.*img_analyze/s,
	"img_analyze(image, 'rembg')" => qr/22023: service "rembg" is of kind "background"/,
	"img_service(image, 'generate')" => qr/22023: service "generate" needs the parameter "prompt"/,
	q(img_service(image, 'rembg', '{"om": "false"}')) => qr/22023: service "rembg" has no parameter "om".*Its parameters are: model, ppm/s,
	q(img_service(image, 'rembg', '[]')) => qr/22023: parameters must be a JSON object/,
	"img_service(image, 'rembg', on_error => 'maybe')" => qr/22023: on_error must be/,
	"img_service('nonsense', 'rembg')" => qr/IX001/,
	q(img_apply(image, '[{"service": {"name": "rembg", "nonsense": 1}}]')) => qr/22023: step "service" has no argument "nonsense"/,
	q(imgexport.validate_recipe('[{"service": {}}]')) => qr/22023: step "service" needs an argument "name"/,
	q(imgexport.validate_recipe('[{"service": {"name": "rembg", "fallback": ["nonsense"]}}]')) => qr/22023: there is no step "nonsense"/);
like(said("SELECT $_ FROM shot"), $wrong{$_}, "$_ is an error") foreach sort keys %wrong;
ask("UPDATE imgexport.service SET headers = '{\"X\": \"{secret:lost}\"}', cache_for = NULL WHERE name = 'rembg'");
like(said("SELECT img_service(image, 'rembg', on_error => 'fail') FROM shot"), qr/42704: secret "lost" does not exist/, 'a secret that is not there is a failure');
like(said("SELECT opaque(img_service(image, 'rembg')) FROM shot"), qr/WARNING: .*step service was skipped: secret "lost" does not exist/, '... that may be skipped');
ask("UPDATE imgexport.service SET headers = '{}', cache_for = '1 day' WHERE name = 'rembg'");

# Who may.
ask('CREATE ROLE app; CREATE ROLE artists; GRANT SELECT ON shot TO app; GRANT EXECUTE ON FUNCTION opaque TO app');
like(said("SET ROLE app; SELECT img_service(image, 'rembg') FROM shot"), qr/42501/, 'not everybody may ask');
ask("CALL imgexport.grant_access('app')");
is(ask("SET ROLE app; SELECT opaque(img_service(image, 'rembg')) FROM shot"), '80x70 40x30', 'who has access may');
like(said("SET ROLE app; SELECT headers FROM imgexport.service"), qr/42501/, '... but not read how services are asked');
ask("UPDATE imgexport.service SET allowed_role = 'artists' WHERE name = 'rembg'");
like(said("SET ROLE app; SELECT img_service(image, 'rembg') FROM shot"), qr/42501: permission denied for service "rembg"/, 'a service may be for the members of a role');
ask("GRANT artists TO app");
is(ask("SET ROLE app; SELECT opaque(img_service(image, 'rembg')) FROM shot"), '80x70 40x30', '... who may');
like(said("SET ROLE app; SELECT imgexport.call_service('rembg', '$url', '', '', 1000, 0, 1, 0, 0, 0, 0, 0)"), qr/42501/, 'nobody calls what asks itself');

# Retries.
$server->asked('');
ask("UPDATE imgexport.service SET url = '$url/flaky/2/a/body', cache_for = NULL, max_side = NULL WHERE name = 'body'");
is(ask("SELECT opaque(img_service(image, 'body', on_error => 'fail')) FROM shot"), '80x70 40x30', 'what may pass is tried again');
is(($server->asked('/flaky/2/a/body'))[0], 3, '... as often as it takes');
ask("UPDATE imgexport.service SET url = '$url/flaky/2/b/body', retries = 1 WHERE name = 'body'");
like(said("SELECT img_service(image, 'body', on_error => 'fail') FROM shot"), qr/IX005: .*503/, '... or as often as is allowed');
ask("UPDATE imgexport.service SET url = '$url/status/429?after=1000', retries = 5 WHERE name = 'body'");
$server->asked('');
like(said("SELECT img_service(image, 'body', on_error => 'fail') FROM shot"), qr/IX005: .*429/, 'a Retry-After of a quarter of an hour is not waited for');
is(($server->asked('/status/429?after=1000'))[0], 1, '... once is enough');

# The circuit breaker.
ask("UPDATE imgexport.service SET url = 'http://127.0.0.1:1/', retries = 2 WHERE name = 'body'");
said("SELECT img_service(image, 'body') FROM shot") foreach 1 .. 2;
like(said("SELECT img_service(image, 'body', on_error => 'fail') FROM shot"), qr/IX005: service "body" is left alone for now, after 5 failures in a row.*The last one was: could not connect/s, 'what is dead is left alone');
is(ask("SELECT running, calls > 5, failures_in_a_row, breaker_open_until > now(), last_error FROM imgexport.services() WHERE service = 'body'"), '0|t|5|t|could not connect to http://127.0.0.1:1/', '... as everybody can see');
is(ask("SELECT ok, hint FROM imgexport.check() WHERE item = 'service body'"), 'f|It failed again and again, and is left alone for a while.', '... in imgexport.check too');

# Cost and its limits.
add('rembg', '/api/remove', '"price": 0.25, "daily_limit": 0.6, "cache_for": null', 'paid');
$node->psql('postgres', "BEGIN; SELECT length(img_service(image, 'paid', on_error => 'fail')) FROM shot; ROLLBACK");
is(ask("SELECT opaque(img_service(image, 'paid', on_error => 'fail')) FROM shot"), '80x70 40x30', 'a limit allows some');
like(said("SELECT img_service(image, 'paid', on_error => 'fail') FROM shot"), qr/53400: limit of service "paid" for this day is spent.*0\.5 of 0\.6 are spent, and a request costs 0\.25/s, '... and no more, rolled back or not');
ask("UPDATE imgexport.service SET daily_limit = NULL, monthly_limit = 0.6 WHERE name = 'paid'");
like(said("SELECT img_service(image, 'paid', on_error => 'fail') FROM shot"), qr/53400: limit of service "paid" for this month is spent/, 'so does that of a month');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM imgexport.service_usage WHERE service = 'paid' AND (calls, successes, cost) = (2, 2, 0.5)"), 'what was spent is written down');
$node->restart;
like(said("SELECT img_service(image, 'paid', on_error => 'fail') FROM shot"), qr/53400: limit of service "paid" for this month is spent/, '... and known after a restart');
ask("UPDATE imgexport.service SET url = '$url/status/500', retries = 0, monthly_limit = 100 WHERE name = 'paid'");
said("SELECT img_service(image, 'paid') FROM shot");
is(ask("SELECT spent_this_month, cost FROM imgexport.services() WHERE service = 'paid'"), '0.5|0', 'what fails costs nothing');

# What is remembered, and for how long.
is(ask("SELECT count(*) > 3 FROM imgexport.service_answer"), 't', 'answers are kept');
ask("UPDATE imgexport.service_answer SET expires_at = now() - interval '1 s'");
$server->asked('');
ask("SELECT length(img_service(image, 'rembg')) FROM shot");
is(($server->asked('/api/remove'))[0], 1, '... until they expire');
ask("SELECT imgexport.cleanup('expired')");
is(ask('SELECT count(*) FROM imgexport.service_answer'), 1, '... and are deleted then');

# What a database has no characters for.
foreach my $encoding ('UTF8', 'LATIN1', 'SQL_ASCII')
{
	ask("CREATE DATABASE $encoding ENCODING '$encoding' TEMPLATE template0 LOCALE 'C'");
	my ($code, $stdout, $stderr) = $node->psql(lc $encoding, qq(CREATE EXTENSION imgexport;
		INSERT INTO imgexport.service (name, kind, url, send, request, result) VALUES
			('sun', 'analysis', '$url/says/%7B%22a%22:%22%5Cu2600%22%7D', 'body', '{}', 'json');
		SELECT img_analyze(img_convert(pg_read_binary_file('$dune'), 'png'), 'sun')->>'a';), extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	$encoding eq 'UTF8' ? is($stdout, "\x{e2}\x{98}\x{80}", 'an analysis may be in any script')
	  : like($stderr, qr/IX005: answer of service "sun" cannot be read: .*encoding of this database is $encoding/s, "... but in $encoding it is not");
}

# Where nothing can be counted nothing is asked.
my $bare = PostgreSQL::Test::Cluster->new('bare');
$bare->init;
$bare->start;
$bare->safe_psql('postgres', "CREATE EXTENSION imgexport; SELECT imgexport.add_service('rembg')");
like(($bare->psql('postgres', "SELECT img_service(img_convert(pg_read_binary_file('" . photo('dune.jpg') . "'), 'png'), 'rembg', on_error => 'fail')"))[2], qr/services can only be asked where imgexport is preloaded/, 'services need imgexport to be preloaded');
$bare->stop;

$node->stop;
done_testing();
