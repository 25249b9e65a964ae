# No text outlives its memory: what a failure leaves in a row is what was said, whole and in the
# database's encoding, so that it can be read, dumped and restored.
use strict;
use warnings;

use lib 'test/lib';
use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use ImgTest;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = tempdir(CLEANUP => 1);
chmod 0755, $folder;
mkdir "$folder/$_" foreach 'bin', 'disk', 'files';
open(my $secrets, '>', "$folder/secrets") or die;
print $secrets "s3 = very-secret\n";
close $secrets;
chmod 0640, "$folder/secrets";

# A disk of one megabyte, where there are namespaces to mount one in.
my $has_small_disk = system('unshare --user --map-root-user --mount true 2>/dev/null') == 0;
my $real = `which pg_ctl`;
chomp $real;
symlink abs_path('test/lib/small-disk'), "$folder/bin/pg_ctl";
local $ENV{PATH} = $has_small_disk ? "$folder/bin:$ENV{PATH}" : $ENV{PATH};
local $ENV{REAL_PG_CTL} = $real;
local $ENV{SMALL_DISK} = "$folder/disk";
local $ENV{SMALL_DISK_MB} = 1;

my $node = new_node('texts', "imgexport.store_directories = '$folder'",
	"imgexport.secrets_file = '$folder/secrets'", "imgexport.store_allowed_networks = '127.0.0.0/8'");

sub ask { return $node->safe_psql('postgres', $_[0]) }

# Every job of a batch that is to fail, when it has.
sub failed
{
	my ($what, $count, $store, $picture, $outputs) = @_;
	my $batch = ask('SELECT imgexport.new_id()');

	$outputs //= '{"a": {"format": "png"}}';
	ask("INSERT INTO imgexport.job (batch_id, source, outputs, max_attempts, store)
		SELECT '$batch', data, '$outputs', 1, '$store' FROM picture, generate_series(1, $count) WHERE name = '$picture'");
	$node->poll_query_until('postgres', "SELECT bool_and(finished_at IS NOT NULL) FROM imgexport.job WHERE batch_id = '$batch'")
	  or die $what;
	return $batch;
}

# The errors of a batch, each once.
sub errors { return ask("SELECT string_agg(DISTINCT coalesce(error_code || ' ' || error, state), E'\\n') FROM imgexport.job WHERE batch_id = '$_[0]'") }

# An S3 whose answers are no text: what it calls an upload, and why it refuses.
my $hostile = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die;
my $hostile_pid = fork() // die;
if ($hostile_pid == 0)
{
	close STDOUT;
	close STDERR;
	local $SIG{CHLD} = 'IGNORE';
	while (my $client = $hostile->accept)
	{
		next if fork();
		my ($request, $length) = ('', 0);
		while (my $line = <$client>)
		{
			$request .= $line;
			$length = $1 if $line =~ /^content-length: (\d+)/i;
			last if $line eq "\r\n";
		}
		read($client, my $body, $length) if $length;
		my $answer = "<InitiateMultipartUploadResult><UploadId>\xff\xfe'\x01\xc3</UploadId></InitiateMultipartUploadResult>";
		print $client $request =~ /^POST \S*uploads/
		  ? "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($answer) . "\r\n\r\n$answer"
		  : "HTTP/1.1 500 \xff\xc3 \x1b[31m\r\nETag: \xff\xfe\r\nConnection: close\r\nContent-Length: 2\r\n\r\n\xff\xfe";
		close $client;
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}
END { kill 'KILL', $hostile_pid if $hostile_pid }
my $hostile_url = 'http://127.0.0.1:' . $hostile->sockport;

ask("CREATE TABLE picture AS SELECT name, img_convert(img_resize(pg_read_binary_file('" . photo('photo-1080p.jpg') . "'), width), format) AS data
		FROM (VALUES ('small', 300, 'png'), ('large', 1920, 'png')) AS v(name, width, format);
	 INSERT INTO imgexport.store (name, kind, location, key, bucket, access_key, secret) VALUES
		('full', 'file', '$folder/disk', '{job_id}/{sha256}-{name}.{ext}', NULL, NULL, NULL),
		('nobody', 's3', 'http://127.0.0.1:9', '{job_id}/{sha256}-{name}.{ext}', 'bucket', 'K', 'größe'),
		('hostile', 's3', '$hostile_url', '{job_id}/{sha256}-{name}.{ext}', 'bucket', 'K', 's3');
	 UPDATE imgexport.store SET part_bytes = 5242880");

is(errors(failed('a secret that is missing', 30, 'nobody', 'small')),
	q(42704 could not store an output in "nobody": secret "größe" does not exist),
	'G1: a secret that is missing is told as it was raised, in every job');
is(errors(failed('a hostile upload', 3, 'hostile', 'large', '{"a": {"format": "tiff", "options": {"compression": "none"}}}')),
	q(IX005 could not store an output in "hostile": the answer that begins an upload in parts is none of an S3),
	'G1.1: what an S3 calls an upload is no text until it was looked at');
is(ask("SELECT count(*) FROM imgexport.removal WHERE upload_id IS NOT NULL"), 0, 'G1.1: and in no row');
like(errors(failed('a hostile status', 3, 'hostile', 'small')), qr/\AIX005 could not store an output in "hostile": [ -~\n]+\z/,
	'G1.2: nor is why it refuses something');

SKIP:
{
	skip 'no namespaces to mount a small disk in', 1 unless $has_small_disk;
	my $sentence = qr/53100 could not store an output in "full": could not write "[\w\/-]+\.png": No space left on device/;

	like(errors(failed('a disk that is full', 30, 'full', 'large', '{"a": {"format": "png"}}')), qr/\A$sentence(\n$sentence)*\z/,
		'G1: so is a full disk');
}

# Everything can be dumped and restored.
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = "$folder/dump.sql";
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'G1: the database can be dumped');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('copy') ], 'G1: and restored');
my $rows = "SELECT md5(string_agg(concat_ws('|', job_id, error_code, error, warnings), E'\\n' ORDER BY job_id)) FROM imgexport.job WHERE state = 'failed'";
is($node->safe_psql('copy', $rows), ask($rows), 'G1: with every text as it was');
$node->stop;
done_testing();
