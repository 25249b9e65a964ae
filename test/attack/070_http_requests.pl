# Requests as bytes: what RFC 9110 and 9112 say of each, and that nothing hides behind one.
#
# Each row is [fault, what, paragraph, bytes, statuses that are right].  A request that is refused
# with 400 closes its connection, so that what follows it is not answered; of the others the next
# one is, which shows that both have the same idea of where a request ends.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use Test::More;

my $node = new_node('requests');
my $http = HttpServer->start($node, '--max-rate', 0);
my $next = "GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

# GET /health with some headers.
sub get { return "GET /health HTTP/1.1\r\nHost: localhost\r\n" . join('', map { "$_\r\n" } @_) . "\r\n" }

# A POST of a form field, in chunks as they are given.
sub chunked { return "POST /process HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n$_[0]" }

sub with_body
{
	my ($line, $body) = @_;

	return "$line HTTP/1.1\r\nHost: localhost\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

my @requests = (
	# Two ideas of where a request ends (RFC 9112, section 6 and 11.2).
	[ 'D3', 'two Content-Length that differ', '6.3', get('Content-Length: 0', 'Content-Length: 5'), 400 ],
	[ 'D3', 'two Content-Length that agree', '6.3', get('Content-Length: 0', 'Content-Length: 0'), 400 ],
	[ 'D3', 'a list of lengths', '6.3', get('Content-Length: 0, 0'), 400 ],
	[ 'D3', 'Content-Length and Transfer-Encoding', '6.3', get('Content-Length: 5', 'Transfer-Encoding: chunked') . "0\r\n\r\n", 400 ],
	[ 'D3', 'the same the other way round', '6.3', get('Transfer-Encoding: chunked', 'Content-Length: 5') . "0\r\n\r\n", 400 ],
	[ 'D3', 'two Transfer-Encoding', '6.1', get('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding: identity', '6.3', get('Transfer-Encoding: identity'), 400 ],
	[ 'D3', 'Transfer-Encoding: gzip', '6.3', get('Transfer-Encoding: gzip'), 400 ],
	[ 'D3', 'Transfer-Encoding: gzip, chunked', '6.1', get('Transfer-Encoding: gzip, chunked') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding: chunked, gzip', '6.3', get('Transfer-Encoding: chunked, gzip') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding: chunked, chunked', '6.1', get('Transfer-Encoding: chunked, chunked') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding: xchunked', '6.3', get('Transfer-Encoding: xchunked') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding: chunkedx', '6.3', get('Transfer-Encoding: chunkedx') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding: "chunked"', '6.3', get('Transfer-Encoding: "chunked"') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding: chunked;q=1', '6.3', get('Transfer-Encoding: chunked;q=1') . "0\r\n\r\n", 400 ],
	[ 'D3', 'an empty Transfer-Encoding', '6.3', get('Transfer-Encoding:') . "0\r\n\r\n", 400 ],
	[ 'D3', 'Transfer-Encoding in HTTP/1.0', '6.1', "GET /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 ],
	(map { [ 'D3', "Content-Length: $_", '6.2', get("Content-Length: $_"), 400 ] } '+0', '-1', '0x0', '1e3', '0,', '', 'abc', '0 0', '1_0', "0\t0", '"0"', "0\x{b2}"),
	[ 'D3', 'a Content-Length beyond 64 bits', '6.2', get('Content-Length: 18446744073709551616'), 413 ],
	[ 'D3', 'a Content-Length of forty digits', '6.2', get('Content-Length: ' . '9' x 40), 413 ],
	[ 'D3', 'a Content-Length of an exabyte', '6.2', get('Content-Length: 1152921504606846977'), 413 ],
	[ 'D3', 'a body with zeros before its length', '6.2', get('Content-Length: 000'), '200|503' ],

	# Host (section 3.2).
	[ 'D3', 'no Host', '3.2', "GET /health HTTP/1.1\r\n\r\n", 400 ],
	[ 'D3', 'two Host that differ', '3.2', get('Host: other'), 400 ],
	[ 'D3', 'two Host that agree', '3.2', get('Host: localhost'), 400 ],
	(map { [ 'D3', "Host: $_", '3.2', "GET /health HTTP/1.1\r\nHost: $_\r\n\r\n", 400 ] } '', 'a b', 'a/b', 'a@b', 'a,b', 'localhost:x', 'localhost:99999', 'localhost:-1', 'localhost:80:80', '[::1', '[x]', 'local?host', 'local#host', 'http://localhost', "local\x{e9}host", '%6cocalhost', '<a>', 'a\\b'),
	(map { [ 'D3', "Host: $_", '3.2', "GET /health HTTP/1.1\r\nHost: $_\r\n\r\n", '200|503' ] } 'localhost', 'LOCALHOST:8080', '127.0.0.1', '127.1.2.3:1', '[::1]', '[::1]:80', 'localhost:'),

	# The first line (section 3).
	(map { [ 'D3.1', 'first line: ' . ($_ =~ s/[^!-~]/?/gr), '3', "$_\r\nHost: localhost\r\n\r\n", 400 ] } 'GET  /health HTTP/1.1', 'GET /health  HTTP/1.1', ' GET /health HTTP/1.1', "GET\t/health HTTP/1.1", "GET /health\tHTTP/1.1", 'GET /health HTTP/1.1 ', 'GET /health HTTP/1.1 x', 'GET /health', 'GET', '/health HTTP/1.1', 'GET /health http/1.1', 'GET /health HTTP/1', 'GET /health HTTP/1.10', 'GET /health HTTP/+1.1', 'GET /health HTTPS/1.1', 'GET health HTTP/1.1', 'GET * HTTP/1.1', 'GET /a b HTTP/1.1', "GET /\x{e9} HTTP/1.1", "GET /\x{7f} HTTP/1.1", "GET /\x{1b}[2J HTTP/1.1", 'GET /health#x HTTP/1.1', 'G{T /health HTTP/1.1', 'GET: /health HTTP/1.1', 'GET http:///health HTTP/1.1', 'GET http://a@localhost/health HTTP/1.1', 'GET ftp://localhost/health HTTP/1.1', 'A' x 33 . ' /health HTTP/1.1'),
	(map { [ 'D3.1', "version $_", '2.3', "GET /health $_\r\nHost: localhost\r\n\r\n", 505 ] } 'HTTP/2.0', 'HTTP/0.9', 'HTTP/3.0'),
	[ 'D3.1', 'HTTP/1.9 is as 1.1', '2.3', "GET /health HTTP/1.9\r\nHost: localhost\r\n\r\n", '200|503' ],
	[ 'D3.1', 'an absolute URL', '3.2.2', "GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n", '200|503' ],
	[ 'D3.1', 'an absolute URL without a path', '3.2.2', "GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", 200 ],
	[ 'D3.1', 'the host of an absolute URL is the one that counts', '3.2.2', "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 421 ],
	[ 'D3.1', 'an empty line before', '2.2', "\r\n" . get(), '200|503' ],
	[ 'D3.1', 'two empty lines before', '2.2', "\r\n\r\n" . get(), 400 ],

	# The letter of the grammar (section 2.2, 5).
	[ 'D3.2', 'lines that end with LF', '2.2', "GET /health HTTP/1.1\nHost: localhost\n\n", 400 ],
	[ 'D3.2', 'one line that ends with LF', '2.2', "GET /health HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", 400 ],
	[ 'D3.2', 'an end of LF', '2.2', "GET /health HTTP/1.1\r\nHost: localhost\r\n\n", 400 ],
	[ 'D3.2', 'a CR alone', '2.2', get("X: a\rY: b"), 400 ],
	[ 'D3.2', 'CR CR LF', '2.2', get("X: a\r"), 400 ],
	[ 'D3.2', 'a NUL in a value', '5.5', get("X: a\0b"), 400 ],
	[ 'D3.2', 'a NUL in a name', '5.1', get("X\0: a"), 400 ],
	[ 'D3.2', 'a NUL in the URL', '3', "GET /health\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 ],
	[ 'D3.2', 'ESC in a value', '5.5', get("X: \x{1b}[2J"), 400 ],
	[ 'D3.2', 'DEL in a value', '5.5', get("X: \x{7f}"), 400 ],
	[ 'D3.2', 'a blank before the colon', '5.1', get('X : a'), 400 ],
	[ 'D3.2', 'a tab before the colon', '5.1', get("Content-Length\t: 5"), 400 ],
	[ 'D3.2', 'a blank before a name', '2.2', "GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n", 400 ],
	[ 'D3.2', 'a line that goes on (obs-fold)', '5.2', get("X: a\r\n b"), 400 ],
	[ 'D3.2', 'a hidden Transfer-Encoding', '5.2', get("X: a\r\n\tTransfer-Encoding: chunked"), 400 ],
	[ 'D3.2', 'no colon', '5', get('Xa'), 400 ],
	[ 'D3.2', 'no name', '5', get(': a'), 400 ],
	[ 'D3.2', 'a name with brackets', '5.6.2', get('X(y): a'), 400 ],
	[ 'D3.2', 'a name that is not ASCII', '5.6.2', get("X\x{e9}: a"), 400 ],
	[ 'D3.2', 'a value that is not ASCII', '5.5', get("X: \x{e9}"), '200|503' ],
	[ 'D3.2', 'an empty value', '5.5', get('X:'), '200|503' ],
	[ 'D3.2', 'blanks around a value', '5.1', get("X:\t a \t"), '200|503' ],
	(map { [ 'D3.3', "two $_", '5.3', get("$_: a", "$_: a"), 400 ] } 'Range', 'If-Range', 'Authorization', 'X-API-Key', 'Origin', 'Content-Type', 'If-Modified-Since'),
	[ 'D3.3', 'a hundred and one headers', '5.4', get(map { "X: $_" } 1 .. 100), 431 ],

	# Chunks (section 7.1).
	(map { [ 'D3.4', 'a chunk: ' . ($_ =~ s/[^!-~]/?/gr =~ s/^(.{30}).*/$1/r), '7.1', chunked($_), 400 ] } "+1\r\nx\r\n0\r\n\r\n", "-1\r\n\r\n", "0x1\r\nx\r\n0\r\n\r\n", " 1\r\nx\r\n0\r\n\r\n", "1 \r\nx\r\n0\r\n\r\n", "1\nx\n0\n\n", "1\r\nxy\r\n0\r\n\r\n", "1\r\nx0\r\n\r\n", "\r\nx\r\n0\r\n\r\n", "g\r\n\r\n", "1_0\r\n" . 'x' x 16 . "\r\n0\r\n\r\n", "10000000000000001\r\nx\r\n0\r\n\r\n", "ffffffffffffffff1\r\nx\r\n", '0' x 40 . "1\r\nx\r\n0\r\n\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n", "1;a\rb\r\nx\r\n0\r\n\r\n", '1;' . 'a' x 20000 . "\r\nx\r\n0\r\n\r\n", "0\r\nX: a\n\r\n", "0\r\nX\r\n\r\n", "0\r\n X: a\r\n\r\n", "0\r\nX : a\r\n\r\n", "0\r\nX: \0\r\n\r\n", "0\r\n" . "X: y\r\n" x 20000, "1\r\nx\r\n0\r\n\rX"),
	[ 'D3.4', 'chunks with extensions and a trailer', '7.1', chunked("1;a=b\r\nx\r\n2;c=\"d\"\r\nyz\r\n00\r\nX: a\r\n\r\n"), 422 ],
	[ 'D3.4', 'a trailer that would be a header', '7.1.2', chunked("1\r\nx\r\n0\r\nContent-Length: 100\r\nTransfer-Encoding: x\r\n\r\n"), 422 ],

	# Methods, and bodies where there should be none (RFC 9110, section 9).
	[ 'D2', 'GET with a body', '9.3.1', with_body('GET /health', 'x'), '200|503' ],
	[ 'D2', 'GET with a body in chunks', '9.3.1', get('Transfer-Encoding: chunked') . "1\r\nx\r\n0\r\n\r\n", '200|503' ],
	[ 'D2', 'GET of the page with a body', '9.3.1', with_body('GET /', 'x' x 1000), 200 ],
	[ 'D2', 'GET of nothing with a body', '9.3.1', with_body('GET /nothing', 'x'), '404 closed' ],
	[ 'D2', 'GET with a body that says it is a form', '9.3.1', "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n\r\n--x", '200|503' ],
	[ 'D2', 'GET with a body without end', '9.3.1', with_body('GET /health', 'x' x 70000), '413 closed' ],
	[ 'D2', 'GET with chunks without end', '9.3.1', get('Transfer-Encoding: chunked') . ("1000\r\n" . 'x' x 4096 . "\r\n") x 20 . "0\r\n\r\n", '413 closed' ],
	[ 'H4', 'HEAD with a body', '9.3.2', with_body('HEAD /health', 'x'), '200|503' ],
	[ 'H4', 'OPTIONS with a body', '9.3.7', with_body('OPTIONS /health', 'x'), 204 ],
	[ 'H4', 'OPTIONS * with a body in chunks', '9.3.7', "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 204 ],
	[ 'H4', 'OPTIONS *', '9.3.7', "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 204 ],
	[ 'H4', 'OPTIONS of nothing', '9.3.7', "OPTIONS /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404 ],
	(map { my $method = $_; map { [ 'H4', "$method with a body: " . length, '9', with_body("$method /health", $_), $_ eq '' ? 405 : '405 closed' ] } '', 'x' } qw(DELETE PUT PATCH TRACE)),
	[ 'H4', 'CONNECT', '9.3.6', "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405 ],
	[ 'H4', 'CONNECT with a path', '9.3.6', "CONNECT /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 ],
	[ 'H4', 'a method that nobody knows', '9.1', "BREW /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 501 ],
	[ 'H4', 'methods have their case', '9.1', "get /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 501 ],
	[ 'H4', 'POST without a body', '8.6', "POST /process HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 . ' open' ],
	[ 'H1', 'a method of ?', '9.1', "? /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400 ],
	(map { [ 'H1', "a method of $_", '9.1', "$_ /health HTTP/1.1\r\nHost: localhost\r\n\r\n", '501' ] } '-', '!', "'", '*', '0'),
	[ 'H1', 'a path of ?', '9.1', "GET /? HTTP/1.1\r\nHost: localhost\r\n\r\n", 200 ],

	# What is expected, and in which coding (RFC 9110, section 10.1.1 and 8.4).
	[ 'D3.5', 'Expect: something', '10.1.1', get('Expect: 200-ok'), '417 closed' ],
	[ 'D3.5', 'Expect without a body', '10.1.1', get('Expect: 100-continue'), '200|503' ],
	[ 'D3.5', 'a compressed body', '8.4', "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", '415 closed' ],
);

# What comes back until the server closes the connection; undef where it does not.
sub answers
{
	my ($bytes) = @_;
	my $answer = $http->raw($bytes, 20);

	return $answer;
}

my %done;
foreach my $request (@requests)
{
	my ($fault, $what, $paragraph, $bytes, $wanted) = @$request;
	my ($statuses, $state) = split / /, $wanted;
	my @found = (answers($bytes . $next) // '') =~ m{HTTP/1\.1 (\d\d\d) [A-Z]}g;
	# What cannot be read ends the connection; else the next request is answered, by 404.
	my $closes = $state ? $state eq 'closed' : $statuses =~ /^(400|413|431|505)$/;

	ok(@found && $found[0] =~ /^(?:$statuses)$/ && @found == ($closes ? 1 : 2) && ($closes || $found[1] == 404),
		"$fault: $what ($paragraph): $statuses" . ($closes ? ', and no more' : ' and the next')) or diag("answers: @found");
	$done{$fault}++;
}
note(join ' ', map { "$_: $done{$_}" } sort keys %done);

# HEAD and OPTIONS say what GET and the path have.
like(answers("OPTIONS /process HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), qr/\r\nAllow: POST, OPTIONS\r\n/, 'D8: Allow of a path that takes POST');
like(answers("POST /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), qr{^HTTP/1.1 405 .*\r\nAllow: GET, HEAD, OPTIONS\r\n}s, 'D8: 405 has Allow');
like(answers("GET /process HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), qr{^HTTP/1.1 405 .*\r\nAllow: POST, OPTIONS\r\n}s, 'D8: the other way round');
like(answers("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n"), qr{^HTTP/1.1 \d+ .*\r\nConnection: close\r\n}s, 'HTTP/1.0 closes');
like(answers("POST /process HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"), qr{^HTTP/1.1 100 Continue\r\n\r\n$}, 'Expect: 100-continue is answered, and the body waited for');

# Byte by byte, and many at once.
{
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port});
	foreach my $byte (split //, get('Connection: close')) { print $socket $byte; $socket->flush }
	my $answer = join '', <$socket>;
	like($answer, qr{^HTTP/1.1 (200|503)}, 'a request byte by byte');
}
is(scalar(() = answers((get() x 200) . $next) =~ m{HTTP/1\.1 \d\d\d [A-Z]}g), 201, '200 requests in one piece');

# A log that is read in a terminal.
kill 'HUP', $http->{pid};
like(answers("GET /log?secret HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \x{e9}\"\\ \r\nConnection: close\r\n\r\n"), qr/404/, 'an odd client');
my $log = '';
for (1 .. 100) { $log = PostgreSQL::Test::Utils::slurp_file($node->basedir . '/access.log'); last if $log =~ /log/; select(undef, undef, undef, 0.1) }
like($log, qr{"GET /log\?\.\.\. HTTP/1.1" 404 .*"\\xe9\\x22\\x5c"}, 'D7: the access log has escapes for what is not ASCII, quotes and backslashes');
unlike($log, qr/[^ -~\n]/, 'D7: and nothing raw, whatever was sent');
unlike($log, qr/secret/, 'and no query');

is(kill(0, $http->{pid}), 1, 'D2, H4: the server is still the one that was started');
is($http->stop, 0, 'and ends');
$node->stop;
done_testing();
