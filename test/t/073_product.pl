# The product pipeline: by one call in SQL, by jobs, and over HTTP; with a service, without, and
# with one that is dead.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use ServiceServer;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
make_path("$folder/files");
my $server = ServiceServer->start;
my $url = $server->url;
my $node = new_node('product', "imgexport.service_allowed_networks = '127.0.0.0/8'", "imgexport.store_directories = '$folder/files'");
my $http = HttpServer->start($node);

sub ask { return $node->safe_psql('postgres', $_[0]) }

# A request to the product-photo service, and its answer.
sub post
{
	my ($request) = @_;
	my $answer = $http->ask('/process-image', method => 'POST', content => encode_json($request), headers => { 'Content-Type' => 'application/json' });

	return { status => $answer->{status}, %{ decode_json($answer->{content}) } };
}

# What is in an image that came in base64: size, transparency, and the box of what is opaque.
sub looks
{
	my ($base64) = @_;
	my $hexadecimal = unpack('H*', decode_base64($base64));

	return ask("SELECT concat_ws(' ', (i).format, (i).width || 'x' || (i).height, (i).has_alpha) FROM (SELECT img_info('\\x$hexadecimal')) AS s(i)");
}

# What is done here finds an object in a JPEG to within a few pixels.
sub is_about
{
	my ($answer, $width, $height) = @_;
	my $size = $answer->{metadata}{processed_size};

	return abs($size->[0] - $width) <= 10 && abs($size->[1] - $height) <= 10;
}

# A picture of 200x150 on a shaded ground of 400x300, as a JPEG.
ask(sprintf(q(CREATE TABLE shot AS
	SELECT img_convert(img_overlay(img_resize('%s'::bytea, 400, 300, 'fill'), img_resize(pg_read_binary_file('%s'), 200, 150)), 'jpeg', 92) || ''::bytea AS image),
	'\\x' . unpack('H*', gradient()), photo('flower.jpg')));

sub gradient
{
	# A PPM is not read; a JPEG of two colours is stretched into a gradient by libvips.
	return pack('H*', ask("SELECT encode(img_convert(img_resize(img_resize(pg_read_binary_file('" . photo('dune.jpg') . "'), 1, 1, 'fill'), 2, 2, 'fill'), 'png'), 'hex')"));
}
my $base64 = ask("SELECT imgexport.to_base64(image) FROM shot");

# Without a service the ground is taken out here.
my $made = decode_json(ask("SELECT imgexport.product_shot_json('$base64', 'cup.jpg')"));
is(join(' ', sort keys %$made), 'detail grid metadata processed success warnings', 'one call answers it all');
is(encode_json($made->{metadata}{original_size}) . $made->{metadata}{filename}, '[400,300]cup.jpg', 'with the size that the picture had');
ok(is_about($made, 340, 290), 'and that which it has: the object, its padding and its shadow');
like(looks($made->{processed}), qr/^png \d+x\d+ t$/, 'processed');
is(looks($made->{grid}), 'png 600x400 t', 'grid');
is(looks($made->{detail}), 'png 1200x800 t', 'detail');
is($made->{warnings}, undef, 'nothing to warn of');
is(encode_json(decode_json(ask("SELECT imgexport.product_shot_json('data:image/jpeg;base64,$base64', NULL, '{\"skip_background_removal\": true, \"shadow\": false}')"))->{metadata}{processed_size}), '[400,300]', 'parts of it can be left out');
my %wrong = (
	"imgexport.product_shot_json('***')" => qr/22023/,
	"imgexport.product_shot_json(NULL)" => qr/22023: image_base64 is missing/,
	"imgexport.product_shot_json('AAAA')" => qr/IX001/,
	q(imgexport.product_shot_json('AAAA', NULL, '{"sadow": true}')) => qr/22023: a product shot has no option "sadow"/,
	q(imgexport.product_shot_json('AAAA', NULL, '{"background": "gone"}')) => qr/22023: background must be/,
	q(imgexport.product_shot_json('AAAA', NULL, '{"background": "service"}')) => qr/22023: the option service must say.*imgexport.add_service/s,
	q(imgexport.product_shot_json('AAAA', NULL, '{"store": "files"}')) => qr/0A000/);
like(error_of($node, "SELECT $_"), $wrong{$_}, "$_ is an error") foreach sort keys %wrong;

# With a service, which is the only one and so the one that is asked.
ask("SELECT imgexport.set_secret('api4ai', 'key-of-api4ai')");
ask("SELECT imgexport.add_service('api4ai', '{\"url\": \"$url/api/v1/background\"}')");
$made = decode_json(ask("SELECT imgexport.product_shot_json('$base64', 'cup.jpg')"));
is(encode_json($made->{metadata}{processed_size}) . looks($made->{processed}), '[340,290]png 340x290 t', 'a service takes the ground out');
is(($server->asked('/api/v1/background'))[0], 1, '... asked once');
my $answer = post({ image_base64 => $base64, filename => 'cup.jpg', options => {}, upload_to_storage => JSON::PP::false });
is("$answer->{status} $answer->{success} $answer->{metadata}{filename} " . encode_json($answer->{metadata}{original_size}), '200 1 cup.jpg [400,300]', 'POST /process-image');
is(join(' ', map { looks($answer->{$_}) } qw(processed grid detail)), 'png 340x290 t png 600x400 t png 1200x800 t', '... answers the same');
is($answer->{storage_urls}, undef, '... and stores nothing elsewhere');
is(($server->asked('/api/v1/background'))[0], 0, '... from what the service has answered before');

# Into a store, in the same job.
ask("INSERT INTO imgexport.store (name, kind, location, public_url) VALUES ('files', 'file', '$folder/files', 'https://cdn.example.com/shots')");
$answer = post({ image_base64 => $base64, filename => 'cup.jpg', options => { shadow => JSON::PP::false }, upload_to_storage => JSON::PP::true });
like($answer->{storage_urls}{$_}, qr{^https://cdn\.example\.com/shots/}, "storage_urls.$_") foreach qw(processed grid detail);
is(join(' ', map { (my $file = $answer->{storage_urls}{$_}) =~ s{^https://cdn.example.com/shots}{$folder/files}; -s $file == length(decode_base64($answer->{$_})) ? 'whole' : 'not' } qw(processed grid detail)), 'whole whole whole', '... are there');

# With the service dead everything still comes out, and says so.
ask("UPDATE imgexport.service SET url = 'http://127.0.0.1:1/', retries = 0; DELETE FROM imgexport.service_answer");
$made = decode_json(ask("SELECT imgexport.product_shot_json('$base64', 'cup.jpg')"));
is("$made->{success} " . looks($made->{grid}), '1 png 600x400 t', 'with the service dead everything comes out');
like($made->{warnings}[0], qr/^step service was skipped: service "api4ai" failed: could not connect/, '... with a warning');
$made = decode_json(ask("SELECT imgexport.product_shot_json('$base64', 'cup.jpg', '{\"fallback\": \"local\"}')"));
ok(is_about($made, 340, 290), '... or is done here');
like($made->{warnings}[0], qr/^step service was replaced/, '... which is said too');
$answer = post({ image_base64 => $base64, options => {} });
is("$answer->{status} $answer->{success} " . looks($answer->{detail}), '200 1 png 1200x800 t', 'over HTTP as well');
like($answer->{warnings}[0], qr/^step service was skipped: service "api4ai"/, '... with the warning');
$answer = post({ image_base64 => $base64, options => { skip_background_removal => JSON::PP::true } });
is($answer->{warnings}, undef, 'who skips it is not warned');
is(post({ image_base64 => $base64, options => { nonsense => 1 } })->{status}, 400, 'an option that is none is refused');
is(post({ image_base64 => encode_base64('nonsense', ''), options => {} })->{status}, 422, 'what is no image is refused');

# Five at once, in SQL and over HTTP.
ask("UPDATE imgexport.service SET url = '$url/slow/300/api/v1/background'");
my @children;
foreach my $n (1 .. 5)
{
	my $pid = fork();
	if ($pid == 0)
	{
		my $one = HTTP::Tiny->new(timeout => 60)->post($http->url . '/process-image', { content => encode_json({ image_base64 => $base64, options => { padding => $n } }) });
		my $ok = $one->{status} == 200 && decode_json($one->{content})->{success} && !decode_json($one->{content})->{warnings};

		require POSIX;
		POSIX::_exit($ok ? 0 : 1);
	}
	push @children, $pid;
}
my $failed = 0;
foreach my $child (@children) { waitpid($child, 0); $failed += $? != 0 }
is($failed, 0, 'five requests at once all succeed');

# Variations, and an analysis with what is processed.
ask("SELECT imgexport.set_secret('generate', 'key-of-generate'), imgexport.set_secret('analysis', 'key-of-analysis')");
ask("SELECT imgexport.add_service('generate', '{\"url\": \"$url/generate\"}')");
my $image = decode_base64($base64);
$answer = $http->post_form('/api/upload', [ image => [ 'cup.jpg', $image ], script => 'a cup on the moon', count => 2, service => 'generate', aspect_ratio => '16:9' ]);
my $upload = decode_json($answer->{content});
is("$answer->{status} " . scalar(@{ $upload->{variations} }), '200 2', 'POST /api/upload makes variations');
is(join(' ', map { "$_->{metadata}{variation} $_->{metadata}{script}" } @{ $upload->{variations} }), '1 a cup on the moon 2 a cup on the moon', '... which say what they are');
is(ask("SELECT count(DISTINCT sha256) || ' ' || min(width) || 'x' || min(height) FROM imgexport.image WHERE name = 'png' AND batch_id = '$upload->{request_id}'"), '2 400x225', '... differ, and have the aspect that was asked for');
is($http->post_form('/api/upload', [ image => [ 'cup.jpg', $image ], count => $_ ])->{status}, 400, "count $_ without a service is refused") foreach 0, 2, 11, 'x';
is($http->post_form('/api/upload', [ image => [ 'cup.jpg', $image ], count => 2, service => 'api4ai' ])->{status}, 400, '... so is a service of another kind');
is(decode_json($http->post_form('/process', [ image => [ 'cup.jpg', $image ] ])->{content})->{ai_analysis}, undef, 'POST /process has no analysis without a service');
ask("SELECT imgexport.add_service('analysis', '{\"url\": \"$url/analyze\"}')");
is("@{ decode_json($http->post_form('/process', [ image => [ 'cup.jpg', $image ] ])->{content})->{ai_analysis}{labels} }", 'dune sky', '... and has it with one');
is(decode_json($http->post_form('/process', [ image => [ 'cup.jpg', $image ], analysis => 'none' ])->{content})->{ai_analysis}, undef, '... unless it is not wanted');
ask("UPDATE imgexport.service SET url = '$url/status/400', cache_for = NULL WHERE name = 'analysis'");
my $processed = decode_json($http->post_form('/process', [ image => [ 'cup.jpg', $image ] ])->{content});
like("$processed->{success} $processed->{warnings}[0]", qr/^1 step service was skipped: service "analysis"/, '... and the rest comes out without');

# What is told of it.
my $metrics = decode_json($http->ask('/metrics', headers => { Accept => 'application/json' })->{content});
is($metrics->{api4ai_calls}, $metrics->{services}{api4ai}{requests}, 'metrics count the calls of api4ai');
cmp_ok($metrics->{api_calls}, '>', $metrics->{api4ai_calls}, '... and of all services');
is("$metrics->{presets}{product}{requests} $metrics->{presets}{product}{failures} $metrics->{presets}{product}{success_rate}", '10 1 0.9', '... and the jobs of a preset');
like($metrics->{presets}{product}{avg_processing_time}, qr/^[0-9.]+$/, '... with their time');
like($http->ask('/metrics')->{content}, qr/^imgexport_service_calls_total\{outcome="success",service="generate"\} 2$/m, 'Prometheus gets them too');

$http->stop;
$node->stop;
done_testing();
