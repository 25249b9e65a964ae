# Many images, and large ones, in one call: refused before they are kept, with an error that says so.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use MIME::Base64;
use Pictures;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('sizes', 'imgexport.enabled = off');
my $dot = bytea(png(width => 1, height => 1));

# 100 kB each: of eight thousand, 256 are looked at.
$node->safe_psql('postgres', "CREATE TABLE image AS SELECT $dot || convert_to(repeat('x', 100000), 'UTF8') AS data; ALTER TABLE image ALTER data SET STORAGE EXTERNAL; UPDATE image SET data = data || ''");
my $peak = "SELECT '=' || (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\\s+(\\d+)'))[1]";

# What a statement ends in, and by how much it lets the peak of its session's memory grow.
sub is_refused
{
	my ($name, $statement, $pattern, $most_kb, $setting) = @_;
	my (undef, $stdout, $stderr) = $node->psql('postgres', join(";\n", $setting // (), "SELECT count(img_flip(data) || '') FROM image", $peak, $statement, $peak),
		on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	my ($before, $after) = $stdout =~ /^=(\d+)$/mg;

	like($stderr, $pattern, $name);
	cmp_ok($after - $before, '<', $most_kb, "$name: and memory stays low");
}

foreach my $aggregate (qw(img_montage img_animate))
{
	is_refused("H6: $aggregate of 8,000 images", "SELECT $aggregate(data || n::text::bytea) || '' FROM image, generate_series(1, 8000) AS n", qr/54000: .*more than 256 images/, 160_000);
	is_refused("H6: $aggregate of lazy images", "SELECT $aggregate(img_flip(data || n::text::bytea)) || '' FROM image, generate_series(1, 8000) AS n", qr/54000: .*more than 256 images/, 160_000);
	is_refused("H6: $aggregate in a window", "SELECT max(length($aggregate)) FROM (SELECT $aggregate(data || n::text::bytea) OVER (ORDER BY n) FROM image, generate_series(1, 300) AS n OFFSET 299) AS w", qr/54000: .*more than 256 images/, 160_000);
	is_refused("H6: $aggregate of images that are made of images", "SELECT $aggregate(img_composite(data || n::text::bytea, data || 'x')) || '' FROM image, generate_series(1, 200) AS n", qr/54000: .*more than 256 images/, 160_000);
}

# The sum of their bytes.
my $setting = "SET imgexport.max_input_bytes = '1MB'";
foreach my $aggregate (qw(img_montage img_animate))
{
	is_refused("H6: $aggregate of 2 MB", "SELECT $aggregate(data || n::text::bytea) || '' FROM image, generate_series(1, 20) AS n", qr/54000: .*1048576 bytes.*max_input_bytes/s, 60_000, $setting);
	is($node->safe_psql('postgres', "$setting; SELECT length($aggregate(data || n::text::bytea) || '') > 0 FROM image, generate_series(1, 10) AS n"), 't', "H6: $aggregate of 1 MB is made");
}
my $uri = 'data:image/png;base64,' . encode_base64(png(width => 1, height => 1) . 'x' x 50_000, '');
is_refused('H6: a recipe of 40 data: URIs', "SELECT img_apply($dot, (SELECT jsonb_agg(jsonb_build_object('overlay', jsonb_build_object('mark', '$uri'))) FROM generate_series(1, 40))) || ''", qr/54000: .*max_input_bytes/s, 90_000, $setting);
is_refused('H6: a recipe of 3,000 data: URIs', "SELECT img_apply($dot, (SELECT jsonb_agg(jsonb_build_object('overlay', jsonb_build_object('mark', '" . 'data:image/png;base64,' . encode_base64(png(width => 1, height => 1), '') . "'))) FROM generate_series(1, 3000))) || ''", qr/54000: /, 90_000, $setting);
is_refused('H6: outputs with 40 data: URIs', "SELECT count(*) FROM img_export($dot, (SELECT jsonb_object_agg('o' || n, jsonb_build_object('steps', jsonb_build_array(jsonb_build_object('overlay', jsonb_build_object('mark', '$uri')), jsonb_build_object('overlay', jsonb_build_object('mark', '$uri'))))) FROM generate_series(1, 99) AS n))", qr/54000: |^$/, 120_000, $setting);
is_refused('H14: a data: URI of more than that', "SELECT img_from_data_uri('data:image/png;base64,' || repeat('AAAA', 400000))", qr/54000: .*1200000 bytes.*max_input_bytes/s, 60_000, $setting);
is_refused('H14: white space does not count', "SELECT length(img_from_data_uri('data:image/png;base64,' || repeat(E'AAAA\\n\\n\\n\\n', 300000)))", qr/^$/, 90_000, $setting);

# At the ends of what a value can be: half a gigabyte and more, which takes memory.
SKIP:
{
	skip 'takes gigabytes: make attack', 4 if !slow_checks();

	like(error_of($node, "SELECT length(img_from_data_uri(repeat('A', 715827890)))"), qr/54000: .*536870917 bytes/, 'H14: a data: URI of over 715 MB');
	like(error_of($node, "SELECT length(img_from_data_uri(repeat('A', 1073741000)))"), qr/54000: /, 'H14: one of a gigabyte');
	like(error_of($node, "SELECT length(img_data_uri($dot || decode(repeat('00', 500000000), 'hex') || decode(repeat('00', 305000000), 'hex')))"), qr/54000: .*data: URI/, 'H14: an image of 805 MB as a data: URI');
	is($node->safe_psql('postgres', "SELECT length(img_from_data_uri(repeat('AAAA', 100000000)))"), '300000000', 'H14: one of 300 MB is read');
}
$node->stop;
done_testing();
