# An evaluator that was taken over harms the jobs of its own role, and neither the worker nor anybody else.
use strict;
use warnings;

use lib 'test/lib';
use Cwd qw(abs_path);
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('liar', 'max_worker_processes = 16');
my $gif = '47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b';
my $library = abs_path('build/test/double/evaluator_liar.so');

sub ask { return scalar $node->safe_psql('postgres', $_[0]) }

ask("CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN; CALL imgexport.grant_access('mallory'); CALL imgexport.grant_access('alice');
	CREATE FUNCTION public.img_lie(image bytea, number int) RETURNS bytea LANGUAGE C STRICT AS '$library', 'lie'");

sub submit
{
	my ($role, $recipe) = @_;

	return scalar $node->safe_psql('postgres', "SELECT imgexport.submit(source => '\\x$gif', recipe => '$recipe', outputs => '{\"png\": {}}', max_attempts => 1)",
		extra_params => [ '-U', $role ]);
}

sub finished
{
	my ($batch) = @_;

	$node->poll_query_until('postgres', "SELECT state IN ('completed', 'failed') FROM imgexport.job WHERE batch_id = '$batch'") or die "$batch does not end";
	return ask("SELECT state || coalesce(' ' || error_code || ' ' || error, '') FROM imgexport.job WHERE batch_id = '$batch'");
}

my $worker = ask("SELECT pid FROM imgexport.workers() WHERE database = current_database()");
foreach my $number (0 .. 16)
{
	like(finished(submit('mallory', qq(["flip", {"public.lie": {"number": $number}}]))),
		$number == 13 ? qr/^failed \S+ [ -~]+$/ : qr/^failed IX007 /, "A4.7: lie $number fails its own job");
	is(finished(submit('alice', '["flip"]')), 'completed', '... and the next is made');
}
is(ask("SELECT pid FROM imgexport.workers() WHERE database = current_database()"), $worker, 'A4.7: by the same worker');
my $open = ask("SELECT count(*) FROM pg_ls_dir('/proc/$worker/fd')");
foreach my $again (1 .. 5)
{
	finished(submit('mallory', qq([{"public.lie": {"number": $_}}]))) foreach 9 .. 11;
}
cmp_ok(ask("SELECT count(*) FROM pg_ls_dir('/proc/$worker/fd')"), '<=', $open + 3, 'A4.7: no descriptor is left open');

# One that can be neither cancelled nor terminated costs its own role its functions, and nobody else anything.
if (slow_checks())
{
	ask("ALTER SYSTEM SET imgexport.evaluate_timeout = '500ms'; SELECT pg_reload_conf()");
	like(finished(submit('mallory', '[{"public.lie": {"number": 17}}]')), qr/^failed 57014 /, 'A4.9: a function that does not end fails its job');
	is(finished(submit('alice', '[{"public.lie": {"number": 0}}]')) =~ /IX007/, 1, "A4.9: another role's functions run");
	like(finished(submit('mallory', '[{"public.lie": {"number": 1}}]')), qr/^failed 55000 /, 'A4.9: its own role\'s do not');
	is(finished(submit('mallory', '["flip"]')), 'completed', 'A4.9: its other jobs do');
	like(slurp_file($node->logfile), qr/WARNING:  evaluator of role \d+ does not end/, 'A4.9: the log says so');
}

# Whoever else comes to the worker's socket is sent away.
my ($name) = slurp_file('/proc/net/unix') =~ /@(imgexport-[0-9a-f]{32})/;
ok($name, 'the worker listens in the abstract namespace');
my $answer = `python3 -c "
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect('\\0$name')
s.settimeout(30)
print(len(s.recv(100)))
" 2>&1`;
like($answer, qr/^0$|reset/, 'A4.8: a stranger at the socket is sent away');
is(finished(submit('alice', '["flip"]')), 'completed', '... and jobs go on');

$node->stop(slow_checks() ? 'immediate' : 'fast');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nothing has crashed');
done_testing();
