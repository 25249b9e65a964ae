# Clients that want more than is theirs: bytes, memory, connections, other people's browsers.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use Digest::SHA qw(sha256_hex);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('clients');
my $http = HttpServer->start($node, '--max-rate', 0);

sub ask { return $node->safe_psql('postgres', $_[0]) }

my $batch = ask("SELECT imgexport.submit(source => pg_read_binary_file('" . photo('dune.jpg') . "'), outputs =>
	'{\"small\": {\"format\": \"jpeg\", \"width\": 320}, \"large\": {\"format\": \"png\"}}')");
ask("CALL imgexport.wait('$batch', '60s')");

sub image_of
{
	return split /\|/, ask("SELECT imgexport.url(image_id), bytes, image_id FROM imgexport.image WHERE batch_id = '$batch' AND name = '$_[0]'");
}

my ($small, $small_bytes, $small_id) = image_of('small');
my ($large, $large_bytes, $large_id) = image_of('large');
my $small_body = $http->ask($small)->{content};
my $large_body = $http->ask($large)->{content};
my %headers = %{ $http->ask($small)->{headers} };

# D1: numbers at the end of what a number can be.  No answer has a byte that is not the image's.
foreach my $which ([ small => $small, $small_body ], [ large => $large, $large_body ])
{
	my ($name, $path, $body) = @$which;
	my $size = length $body;
	my @edges = (0, 1, $size - 1, $size, $size + 1, map { (2**$_ - 1, 2**$_) } 31, 32);

	push @edges, qw(9223372036854775807 9223372036854775808 18446744073709551614 18446744073709551615 18446744073709551616 36893488147419103233), '9' x 60, '0' x 40 . '1';
	my @wrong;
	foreach my $first ('', @edges)
	{
		foreach my $last ('', @edges)
		{
			my $answer = $http->ask($path, headers => { Range => "bytes=$first-$last" });
			my ($from, $to) = ($answer->{headers}{'content-range'} // '') =~ m{^bytes (\d+)-(\d+)/$size$};
			my $good = $answer->{status} == 206 ? defined $to && $from <= $to && $to < $size && $answer->{content} eq substr($body, $from, $to - $from + 1)
			  : $answer->{status} == 416 ? $answer->{headers}{'content-range'} eq "bytes */$size" && $answer->{headers}{'cache-control'} eq 'no-store'
			  : $answer->{status} == 200 && $answer->{content} eq $body;

			push @wrong, "$first-$last: $answer->{status}" if !$good;
		}
	}
	is_deeply(\@wrong, [], 'D1: ' . (@edges + 1)**2 . " ranges of a $name image give its bytes and nothing else");
}
is($http->ask($small, headers => { Range => 'bytes=1-18446744073709551615' })->{content}, substr($small_body, 1), 'D1: the range that was found');
is(kill(0, $http->{pid}), 1, 'D1: the server lives');

# Several ranges (RFC 9110, section 14), which come as parts, or as one where they touch.
sub parts_of
{
	my ($answer) = @_;
	my ($boundary) = ($answer->{headers}{'content-type'} // '') =~ m{^multipart/byteranges; boundary=(\w+)$} or return;

	return map { m{^\r\nContent-Type: (\S+)\r\nContent-Range: bytes (\d+)-(\d+)/\d+\r\n\r\n(.*)\r\n$}s ? [ $1, $2, $3, $4 ] : () } split /--$boundary(?:--)?/, $answer->{content};
}

foreach my $which ([ $small, $small_body ], [ $large, $large_body ])
{
	my ($path, $body) = @$which;
	my $size = length $body;
	my $answer = $http->ask($path, headers => { Range => 'bytes=0-9, -5 ,' . int($size / 2) . '-' . (int($size / 2) + 99) });
	my @parts = parts_of($answer);

	is($answer->{status} . ' ' . join(' ', map { "$_->[0] $_->[1]" } @parts), "206 $headers{'content-type'} 0 $headers{'content-type'} " . ($size - 5) . " $headers{'content-type'} " . int($size / 2), "D8: three ranges of $size bytes") if $path eq $small;
	is((grep { $_->[3] ne substr($body, $_->[1], $_->[2] - $_->[1] + 1) } @parts) + 0, 0, 'D8: each has its bytes');
	is($answer->{headers}{'content-length'}, length $answer->{content}, 'D8: as long as it is said to be');
}
foreach my $case ([ 'bytes=0-4,3-9', '206 0-9' ], [ 'bytes=0-4,5-9', '206 0-9' ], [ 'BYTES=0-1', '206 0-1' ], [ 'bytes=,0-1,', '206 0-1' ], [ "bytes=0-1,$small_bytes-", '206 0-1' ],
	[ "bytes=$small_bytes-,-0", '416 *' ], [ 'bytes=0-1,x', '200' ], [ 'bytes=5-1,0-1', '200' ], [ 'bytes=0 -1', '200' ], [ 'bytes= 0-1', '206 0-1' ], [ 'bytes =0-1', '200' ], [ 'bytes=+0-1', '200' ], [ 'bytes=0x0-1', '200' ],
	[ 'bytes=0-1-2', '200' ], [ 'bytes=' . join(',', map { 2 * $_ . '-' . 2 * $_ } 0 .. 16), '200' ])
{
	my $answer = $http->ask($small, headers => { Range => $case->[0] });
	my ($range) = ($answer->{headers}{'content-range'} // '') =~ m{^bytes (.*)/$small_bytes$};

	is(join(' ', $answer->{status}, $range // ()), $case->[1], "D8: $case->[0]");
}
my $head = $http->ask($small, method => 'HEAD', headers => { Range => 'bytes=0-1' });
is("$head->{status} $head->{headers}{'content-length'} " . ($head->{headers}{'content-range'} // 'whole'), "200 $small_bytes whole", 'D8: HEAD has no ranges');

# Conditions, alone and together (RFC 9110, section 13).
my ($etag, $modified) = @headers{qw(etag last-modified)};
my ($before, $after) = ('Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 2089 08:49:37 GMT');
foreach my $case (
	[ 304, 'If-Modified-Since' => $modified ], [ 304, 'If-Modified-Since' => $after ], [ 200, 'If-Modified-Since' => $before ],
	[ 200, 'If-Modified-Since' => 'Sunday, 06-Nov-94 08:49:37 GMT' ], [ 200, 'If-Modified-Since' => 'Sun Nov  6 08:49:37 1994' ], [ 200, 'If-Modified-Since' => 'yesterday' ], [ 200, 'If-Modified-Since' => 'Sun, 06 Nov 2089 08:49:37 +0000' ],
	[ 200, 'If-Unmodified-Since' => $modified ], [ 412, 'If-Unmodified-Since' => $before ], [ 200, 'If-Unmodified-Since' => 'never' ],
	[ 200, 'If-Match' => $etag ], [ 200, 'If-Match' => '*' ], [ 200, 'If-Match' => "\"x\", $etag" ], [ 412, 'If-Match' => '"x"' ], [ 412, 'If-Match' => "W/$etag" ],
	[ 304, 'If-None-Match' => $etag ], [ 304, 'If-None-Match' => "W/$etag" ], [ 304, 'If-None-Match' => '*' ], [ 304, 'If-None-Match' => ",, \"a,b\" ,$etag" ], [ 200, 'If-None-Match' => '"x"' ],
	[ 200, 'If-None-Match' => $etag =~ s/"//gr ], [ 200, 'If-None-Match' => "x$etag" ], [ 200, 'If-None-Match' => '"*"' ],
	# Together: a tag goes before a time, and If-Match before If-None-Match.
	[ 200, 'If-None-Match' => '"x"', 'If-Modified-Since' => $after ], [ 304, 'If-None-Match' => $etag, 'If-Modified-Since' => $before ],
	[ 200, 'If-Match' => $etag, 'If-Unmodified-Since' => $before ], [ 412, 'If-Match' => '"x"', 'If-None-Match' => $etag ], [ 304, 'If-Match' => $etag, 'If-None-Match' => $etag ], [ 412, 'If-Unmodified-Since' => $before, 'If-None-Match' => $etag ],
	[ 206, 'If-Range' => $etag, Range => 'bytes=0-1' ], [ 206, 'If-Range' => $modified, Range => 'bytes=0-1' ], [ 200, 'If-Range' => '"x"', Range => 'bytes=0-1' ], [ 200, 'If-Range' => "W/$etag", Range => 'bytes=0-1' ],
	[ 200, 'If-Range' => $after, Range => 'bytes=0-1' ], [ 200, 'If-Range' => $before, Range => 'bytes=0-1' ], [ 304, 'If-None-Match' => $etag, Range => 'bytes=0-1' ], [ 412, 'If-Match' => '"x"', Range => 'bytes=0-1' ], [ 206, 'If-Match' => $etag, Range => 'bytes=0-1' ])
{
	my ($status, %conditions) = @$case;

	foreach my $method ('GET', $status == 206 ? () : 'HEAD')
	{
		is($http->ask($small, method => $method, headers => { %conditions })->{status}, $status, "D8: $method with " . join(', ', map { "$_: $conditions{$_}" } sort keys %conditions));
	}
}

# What is accepted (section 12.5.1), of a variant and of a job's outputs.
my $variant = ask("SELECT imgexport.variant_url('$small_id', 'w_20')");
foreach my $case (
	[ 'webp', 'image/avif;q=0.5, image/webp' ], [ 'avif', 'image/webp;q=0.5, image/avif;q=0.9' ], [ 'webp', 'image/avif;q=0, image/webp' ], [ 'jpeg', 'image/avif;q=0, image/webp;q=0.0, */*' ],
	[ 'png', 'image/png' ], [ 'png', 'IMAGE/PNG;Q=1.0' ], [ 'png', 'image/png, */*;q=0.1' ], [ 'gif', 'image/gif;q=0.2, text/html' ], [ 'webp', 'image/webp,image/avif' ], [ 'avif', 'image/avif,image/webp' ],
	[ 'jpeg', '*/*' ], [ 'jpeg', 'image/*' ], [ 'png', '*/*, image/jpeg;q=0' ], [ 'jpeg', 'image/jpeg;q=0.1, image/heic' ], [ 'jpeg', 'text/html' ], [ 'jpeg', 'image/*;q=0' ], [ 'jpeg', '' ],
	[ 'avif', 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8' ], [ 'jpeg', 'image/webp;q=0.1, */*;q=0.9' ], [ 'jpeg', 'image/webp;q=x, */*' ], [ 'webp', 'text/*, image/webp;a="b,image/avif"' ])
{
	my ($format, $accept) = @$case;
	my $answer = $http->ask($variant, headers => { Accept => $accept });

	is("$answer->{status} $answer->{headers}{'content-type'} " . ($answer->{headers}{vary} // ''), "200 image/$format Accept", "D8: Accept: $accept gives $format");
}
is($http->ask("/jobs/$batch/images/${batch}_0_0", headers => { Accept => $_->[0] })->{headers}{'content-type'}, "image/$_->[1]", "D8: a job's output for $_->[0]") foreach [ 'image/png', 'png' ], [ '*/*', 'jpeg' ], [ 'image/jpeg;q=0.1,image/png;q=0.2', 'png' ], [ 'image/jpeg;q=0,*/*', 'png' ];
is($http->ask('/metrics', headers => { Accept => $_->[0] })->{headers}{'content-type'}, $_->[1], "D8: metrics for $_->[0]") foreach [ 'application/json', 'application/json' ], [ 'application/json;q=0.1, text/plain', 'text/plain; version=0.0.4; charset=utf-8' ], [ 'application/json;q=0', 'text/plain; version=0.0.4; charset=utf-8' ];

# File names (RFC 6266).
ask("UPDATE imgexport.image SET name = E'../../größe \"x\"\\r\\nSet-Cookie: a=b' WHERE image_id = '$small_id'");
my $named = $http->ask($small);
is($named->{headers}{'content-disposition'}, q(inline; filename="_.._gr__e _x_Set-Cookie_ a=b.jpg"; filename*=UTF-8''_.._gr%C3%B6%C3%9Fe%20_x_Set-Cookie_%20a%3Db.jpg), 'D8: Content-Disposition names no path, and all letters in its second form');
is($named->{headers}{'set-cookie'}, undef, 'D8: and begins no other header');

# D4: whatever a client sends as Accept, and however much of it.
sub own { my ($name) = @_; return ($http->ask('/metrics')->{content} =~ /^imgexport_http_\Q$name\E (\S+)$/m)[0] }
{
	my $before = own('memory_bytes');
	my $rss = $http->memory_kb;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port});
	my $times = slow_checks() ? 1000 : 300;
	foreach my $n (1 .. $times)
	{
		print $socket "GET $variant HTTP/1.1\r\nHost: localhost\r\nAccept: image/jpeg" . join('', map { ", a/$n-$_" } 1 .. 2500) . "\r\n\r\n";
		$socket->flush;
		my $answer = '';
		while ($answer !~ /\r\n\r\n/) { sysread($socket, $answer, 65536, length $answer) or last }
		my ($length) = $answer =~ /Content-Length: (\d+)/;
		while (length($answer) - index($answer, "\r\n\r\n") - 4 < $length) { sysread($socket, $answer, 65536, length $answer) or last }
		last if $answer !~ /^HTTP\/1.1 200/;
		is($n, $times, "D4: $times Accept headers of 30 kB each") if $n == $times;
	}
	close $socket;
	cmp_ok(own('memory_bytes'), '<', $before + 1000000, 'D4: leave nothing that is counted');
	cmp_ok($http->memory_kb, '<', $rss + ($ENV{ASAN_OPTIONS} ? 100000 : 10000), 'D4: and nothing that is not');
}

# D6: pages of other sites, and names that others point here.
my $post = "POST /process HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n";
foreach my $case ([ 'Origin: http://evil.example', 403 ], [ 'Origin: null', 403 ], [ 'Origin: http://localhost.evil.example', 403 ], [ 'Origin: http://localhost:1', 403 ], [ 'Origin: http://evil.example/localhost', 403 ], [ 'Sec-Fetch-Site: cross-site', 403 ], [ 'Sec-Fetch-Site: same-site', 403 ],
	[ 'Origin: http://localhost', 422 ], [ 'Sec-Fetch-Site: same-origin', 422 ], [ 'X: y', 422 ])
{
	like($http->raw("${post}Host: localhost\r\n$case->[0]\r\n\r\nx"), qr{^HTTP/1.1 $case->[1] }, "D6: POST with $case->[0]: $case->[1]");
}
foreach my $host ('evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'evil.example:8080', '192.168.0.1', '[::2]', '127.1', '127.0.0.1.', '0x7f000001', '0.0.0.0', 'xlocalhost')
{
	like($http->raw("GET $_ HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n"), qr{^HTTP/1.1 421 }, "D6: GET $_ of $host") foreach '/api/gallery', '/', $small;
	like($http->raw("${post}Host: $host\r\n\r\nx"), qr{^HTTP/1.1 421 }, "D6: POST to $host");
}
like($http->raw("GET /api/gallery HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n"), qr{^HTTP/1.1 403 }, 'D6: the gallery for a page of another site');
like($http->raw("GET $small HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n"), qr{^HTTP/1.1 200 }, 'D6: an image whose URL is known may be shown anywhere');
is(ask("SELECT count(*) FROM imgexport.job WHERE batch_id <> '$batch' AND source <> 'x'"), 0, 'D6: nothing was submitted');
{
	my $other = HttpServer->start($node, '--allow-host', 'images.example, Second.Example', '--allow-origin', 'https://shop.example');
	my $all = sub { ($other->raw("GET /api/gallery HTTP/1.1\r\n" . join('', map { "$_\r\n" } @_) . "Connection: close\r\n\r\n") =~ m{^HTTP/1.1 (\d+)})[0] };

	is(join(' ', map { $all->($_) } 'Host: images.example', 'Host: IMAGES.example:80', 'Host: second.example', 'Host: third.example'), '200 200 200 421', 'D6: --allow-host');
	is(join(' ', map { $all->('Host: localhost', "Origin: $_") } 'https://shop.example', 'http://shop.example', 'https://shop.example.evil'), '200 403 403', 'D6: --allow-origin');
	append_to_file($node->basedir . '/key', "0123456789abcdef\n");
	chmod 0600, $node->basedir . '/key';
	$other->stop;
	my $keyed = HttpServer->start($node, '--api-key-file', $node->basedir . '/key');
	like($keyed->raw("GET /api/gallery HTTP/1.1\r\nHost: any.example\r\nOrigin: http://evil.example\r\nX-API-Key: 0123456789abcdef\r\nConnection: close\r\n\r\n"), qr{^HTTP/1.1 200 }, 'D6: with a key, the key decides');
	$keyed->stop;
}

# D5: a client with every connection that it can have, and one more beside it.
{
	my $crowded = HttpServer->start($node, '--max-clients', 40, '--max-clients-per-address', 30, '--max-rate', 20);
	my $connect = sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $crowded->{port}, LocalAddr => $_[0]) };
	my $answer_of = sub { my ($socket) = @_; print $socket "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"; $socket->flush; local $/; my ($status) = (<$socket> // '') =~ m{^HTTP/1.1 (\d+)}; $status // 'closed' };

	my @kept = map { $connect->('127.0.0.1') } 1 .. 200;
	is($answer_of->($connect->('127.0.0.2')), 200, 'D5: 200 kept connections of one address leave room for others');
	is($answer_of->($connect->('127.0.0.1')), 200, 'D5: and for that address too');
	cmp_ok(scalar(grep { !IO::Select->new($_)->can_read(0.01) } @kept), '<=', 30, 'D5: the oldest of them were closed');
	@kept = ();

	# Busy ones are not closed for others: the next is refused, and says so.
	my @busy = map { my $socket = $connect->('127.0.0.3'); print $socket "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"; $socket->flush; $socket } 1 .. 30;
	my $refused;
	for (1 .. 100) { $refused = $answer_of->($connect->('127.0.0.3')); last if $refused ne '200'; select(undef, undef, undef, 0.05) }
	like($refused, qr/^(503|closed)$/, 'D5: an address whose connections are all busy has no more');
	is($answer_of->($connect->('127.0.0.2')), 200, 'D5: which others do not notice');
	@busy = ();

	# So many a second, and a burst.
	my @statuses = map { $answer_of->($connect->('127.0.0.4')) } 1 .. 400;
	my %count;
	$count{$_}++ foreach @statuses;
	ok(($count{200} // 0) >= 100 && ($count{429} // 0) > 0, 'D5: more requests than an address may make are 429: ' . join(' ', map { "$_=$count{$_}" } sort keys %count));
	is($answer_of->($connect->('127.0.0.2')), 200, 'D5: of that address alone');
	$crowded->stop;
}

# Bodies together have one limit, and the cache makes room for them.
{
	my $tight = HttpServer->start($node, '--memory', 16, '--max-body', 4, '--max-rate', 0, '--cache', 8);
	my $rss = $tight->memory_kb;
	my @sockets = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tight->{port}) } 1 .. 20;
	local $SIG{PIPE} = 'IGNORE';
	foreach (@sockets) { print $_ "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n" . 'x' x 3900000; $_->flush }
	my $refused = grep { my $got = ""; IO::Select->new($_)->can_read(1) && sysread($_, $got, 4096) && $got =~ m{^HTTP/1.1 503} } @sockets;
	cmp_ok($refused, '>=', 15, "D4.1: of 20 bodies of 4 MB $refused do not fit in 16 MB");
	cmp_ok($tight->memory_kb, '<', $rss + ($ENV{ASAN_OPTIONS} ? 200000 : 24000), 'D4.1: and take no memory');
	is($tight->ask('/')->{status}, 200, 'D4.1: others are served');
	@sockets = ();
	is($tight->ask($large)->{content} eq $large_body ? 'same' : 'other', 'same', 'D4.1: images too');
	$tight->stop;
}

# H2: what fails in the middle of a body is no part of the body.
foreach my $failure (
	[ 'an error', "RAISE query_canceled" ], [ 'no bytes', 'RETURN NULL' ], [ 'an empty slice', "RETURN ''" ], [ 'more than was asked for', "RETURN repeat('x', 3000000)::bytea" ],
	[ 'another slice than it is long', "RETURN repeat('x', 1048576)::bytea" ])
{
	my ($what, $body) = @$failure;
	# A small tail: an error as JSON could be as long.
	my $size = $what eq 'another slice than it is long' ? 1048576 + 10 : 1048576 + 75;
	my $fresh = HttpServer->start($node);

	ask("CREATE TABLE kept AS SELECT data, bytes, sha256 FROM imgexport.image WHERE image_id = '$large_id';
		UPDATE imgexport.image SET data = substring(data FROM 1 FOR $size), bytes = $size WHERE image_id = '$large_id';
		ALTER FUNCTION imgexport.http_slice(text, int8, int) RENAME TO http_slice_kept;
		CREATE FUNCTION imgexport.http_slice(more text, start int8, most int DEFAULT 1048576) RETURNS bytea LANGUAGE plpgsql AS \$\$BEGIN $body; END\$\$;
		GRANT EXECUTE ON FUNCTION imgexport.http_slice(text, int8, int) TO web");
	ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'imgexport-httpd'");
	my $raw = $fresh->raw("GET $large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 20) // '';
	my ($head, $content) = split /\r\n\r\n/, $raw, 2;
	like($head, qr/Content-Length: $size/, "H2: $what: the head says how long it is");
	cmp_ok(length($content // ''), '<=', 1048576, "H2: $what: and the connection breaks before that");
	is($content // '', substr($large_body, 0, length($content // '')), "H2: $what: what came is of the image");
	unlike($raw, qr/success/, "H2: $what: no error among the bytes");
	is($fresh->ask('/health')->{status} =~ /^(200|503)$/ ? 1 : 0, 1, "H2: $what: the server goes on");
	ask("DROP FUNCTION imgexport.http_slice(text, int8, int); ALTER FUNCTION imgexport.http_slice_kept(text, int8, int) RENAME TO http_slice;
		UPDATE imgexport.image i SET data = k.data, bytes = k.bytes FROM kept k WHERE i.image_id = '$large_id'; DROP TABLE kept");
	$fresh->stop;
}
# The image is another one by the time of the second slice.
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port}, Proto => 'tcp');
	setsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 4096);
	ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'imgexport-httpd'");
	my $answer = $http->ask($large, headers => { Range => 'bytes=0-9' });
	ask("UPDATE imgexport.image SET sha256 = sha256('other') WHERE image_id = '$large_id'");
	is(ask("SELECT imgexport.http_slice('$large_id ' || '$answer->{headers}{etag}', 1048576) IS NULL"), 't', 'H2: a slice of an image that is another now is none');
}

# H3: requests under way, kept connections and half requests when it is told to end.
foreach my $moment (slow_checks() ? (0, 0.05, 0.2) : 0.05)
{
	my $ending = HttpServer->start($node);
	my @sockets;
	ask("UPDATE imgexport.queue SET paused = true WHERE name = 'default'") if $moment == 0;
	foreach my $request ("GET $large HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /api/gallery HTTP/1.1\r\nHost: localhost\r\n\r\n" x 20, "GET /hea", "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc", '',
		"GET " . ask("SELECT imgexport.variant_url('$small_id', 'w_" . int(100 + $moment * 100) . ",blur_3', 'avif')") . " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: " . length($small_body) . "\r\n\r\n$small_body")
	{
		for (1 .. 3)
		{
			my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ending->{port});
			print $socket $request;
			$socket->flush;
			push @sockets, $socket;
		}
	}
	select(undef, undef, undef, $moment) if $moment;
	kill 'TERM', $ending->{pid};
	# Who is connected goes on asking.
	local $SIG{PIPE} = 'IGNORE';
	foreach (@sockets) { print $_ "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"; $_->flush }
	is($ending->stop, 0, "H3: told to end after $moment s with 24 clients at all stages, it ends well");
	ask("UPDATE imgexport.queue SET paused = false WHERE name = 'default'");
}

is($http->stop, 0, 'the server that was there all the time ends well');
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'and nothing was broken');
$node->stop;
done_testing();
