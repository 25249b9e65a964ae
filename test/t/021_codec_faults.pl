# The real codec, killed, starved, out of time and cancelled in the middle of its work:
# each ends in its own error, the server stays up, and the next call works.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = new_node('faults');

$node->safe_psql('postgres', "
	CREATE TABLE photo (name text, data bytea);
	ALTER TABLE photo ALTER data SET STORAGE EXTERNAL;
	INSERT INTO photo VALUES ('big', pg_read_binary_file('" . photo('photo-12mp.jpg') . "')),
							 ('small', pg_read_binary_file('" . photo('photo-720p.jpg') . "'))");

# Takes many seconds on any machine.
my $long = "SELECT length(img_convert(img_blur(img_resize(data, 9000, 6750), 400), 'avif'))
			FROM photo WHERE name = 'big'";
my $short = "SELECT length(img_flip(data)) > 1000 FROM photo WHERE name = 'small'";

# Run the long call in a session of its own, do something to it, and return its error.
sub disturbed
{
	my ($disturb) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query($short);
	my $backend = $session->query('SELECT pg_backend_pid()');
	chomp $backend;
	my ($codec) = split /\n/, `pgrep -P $backend imgexport-codec`;
	$session->{stdin} .= "\\set VERBOSITY verbose\n$long;\n$short;\n\\echo over\n";
	$session->{run}->pump_nb;
	$node->poll_query_until('postgres',
		"SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $backend")
	  or die 'the call never waited';
	usleep(200_000);
	$disturb->($backend, $codec);
	$session->{run}->pump until $session->{stdout} =~ /over/ || $session->{timeout}->is_expired;
	my $result = { error => $session->{stderr}, output => $session->{stdout}, codec => $codec };
	$session->quit;
	return $result;
}

foreach my $signal (qw(SEGV KILL ABRT))
{
	my $number = { SEGV => 11, KILL => 9, ABRT => 6 }->{$signal};
	my $result = disturbed(sub { kill $signal, $_[1] });

	like($result->{error}, qr/ERROR:  IX007: .*killed by signal $number/, "SIG$signal: IX007");
	like($result->{output}, qr/\bt\b.*over/s, "SIG$signal: the session's next call works");
}

my $result = disturbed(sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend($_[0])") });
like($result->{error}, qr/ERROR:  57014: canceling statement due to user request/,
	'pg_cancel_backend: 57014');
like($result->{output}, qr/\bt\b.*over/s, 'the cancelled session goes on');
ok(!kill(0, $result->{codec}), 'the codec of a cancelled call is gone');

# A server process that is terminated takes its codec along.
{
	my $gone;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query($short);
	my $backend = $session->query('SELECT pg_backend_pid()');
	chomp $backend;
	my ($codec) = split /\n/, `pgrep -P $backend imgexport-codec`;
	ok($codec, 'a session keeps its codec');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($backend)");
	for (1 .. 200) { last if $gone = !kill(0, $codec); usleep(50_000); }
	ok($gone, 'and takes it along when it is terminated');
	eval { $session->quit };
}

# A thousand images through one codec leave its memory where it was.
{
	my $session = $node->background_psql('postgres');
	my $many = "SELECT sum(length(img_convert(img_resize(data, 200 + n % 50), (ARRAY['jpeg', 'png', 'webp'])[n % 3 + 1])))
				FROM photo, generate_series(1, 300) n WHERE name = 'small'";
	my $rss_kb = sub { slurp_file("/proc/$_[0]/status") =~ /VmRSS:\s+(\d+)/ ? $1 : 0 };

	$session->query($many);
	my $backend = $session->query('SELECT pg_backend_pid()');
	chomp $backend;
	my ($codec) = split /\n/, `pgrep -P $backend imgexport-codec`;
	my ($backend_before, $codec_before) = ($rss_kb->($backend), $rss_kb->($codec));
	$session->query($many) for 1 .. 2;
	my ($codec_now) = split /\n/, `pgrep -P $backend imgexport-codec`;
	is($codec_now, $codec, 'one codec makes 900 images');
	cmp_ok($rss_kb->($codec), '<', $codec_before + 20_000, 'and its memory stays flat');
	cmp_ok($rss_kb->($backend), '<', $backend_before + 10_000, "as does the session's");
	$session->quit;
}

like(error_of($node, "SET statement_timeout = '300ms'; $long"),
	qr/57014: canceling statement due to statement timeout/, 'statement_timeout: 57014');

like(error_of($node, "SET imgexport.codec_timeout = '500ms'; $long"),
	qr/ERROR:  IX004: .*HINT:  .*imgexport\.codec_timeout/s, 'codec_timeout: IX004, says the setting');

like(error_of($node, "SET imgexport.codec_memory = '128MB';
		SELECT length(img_rotate(img_resize(data, 9000, 6750), 90)) FROM photo WHERE name = 'big'"),
	qr/ERROR:  53200: .*memory.*imgexport\.codec_memory/s,
	'codec_memory: 53200, says the setting');

is($node->safe_psql('postgres', $short), 't', 'after all that an image is turned as ever');
unlike(slurp_file($node->logfile), qr/server process .* was terminated by|PANIC/,
	'no server process was lost');
$node->stop;
done_testing();
