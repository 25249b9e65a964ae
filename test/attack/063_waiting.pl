# imgexport.wait refuses to wait for what cannot come.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $node = new_node('waiting', 'max_prepared_transactions = 2');
my $outputs = '{"a": {"format": "png", "width": 16}}';

sub ask { return $node->safe_psql('postgres', $_[0]) }

# What wait says of a batch that stands in the variable batch of the statements before it.
sub refusal
{
	my ($statements) = @_;

	return error_of($node, $statements . "\nCALL imgexport.wait(:'batch', '100 s');");
}

my $submit = "SELECT imgexport.submit(source_url => '$url/dune.jpg', outputs => '$outputs') AS batch \\gset\n";
my $cannot = qr/ERROR:  55000: batch \S+ cannot finish: /;

like(refusal("BEGIN;\n$submit"), qr/${cannot}job \S+ was submitted, changed or locked by this transaction.*HINT:  Commit first/s,
	'F7: a batch of its own transaction');
like(refusal("BEGIN;\nSAVEPOINT s;\n${submit}RELEASE s;\n"), qr/${cannot}job/, 'F7.1: of a part of it');
like(refusal("$submit\nSELECT imgexport.cancel(:'batch');\nBEGIN;\nSELECT imgexport.retry(:'batch');\n"), qr/${cannot}job/, 'F7.1: one that it retries');
like(refusal("UPDATE imgexport.queue SET paused = true;\n${submit}UPDATE imgexport.queue SET paused = false WHERE name = 'batch';\n"),
	qr/${cannot}queue "default" of job \S+ is paused.*HINT:  SELECT imgexport.resume\('default'\)/s, 'F7: a paused queue');
like(refusal("BEGIN;\nSELECT batch_id AS batch FROM imgexport.job WHERE state = 'pending' LIMIT 1 FOR UPDATE \\gset\n"), qr/${cannot}job \S+ was submitted, changed or locked/, 'F7.1: a job that it has locked');
ask('UPDATE imgexport.queue SET paused = false');
like(error_of($node, 'CALL imgexport.wait(imgexport.new_id())'), qr/42704: batch \S+ does not exist/, 'F7: a batch that does not exist');
like(error_of($node, 'CALL imgexport.wait(NULL)'), qr/42704: batch NULL does not exist/, 'F7: nor NULL');
like(refusal("SELECT imgexport.submit(source_url => '$url/dune.jpg', run_at => now() + interval '1 day') AS batch \\gset\n"), qr/${cannot}job \S+ is not due before/, 'F7.2: a job that is not due before the timeout');
my $held = ask("SELECT imgexport.submit(source_url => '$url/held/a/dune.jpg', outputs => '$outputs')");
like(error_of($node, "CALL imgexport.wait('$held', '100 ms')"), qr/57014: timed out: 0 of 1 jobs finished/, 'F7.3: time is limited');
is(ask("SELECT pg_get_expr(proargdefaults, 0) FROM pg_proc WHERE oid = 'imgexport.wait'::regproc"), "'01:00:00'::interval", 'F7: by default too');
ask("CREATE ROLE anna; CALL imgexport.grant_access('anna')");
like(error_of($node, "SET ROLE anna; CALL imgexport.wait('$held')"), qr/42704/, "F7.4: another's batch does not exist");
$web->ask('/release/a');
ask("CALL imgexport.wait('$held', '100 s')");
is(ask("SELECT state FROM imgexport.job WHERE batch_id = '$held'"), 'completed', 'a batch that can finish is waited for');
ask("SET ROLE anna; SELECT imgexport.submit_batch('[]') AS batch \\gset\nCALL imgexport.wait(:'batch')");
pass('so is one without jobs');
ask("SET ROLE anna; $submit CALL imgexport.wait(:'batch', '100 s')");
pass('by a role that may submit');

# While it waits.
my $paused = ask("SELECT imgexport.submit(source_url => '$url/dune.jpg', run_at => now() + interval '20 s')");
my $waiter = IPC::Run::start([ 'psql', '-XqAt', '-h', $node->host, '-p', $node->port, '-d', 'postgres', '-v', 'VERBOSITY=verbose', '-c', "CALL imgexport.wait('$paused')" ],
	'>', \my $out, '2>', \my $err);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^CALL imgexport.wait' AND state = 'active'");
ask("SELECT imgexport.pause('default')");
$waiter->finish;
like($err, qr/${cannot}queue "default"/, 'F7.5: a queue that is paused meanwhile');
ask("SELECT imgexport.resume('default')");

# No worker.
ask("ALTER SYSTEM SET imgexport.enabled = off; SELECT pg_reload_conf()");
$node->poll_query_until('postgres', "SELECT NOT current_setting('imgexport.enabled')::boolean");
like(refusal($submit), qr/${cannot}no worker runs, as imgexport.enabled is off/, 'F7: imgexport.enabled is off');
ask("ALTER SYSTEM RESET imgexport.enabled; SELECT pg_reload_conf()");
ask('CREATE DATABASE twin TEMPLATE template0');
$node->safe_psql('twin', 'CREATE EXTENSION imgexport; UPDATE imgexport.installation SET database = 1; SELECT imgexport.end_dormancy()');
$node->poll_query_until('twin', 'SELECT imgexport.is_dormant()');
like(error_of($node, "${submit}CALL imgexport.wait(:'batch')", 'twin'), qr/${cannot}this database is dormant.*adopt/s, 'F7.6: a dormant copy');
$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
$node->restart;
like(refusal($submit), qr/${cannot}no worker runs in this database/, 'F7.7: no room for a worker');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\nshared_preload_libraries = ''");
$node->restart;
like(refusal($submit), qr/${cannot}no worker runs, as imgexport is not preloaded/, 'F7: not preloaded');

$web->stop;
$node->stop;
done_testing();
