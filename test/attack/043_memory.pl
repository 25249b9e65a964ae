# A codec that takes 600 MB of 100, in every kind of memory there is, is killed, and one that has
# nothing to do cannot take any.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $liar = abs_path('build/test/liar/imgexport-codec');
my $node = new_node('memory', "imgexport.codec_memory = '100MB'", "imgexport.codec_timeout = '60s'");
my $image = "pg_read_binary_file('" . photo('dune.jpg') . "')";

foreach my $kind (qw(memfd memfds mapped_memfd shared sysv growing private stacks))
{
	make_path("$folder/take_$kind");
	system('cp', $liar, "$folder/take_$kind/") == 0 or die "could not copy $liar";
	# Touched at the far end first it may also meet a fault of the kernel's: it ends in any case.
	like(error_of($node, "SET imgexport.helper_directory = '$folder/take_$kind'; SELECT length(img_flip($image))"),
		$kind eq 'growing' ? qr/53200|IX007: .*killed by signal 11/ : qr/53200: image codec process ran out of memory/, "E10: 600 MB of 100: $kind");
}

# And in the worker, whose job is not the one to blame.
$node->safe_psql('postgres', "ALTER SYSTEM SET imgexport.helper_directory = '$folder/take_memfds'");
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
$node->poll_query_until('postgres', "SELECT current_setting('imgexport.helper_directory') <> ''");
$node->safe_psql('postgres', "INSERT INTO imgexport.job (source, outputs, max_attempts) VALUES ($image, '{\"a\": {\"format\": \"png\", \"width\": 8}}', 50)");
ok($node->poll_query_until('postgres', "SELECT error_code = '53200' FROM imgexport.job"), 'E10: a job whose codec takes too much');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET imgexport.helper_directory');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
ok($node->poll_query_until('postgres', "WITH again AS (UPDATE imgexport.job SET run_at = now() WHERE state = 'pending' RETURNING 1)
	SELECT state = 'completed' AND (SELECT count(*) >= 0 FROM again) FROM imgexport.job"), 'E10: ... comes out by another one');

# E3.1: a codec that talks without end in the worker is ended by its deadline, and others get their turn.
make_path("$folder/flood");
system('cp', $liar, "$folder/flood/") == 0 or die "could not copy $liar";
$node->safe_psql('postgres', "TRUNCATE imgexport.job CASCADE; ALTER SYSTEM SET imgexport.helper_directory = '$folder/flood'");
$node->safe_psql('postgres', "ALTER SYSTEM SET imgexport.codec_timeout = '2s'");
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
$node->poll_query_until('postgres', "SELECT current_setting('imgexport.helper_directory') ~ 'flood'");
$node->safe_psql('postgres', "INSERT INTO imgexport.job (source, outputs, max_attempts) VALUES ($image, '{\"a\": {\"format\": \"png\", \"width\": 8}}', 1)");
ok($node->poll_query_until('postgres', "SELECT error_code = 'IX004' FROM imgexport.job"), 'E3.1: a job whose codec talks without end is out of time');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET imgexport.helper_directory');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET imgexport.codec_timeout');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');

# Between two requests of a session.
make_path("$folder/take_later");
system('cp', $liar, "$folder/take_later/") == 0 or die "could not copy $liar";
my $session = $node->background_psql('postgres', on_error_stop => 0);
chomp(my $backend = $session->query('SELECT pg_backend_pid()'));
is($session->query("SET imgexport.helper_directory = '$folder/take_later'; SELECT length(img_flip($image))"), 10, 'E10: a codec answers');
chomp(my $codec = `pgrep -P $backend`);
# As many looks as it would take to fill it.
my $blocks = 0;
for (1 .. 100)
{
	usleep(20000);
	foreach my $fd (glob("/proc/$codec/fd/*"))
	{
		my @status = stat $fd;
		$blocks = $status[12] if @status && (readlink($fd) // '') =~ /memfd:take/ && $status[12] > $blocks;
	}
}
cmp_ok($blocks * 512, '<', 10 << 20, 'E10.1: ... and then has no memory to take');
$session->quit;
unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC/, 'E10: and nothing has crashed');

$node->stop;
done_testing();
