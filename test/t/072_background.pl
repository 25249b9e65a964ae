# img_remove_background against masks that are known, because the shots are made from them.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('background');
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());

sub ask { return $node->safe_psql('postgres', $_[0]) }

sub write_binary
{
	my ($file, $hexadecimal) = @_;

	open(my $to, '>:raw', $file) or die "$file: $!";
	print $to pack('H*', $hexadecimal);
	close($to);
}

sub average { my $sum = 0; $sum += $_ foreach @_; return $sum / @_ }

my @photos = map { "$folder/$_.photo" } qw(flower wood rain wings);
write_binary("$folder/$_.photo", ask("SELECT encode(img_convert(img_flatten(img_resize(pg_read_binary_file('" . photo("$_.jpg") . "'), 240, 180)), 'png'), 'hex')"))
  foreach qw(flower wood rain wings);
command_ok([ 'python3', 'test/background/scenes.py', 'make', $folder, @photos ], 'shots are made');

# As a camera gives them.  What is joined to it is no expression that is fused: it is really a JPEG.
my @shots = map { /([\w-]+)\.png$/ } glob "$folder/*.png";
write_binary("$folder/$_.cut.png", ask("SELECT encode(img_convert(img_remove_background(img_convert(pg_read_binary_file('$folder/$_.png'), 'jpeg', 85) || ''::bytea, holes => true), 'png'), 'hex')"))
  foreach @shots;
my %iou = map { (split)[0, 1] } split /\n/, `python3 test/background/scenes.py score $folder`;
is(scalar(keys %iou), scalar(@shots), 'every shot is compared: ' . @shots);

# Which are the worst, for who reads the log.
my @worst = sort { $iou{$a} <=> $iou{$b} } keys %iou;
diag(sprintf('IoU of %d shots: mean %.4f, worst %s', scalar(@worst), average(values %iou), join(', ', map { "$_ $iou{$_}" } @worst[ 0 .. 3 ])));
cmp_ok(average(values %iou), '>=', 0.985, 'on average the mask is met');
foreach my $ground (qw(white grey green falling slanting vignette noisy noisier vignette-noisy))
{
	my @own = map { $iou{$_} } grep { /^[a-z]+-(?:[a-z]+-)??\Q$ground\E$/ && !/^thin|^photo-\w+-green/ } keys %iou;

	cmp_ok(average(@own), '>=', 0.97, sprintf('ground %s: %.4f', $ground, average(@own)));
}
cmp_ok($iou{$worst[0]}, '>=', 0.9, 'and nowhere missed');

# What its arguments do.
my $ring = "pg_read_binary_file('$folder/ring-white.png')";
# How much of an image is opaque, from 0 to 1.
sub share
{
	my ($arguments) = @_;

	write_binary("$folder/one.png", ask("SELECT encode(img_convert(img_remove_background($arguments), 'png'), 'hex')"));
	return `python3 -c "
import sys; sys.path.insert(0, 'test/server'); import png
alpha = png.decode(open('$folder/one.png', 'rb').read())[3][3::4]
print(round(sum(alpha) / 255 / len(alpha), 2))"` + 0;
}
is(share("$ring, holes => true"), 0.21, 'holes go where they are asked to');
is(share($ring), 0.3, '... and stay where not');
cmp_ok(share("$ring, holes => true, feather => 4"), '<', 0.2, 'feather softens inwards');
is(share("$ring, tolerance => 200"), 0, 'with all tolerance everything is ground');
is(share("$ring, mask => pg_read_binary_file('$folder/ring.mask')"), 0.21, 'a mask says what stays');
is(share("img_resize($ring, 3, 2, fit => 'fill')"), 0, 'as small as 3x2 there is nothing to see but ground');
is(share("img_convert(img_remove_background($ring, holes => true), 'png') || ''::bytea"), 0.21, 'what was transparent stays so');
is(ask("SELECT (img_info(img_remove_background(img_grayscale($ring)))).has_alpha"), 't', 'a grey image too');
foreach my $size ('1, 1', '1, 50', '50, 1', '2, 2')
{
	is(ask("SELECT (img_info(img_remove_background(img_resize($ring, $size, fit => 'fill')))).has_alpha"), 't', "an image of $size pixels");
}
is(ask("SELECT (img_info(img_remove_background(img_resize($ring, 4000, 3000)))).width"), 4000, 'a large one, in cells of several pixels');

$node->stop;
done_testing();
