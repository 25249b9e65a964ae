# Files of stores: a disk that is slow, or hangs, holds up what is stored on it and nothing else; and
# the process that writes is trusted with nothing but the directories of stores.
use strict;
use warnings;

use lib 'test/lib';
use Cwd qw(abs_path);
use File::Path qw(make_path);
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
make_path("$folder/stores/files", "$folder/elsewhere");
my $node = new_node('files', "imgexport.store_directories = '$folder/stores'", "imgexport.store_timeout = '5s'");

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

sub worker_pid { return ask("SELECT max(pid) FROM imgexport.workers() WHERE database = 'postgres'") }
sub file_process { return (split /\n/, `pgrep -P @{[ worker_pid() ]} imgexport-files`)[0] }

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 64), 'png') AS data;
	 INSERT INTO imgexport.store (name, kind, location) VALUES ('files', 'file', '$folder/stores/files'), ('out', 'file', '$folder/elsewhere')");

# Jobs of a batch: of the store, or of the table and another queue.
my $nth = 0;
sub submit
{
	my ($count, $store, $queue) = @_;
	my $batch = ask('SELECT imgexport.new_id()');

	ask("INSERT INTO imgexport.job (batch_id, source, outputs, store, queue, max_attempts)
		SELECT '$batch', data, jsonb_build_object('png', jsonb_build_object('width', " . ++$nth . " + n)), " . ($store ? "'$store'" : 'NULL') . ", '$queue', 20
		FROM picture, generate_series(1, $count) AS n");
	return $batch;
}

sub completed
{
	my ($batch, $what) = @_;

	wait_for("bool_and(state = 'completed') FROM imgexport.job WHERE batch_id = '$batch'", $what);
}

my $batch = submit(3, 'files', 'default');
completed($batch, 'files are written');
my $pid = worker_pid();
my $process = file_process();
ok($process, 'B6: by a process of their own');
is(ask("SELECT bool_and(sha256 = sha256(pg_read_binary_file('$folder/stores/files/' || key))) FROM imgexport.image WHERE batch_id = '$batch'"), 't', 'B6: whole');

# It stands still, as it would for a disk that does not answer.
kill 'STOP', $process;
my $stuck = submit(5, 'files', 'default');
wait_for("count(*) > 0 FROM imgexport.removal WHERE batch_id = '$stuck'", 'B6: storing has begun');
foreach my $round (1 .. 3)
{
	completed(submit(5, undef, 'batch'), 'B6: while a disk hangs other jobs are completed');
}
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id = '$stuck' AND state = 'completed'"), 0, 'B6: those that store on it are not');
kill 'CONT', $process;
completed($stuck, 'B6: until it goes on');

# For good: it is ended, and another one takes its place; so it is when it is killed.
foreach my $signal ('STOP', 'KILL')
{
	$process = file_process() // do { completed(submit(1, 'files', 'default'), 'B6: a process is started'); file_process() };
	kill $signal, $process;
	$stuck = submit(3, 'files', 'default');
	completed($stuck, "B6.1: $signal: all are stored by another process");
	isnt(file_process(), $process, "B6.1: $signal: than the one that hangs or died");
}
is(worker_pid(), $pid, 'B6.1: and the same worker');

# Removals go the same way.
$process = file_process();
kill 'STOP', $process;
my @keys = split /\n/, ask("SELECT key FROM imgexport.image WHERE batch_id = '$batch'");
ask("DELETE FROM imgexport.image WHERE batch_id = '$batch'");
wait_for("count(*) > 0 FROM imgexport.removal WHERE state = 'processing'", 'B6.2: a removal has begun');
completed(submit(2, undef, 'batch'), 'B6.2: while it hangs other jobs are completed');
kill 'CONT', $process;
wait_for("count(*) = 0 FROM imgexport.removal WHERE state IN ('pending', 'processing') AND run_at <= now()", 'B6.2: and then it is done');
is(scalar(grep { -e "$folder/stores/files/$_" } @keys), 0, 'B6.2: the files are gone');

# What it may reach: a root that is not listed, a link that leads out.
$batch = submit(1, 'out', 'default');
wait_for("error ~ 'is not one that stores may be in' AND error_code = '42501' FROM imgexport.job WHERE batch_id = '$batch'", 'B6.3: a directory that is not listed is none of a store');
ask("SELECT imgexport.cancel('$batch')");
symlink "$folder/elsewhere", "$folder/stores/files/link" or die;
my $process_status = '/proc/' . (file_process() // 0) . '/status';
SKIP:
{
	skip 'no sandbox in a build with sanitizers', 1 if ($ENV{IMGEXPORT_TEST_SETTINGS} // '') =~ /helper_directory/;
	completed(submit(1, 'files', 'default'), 'a process is there') if !-e $process_status;
	like(slurp_file('/proc/' . file_process() . '/status'), qr/^Seccomp:\s+2$/m, 'B6.3: its system calls are filtered');
}
is(join(' ', glob("$folder/elsewhere/*")), '', 'B6.3: nothing was written elsewhere');
is(join(' ', glob("$folder/stores/files/*/.*.unfinished")), '', 'B6.3: and nothing is left unfinished');

unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal 11/, 'no server process crashed');
$node->stop;
done_testing();
