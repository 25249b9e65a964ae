# imgexport-httpd: images by their URLs, what is posted, and what happens when PostgreSQL goes.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use S3Server;
use WebServer;
use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path);
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
make_path("$folder/files", "$folder/s3");
my $node = new_node('httpd', "imgexport.store_directories = '$folder/files'",
	"imgexport.store_allowed_networks = '127.0.0.0/8'", "imgexport.url_clock_tolerance = 0");
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $http = HttpServer->start($node);

sub ask { return $node->safe_psql('postgres', $_[0]) }
sub status_of { return $http->ask(@_)->{status} }
sub json_of { return decode_json($http->ask(@_)->{content}) }

sub wait_for
{
	my ($condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# A batch that is done, and the URL and hash of one of its images.
sub done
{
	my ($arguments) = @_;
	my $batch = ask("SELECT imgexport.submit($arguments)");

	ask("CALL imgexport.wait('$batch', '60s')");
	return $batch;
}

sub image_of
{
	my ($batch, $name) = @_;

	return split /\|/, ask("SELECT imgexport.url(image_id), encode(sha256, 'hex'), bytes, image_id FROM imgexport.image
		WHERE batch_id = '$batch' AND name = '$name'");
}

my $dune = "source => pg_read_binary_file('" . photo('dune.jpg') . "')";
my $batch = done("$dune, outputs => '{\"small\": {\"format\": \"jpeg\", \"width\": 640}, \"large\": {\"format\": \"png\"}}', metadata => '{\"filename\": \"dune.jpg\"}'");
my ($path, $sha256, $bytes, $image_id) = image_of($batch, 'small');

# A stored image.
my $answer = $http->ask($path);
is("$answer->{status} $answer->{headers}{'content-type'} $answer->{headers}{'content-length'}", "200 image/jpeg $bytes", "GET $path");
is(sha256_hex($answer->{content}), $sha256, 'its bytes are those that were stored');
my $etag = $answer->{headers}{etag};
like($answer->{headers}{'cache-control'}, qr/max-age=31536000, immutable/, 'to be kept for long');
is("$answer->{headers}{'x-content-type-options'} $answer->{headers}{'accept-ranges'}", 'nosniff bytes', 'as what it is');
is(sha256_hex($http->ask($path)->{content}), $sha256, 'the same once more, from memory');
$answer = $http->ask($path, headers => { 'If-None-Match' => $etag });
is("$answer->{status} [" . ($answer->{content} // "") . "] $answer->{headers}{etag}", "304 [] $etag", 'not again to who has it');
is($answer->{headers}{'content-length'}, undef, 'and without a length, for which some clients would wait');
is(status_of($path, headers => { 'If-None-Match' => '"other"' }), 200, 'who has another gets it');
is(status_of($path, headers => { 'If-None-Match' => "\"other\", W/$etag" }), 304, 'one of several is enough');
$answer = $http->ask($path, method => 'HEAD');
is("$answer->{status} $answer->{headers}{q(content-length)} [" . ($answer->{content} // "") . "]", "200 $bytes []", 'HEAD');

# Ranges, of what is at hand and of what comes in slices.
my ($large, $large_sha256, $large_bytes) = image_of($batch, 'large');
my $whole = $http->ask($large)->{content};
ok($large_bytes > 1048576 && sha256_hex($whole) eq $large_sha256, 'a large one comes whole');
foreach my $which ([ $path, $http->ask($path)->{content} ], [ $large, $whole ])
{
	my ($of, $content) = @$which;
	my $size = length $content;

	foreach my $range ([ '0-0', 0, 1 ], [ '10-1009', 10, 1000 ], [ '-100', $size - 100, 100 ], [ ($size - 5) . '-', $size - 5, 5 ],
		[ "0-99999999999", 0, $size ], [ '-99999999999', 0, $size ], [ int($size / 2) . '-', int($size / 2), $size - int($size / 2) ])
	{
		$answer = $http->ask($of, headers => { Range => "bytes=$range->[0]" });
		my $last = $range->[1] + $range->[2] - 1;
		ok($answer->{status} == 206 && $answer->{content} eq substr($content, $range->[1], $range->[2]) && $answer->{headers}{'content-range'} eq "bytes $range->[1]-$last/$size",
			"bytes=$range->[0] of $size");
	}
	foreach my $range ($size . '-', '9' x 40 . '-', '-0', ($size + 10) . '-' . ($size + 20))
	{
		$answer = $http->ask($of, headers => { Range => "bytes=$range" });
		is("$answer->{status} $answer->{headers}{'content-range'}", "416 bytes */$size", "bytes=$range is none of it");
	}
	foreach my $range ('bytes=9-1', 'bytes=a-b', 'lines=1-2', 'bytes=', 'bytes=--1')
	{
		is($http->ask($of, headers => { Range => $range })->{content} eq $content ? 'all' : 'not all', 'all', "$range is ignored");
	}
}
is(status_of($path, headers => { Range => 'bytes=0-1', 'If-Range' => $etag }), 206, 'If-Range: what it has');
is(status_of($path, headers => { Range => 'bytes=0-1', 'If-Range' => '"other"' }), 200, 'If-Range: not that any more');

# What is not there, or not any more, whatever is in memory.
is(status_of('/static/output/00000000-0000-7000-8000-000000000000.jpg'), 404, 'an image that is not there');
is(status_of('/static/output/../../etc/passwd'), 404, 'what is none');
my $gone = done("$dune, outputs => '{\"gone\": {\"format\": \"jpeg\", \"width\": 64}, \"old\": {\"format\": \"jpeg\", \"width\": 65}}'");
my ($gone_path) = image_of($gone, 'gone');
my ($old_path) = image_of($gone, 'old');
is(status_of($gone_path) . status_of($old_path), '200200', 'two that are there');
ask("DELETE FROM imgexport.image WHERE batch_id = '$gone' AND name = 'gone'; UPDATE imgexport.image SET expires_at = now() WHERE batch_id = '$gone'");
is(status_of($gone_path) . status_of($old_path), '404404', 'are not served when they are deleted, or have expired');

# Signed URLs.
ask("INSERT INTO imgexport.store (name, kind, sign, location) VALUES ('private', 'file', true, '$folder/files')");
my $private = done("$dune, store => 'private', outputs => '{\"one\": {\"format\": \"webp\", \"width\": 100}}'");
my ($signed, $private_sha256, undef, $private_id) = image_of($private, 'one');
like($signed, qr{^/api/download/\Q$private_id\E\.webp\?expires=\d+&key=[\w-]+&signature=[0-9a-f]{64}$}, 'a store that signs gives signed URLs');
$answer = $http->ask($signed);
is("$answer->{status} " . sha256_hex($answer->{content}), "200 $private_sha256", 'which are served, from a file');
like($answer->{headers}{'cache-control'}, qr/^private, max-age=3\d\d\d$/, 'to be kept for no longer than they are good');
is(status_of("/static/output/$private_id.webp"), 403, 'and unsigned they are not');
foreach my $change ([ 'a byte of the signature', sub { $_[0] =~ s/(.)$/$1 eq '0' ? '1' : '0'/er } ], [ 'a later expiry', sub { $_[0] =~ s/expires=(\d+)/'expires=' . ($1 + 1)/er } ],
	[ 'another image', sub { $_[0] =~ s/\Q$private_id\E/$image_id/r } ], [ 'no signature', sub { $_[0] =~ s/&signature=.*//r } ], [ 'no query', sub { $_[0] =~ s/\?.*//r } ],
	[ 'another key', sub { $_[0] =~ s/key=[\w-]+/key=nobody/r } ], [ 'more after it', sub { "$_[0]&more=1" } ], [ 'upper case', sub { $_[0] =~ s/signature=(.*)/'signature=' . uc $1/er } ])
{
	$answer = $http->ask($change->[1]->($signed));
	ok($answer->{status} == 403 && decode_json($answer->{content})->{error}, "refused: $change->[0] (" . decode_json($answer->{content})->{error} . ')');
}
my $short = ask("SELECT imgexport.url('$private_id', '5 seconds')");
is(status_of($short), 200, 'one that is good for seconds');
for (1 .. 300) { last if status_of($short) != 200; select(undef, undef, undef, 0.1) }
is(decode_json($http->ask($short)->{content})->{error}, 'URL has expired', 'is not for long');
my $before = ask("SELECT key_id FROM imgexport.signing_key");
ask("SELECT imgexport.rotate_signing_key('1 day')");
my ($rotated) = image_of($private, 'one');
unlike($rotated, qr/key=\Q$before\E/, 'a new key signs');
is(status_of($signed) . status_of($rotated), '200200', 'and URLs of both are good');
ask("UPDATE imgexport.signing_key SET not_after = now() - interval '1 s' WHERE key_id = '$before'");
is(status_of($signed) . status_of($rotated), '403200', 'until the old one is over');
ask("UPDATE imgexport.signing_key SET not_after = now() + interval '1 day'");
is(ask("SELECT imgexport.url('$private_id') IS NULL"), 't', 'a URL that cannot be signed is none');
is(json_of("/api/status/$private")->{images}[0]{outputs}{one}{url}, undef, 'anywhere');
ask("SELECT imgexport.rotate_signing_key()");

my $private_large = done("$dune, store => 'private', outputs => '{\"large\": {\"format\": \"png\"}}'");
my ($large_signed) = image_of($private_large, 'large');
is(sha256_hex($http->ask($large_signed)->{content}), $large_sha256, 'a large file comes whole');
is($http->ask($large_signed, headers => { Range => 'bytes=1100000-1100009' })->{content}, substr($whole, 1100000, 10), 'and in parts');

# S3 hands out its own.
my $s3 = S3Server->start("$folder/s3", 'pictures');
ask("INSERT INTO imgexport.secret VALUES ('s3', 'S3RVER'); INSERT INTO imgexport.store (name, kind, location, bucket, access_key, secret, sign)
	VALUES ('s3', 's3', '" . $s3->url . "', 'pictures', 'S3RVER', 's3', true), ('open', 's3', '" . $s3->url . "', 'pictures', 'S3RVER', 's3', false)");
foreach my $store ('s3', 'open')
{
	my $there = done("$dune, store => '$store', outputs => '{\"one\": {\"format\": \"webp\", \"width\": 100}}'");
	my ($there_path, $there_sha256) = image_of($there, 'one');

	$answer = $http->ask($there_path);
	is($answer->{status}, 302, "S3, $store: served from there");
	is(sha256_hex(HTTP::Tiny->new->get($answer->{headers}{location})->{content}), $there_sha256, 'by a URL of its own');
	my $variant = ask("SELECT imgexport.variant_url(image_id, 'w_10', 'png') FROM imgexport.image WHERE batch_id = '$there'");
	is($http->ask($variant)->{headers}{'content-type'}, 'image/png', 'and variants are made of it');
}
$s3->stop;

# An HTTP store without a public URL is read through.
ask("INSERT INTO imgexport.store (name, kind, location, method, headers) VALUES ('http', 'http', '$url/storage/v1/object/x', 'POST', '{\"Authorization\": \"Bearer let-me-in\"}')");
my $through = done("$dune, store => 'http', outputs => '{\"one\": {\"format\": \"webp\", \"width\": 100}}'");
my ($through_path, $through_sha256) = image_of($through, 'one');
$answer = $http->ask($through_path);
is("$answer->{status} " . ($answer->{headers}{location} =~ m{^/api/through/}), '302 1', 'an HTTP store: served by another path');
is(sha256_hex($http->ask($answer->{headers}{location})->{content}), $through_sha256, 'which fetches it');
is(status_of($answer->{headers}{location} =~ s/\?.*//r), 403, 'and is signed');

# Variants.
my $variant = ask("SELECT imgexport.variant_url('$image_id', 'w_80,h_60,fit_cover,q_70')");
foreach my $accept ([ 'image/avif,image/webp,*/*', 'image/avif' ], [ 'image/webp,*/*', 'image/webp' ], [ '*/*', 'image/jpeg' ])
{
	$answer = $http->ask($variant, headers => { Accept => $accept->[0] });
	is("$answer->{status} $answer->{headers}{'content-type'} $answer->{headers}{vary}", "200 $accept->[1] Accept", "a variant for who accepts $accept->[0]");
}
is(status_of($variant, headers => { Accept => '*/*', 'If-None-Match' => $answer->{headers}{etag} }), 304, 'with an ETag');
is(ask("SELECT count(*), min((img_info(data)).width) FROM imgexport.variant"), '5|10', 'each was kept');
my $many = ask("SELECT imgexport.variant_url('$image_id', 'w_301,blur_5', 'webp')");
my @children;
foreach (1 .. 24)
{
	my $child = fork // die;
	if ($child == 0) { my $status = status_of($many); require POSIX; POSIX::_exit($status == 200 ? 0 : 1) }
	push @children, $child;
}
is((grep { waitpid($_, 0); $? != 0 } @children) + 0, 0, '24 who ask for a variant at once get it');
# Making it again would have been an update, and its row another version.
is(ask("SELECT count(*), max((ctid::text::point)[1]) FROM imgexport.variant"), '6|6', 'and it was made once');
foreach my $change ([ 'other options', sub { $_[0] =~ s/w_80/w_9999/r } ], [ 'another image', sub { $_[0] =~ s/\Q$image_id\E/$private_id/r } ],
	[ 'another format', sub { $_[0] =~ s/auto$/png/r } ], [ 'another key', sub { $_[0] =~ s{/img/[^.]+}{/img/nobody}r } ])
{
	is(status_of($change->[1]->($variant)), 403, "refused: $change->[0]");
}
is(status_of('/img/nothing'), 404, 'no variant');
is(status_of(ask("SELECT imgexport.variant_url('$image_id', 'w_10,exp_1000000000')")), 403, 'a variant that has expired');
like(error_of($node, "SELECT imgexport.variant_url('$image_id', 'w_10;drop')"), qr/22023.*not understood/s, 'options that are none');
ask("UPDATE imgexport.variant SET expires_at = now() - interval '1 s'; SELECT imgexport.run_task('expire_images')");
is(ask('SELECT count(*) FROM imgexport.variant'), 0, 'variants expire');

# Jobs and their images.
my $csv = "Serial Number,Product Name,Input Image URLs\n1,Dune,\"$url/dune.jpg,$url/missing.jpg\"\n2,Leaf,$url/dune.jpg\n";
$answer = $http->post_form('/api/upload', [ file => [ 'products.csv', $csv ], webhookUrl => "$url/hook/upload" ]);
my $upload = decode_json($answer->{content});
is("$answer->{status} $upload->{status} $upload->{totalImages}", '202 PENDING 3', 'POST /api/upload');
ask("CALL imgexport.wait('$upload->{requestId}', '60s')");
my $status = json_of("/api/status/$upload->{requestId}");
is("$status->{status} $status->{processedImages} $status->{failedImages} $status->{products}[0]{productName}", 'COMPLETED 2 1 Dune', 'GET /api/status');
my $listed = json_of("/jobs/$upload->{requestId}/images");
is(join(' ', map { "$_->{id}=" . ($_->{converted} ? 1 : 0) } @{ $listed->{images} }),
	"$upload->{requestId}_0_0=1 $upload->{requestId}_0_1=0 $upload->{requestId}_1_0=1", 'GET /jobs/ID/images');
ok(exists $listed->{images}[0]{jpg_data} && !defined $listed->{images}[0]{jpg_data} && $listed->{images}[0]{created_at} =~ /^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/, 'without bytes, with times');
is(join(' ', map { $_->{id} } @{ json_of("/jobs/$upload->{requestId}/images?product_id=1")->{images} }), "$upload->{requestId}_1_0", 'of one product');
is($http->ask("/jobs/$upload->{requestId}/images/$upload->{requestId}_0_0")->{headers}{'content-type'}, 'image/jpeg', 'GET /jobs/ID/images/ID');
is(json_of("/jobs/$upload->{requestId}/images/$upload->{requestId}_0_1")->{original_url}, "$url/missing.jpg", 'with original_url where there is none');
is(status_of("/jobs/$upload->{requestId}/images?product_id=x") . status_of("/jobs/nothing/images") . status_of('/api/status/nothing') . status_of("/jobs/$upload->{requestId}/images/x"), '400404404404', 'and errors where there is nothing');
my $export = done("$dune, preset => 'export'");
is(join(' ', map { $http->ask("/jobs/$export/images/${export}_0_0", headers => { Accept => $_ })->{headers}{'content-type'} } 'image/webp', 'image/avif', '*/*'), 'image/webp image/jpeg image/jpeg', 'of several formats the one that is accepted');

# What is posted.
$answer = $http->post_form('/api/upload', [ image => [ 'd.jpg', slurp_file(photo('dune.jpg')) ], aspect_ratio => '16:9', count => 1 ]);
my $exported = decode_json($answer->{content})->{variations}[0];
is(join(' ', $answer->{status}, map { "$_=" . status_of($exported->{exports}{$_}{url}) } sort keys %{ $exported->{exports} }), '200 jpeg=200 png=200 webp=200', 'POST /api/upload of an image: exported');
is(ask("SELECT min(width) || 'x' || min(height) FROM imgexport.image WHERE job_id = '$exported->{id}'"), '1600x900', 'in the ratio that was asked for');
my $photo = slurp_file(photo('dune.jpg'));
$answer = $http->post_form('/process', [ image => [ 'dune.jpg', $photo ] ]);
my $processed = decode_json($answer->{content});
is("$answer->{status} $processed->{filename} $processed->{metadata}{width}", '200 dune.jpg 1600', 'POST /process');
is(status_of($processed->{optimized_path}) . status_of($processed->{thumbnail_path}) . status_of($processed->{path}), '200200200', 'its paths are served');
ok(exists $processed->{ai_analysis}, 'with ai_analysis, which is empty');
is(decode_json($http->post_form('/process', [ image => [ 'x.jpg', 'no image' ] ])->{content})->{error_code}, 'IX001', 'what is no image is said to be none');
my $batched = decode_json($http->post_form('/process/batch', [ a => [ '1.jpg', $photo ], b => [ '2.jpg', 'broken' ], c => [ '3.jpg', $photo ] ])->{content});
is("$batched->{processed} " . join(' ', map { "$_->{filename}=" . ($_->{success} ? 1 : 0) } @{ $batched->{results} }), '2 1.jpg=1 2.jpg=0 3.jpg=1', 'POST /process/batch: one that fails stops no other');
is(decode_json($http->ask('/metadata', method => 'POST', content => $photo, headers => { 'Content-Type' => 'image/jpeg' })->{content})->{width}, 1600, 'POST /metadata, as the body');
is(join(' ', map { $_->{filename} } @{ decode_json($http->post_form('/metadata/batch', [ a => [ '1.jpg', $photo ], b => [ '2.jpg', 'broken' ] ])->{content})->{results} }), '1.jpg 2.jpg', 'POST /metadata/batch');
my $request = encode_json({ filename => 'x.jpg', image_base64 => encode_base64($photo, ''), options => { skip_background_removal => JSON::PP::true }, upload_to_storage => JSON::PP::false });
my $product = decode_json($http->ask('/process-image', method => 'POST', content => $request, headers => { 'Content-Type' => 'application/json' })->{content});
is("@{$product->{metadata}{original_size}} $product->{metadata}{filename}", '1600 1000 x.jpg', 'POST /process-image');
like(decode_base64($product->{$_}), qr/^\x89PNG/, "$_ is a PNG") foreach qw(processed grid detail);
$request = encode_json({ image_base64 => 'data:image/jpeg;base64,' . encode_base64($photo, ''), options => { store => 'private', skip_background_removal => JSON::PP::true }, upload_to_storage => JSON::PP::true });
$product = decode_json($http->ask('/process-image', method => 'POST', content => $request)->{content});
is(status_of($product->{storage_urls}{grid}), 200, 'stored where it was asked for');
foreach my $bad ([ '/api/upload', 'no,csv' ], [ '/api/upload', "\xff\xfe" ], [ '/process', '' ], [ '/process-image', '{' ], [ '/process-image', '{"image_base64": "!"}' ], [ '/process-image', '{}' ], [ '/metadata', '' ])
{
	$answer = $http->ask($bad->[0], method => 'POST', content => $bad->[1]);
	ok($answer->{status} == 400 && decode_json($answer->{content})->{error}, "$bad->[0] with what is none: 400");
}
is(ask("SELECT count(DISTINCT owner), min(owner::text) FROM imgexport.job WHERE batch_id = '$upload->{requestId}'"), '1|web', 'jobs that are posted belong to the role of the server');

# Numbers.
my $metrics = $http->ask('/metrics');
like($metrics->{headers}{'content-type'}, qr{^text/plain; version=0.0.4}, 'GET /metrics');
like($metrics->{content}, qr/^imgexport_attempts_total\{outcome="completed"\} \d+$/m, 'of the database');
like($metrics->{content}, qr/^imgexport_http_requests_total\{status="2xx"\} \d+$/m, 'and of the server');
my @shown = slurp_file('doc/grafana-dashboard.json') =~ /\b(imgexport_\w+)/g;
is(join(' ', grep { $metrics->{content} !~ /^# TYPE $_ /m && $_ ne 'imgexport_host_breaker_open' } @shown), '', 'all that the dashboard shows is there');
append_to_file("$folder/metrics", $metrics->{content});
is(system("'$ENV{PROMTOOL}' check metrics < '$folder/metrics'"), 0, 'promtool finds nothing wrong');
ok(json_of('/metrics', headers => { Accept => 'application/json' })->{success_rate} > 0, 'as JSON too');
my $health = json_of('/health');
is("$health->{status} $health->{service}", 'healthy imgexport', 'GET /health');
ok(exists $health->{queue}{$_}, "with queue.$_") foreach qw(size pending concurrency);

# The role of the server.
ask("CREATE ROLE reader LOGIN; CALL imgexport.grant_delivery('reader', false)");
foreach my $statement ('SELECT * FROM imgexport.image', 'SELECT * FROM imgexport.job', 'SELECT * FROM imgexport.signing_key', "SELECT imgexport.sign_url('/x')",
	"SELECT imgexport.submit(source_url => 'http://x')", "SELECT imgexport.image_bytes('$image_id')", "SELECT * FROM imgexport.http_upload('', '', '', '{}', '{}', '{}')",
	"INSERT INTO imgexport.job (source_url) VALUES ('http://x')", 'SELECT * FROM imgexport.variant', "SELECT imgexport.secret_value('s3')")
{
	like(error_of($node, "SET ROLE reader; $statement"), qr/42501/, "the server's role may not: $statement");
}
is(ask("SET ROLE reader; SELECT status FROM imgexport.http_static('$path', '', '', '')"), 200, 'it may serve');
like(error_of($node, "SET ROLE web; SELECT count(*) FROM imgexport.job"), qr/42501/, 'one that takes what is posted reads no table either');

# A key.
append_to_file("$folder/key", "0123456789abcdef-key\n");
chmod 0600, "$folder/key";
my $keyed = HttpServer->start($node, '--api-key-file', "$folder/key");
is(join(' ', map { $keyed->ask($_)->{status} } '/api/gallery', '/metrics', "/api/status/$batch", $path, '/health', '/', $large), '401 401 401 200 200 200 200', 'without the key there are images alone');
is($keyed->ask('/process', method => 'POST', content => $photo)->{status}, 401, 'nothing can be posted');
is($keyed->ask('/metrics', headers => { 'X-API-Key' => '0123456789abcdef-key' })->{status}, 200, 'with it there is all');
is($keyed->ask('/metrics', headers => { 'Authorization' => 'Bearer 0123456789abcdef-key' })->{status}, 200, 'as a bearer too');
is($keyed->ask('/metrics', headers => { 'X-API-Key' => $_ })->{status}, 401, "not with '$_'") foreach '', '0', '0123456789abcdef-keY', '0123456789abcdef-key1';
is($keyed->stop, 0, 'it ends when it is told to');
my ($out, $err) = run_command([ 'build/imgexport-httpd', '--listen', '0.0.0.0', '--port', '0' ]);
like($err, qr/others can connect/, 'without a key it does not listen to others');

# From a standby.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $copy = HttpServer->start($standby);
is(sha256_hex($copy->ask($path)->{content}), $sha256, 'a standby serves images');
is($copy->ask(ask("SELECT imgexport.variant_url('$image_id', 'w_33', 'png')"))->{headers}{'content-type'}, 'image/png', 'and renders variants');
is($copy->ask('/process', method => 'POST', content => $photo)->{status}, 503, 'and takes nothing');
$copy->stop;
$standby->stop;

# PostgreSQL goes and comes back.
$node->stop('fast');
$answer = $http->ask($path);
is("$answer->{status} " . ($answer->{headers}{'retry-after'} // ''), '503 1', 'without PostgreSQL: 503, and when to try again');
$node->start;
for (1 .. 50) { last if status_of($path) == 200; select(undef, undef, undef, 0.2) }
is(sha256_hex($http->ask($path)->{content}), $sha256, 'when it is back, so are the images');
ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'imgexport-httpd'");
is(join(' ', map { status_of($path) } 1 .. 8), join(' ', (200) x 8), 'connections that broke are made again before anyone notices');

# The log can be moved away.
my $access_log = $node->basedir . '/access.log';
rename $access_log, "$access_log.1" or die;
kill 'HUP', $http->{pid};
for (1 .. 50) { last if -e $access_log; select(undef, undef, undef, 0.1) }
is(status_of($path), 200, 'SIGHUP does not end it');

# An end without loss: what is under way is finished.
my $reader = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port});
print $reader "GET $large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
$reader->flush;
sysread($reader, my $got, 1000);
kill 'TERM', $http->{pid};
for (1 .. 50) { last if !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port}); select(undef, undef, undef, 0.1) }
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port}), 'told to end, it takes no more');
while (sysread($reader, my $part, 65536)) { $got .= $part }
is(sha256_hex((split /\r\n\r\n/, $got, 2)[1]), $large_sha256, 'and finishes what it is at');
is($http->stop, 0, 'and ends');
my $log = slurp_file("$access_log.1");
like(slurp_file($access_log), qr{GET \Q$path\E}, 'it goes on in a new log');
like($log, qr{^127\.0\.0\.1 - - \[[^\]]+\] "GET \Q$path\E HTTP/1.1" 200 $bytes }m, 'the access log has all of it');
unlike($log, qr/signature=/, 'and no signature');

$web->stop;
$node->stop;
done_testing();
