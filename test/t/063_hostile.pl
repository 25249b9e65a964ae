# Clients that mean no good, or are broken: imgexport-httpd refuses them, and goes on for the others.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $node = new_node('hostile');
my $http = HttpServer->start($node, '--header-timeout', 1, '--idle-timeout', 2, '--body-timeout', 2, '--max-body', 1,
	'--max-clients', 60, '--max-clients-per-address', 50, '--max-rate', 0);

sub ask { return $node->safe_psql('postgres', $_[0]) }

my $batch = ask("SELECT imgexport.submit(source => pg_read_binary_file('" . photo('dune.jpg') . "'), outputs => '{\"small\": {\"format\": \"jpeg\", \"width\": 320}}')");
ask("CALL imgexport.wait('$batch', '60s')");
my ($path, $sha256, $id) = split /\|/, ask("SELECT imgexport.url(image_id), encode(sha256, 'hex'), image_id FROM imgexport.image WHERE batch_id = '$batch'");
my $signed = ask("SELECT imgexport.url('$id', '1 hour')");
my $variant = ask("SELECT imgexport.variant_url('$id', 'w_40', 'webp')");

# The first line of what comes back to some bytes.
sub line_of
{
	my ($line) = split /\r\n/, $http->raw(@_) // '', 2;

	return ($line // '') =~ s/[^ -~]/?/gr;
}

sub is_well
{
	my ($what) = @_;
	my $answer = $http->ask($path);

	is($answer->{status} == 200 ? sha256_hex($answer->{content}) : $answer->{status}, $sha256, $what);
}

is_well('it works');

# What is no HTTP, or too much of it.
like(line_of("GET $path HTTP/1.1\r\nHost: localhost\r\nX: " . 'y' x 100000 . "\r\n\r\n"), qr{^HTTP/1\.[01] (431|413|414)}, 'huge headers');
like(line_of('GET /' . 'x' x 100000 . " HTTP/1.1\r\nHost: localhost\r\n\r\n"), qr{^HTTP/1\.[01] (431|413|414)|^$}, 'a huge URL');
like(line_of("GET $path HTTP/1.1\r\n" . join('', map { "H$_: 1\r\n" } 1 .. 5000) . "\r\n"), qr{^HTTP/1\.[01] (431|413)}, 'five thousand headers');
like(line_of("\0\1\2\3\r\n\r\n"), qr{^(HTTP/1\.[01] 4|$)}, 'bytes that are no HTTP');
like(line_of("GET $path HTTP/9.9\r\n\r\n"), qr{^(HTTP/1\.[01] [45]0[05]|$)}, 'a version that is none');
like(line_of("GET $path HTTP/1.1\r\n\r\n"), qr{^HTTP/1\.[01] 400}, 'no Host');
foreach my $method (qw(PUT DELETE TRACE CONNECT PATCH X))
{
	like(line_of("$method $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), qr{^HTTP/1\.1 (405|400|501)}, "$method");
}
foreach my $traversal ('/../../../../etc/passwd', '/static/output/../../../etc/passwd', '/static/output/%2e%2e%2f%2e%2e%2fetc%2fpasswd', '//etc/passwd', '/static/output/..%00.jpg', "/static/output/$id.jpg%00", '/static/output//' . $id . '.jpg', '/img/../../x', '/api/download/../../../etc/shadow', '/static/output/' . '../' x 100)
{
	like(line_of("GET $traversal HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), qr{^HTTP/1\.1 40[0134]}, "no way: $traversal");
}
foreach my $sql ("/static/output/'; DROP TABLE imgexport.image; --", "/jobs/' OR 1=1/images", "/api/status/$batch' --", "/jobs/$batch/images?product_id=0;SELECT", "/api/download/$id.jpg?expires=9999999999&key=' OR '1'='1&signature=" . '0' x 64)
{
	my $plain = $sql =~ s/ /%20/gr;
	like(line_of("GET $plain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), qr{^HTTP/1\.1 40[034]}, "no SQL: $sql");
}

# Bodies.
like(line_of("POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\nx"), qr{^HTTP/1\.1 413}, 'a body that is said to be too large');
like(line_of("POST /process HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" . ("10000\r\n" . 'x' x 65536 . "\r\n") x 40 . "0\r\n\r\n"), qr{^HTTP/1\.1 413|^$}, 'one that turns out to be');
like(line_of("POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc"), qr{^HTTP/1\.1 400}, 'a form without a boundary');
like(line_of("POST /process HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=a\r\nContent-Length: 30\r\n\r\n" . 'no form at all, just some text'), qr{^HTTP/1\.1 400}, 'a form that is none');
like(line_of("POST /process HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\n" . 'a=1&' x 1000), qr{^HTTP/1\.1 4(13|00)}, 'a form with a thousand fields');
is($http->ask('/process', method => 'POST', content => "\xff\xd8\xff" . 'x' x 1000)->{status}, 422, 'an image that is none');

# Slow ones are cut off, each in the time that it has.
foreach my $slow (
	[ 'headers that trickle', "GET $path HTTP/1.1\r\nHost: localhost\r\nX: ", 'y' ],
	[ 'a body that trickles', "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", 'z' ],
	[ 'nothing at all', '', '' ])
{
	my ($what, $start, $more) = @$slow;
	my @sockets = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port}) } 1 .. 10;
	my $began = time;

	local $SIG{PIPE} = 'IGNORE';
	foreach (@sockets) { print $_ $start; $_->flush }
	while (@sockets && time - $began < 20)
	{
		sleep 0.2;
		foreach my $ready (IO::Select->new(@sockets)->can_read(0))
		{
			@sockets = grep { $_ != $ready } @sockets if !sysread($ready, my $part, 4096);
		}
		foreach (@sockets) { print $_ $more; $_->flush }
	}
	is(scalar @sockets, 0, "$what: cut off");
	is_well('and others are served meanwhile');
}

# More than it takes at once.
my @crowd = grep { defined } map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port}, Timeout => 1) } 1 .. 80;
sleep 0.3;
my @open = grep { my $reader = IO::Select->new($_); !($reader->can_read(0) && !sysread($_, my $part, 1)) } @crowd;
ok(@open <= 50, 'of one address no more than are allowed: ' . @open);
close $_ foreach @crowd;
for (1 .. 50) { last if $http->ask($path)->{status} == 200; sleep 0.1 }
is_well('when they are gone there is room again');

# Whatever they ask for.
my $memory = $http->memory_kb;
my $statuses = `python3 test/server/damaged.py $http->{port} 100000 1 '$path' '$signed' '$variant' '/jobs/$batch/images' '/jobs/$batch/images/${batch}_0_0' '/api/status/$batch' '/health' '/'`;
note("100,000 random requests: $statuses");
like($statuses, qr/\b200:\d+/, 'of 100,000 random requests some are good');
unlike($statuses, qr/\b5\d\d:/, 'and none is an error of ours');
is_well('afterwards it is as before');
# AddressSanitizer keeps what is freed for a while.
ok($http->memory_kb < $memory + ($ENV{ASAN_OPTIONS} ? 500000 : 40000), "memory: $memory kB before, " . $http->memory_kb . ' kB after');
is(ask('SELECT count(*) FROM imgexport.image'), 1, 'nothing was lost');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|terminated by signal|FATAL:  (?!terminating)/, 'and nothing was broken');

is($http->stop, 0, 'it ends');
$node->stop;
done_testing();
