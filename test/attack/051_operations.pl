# Every operation of libvips that img_vips may call, on images of one pixel, one row, one column,
# with arguments that nobody would give: a picture or a clean error, and never a lost codec.
# Under valgrind it is part of make valgrind, which sees what else is read beside a picture.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Pictures;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = slurp_file('src/codec/steps/operations.c');
my %operations = map { $_->[0] => [ split ' ', $_->[1] ] } map { [ /\{"([^"]+)", "([^"]*)"\}/ ] } $source =~ /\{"[^"]+", "[^"]*"\}/g;
cmp_ok(scalar keys %operations, '>', 80, 'H8: the list of operations was read');

# The documentation has the same list.
my ($listed) = slurp_file('doc/images.md') =~ /<!-- operations -->\n(.*?)<!-- end -->/s;
is_deeply([ sort map { /`([^`]+)`/ } split /(?<=`),? /, $listed =~ s/\n/ /gr ], [ sort keys %operations ], 'H8: and doc/images.md lists the same');

# What is not listed cannot be named, nor can an argument.
my $node = new_node('operations', 'imgexport.enabled = off', 'imgexport.max_pixels = 300000');
foreach my $operation (qw(spectrum fwfft invfft freqmult phasecor remainder remainder_const affine conva convasep dE76 mosaic match system pngload rawsave copy case icc_export arrayjoin draw_flood maplut hist_local thumbnail_image))
{
	like(error_of($node, "SELECT img_vips(" . bytea(png()) . ", '$operation') || ''"), qr/22023: .*no operation "$operation"/, "H8: $operation is none");
}
foreach my $argument ([ 'gaussblur', 'precision' ], [ 'hist_equal', 'band' ], [ 'conv', 'layers' ], [ 'resize', 'gap' ], [ 'black', 'nickname' ], [ 'invert', 'in' ])
{
	like(error_of($node, "SELECT img_vips(" . bytea(png()) . ", '$argument->[0]', '{\"$argument->[1]\": 1}') || ''"), qr/22023: .*no argument "$argument->[1]"/,
		"H8: $argument->[1] is no argument of $argument->[0]");
}

# Values, by what an argument is: usual ones, and the ends of what JSON can say.
my @numbers = (0, 1, 2, 3, 5, 0.5, -1, 7.3, 255, 65536, -65536, 2147483647, -2147483648, 2147483648, 1e-300, 1e300, -1e300, 1e9);
my %words = (
	direction => [qw("horizontal" "vertical" "centre" "south-east")], boolean => [qw("and" "or" "eor" "lshift" "rshift")],
	math => [qw("sin" "cos" "tan" "asin" "acos" "atan" "log" "log10" "exp" "exp10" "sinh" "acosh")], math2 => [qw("pow" "wop" "atan2")],
	relational => [qw("equal" "noteq" "less" "lesseq" "more" "moreeq")], round => [qw("rint" "ceil" "floor")],
	space => [map { "\"$_\"" } qw(multiband b-w histogram xyz lab cmyk labq rgb cmc lch labs srgb yxy fourier rgb16 grey16 matrix scrgb hsv error)],
	format => [map { "\"$_\"" } qw(uchar char ushort short uint int float complex double dpcomplex)], extend => [qw("black" "copy" "repeat" "mirror" "white" "background")],
	align => [qw("low" "centre" "high")], kernel => [qw("nearest" "linear" "cubic" "mitchell" "lanczos2" "lanczos3")], angle => [ qw("d0" "d45" "d90" "d180" "d315"), 30, -1e300 ],
	interesting => [qw("none" "centre" "entropy" "attention" "low" "high" "all")], crop => [qw("none" "centre" "entropy" "attention" "high" "all")],
	size => [qw("both" "up" "down" "force")], mode => [map { "\"$_\"" } qw(over clear source in dest-atop xor add saturate multiply difference exclusion set)],
	'compositing-space' => [qw("srgb" "lab" "b-w" "scrgb" "cmyk")], combine => [qw("max" "sum" "min")], morph => [qw("erode" "dilate")]);
my @flags = ('true', 'false');
my %flag = map { $_ => \@flags } qw(uchar shift exp log expand point fill equal premultiplied);

# A generator of our own, so that a run can be repeated.
my $seed = $ENV{ATTACK_SEED} // 13;
note("ATTACK_SEED=$seed");
sub random { $seed = ($seed * 1103515245 + 12345) % 2147483648; return int($seed / 65536) % $_[0] }
sub one_of { return $_[ random(scalar @_) ] }

sub value_of
{
	my ($argument) = @_;
	my $usual = random(3) > 0;

	return one_of(@{ $flag{$argument} // $words{$argument} }) if $flag{$argument} // $words{$argument};
	return '[' . join(', ', map { one_of(@numbers) } 1 .. one_of(1, 1, 2, 3, 4, 5)) . ']' if $argument =~ /^(a|b|c|ink|background)$/;
	return $usual ? one_of(1, 1, 2, 3, 4, 9) : one_of(@numbers);
}

my @shapes = ([ 2, 1, 1 ], [ 6, 1, 1 ], [ 0, 1, 1 ], [ 4, 1, 1 ], [ 2, 1, 9 ], [ 0, 9, 1 ], [ 4, 1, 8 ], [ 6, 7, 1 ], [ 6, 2, 2 ], [ 0, 16, 16 ], [ 2, 17, 13 ], [ 4, 3, 2 ], [ 2, 64, 48 ]);
my @images = map { bytea(png(type => $_->[0], width => $_->[1], height => $_->[2])) } @shapes;
# An animation of odd pages, one pixel wide.
push @images, "(SELECT img_convert(img_animate(img_crop(i, 0, 0, 1, 1)), 'webp', options => '{\"lossless\": true}') FROM unnest(ARRAY[$images[8], $images[10], $images[12]]) AS i)";

$node->safe_psql('postgres', 'CREATE TABLE image (number int PRIMARY KEY, data bytea)');
$node->safe_psql('postgres', "INSERT INTO image SELECT $_, $images[$_] || ''") foreach 0 .. $#images;
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION outcome(image int, operation text, args jsonb, other int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made bytea;
BEGIN
    made := img_convert(img_vips((SELECT data FROM image WHERE number = outcome.image), operation, args,
                                 (SELECT data FROM image WHERE number = outcome.other)), 'png') || '';
    RETURN CASE WHEN (img_info(made)).format = 'png' THEN 'made' ELSE 'not a PNG' END;
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLSTATE IN ('22023', 'IX002', 'IX003') THEN 'refused' ELSE SQLSTATE || ' ' || SQLERRM END;
END $$;
SQL

my @calls;
my $tries = $ENV{ATTACK_TRIES} // (slow_checks() ? 400 : 6);
foreach my $operation (sort keys %operations)
{
	my @arguments = @{ $operations{$operation} };

	foreach my $image (0 .. $#images)
	{
		push @calls, [ $image, $operation, '{}', 'NULL' ], [ $image, $operation, '{}', random(scalar @images) ] if slow_checks() || random(4) == 0;
	}
	foreach (1 .. $tries)
	{
		my %args = map { $_ => value_of($_) } grep { random(8) > 0 } @arguments;

		push @calls, [ random(scalar @images), $operation, '{' . join(', ', map { "\"$_\": $args{$_}" } sort keys %args) . '}', random(2) ? 'NULL' : random(scalar @images) ];
	}
}
my @outcomes = split /\n/, $node->safe_psql('postgres', join "\n",
	map { "SELECT outcome($_->[0], '$_->[1]', '$_->[2]', $_->[3]);" } @calls);
is(scalar @outcomes, scalar @calls, 'H8: each call came to an end: ' . scalar @calls);
my @lost = map { "$calls[$_][1] $calls[$_][2] of image $calls[$_][0] and $calls[$_][3]: $outcomes[$_]" } grep { $outcomes[$_] !~ /^(made|refused)$/ } 0 .. $#calls;
is(join("\n", @lost), '', 'H8: each made a picture or was refused');
my %made = map { $calls[$_][1] => 1 } grep { $outcomes[$_] eq 'made' } 0 .. $#calls;
cmp_ok(scalar keys %made, '>', keys(%operations) * 0.8, 'H8: most operations made something');
note('never made anything: ' . join ' ', grep { !$made{$_} } sort keys %operations);

unlike(slurp_file($node->logfile), qr/killed by signal/, 'H8: no codec was lost');
$node->stop;
done_testing();
