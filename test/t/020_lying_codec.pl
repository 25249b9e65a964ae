# A codec that lies, dies or never answers: one query fails with a clear error, the
# server stays up, and the same session's next call works with a real codec.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('lies');
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $liar = abs_path('build/test/liar/imgexport-codec');
my $call = "SELECT length(img_flip(pg_read_binary_file('" . photo('photo-720p.jpg') . "')))";

# Which SQLSTATE and which words each lie ends in.
my @lies = (
	[ 'no_hello', 'IX007', 'exited with code 74' ],
	[ 'old_version', 'IX007', 'broke the protocol' ],
	[ 'wrong_length', 'IX007', 'broke the protocol' ],
	[ 'unsealed', 'IX007', 'broke the protocol' ],
	[ 'pipe', 'IX007', 'broke the protocol' ],
	[ 'no_descriptor', 'IX007', 'broke the protocol' ],
	[ 'wrong_index', 'IX007', 'broke the protocol' ],
	[ 'twice', 'IX007', 'broke the protocol' ],
	[ 'no_output', 'IX007', 'broke the protocol' ],
	[ 'wrong_id', 'IX007', 'broke the protocol' ],
	[ 'huge', 'IX003', 'too large for a bytea' ],
	[ 'garbage', 'IX007', 'broke the protocol' ],
	[ 'garbage_body', 'IX007', 'broke the protocol' ],
	[ 'unknown_type', 'IX007', 'broke the protocol' ],
	[ 'bad_failure', 'IX007', 'broke the protocol' ],
	[ 'flood', 'IX004', 'not finished within' ],
	[ 'close', 'IX007', 'broke the protocol' ],
	[ 'exit', 'IX007', 'exited with code 3' ],
	[ 'segv', 'IX007', 'killed by signal 11' ],
	[ 'kill', 'IX007', 'killed by signal 9' ],
	[ 'hang', 'IX004', 'not finished within' ],
	[ 'out_of_memory', '53200', 'ran out of memory' ]);

foreach my $lie (@lies)
{
	my ($name, $sqlstate, $words) = @$lie;

	make_path("$folder/$name");
	system('cp', $liar, "$folder/$name/") == 0 or die "could not copy $liar";
	my ($code, $stdout, $stderr) = $node->psql(
		'postgres', "
		SET imgexport.codec_timeout = '700ms';
		SET imgexport.helper_directory = '$folder/$name';
		$call;
		RESET imgexport.helper_directory;
		RESET imgexport.codec_timeout;
		$call > 10000;",
		extra_params => [ '-v', 'VERBOSITY=verbose' ],
		on_error_stop => 0);

	like($stderr, qr/ERROR:  $sqlstate: .*$words/, "$name: $sqlstate, $words");
	is($stdout, 't', "$name: the session's next call works");
}

# Cancel ends the wait at once, and the helper with it.
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query("SET imgexport.helper_directory = '$folder/hang'");
	my $backend = $session->query('SELECT pg_backend_pid()');
	chomp $backend;
	$session->{stdin} .= "$call;\n\\echo over\n";
	$session->{run}->pump_nb;
	$node->poll_query_until('postgres',
		"SELECT state = 'active' AND wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $backend")
	  or die 'the call never waited';
	my $start = time;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($backend)");
	$session->{run}->pump until $session->{stdout} =~ /over/ || $session->{timeout}->is_expired;
	cmp_ok(time - $start, '<', 5, 'a cancelled call ends long before its time limit');
	like($session->{stderr}, qr/canceling statement due to user request/, 'as a cancel');
	is(`pgrep -P $backend | wc -l` + 0, 0, 'and its helper is gone');
	$session->quit;
}

my ($log) = slurp_file($node->logfile);
unlike($log, qr/server process .* was terminated|PANIC/, 'no server process was lost');
$node->stop;
done_testing();
