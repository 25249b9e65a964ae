# A network process that lies, floods, hangs or takes descriptors' places, in a session and in the
# worker: what it was sent fails in a way that may pass, it is killed, and all else goes on.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $liar = abs_path('build/test/liar/imgexport-net');
chomp(my $library = `$ENV{PG_CONFIG} --pkglibdir`);
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url . '/dune.jpg';

# Lies of which each ends the process at once; what an honest one could say; and those that only time ends.
my @broken = qw(wrong_length longer_than_allowed unsealed pipe no_descriptor two_descriptors wrong_status etag unknown_id id_zero
	failure_with_descriptor failure_of_step failure_kind failure_status output hello_again garbage garbage_body
	empty_with_descriptors many_descriptors short_with_descriptors flood_of_hellos close);
my @died = qw(exit segv kill);
my @said = qw(text long_text twice flood);
my @silent = qw(silence stop);
foreach my $lie (@broken, @died, @said, @silent)
{
	make_path("$folder/$lie");
	system('cp', $liar, "$folder/$lie/") == 0 or die "could not copy $liar";
	symlink "$library/imgexport-codec", "$folder/$lie/imgexport-codec";
}

my $node = new_node('lies', "imgexport.fetch_timeout = '1s'", 'imgexport.helper_max_requests = 100000');

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# A session, and how many descriptors its process has after each lie.
my $session = $node->background_psql('postgres', on_error_stop => 0);
chomp(my $backend = $session->query('SELECT pg_backend_pid()'));
# Of memfds, sockets and pipes: files of tables come and go.
sub descriptors { return scalar(grep { (readlink($_) // '') !~ m{^/(?!memfd)} } glob("/proc/$_[0]/fd/*")) }
sub lie_to_session
{
	my ($lie) = @_;

	$session->{stderr} = '';
	$session->query("SET imgexport.helper_directory = '$folder/$lie'; SELECT length(img_fetch('$url'))");
	return $session->{stderr};
}
$session->query('\set VERBOSITY verbose');
$session->query("SELECT length(img_fetch('$url'))");
lie_to_session('garbage');
my $before = descriptors($backend);
like(lie_to_session($_), qr/ERROR:  IX007: .*broke the protocol/, "E3: a session: $_") foreach @broken;
like(lie_to_session($_), qr/ERROR:  IX007: .*(exited with code 3|killed by signal)/, "E3: a session: $_") foreach @died;
like(lie_to_session($_), qr/ERROR:  IX005: [ -~]+\n/, "E3: a session: $_") foreach @said;
like(lie_to_session($_), qr/ERROR:  IX004/, "E2: a session: $_") foreach @silent;
lie_to_session('garbage');
is(descriptors($backend), $before, 'H7: and no lie left a descriptor behind');
is($session->query("RESET imgexport.helper_directory; SELECT length(img_fetch('$url')) > 0"), "t", 'E3: the same session fetches');
$session->quit;

# The worker has the same done to it, with jobs that then come out by an honest process.
ask("INSERT INTO imgexport.job (source_url, outputs) VALUES ('$url', '{\"a\": {\"format\": \"png\", \"width\": 8}}')");
wait_for("bool_and(state = 'completed') FROM imgexport.job", 'E3: the worker works');
my $worker = ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'");
my $held;
foreach my $lie (slow_checks() ? (@broken, @died, @silent, @said) : qw(wrong_length unknown_id empty_with_descriptors kill stop text))
{
	ask('TRUNCATE imgexport.job CASCADE');
	ask("ALTER SYSTEM SET imgexport.helper_directory = '$folder/$lie'");
	ask('SELECT pg_reload_conf()');
	wait_for("current_setting('imgexport.helper_directory') = '$folder/$lie'", "E3: the worker: $lie");
	ask("INSERT INTO imgexport.job (source_url, outputs, max_attempts) SELECT '$url', '{\"a\": {\"format\": \"png\", \"width\": 8}}', 50 FROM generate_series(1, 3)");
	wait_for("count(*) >= 1 FROM imgexport.job WHERE state = 'pending' AND attempts > 0 AND error_code ~ 'IX00[57]'", "E3: ... whose jobs fail in a way that may pass");
	$held //= descriptors($worker);
	ask('ALTER SYSTEM RESET imgexport.helper_directory');
	ask('SELECT pg_reload_conf()');
	ask("UPDATE imgexport.job SET run_at = now() WHERE state = 'pending'; SELECT imgexport.wake()");
	ok($node->poll_query_until('postgres', "WITH again AS (UPDATE imgexport.job SET run_at = now() WHERE state = 'pending' AND run_at > now() + interval '2 s' RETURNING 1)
		SELECT bool_and(state = 'completed') AND (SELECT count(*) >= 0 FROM again) FROM imgexport.job"), "E3: ... and come out by another one");
	is(ask("SELECT count(*) FROM imgexport.job WHERE error !~ '^[ -~]*\$'"), 0, 'E3: ... with nothing strange in their rows');
}
is(ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'"), $worker, 'E3: it is the same worker after all of them');
cmp_ok(descriptors($worker), "<=", $held + 4, 'H7: with no more descriptors, those of another codec aside');
unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC|all server processes terminated/, 'E3: and nothing has crashed');

$web->stop;
$node->stop;
done_testing();
