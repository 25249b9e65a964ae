# img_fetch against a real web server, and against addresses that it must refuse.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use WebServer;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('fetch', "imgexport.fetch_timeout = '3s'", "imgexport.fetch_max_bytes = '20MB'");
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;

is( $node->safe_psql('postgres',
		"SELECT img_fetch('$url/photo-720p.jpg') = pg_read_binary_file('" . photo('photo-720p.jpg') . "')"),
	't', 'a photograph arrives byte for byte');
is($node->safe_psql('postgres', "SELECT (img_info(img_resize(img_fetch('$url/dune.jpg'), 100))).width"),
	100, 'and is an image like any other');
is($node->safe_psql('postgres', "SELECT length(img_fetch('$url/redirect?to=$url/dune.jpg')) > 10000"),
	't', 'a redirect is followed');

my %failures = (
	"$url/missing.jpg" => qr/IX005: .*404/,
	"$url/status/500" => qr/IX005: .*500/,
	"$url/drip" => qr/IX004: .*HINT:  .*imgexport\.fetch_timeout/s,
	"$url/endless" => qr/IX003|IX005: .*(bytes|large)/,
	"$url/gzip-bomb" => qr/IX003|IX005: .*(bytes|large)/,
	"$url/short" => qr/IX005/,
	"$url/close" => qr/IX005/,
	'http://127.0.0.1:1/' => qr/IX005/,
	'ftp://127.0.0.1/x' => qr/22023|IX006/,
	'file:///etc/passwd' => qr/22023|IX006/,
	'nonsense' => qr/22023/,
	'' => qr/22023/);
foreach my $target (sort keys %failures)
{
	(my $name = $target) =~ s/:\d+//;
	like(error_of($node, "SELECT length(img_fetch('$target'))"), $failures{$target},
		"refused or failed as it should: '$name'");
}

my $start = time;
like(error_of($node, "SET statement_timeout = '300ms'; SELECT img_fetch('$url/drip')"),
	qr/57014/, 'a cancel ends a transfer');
cmp_ok(time - $start, '<', 2.5, 'at once');

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
like(error_of($node, "SET ROLE app; SELECT img_fetch('$url/dune.jpg')"), qr/42501/,
	'nobody may fetch to whom it was not granted');

# Without the network on the list the same address is refused, also by name and by redirect.
my $refused = "RESET imgexport.fetch_allowed_networks; SET imgexport.fetch_allowed_networks = '';";
foreach my $target ("$url/dune.jpg", 'http://localhost:9/', 'http://[::1]:9/', 'http://127.1:9/',
	'http://2130706433:9/', 'http://0x7f.0.0.1:9/', 'http://[::ffff:127.0.0.1]:9/',
	'http://0.0.0.0:9/')
{
	(my $name = $target) =~ s/127\.0\.0\.1:\d+/127.0.0.1/;
	like(error_of($node, "$refused SELECT img_fetch('$target')"), qr/IX006/, "refused: $name");
}
like(error_of($node, "SET imgexport.fetch_allowed_hosts = 'example.com';
		SELECT img_fetch('$url/dune.jpg')"), qr/IX006/, 'a host that is not on the list is refused');

$web->stop;
$node->stop;
done_testing();
