# What others are told: by /health, by NOTIFY, and of passwords in URLs.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('told', "log_min_error_statement = panic", "log_statement = none");
my $image = "'\\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b'::bytea";

sub ask { return $node->safe_psql('postgres', $_[0]) }

ask("CREATE ROLE anna; CREATE ROLE eve; CALL imgexport.grant_access('anna'); CALL imgexport.grant_access('eve')");

# C2: errors quote what their owners have written.
my $failed = ask("SET ROLE anna; INSERT INTO imgexport.job (source, preset) VALUES ($image, 'marmalade') RETURNING batch_id");
ok($node->poll_query_until('postgres', "SELECT state = 'failed' AND error ~ 'marmalade' FROM imgexport.job WHERE batch_id = '$failed'"), 'a job fails');
my $health = ask("SELECT convert_from(body, 'UTF8') FROM imgexport.http_health('/health', '', '', '')");
like($health, qr/"status": "healthy"/, 'C2: /health tells the status');
unlike($health, qr/marmalade|error|pid|\Q$failed\E/, 'C2: and neither errors nor processes');
is(ask("SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys('$health') AS k"), 'oldest_job_age_s queue service status', 'C2: but sizes');
is(ask("SET ROLE eve; SELECT imgexport.health()->'last_error'"), 'null', 'C2.1: health() tells a role of its own errors');
foreach my $counters ('imgexport.hosts()', 'imgexport.workers()', 'imgexport.services()', 'imgexport.presets()', 'imgexport.stat_host', 'imgexport.stat_worker')
{
	like(error_of($node, "SET ROLE eve; SELECT * FROM $counters"), qr/42501/, "C2.1: $counters, which tells of all roles, is not for each");
}
is(ask("SET ROLE eve; SELECT imgexport.health()->>'status', imgexport.health()->'workers'"), 'healthy|[]', 'C2.1: health() tells a role that jobs run, and no process');
is(ask("SET ROLE eve; SELECT count(*) FROM imgexport.host_state('example.com') AS s WHERE s IS NULL"), 1, 'C2.1: the state of a host has no error or URL');

# C3: who may listen hears nothing of use.
my $listener = $node->background_psql('postgres');
$listener->query("SET ROLE eve; LISTEN imgexport");
my $channel = ask('SET ROLE eve; SELECT imgexport.notify_channel()');
isnt($channel, ask('SET ROLE anna; SELECT imgexport.notify_channel()'), 'C3: each role has a channel of its own');
$listener->query("LISTEN $channel");
my @ids = split /\|/, ask("SET ROLE anna; INSERT INTO imgexport.job (source, notify) VALUES ($image, true) RETURNING batch_id, job_id");
my @mine = split /\|/, ask("SET ROLE eve; INSERT INTO imgexport.job (source, notify) VALUES ($image, true) RETURNING batch_id, job_id");
my $milestone = ask("SET ROLE anna; INSERT INTO imgexport.job (milestone, notify) VALUES (true, true) RETURNING batch_id");
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM imgexport.job WHERE notify AND state = 'completed'"), 'jobs that notify end');
my $heard = $listener->query('SELECT 1') . $listener->query('SELECT 1');
unlike($heard, qr/$ids[0]|$ids[1]|$milestone/, 'C3: nobody hears of another role\'s jobs');
like($heard, qr/"$channel" with payload .*$mine[0]/, 'C3: but of his own');
$listener->quit;
is(ask("SET ROLE eve; SELECT count(*) FROM pg_proc p WHERE pronamespace = 'imgexport'::regnamespace AND proname ~ 'notify_owner|bind_label|find_label' AND has_function_privilege('eve', p.oid, 'EXECUTE')"), 0, 'C3: nor asks for his channel');
like(error_of($node, 'SET ROLE eve; SELECT channel FROM imgexport.owner_role'), qr/42501/, 'C3: or reads it');

# C6: wherever a URL can be kept.
my @urls = ('https://user:xyzzy@example.com/a.jpg', 'https://xyzzy@example.com/', 'https:///user:xyzzy@example.com/', 'https:\\\\user:xyzzy@example.com/', 'HTTPS://USER:xyzzy@example.com', 'ftp://user:xyzzy@example.com/',
	'https://example.com\\@user:xyzzy@example.com/', ' https://user:xyzzy@example.com/', "https://user:xyzzy\x{ef}\x{bc}\x{a0}example.com/", 'user:xyzzy@example.com', 'ht tps://user:xyzzy@example.com');
my @places = map { "INSERT INTO imgexport.$_" } 'job (source_url) VALUES (%s)', 'job (source_url, queue) VALUES (%s, NULL)', 'job (source_url, max_attempts) VALUES (%s, -1)', 'job (milestone, webhook_url) VALUES (true, %s)',
  "job (source, base_url) VALUES ('x', %s)", 'batch (webhook_url) VALUES (%s)', "webhook (url) VALUES (%s)", "store (name, kind, public_url) VALUES ('x', 'table', %s)", "service (name, kind, url) VALUES ('x', 'background', %s)",
  "service (name, kind, url, timeout) VALUES ('x', NULL, %s, '0')";
push @places, 'SELECT imgexport.submit(source_url => %s)', 'SELECT imgexport.submit(urls => ARRAY[%s])', "SELECT imgexport.submit(source => 'x', base_url => %s)", "SELECT imgexport.submit(source => 'x', webhook_url => %s)",
  "SELECT imgexport.submit_batch(jsonb_build_array(jsonb_build_object('source_url', %s)))", "SELECT imgexport.submit_batch('[]', webhook_url => %s)", 'SELECT imgexport.webhook_secret(%s)',
  "SELECT imgexport.add_service('rembg', jsonb_build_object('url', %s))", "SELECT imgexport.submit_csv(E'Serial Number,Product Name,Input Image URLs\\n1,one,https://example.com/', webhook_url => %s)";
my (@taken, @repeated);
foreach my $url (@urls)
{
	foreach my $place (@places)
	{
		my $said = error_of($node, sprintf($place =~ s/%(?!s)/%%/gr, "E'" . ($url =~ s/\\/\\\\/gr) . "'"));

		push @taken, "$place $url" if $said !~ /ERROR:  (23514|22023)/;
		push @repeated, "$place $url: $said" if $said =~ /^[^L].*xyzzy/m && $said !~ /^LINE/m;
	}
}
is_deeply(\@taken, [], 'C6: a URL with a password is refused wherever one is kept');
is_deeply(\@repeated, [], 'C6: and no error repeats it');
my $csv = "E'Serial Number,Product Name,Input Image URLs\\n1,one,\"https://user:xyzzy\@example.com/a.jpg, https:///u:xyzzy\@example.com/\"\\n'";
my ($code, $out, $err) = $node->psql('postgres', "SELECT imgexport.submit_csv($csv); SELECT * FROM imgexport.validate_csv($csv); INSERT INTO imgexport.csv_upload VALUES ('1', 'one', 'https://user:xyzzy\@example.com/a.jpg'); SELECT warnings FROM imgexport.batch");
like("$out$err", qr/has a user or password/, 'C6: a CSV leaves it out');
unlike("$out$err", qr/xyzzy/, 'C6: and does not repeat it in messages or warnings');
my $kept = '';
foreach my $table (split /\n/, ask("SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'imgexport'::regnamespace AND relkind IN ('r', 'v')"))
{
	$kept .= $table if ask("SELECT count(*) FROM $table t WHERE t::text ~ 'xyzzy'");
}
is($kept, '', 'C6: nothing is kept anywhere');
unlike(slurp_file($node->logfile), qr/xyzzy/, 'C6: nor in the log');
is(ask("SELECT count(*) FROM imgexport.hosts() h WHERE h::text ~ 'xyzzy|\@'"), 0, 'C6: nor among hosts');
ok(ask("INSERT INTO imgexport.job (source_url, run_at) VALUES ('https://example.com/a\@b.jpg?x=\@y#\@', now() + interval '1 day') RETURNING job_id"), 'C6: an @ that is none of a user is all right');

$node->stop;
done_testing();
