# H17.1: what is being made when an error ends it must not be found half made.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('half_made', "imgexport.service_allowed_networks = '127.0.0.0/8'");

sub ask { return $node->safe_psql('postgres', $_[0]) }

ask("CREATE TABLE picture AS SELECT pg_read_binary_file('" . photo('dune.jpg') . "') AS data;
	INSERT INTO imgexport.service (name, kind, url, send, request, parameters)
		VALUES ('there', 'background', 'http://127.0.0.1:9/', 'multipart', '{\"image\": \"{image}\", \"must\": \"{must}\"}', '{\"must\": null}')");
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM imgexport.workers() WHERE pid IS NOT NULL');
my $pid = ask('SELECT pid FROM imgexport.workers()');

# Steps that fail where the service is planned, in each place that a step can be.
my @steps = ('{"service": {"name": null}}', '{"service": {"name": null, "parameters": {"a": 1}}}', '{"service": {"name": "nowhere"}}',
	'{"service": {"name": "there"}}', '{"service": {"name": "there", "parameters": {"unknown": 1}}}', '{"service": {"name": "there", "parameters": null}}');
foreach my $step (@steps)
{
	foreach my $job ("recipe => '[$step]'", "recipe => '[\"flip\", $step, $step]'", "outputs => '{\"a\": {\"steps\": [$step]}, \"b\": {\"steps\": [$step]}}'",
		"recipe => '[$step]', on_error => 'preset:jpeg'", "recipe => '[$step]', on_error => 'skip'", "recipe => '[$step]', on_error => 'keep_original'")
	{
		# What is refused at once needs no worker.
		$node->psql('postgres', "SELECT imgexport.submit(source => (SELECT data FROM picture), $job)");
	}
}
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM imgexport.job WHERE state IN ('pending', 'processing')"),
	'H17.1: jobs whose calls of services cannot be planned come to an end');
cmp_ok(ask("SELECT count(*) FROM imgexport.job WHERE state = 'failed' AND error ~ 'must not be null'"), '>', 0, 'H17.1: as failures, where they do not say otherwise');
is(ask('SELECT pid FROM imgexport.workers()'), $pid, 'H17.1: of one and the same worker');
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'H17.1: and no process has crashed');

$node->stop;
done_testing();
