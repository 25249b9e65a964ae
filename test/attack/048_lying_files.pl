# A file process that lies, dies or hangs: what it was asked fails in a way that may pass, the worker
# and all other jobs go on, and with an honest process every file is where it belongs.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

my @lies = qw(unknown_id id_zero descriptor body kind garbage hello_again flood close exit kill silence stop);
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $liar = abs_path('build/test/liar/imgexport-files');
chomp(my $library = `$ENV{PG_CONFIG} --pkglibdir`);
make_path("$folder/stores/files");
foreach my $lie (@lies, 'twice')
{
	make_path("$folder/$lie");
	system('cp', $liar, "$folder/$lie/") == 0 or die "could not copy $liar";
	symlink "$library/$_", "$folder/$lie/$_" foreach qw(imgexport-codec imgexport-net);
}

my $node = new_node('lies', "imgexport.store_directories = '$folder/stores'", "imgexport.store_timeout = '1s'");

sub ask { return $node->safe_psql('postgres', $_[0]) }
sub wait_for { ok($node->poll_query_until('postgres', "SELECT $_[0]"), $_[1]) }

sub use_programs_of
{
	ask("ALTER SYSTEM SET imgexport.helper_directory = '$_[0]'");
	ask('SELECT pg_reload_conf()');
	$node->poll_query_until('postgres', "SELECT current_setting('imgexport.helper_directory') = '$_[0]'");
}

ask("CREATE TABLE picture AS SELECT img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 64), 'png') AS data;
	INSERT INTO imgexport.store (name, kind, location) VALUES ('files', 'file', '$folder/stores/files')");
my $width = 16;
sub submit { my ($more) = @_; return ask("SELECT imgexport.submit(source => data, outputs => jsonb_build_object('png', jsonb_build_object('width', " . ++$width . "))$more) FROM picture") }

wait_for("count(*) = 1 FROM imgexport.workers() WHERE pid IS NOT NULL AND database = 'postgres'", 'a worker runs');
my $worker = ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'");
# First, as jobs that are tried again meanwhile would be believed as well.
use_programs_of("$folder/twice");
my $believed = submit(", store => 'files'");
wait_for("state = 'completed' FROM imgexport.job WHERE batch_id = '$believed'", 'B6.4: twice: the first answer is taken at its word');
foreach my $lie (@lies)
{
	use_programs_of("$folder/$lie");
	my $stored = submit(", store => 'files', max_attempts => 50");
	wait_for("state = 'pending' AND error IS NOT NULL FROM imgexport.job WHERE batch_id = '$stored'", "B6.4: $lie: the job is to be tried again");
	my $other = submit('');
	wait_for("state = 'completed' FROM imgexport.job WHERE batch_id = '$other'", "B6.4: $lie: ... and another one goes on");
}
use_programs_of('');
ask("UPDATE imgexport.job SET run_at = now() WHERE state = 'pending'");
wait_for("count(*) = 0 FROM imgexport.job WHERE state <> 'completed'", 'B6.4: an honest process completes what is left');
is(ask("SELECT count(*) FROM imgexport.image WHERE store = 'files'
		AND CASE WHEN batch_id <> '$believed' THEN sha256(pg_read_binary_file('$folder/stores/files/' || key)) = sha256 END"), scalar(@lies), 'B6.4: ... and every file has its bytes');
is(ask("SELECT pid FROM imgexport.workers() WHERE database = 'postgres'"), $worker, 'B6.4: in the same worker');
$node->stop;
my $said = slurp_file($node->logfile);
unlike($said, qr/PANIC|TRAP|was terminated by signal|crash of another/, 'B6.4: nothing crashed');
done_testing();
