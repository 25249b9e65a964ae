# Forms as clients send them, and as they should not: ours are not among the clients.
use strict;
use warnings;
use utf8;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use Encode qw(encode_utf8);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('forms');
my $http = HttpServer->start($node, '--max-rate', 0);
my $photo = slurp_file(photo('flower.jpg'));
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/broken", 'broken');

# A body of parts, each its headers and bytes.
sub parts { return join('', map { "--x\r\n$_->[0]\r\n\r\n$_->[1]\r\n" } @_) . "--x--\r\n" }
sub form_data { return "Content-Disposition: form-data; $_[0]" }

# Status, and the file names that the server saw; a text field "filename" of a part that has none.
sub names_of
{
	my ($body, $type) = @_;
	my $answer = $http->ask('/metadata/batch', method => 'POST', content => $body, headers => { 'Content-Type' => $type // 'multipart/form-data; boundary=x' });
	my $said = decode_json($answer->{content});

	return join ' | ', $answer->{status}, map { $_->{filename} } @{ $said->{results} // [] };
}

# How a name may be written (RFC 7578, 2183, 5987 and what clients do).
foreach my $case (
	[ 'a.jpg', 'name="image"; filename="a.jpg"' ], [ 'a.jpg', 'name=image; filename=a.jpg' ], [ 'a.jpg', q(name=image; filename=a.jpg; filename*=utf-8''a.jpg) ], [ 'ä.jpg', q(name=image; filename="=?utf-8?B?w6QuanBn?="; filename*=utf-8''%C3%A4.jpg) ],
	[ 'ä.jpg', q(name=image; filename*=UTF-8''%c3%a4.jpg; filename="a.jpg") ], [ 'ä.jpg', q(name=image; filename*=UTF-8'de'%c3%a4.jpg) ], [ 'ä.jpg', q(name=image; filename*=iso-8859-1''%e4.jpg) ], [ 'a.jpg', q(name=image; filename=a.jpg; filename*=utf-8''%ff.jpg) ], [ 'a.jpg', q(name=image; filename=a.jpg; filename*=koi8-r''%c1.jpg) ], [ 'a.jpg', q(name=image; filename=a.jpg; filename*=nonsense) ], [ 'a.jpg', q(name=image; filename=a.jpg; filename*=utf-8''a%00.jpg) ],
	[ 'ä.jpg', encode_utf8('name="image"; filename="ä.jpg"') ], [ 'ä.jpg', qq(name="image"; filename="\xe4.jpg") ], [ '日本.jpg', encode_utf8('name=image; filename="日本.jpg"') ],
	[ 'a b.jpg', 'name=image; filename=a b.jpg' ], [ 'a;b.jpg', 'name=image; filename="a;b.jpg"' ], [ 'a"b.jpg', 'name=image; filename="a\\"b.jpg"' ], [ 'b.jpg', 'name=image; filename="C:\\Users\\b.jpg"' ], [ 'b.jpg', 'name=image; filename="/etc/b.jpg"' ], [ 'passwd', 'name=image; filename="../../etc/passwd"' ], [ '', 'name=image; filename=".."' ], [ 'x', q(name=image; filename*=utf-8''..%2f..%5cx) ], [ 'a.jpg', qq(name=image; filename="a\t.jpg") ],
	[ 'a.jpg', 'NAME=image; FileName=a.jpg' ], [ 'a.jpg', 'name=image ; filename = a.jpg' ], [ 'a.jpg', 'name=image;filename=a.jpg;' ], [ 'a.jpg', 'filename=a.jpg; name=image; size=3' ], [ 'image', 'name=image' ], [ '', 'name=image; filename=""' ])
{
	my ($name, $disposition) = @$case;

	is(names_of(parts([ form_data($disposition), $photo ])), "200 | $name", "D9: $disposition" =~ s/[^ -~]/?/gr);
}
is(names_of(parts([ "Content-Type: image/jpeg\r\n" . form_data('name=image; filename=a.jpg'), $photo ])), '200 | a.jpg', 'D9: headers in another order');
is(names_of(parts([ form_data('name=image; filename=a.jpg') . "\r\nContent-Transfer-Encoding: binary", $photo ])), '200 | a.jpg', 'D9: binary is no encoding');
is(names_of("preamble\r\n" . parts([ form_data('name=image; filename=a.jpg'), $photo ]) . 'epilogue'), '200 | a.jpg', 'D9: text before and after');
is(names_of(parts([ form_data('name=a; filename=a'), 'x' ], [ form_data('name=b; filename=b'), 'y' ]) =~ s/--x\r\n/--x \t\r\n/gr), '200 | a | b', 'D9: blanks after a boundary');
is(names_of(parts([ form_data('name=image; filename=a'), "--x\r\n--xy\r\n\r\n--x y--" ])), '400', 'D9: a boundary in a part is one');
is(names_of(parts([ form_data('name=image; filename=a'), "\r\n--xy\r\n\r\n--x y" ])), '200 | a', 'D9: what only begins like one is not');
is(names_of(parts([ form_data('name=image; filename=a.jpg'), $photo ]) =~ s/--x/--a b/gr, 'multipart/form-data; boundary="a b"'), '200 | a.jpg', 'D9: a boundary in quotes');
is(names_of(parts([ form_data('name=image; filename=a.jpg'), $photo ]), 'Multipart/Form-Data; charset=utf-8; BOUNDARY=x'), '200 | a.jpg', 'D9: a type in other letters');

# What is cut off, or is no form, is refused whole (RFC 2046, section 5.1.1).
my $whole = parts([ form_data('name=a; filename=a'), 'first' ], [ form_data('name=b; filename=b'), 'second' ]);
my @taken = grep { names_of(substr($whole, 0, $_)) ne '400' } 0 .. length($whole) - 3;
is_deeply(\@taken, [], 'D9: a form that ends anywhere before its last boundary is 400');
is(names_of(substr($whole, 0, -2)), '200 | a | b', 'D9: one that ends with it is whole');
foreach my $case (
	[ 'no name', parts([ form_data('filename=a'), 'x' ]) ], [ 'no disposition', parts([ 'Content-Type: image/jpeg', 'x' ]) ], [ 'an attachment', parts([ 'Content-Disposition: attachment; name=a; filename=a', 'x' ]) ], [ 'two names', parts([ form_data('name=a; name=b; filename=a'), 'x' ]) ], [ 'two file names', parts([ form_data('name=a; filename=a; filename=b'), 'x' ]) ],
	[ 'two dispositions', parts([ form_data('name=a; filename=a') . "\r\n" . form_data('name=b'), 'x' ]) ], [ 'a quote without end', parts([ form_data('name="a; filename=a'), 'x' ]) ], [ 'base64', parts([ form_data('name=a; filename=a') . "\r\nContent-Transfer-Encoding: base64", 'eA==' ]) ], [ 'a NUL in a header', parts([ form_data("name=a\0; filename=a"), 'x' ]) ], [ 'a folded header', parts([ "Content-Disposition: form-data;\r\n name=a; filename=a", 'x' ]) ],
	[ 'a blank before the colon', parts([ 'Content-Disposition : form-data; name=a; filename=a', 'x' ]) ], [ 'headers without end', parts([ form_data('name=a; filename=a') . "\r\nX: " . 'y' x 9000, 'x' ]) ], [ 'ESC in a name', parts([ form_data("name=\"a\e[2J\"; filename=a"), 'x' ]) ], [ 'bare line feeds', parts([ form_data('name=a; filename=a'), 'x' ]) =~ s/\r//gr ], [ 'nothing', '' ], [ 'a boundary alone', '--x' ])
{
	is(names_of($case->[1]), '400', "D9: refused: $case->[0]");
}
is(names_of("--x--\r\n"), '400', 'D9: a form of no parts has no image');
is(names_of($whole, $_), '400', "D9: refused: $_") foreach 'multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=""', 'multipart/form-data; boundary=x; boundary=y', 'multipart/form-data; boundary=' . 'x' x 71, 'multipart/form-data; boundary="x', 'multipart/form-data boundary=x', 'multipart/form-data; boundary="x "';
is($http->ask('/metadata/batch', method => 'POST', content => parts(map { [ form_data("name=f$_; filename=f"), 'x' ] } 1 .. 201), headers => { 'Content-Type' => 'multipart/form-data; boundary=x' })->{status}, 413, 'D9: more than 200 fields');

# URL-encoded.
my $url_encoded = sub { my $answer = $http->ask('/api/upload', method => 'POST', content => $_[0], headers => { 'Content-Type' => 'application/x-www-form-urlencoded' }); "$answer->{status} " . (decode_json($answer->{content})->{totalImages} // '') };
is($url_encoded->('csv=Serial+Number%2CProduct+Name%2CInput+Image+URLs%0A1%2CA%2Chttp%3A%2F%2F127.0.0.1%3A1%2Fx&preset=compress'), '202 1', 'D9: a CSV as a field of an URL-encoded form');
is($url_encoded->($_), '400 ', 'D9: refused: ' . $_ =~ s/[^ -~]/?/gr) foreach '', '&&&', '=', '%ff=x', '%00=x', "\xff";

# .NET's HttpClient, byte for byte as MultipartFormDataContent writes it.
my $dotnet = qq(--6a9c2d1e-0f6b-4d3e-9a57-2f1f8f0d7c11\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=preset\r\n\r\nprocess\r\n)
  . qq(--6a9c2d1e-0f6b-4d3e-9a57-2f1f8f0d7c11\r\nContent-Type: image/jpeg\r\nContent-Disposition: form-data; name=image; filename=flower.jpg; filename*=utf-8''flower.jpg\r\n\r\n$photo\r\n--6a9c2d1e-0f6b-4d3e-9a57-2f1f8f0d7c11--\r\n);
my $answer = $http->ask('/process', method => 'POST', content => $dotnet, headers => { 'Content-Type' => 'multipart/form-data; boundary="6a9c2d1e-0f6b-4d3e-9a57-2f1f8f0d7c11"' });
my $said = decode_json($answer->{content});
is("$answer->{status} $said->{filename} " . $http->ask($said->{optimized_path})->{status}, '200 flower.jpg 200', 'D9: an upload from .NET');

# curl.
my $flower = photo('flower.jpg');
my $url = $http->url;
my $curl = sub { my ($out) = run_command([ 'curl', '-sS', '--max-time', 60, @_ ]); decode_json($out) };
is($curl->('-F', "a=\@$flower", "$url/metadata")->{width}, $said->{metadata}{width}, 'D9: curl -F');
is($curl->('-H', 'Transfer-Encoding: chunked', '-H', 'Expect: 100-continue', '--data-binary', "\@$flower", '-H', 'Content-Type: image/jpeg', "$url/metadata")->{width}, $said->{metadata}{width}, 'D9: curl, in chunks, when the server says so');
is(ref $curl->('-X', 'GET', '-d', 'x', "$url/health"), 'HASH', 'D2: curl -X GET -d x');
is((run_command([ 'curl', '-sS', '-o', "$folder/resumed", '-C', '1000', '-w', '%{http_code}', "$url$said->{optimized_path}" ]))[0], 206, 'D8: curl -C goes on where it was');
is(-s "$folder/resumed", length($http->ask($said->{optimized_path})->{content}) - 1000, 'D8: with what is left');

# undici.
my ($out, $err) = run_command([ 'node', 'test/server/undici.cjs', $url, $said->{optimized_path}, $flower ]);
my $seen = $out ? decode_json($out) : { error => $err };
my $width = $said->{metadata}{width};
is_deeply($seen, { pipelined => JSON::PP::true, head => JSON::PP::true, not_modified => 304, chunked => $width, form => [ "größe %22x%22.jpg $width", "日本.jpg $width" ], allow => 'POST, OPTIONS' }, 'D9: undici: requests in a row, ranges, conditions, chunks, a form') or diag(explain($seen));

is($http->stop, 0, 'the server ends well');
$node->stop;
done_testing();
