# The table of formats in doc/images.md is what the codec does: each format is written, read
# back, and asked for transparency, pages, losslessness and options.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('formats');
my @formats = qw(jpeg png webp avif heif gif tiff);
my @refused = (
	[ svg => '<svg xmlns="x"/>' ], [ pdf => '%PDF-1.7' ], [ jxl => "\xff\x0a" ],
	[ jp2 => "\0\0\0\x0cjP  " ], [ bmp => 'BM' ], [ psd => '8BPS' ], [ ico => "\0\0\1\0" ],
	[ exr => "v/1\1" ]);
my $kinds = photo('kinds');

# What can be said of a format is what happens when it is tried.
sub answer { return $node->safe_psql('postgres', $_[0]) }
sub hint_of
{
	my ($format) = @_;
	my $error = error_of($node, "SELECT length(img_convert(pg_read_binary_file('$kinds/rgb.png'), "
		  . "'$format', options => '{\"no such option\": 1}'))");

	return $error =~ /HINT:  It takes background, keep(?:, )?([^.]*)\./ ? $1 : 'unknown';
}

my $table = "| format | read | written | transparency | pages | without loss | options besides `background` and `keep` |\n"
  . "| --- | --- | --- | --- | --- | --- | --- |\n";
foreach my $format (@formats)
{
	my $source = "pg_read_binary_file('$kinds/alpha.png')";
	my $lossless = $format =~ /webp|avif|heif/ ? '{"lossless": true}' : '{}';
	my $moving = "pg_read_binary_file('$kinds/moving.webp')";

	my ($read, $alpha) = split /\|/,
	  answer("SELECT (i).format, (i).has_alpha FROM img_info(img_convert($source, '$format')) AS i");
	my $pages = answer("SELECT (img_info(img_convert($moving, '$format'))).pages");
	my $exact = answer("SELECT img_similarity(img_convert(img_flatten($source), '$format', "
		  . "options => '$lossless'), img_flatten($source)) = 1");
	my $options = hint_of($format);
	$options =~ s/, / /g;
	$table .= sprintf "| `%s` | %s | yes | %s | %s | %s | %s |\n", $format,
	  $read eq $format ? 'yes' : 'no', $alpha eq 't' ? 'yes' : 'no', $pages > 1 ? 'all' : 'first',
	  $exact ne 't' ? 'no' : $lossless eq '{}' ? 'always' : 'option `lossless`',
	  $options eq '' ? '' : "`$options`";
	is($read, $format, "$format is written and read");
}
foreach (@refused)
{
	my ($format, $bytes) = @$_;
	my $hex = unpack 'H*', $bytes . ("\0" x 64);
	my $error = error_of($node, "SELECT img_info('\\x$hex'::bytea)");

	like($error, qr/IX002: image format "$format" is not read\nHINT:/, "$format is named and refused");
}
$table .= '| ' . join(', ', map { "`$_->[0]`" } @refused) . " | `IX002` | | | | | |\n";

my $doc = slurp_file('doc/images.md');
my ($kept) = $doc =~ /<!-- formats: [^\n]*\n(.*?)<!-- end of formats -->/s;
ok($kept eq $table, 'doc/images.md has the table')
  or diag("It should be\n$table");

done_testing();
