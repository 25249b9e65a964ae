# What an image says of itself: read from its first slices, kept where it is named, and taken
# out without touching a pixel.  exiftool writes and reads the other side.
use strict;
use warnings;

use lib 'test/lib';
use Cwd qw(abs_path);
use ImgTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('metadata');
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $kinds = photo('kinds');

sub answer { return $node->safe_psql('postgres', $_[0]) }

# What an expression makes, as a file.
sub write_image
{
	my ($file, $expression, $from) = @_;

	open my $out, '>:raw', $file or die "$file: $!";
	print $out pack 'H*', answer("SELECT encode($expression, 'hex') $from");
	close $out;
}

# A table of files: what exiftool tagged, in every format it can.
my @tags = ('-Make=Maker ', '-Model= Model 7', '-LensModel=Lens', '-ExposureTime=1/640', '-ISO=3200',
	'-FNumber=1.4', '-Artist=Jane', '-Copyright=(c) Jane', '-DateTimeOriginal=2024:02:29 23:59:58',
	'-SubSecTimeOriginal=042', '-OffsetTimeOriginal=-03:30', '-GPSLatitude=54.8019', '-GPSLatitudeRef=S',
	'-GPSLongitude=68.3030', '-GPSLongitudeRef=W', '-GPSAltitude=28.25', '-GPSAltitudeRef#=1',
	'-XMP-dc:Title=A title', '-XMP-dc:Subject=one', '-XMP-dc:Subject=two');
answer('CREATE TABLE tagged (format text PRIMARY KEY, image bytea)');
foreach my $format (qw(jpeg png webp))
{
	my $file = "$folder/tagged.$format";
	my $iptc = $format eq 'jpeg' ? "-IPTC:Keywords=beach" : '-q';

	write_image($file, "img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg')
		  . "'), 200), '$format')", '');
	system_or_bail('exiftool', '-q', '-overwrite_original', @tags, $iptc, '-Orientation#=6', $file);
	answer("INSERT INTO tagged VALUES ('$format', pg_read_binary_file('$file'))");
}

my %expected = (
	"camera,make" => 'Maker', "camera,model" => 'Model 7', "camera,lens" => 'Lens', "camera,iso" => '3200',
	"camera,f_number" => '1.4', "camera,exposure_time" => '1/640', "taken_at" => '2024-02-29T23:59:58.042-03:30',
	"gps,altitude" => '-28.25', "orientation" => '6', "width" => '113', "height" => '200',
	"xmp,dc:title" => 'A title', "xmp,dc:subject,1" => 'two', "exif,Artist" => 'Jane');
foreach my $format (qw(jpeg png webp))
{
	foreach my $path (sort keys %expected)
	{
		is(answer("SELECT img_metadata(image)#>>'{$path}' FROM tagged WHERE format = '$format'"),
			$expected{$path}, "$format: $path");
	}
	is(answer("SELECT round(((img_gps(image))[0])::numeric, 4), round(((img_gps(image))[1])::numeric, 4)"
			. " FROM tagged WHERE format = '$format'"),
		'-68.3030|-54.8019', "$format: western and southern degrees are negative");
}
is(answer("SELECT img_metadata(image)#>>'{iptc,keywords,0}' FROM tagged WHERE format = 'jpeg'"),
	'beach', 'IPTC keywords');
is(answer("SELECT img_gps(pg_read_binary_file('$kinds/rgb.png')) IS NULL"), 't', 'no place is NULL');

# Broken EXIF is reported, and nothing else.
answer("CREATE TABLE broken AS SELECT format, overlay(image PLACING 'xxxx'::bytea FROM position('Exif'::bytea IN image) + 6) AS image"
	. " FROM tagged WHERE format = 'jpeg'");
is(answer("SELECT jsonb_array_length(img_metadata(image)->'warnings') > 0 AND (img_info(image)).width > 0 FROM broken"),
	't', 'broken EXIF is in warnings');

# What exiftool finds in an output: names of what stayed.
sub left_in
{
	my ($expression, $format) = @_;
	my $file = "$folder/left.$format";

	write_image($file, $expression, "FROM tagged WHERE format = '$format'");
	my ($json, $error) = run_command([ 'exiftool', '-j', '-G0', '-n', $file ]);
	my $found = decode_json($json)->[0];

	return join ' ', grep { defined } map {
		my ($group, $tag, $name) = @$_;
		my $value = $found->{"$group:$tag"};

		!defined $value ? undef : $tag eq 'Orientation' ? ($value == 1 ? undef : "turned$value") : $name;
	} ([ EXIF => Copyright => 'copyright' ], [ EXIF => Model => 'exif' ], [ EXIF => GPSLatitude => 'gps' ],
		[ XMP => Title => 'xmp' ], [ IPTC => Keywords => 'iptc' ],
		[ ICC_Profile => ProfileDescription => 'icc' ], [ EXIF => Orientation => 'turned' ]);
}
my @kept = (
	[ '{}' => '', '' ],
	[ '{"keep": ["copyright"]}' => 'copyright', 'copyright' ],
	[ '{"keep": "exif"}' => 'copyright exif', 'copyright exif' ],
	[ '{"keep": ["exif", "gps"]}' => 'copyright exif gps', 'copyright exif gps' ],
	[ '{"keep": ["xmp"]}' => 'xmp', 'xmp' ],
	[ '{"keep": ["icc"]}' => 'icc', 'icc' ],
	[ '{"keep": ["all"]}' => 'copyright exif xmp iptc icc', 'copyright exif xmp icc' ]);
foreach my $format (qw(jpeg png webp))
{
	is(left_in("img_convert(img_resize(image, 50), '$format', options => '$_->[0]')", $format),
		$_->[$format eq 'jpeg' ? 1 : 2], "$format: $_->[0] keeps that and nothing else")
	  foreach @kept;
	is(left_in('img_resize(image, 50)', $format), '', "$format: nothing is kept that was not named");
}

# img_strip: the same pixels, shown the same way.
foreach my $format (qw(jpeg png webp))
{
	is(left_in('img_strip(image)', $format), 'turned6', "$format: stripped, the orientation stays");
	is(left_in("img_strip(image, '{copyright}')", $format), 'copyright turned6', "$format: copyright alone");
	is(left_in("img_strip(image, '{all}')", $format),
		$format eq 'jpeg' ? 'copyright exif xmp iptc turned6' : 'copyright exif xmp turned6', "$format: all but the place");
	is(answer("SELECT img_convert(img_strip(image), 'png') = img_convert(image, 'png') FROM tagged WHERE format = '$format'"),
		't', "$format: no pixel changes");
	is(answer("SELECT img_strip(image || 'secret'::bytea) = img_strip(image) FROM tagged WHERE format = '$format'"),
		't', "$format: what hides behind the end goes");
	is(answer("SELECT bool_and(outcome IN ('IX001', 'image')) FROM tagged, generate_series(12, length(image), 37) AS n,
			LATERAL (SELECT CASE WHEN img_try(substr(image, 1, n), '[\"strip\"]') IS NULL THEN 'IX001' ELSE 'image' END AS outcome) AS o
			WHERE format = '$format'"),
		't', "$format: cut anywhere it is an error at most");
}
is(answer("SELECT img_metadata(img_strip(image))->'delays_ms' = img_metadata(image)->'delays_ms'
		AND img_convert(img_strip(image), 'webp', options => '{\"lossless\": true}') = img_convert(image, 'webp', options => '{\"lossless\": true}')
		FROM pg_read_binary_file('$kinds/animation.gif') AS image"), 't', 'gif: frames and timing stay');
like(error_of($node, "SELECT length(img_strip(img_convert(image, 'tiff') || '')) FROM tagged LIMIT 1"),
	qr/0A000: .*HINT:/s, 'a format that is not taken apart says so');

# A header costs the first slices of a stored photograph, not all of it.
answer("CREATE TABLE stored (image bytea); ALTER TABLE stored ALTER image SET STORAGE EXTERNAL;
	INSERT INTO stored SELECT pg_read_binary_file('" . photo('photo-12mp.jpg') . "')");
sub blocks
{
	# Once before, or the catalogues that a session reads first would count.
	my ($first, $json) = split /\n/,
	  answer("SELECT count($_[0]) FROM stored; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT $_[0] FROM stored"), 2;
	my $plan = decode_json($json);

	return $plan->[0]{Plan}{'Shared Hit Blocks'} + $plan->[0]{Plan}{'Shared Read Blocks'};
}
answer('SELECT length(image) FROM stored');
my $all = blocks('md5(image)');
foreach my $call (qw(img_info(image) img_metadata(image) img_is_image(image) img_gps(image)))
{
	my $read = blocks($call);

	ok($read < $all / 10, "$call reads $read of $all blocks");
}

done_testing();
