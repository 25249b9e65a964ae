# Where an error is raised between a memfd and whoever would have closed it, none is lost.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The limit holds for every file of the session's, so it is to write none: pages stay where they are.
my $node = new_node('descriptors', "shared_buffers = '128MB'", "wal_buffers = '16MB'", 'autovacuum = off');
my $photo = photo('dune.jpg');
$node->safe_psql('postgres', "CREATE TABLE picture (image bytea); ALTER TABLE picture ALTER image SET STORAGE EXTERNAL;
	INSERT INTO picture VALUES (pg_read_binary_file('$photo'))");
my $session = $node->background_psql('postgres', on_error_stop => 0);
chomp(my $backend = $session->query('SELECT pg_backend_pid()'));
sub memfds { return scalar(grep { (readlink($_) // '') =~ m{^/memfd} } glob("/proc/$backend/fd/*")) }

# Each way in which a session makes one, where writing it fails: files may have 10 kB, and memfds with them.
my %ways = (
	'a request to a service' => "imgexport.call_service('x', 'http://127.0.0.1:1/', '', decode(repeat('00', 100000), 'hex'), 1000, 0, 1, 0, NULL, NULL, 0, 0)",
	'a rendering of bytes' => "length(img_flip(image || ''::bytea)) FROM picture",
	'a rendering of a stored value' => 'length(img_flip(image)) FROM picture',
	'a description' => 'img_info(image) FROM picture',
	'an aggregate' => 'length(img_montage(image)) FROM picture, generate_series(1, 3)');
$session->query("SELECT length(img_flip(image)) FROM picture");
my $before = memfds();
$node->safe_psql('postgres', 'VACUUM; CHECKPOINT');
system('prlimit', '--pid', $backend, '--fsize=10000:') == 0 or die 'could not limit the session';
foreach my $way (sort keys %ways)
{
	foreach (1 .. 3)
	{
		$session->{stderr} = '';
		$session->query("SELECT $ways{$way}");
	}
	like($session->{stderr}, qr/ERROR:  could not write \d+ bytes of an image to memory/, "H12: $way that cannot be written");
	is(memfds(), $before, 'H12: ... leaves no descriptor behind');
}
system('prlimit', '--pid', $backend, '--fsize=unlimited:') == 0 or die 'could not free the session';
is($session->query('SELECT length(img_flip(image)) > 0 FROM picture'), 't', 'H12: and all is well after it');
$session->quit;
$node->stop;
done_testing();
