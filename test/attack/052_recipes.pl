# Random recipes on images of every kind.  Whatever the steps are, in one call they make what they
# make one by one, alone what they make beside others, and no valid image ends in IX007.
#
# ATTACK_SEED and ATTACK_TRIES repeat a run and lengthen it; with sanitizers it is
# test/run sanitize test/attack/052_recipes.pl.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use MIME::Base64;
use Pictures;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ATTACK_SEED} // 11;
my $tries = $ENV{ATTACK_TRIES} // (slow_checks() ? 3000 : 36);
note("ATTACK_SEED=$seed ATTACK_TRIES=$tries");
sub random { $seed = ($seed * 1103515245 + 12345) % 2147483648; return int($seed / 65536) % $_[0] }
sub one_of { return $_[ random(scalar @_) ] }

my $node = new_node('recipes', 'imgexport.enabled = off', 'imgexport.max_pixels = 4000000');

# Pictures, small ones and some that libvips computes by its compiled loops.
my %images = map { $_ => "pg_read_binary_file('" . photo($_) . "')" } qw(kinds/rgb.png kinds/alpha.png kinds/grey.png kinds/grey-alpha.png kinds/deep.png
	kinds/palette.png kinds/tiny.png kinds/cmyk.jpg kinds/turned.jpg);
$images{gray} = bytea(tiff(samples => 4, width => 31, height => 22));
$images{row} = bytea(png(type => 6, width => 33, height => 1));
$images{column} = bytea(png(type => 4, width => 1, height => 27));
$images{dot} = bytea(png(type => 6, width => 1, height => 1));
$images{large} = "img_convert(img_resize(pg_read_binary_file('" . photo('photo-720p.jpg') . "'), 640), 'png')";
$images{photo} = "pg_read_binary_file('" . photo('photo-720p.jpg') . "')";
my @names = sort keys %images;
$node->safe_psql('postgres', 'CREATE TABLE image (name text PRIMARY KEY, data bytea)');
$node->safe_psql('postgres', "INSERT INTO image SELECT '$_', $images{$_} || ''") foreach @names;

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION png(image bytea) RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN RETURN img_convert(image, 'png') || ''; END $$;

-- A digest of what comes out, or the SQLSTATE that it ended in.
CREATE FUNCTION fused(image bytea, recipe jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN md5(png(img_apply(image, recipe)));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || CASE WHEN SQLSTATE IN ('22023', 'IX003') THEN '' ELSE ' ' || SQLERRM END;
END $$;
CREATE FUNCTION one_by_one(image bytea, recipe jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    step jsonb;
BEGIN
    FOR step IN SELECT * FROM jsonb_array_elements(recipe) LOOP
        image := png(img_apply(image, jsonb_build_array(step)));
    END LOOP;
    RETURN md5(image);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || CASE WHEN SQLSTATE IN ('22023', 'IX003') THEN '' ELSE ' ' || SQLERRM END;
END $$;
-- Beside another recipe, and beside an image and a mark that are much larger.
CREATE FUNCTION beside(image bytea, recipe jsonb, other jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT md5(data) FROM img_export(image, jsonb_build_object('other', jsonb_build_object('steps', other, 'format', 'png'),
        'large', '{"steps": [{"resize": {"width": 900, "height": 600}}, {"blur": {"sigma": 2}}], "format": "png"}'::jsonb,
        'this', jsonb_build_object('steps', recipe, 'format', 'png'))) WHERE name = 'this');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || CASE WHEN SQLSTATE IN ('22023', 'IX003') THEN '' ELSE ' ' || SQLERRM END;
END $$;
-- All three, as far as they differ from what they should be.
CREATE FUNCTION tried(name text, recipe jsonb, other jsonb) RETURNS text LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE
    data bytea := (SELECT i.data FROM image AS i WHERE i.name = tried.name);
    expected text := fused(data, recipe);
    steps text := one_by_one(data, recipe);
    others text := beside(data, recipe, other);
BEGIN
    IF expected ~ '^IX004' OR steps ~ '^IX004' OR others ~ '^IX004' THEN
        RETURN 'late';
    ELSIF expected NOT IN ('22023', 'IX003') AND expected !~ '^[0-9a-f]{32}$' THEN
        RETURN 'fused ' || expected;
    ELSIF steps <> expected THEN
        RETURN 'fused ' || expected || ', one by one ' || steps;
    ELSIF others <> expected AND length(expected) = 32 THEN
        RETURN 'alone ' || expected || ', beside others ' || others;
    END IF;
    RETURN CASE WHEN length(expected) = 32 THEN 'same' ELSE 'refused' END;
END $$;
SQL

my @marks = map { '"data:image/png;base64,' . encode_base64($_, '') . '"' } png(type => 6, width => 5, height => 4), png(type => 0, width => 9, height => 9),
  png(type => 4, width => 40, height => 3), png(type => 2, width => 1, height => 1), png(type => 6, width => 70, height => 50);
my @colors = ('"red"', '"#00ff0080"', '"white"', '"transparent"', '"#123"');
my $color = sub { return one_of(@colors) };
my $small = sub { return one_of(1, 2, 3, 5, 8, 13, 21, 40, 64) };
my $place = sub { return one_of(0, 1, -3, 7, 20, -20, 61, -61, 1000, -1000, 9999999, -9999999, 2147483647, -2147483648) };
my $gravity = sub { return one_of(qw("center" "north" "southeast" "west" "entropy" "attention")) };
my $flag = sub { return one_of('true', 'false') };
my $blend = sub { return one_of(qw("over" "multiply" "screen" "dest-in" "dest-over" "in" "out" "xor" "source" "clear" "saturate" "difference")) };
my $mark = sub { return one_of(@marks) };
my %steps = (
	resize => { width => $small, height => $small, fit => sub { one_of(qw("cover" "contain" "fill" "inside" "outside")) }, gravity => $gravity, background => $color, kernel => sub { one_of(qw("nearest" "lanczos3" "cubic")) } },
	thumbnail => { width => $small }, normalize => { width => $small, height => $small },
	crop => { x => sub { one_of(0, 0, 1, 2) }, y => sub { one_of(0, 0, 1, 3) }, width => $small, height => $small }, crop_to => { aspect => sub { one_of(qw("1:1" "16:9" "0.3")) }, gravity => $gravity },
	trim => { threshold => sub { one_of(0, 1, 20) } }, autocrop => { padding => sub { one_of(0, 2) } },
	extend => { north => $small, east => $small, south => $small, west => $small, background => $color, mode => sub { one_of(qw("background" "copy" "repeat" "mirror")) } },
	rotate => { angle => sub { one_of(0, 90, 180, 270, 33, -12.5, 1e-9, 36000) }, background => $color }, flip => {}, flop => {}, orient => { orientation => sub { 1 + random(8) } },
	flatten => { background => $color }, mask => { mask => $mark, invert => $flag }, round_corners => { radius => sub { one_of(0, 1, 5, 100000) } },
	blur => { sigma => sub { one_of(0.3, 1.5, 4, 40) } }, sharpen => { sigma => sub { one_of(0.5, 2, 10) } }, grayscale => {}, negate => { alpha => $flag }, gamma => { gamma => sub { one_of(0.1, 2.2, 10) } },
	modulate => { brightness => sub { one_of(0, 0.5, 2, 100) }, saturation => sub { one_of(0, 1.5, 100) }, hue => sub { one_of(-36000, 30) } }, tint => { color => $color }, normalise_contrast => {},
	redact => { x => sub { one_of(0, -3, 5) }, y => sub { one_of(0, -3, 5) }, width => $small, height => $small, style => sub { one_of(qw("fill" "pixelate" "blur")) }, color => $color },
	composite => { base => $mark, opacity => sub { one_of(0, 0.3, 1) }, blend => $blend, gravity => $gravity, x => $place, y => $place },
	overlay => { mark => $mark, blend => $blend, opacity => sub { one_of(0, 0.5, 1) }, gravity => $gravity, tile => $flag, x => $place, y => $place },
	watermark => { mark => $mark, scale => sub { one_of(0, 0.2, 1) }, gravity => $gravity, margin => sub { one_of(0, 16, 10000) }, tile => $flag },
	watermark_text => { text => sub { one_of(qw("x" "Wasserzeichen" "<b>&")) }, size => sub { one_of(1, 9, 200) }, angle => sub { one_of(0, 30, 90) }, tile => $flag },
	shadow => { blur => sub { one_of(0, 3, 40) }, dx => sub { one_of(0, 10, -10000, 10000) }, dy => sub { one_of(0, -9, 10000) }, margin => sub { one_of(0, 5, 10000) }, extra => sub { one_of(0, 10, 30) }, shape => sub { one_of(qw("alpha" "box")) } },
	remove_background => { tolerance => sub { one_of(0, 10, 200) }, feather => sub { one_of(0, 2) }, holes => $flag },
	vips => { operation => sub { one_of(qw("gaussblur" "hist_equal" "sobel" "invert" "bandmean" "hist_find" "sRGB2HSV" "premultiply")) } });
my @steps = sort keys %steps;
my %always = (mask => 'mask', composite => 'base', overlay => 'mark', watermark => 'mark', watermark_text => 'text', vips => 'operation', crop_to => 'aspect', tint => 'color', rotate => 'angle');

sub recipe
{
	return '[' . join(', ', map {
		my $step = one_of(@steps);
		my $arguments = $steps{$step};
		my @given = grep { random(2) || ($always{$step} // '') eq $_ || $step eq 'crop' || $step eq 'redact' } sort keys %$arguments;

		"{\"$step\": {" . join(', ', map { "\"$_\": " . $arguments->{$_}->() } @given) . '}}';
	} 1 .. 1 + random(4)) . ']';
}

sub try
{
	my ($what, @cases) = @_;
	my @outcomes = split /\n/, $node->safe_psql('postgres', join "\n", map { "SELECT tried('$_->[0]', '$_->[1]', '$_->[2]');" } @cases);
	my @wrong = map { "$cases[$_][0] $cases[$_][1] beside $cases[$_][2]: $outcomes[$_]" } grep { $outcomes[$_] !~ /^(same|refused|late)$/ } 0 .. $#cases;

	is(scalar @outcomes, scalar @cases, "$what: each was tried");
	is_deeply([ map { s/base64,[^"]*/.../gr } @wrong ], [], "$what: none differs, none is lost");
	note("$what: " . (grep { $_ eq 'same' } @outcomes) . ' of ' . @outcomes . ' made something');
	return scalar grep { $_ eq 'same' } @outcomes;
}

# H10: a layer wholly outside leaves nothing to see, however far.
my @far = (1000, -1000, 10000001, 2147483647, -2147483648);
try('H10', (map { my $at = $_; map { [ $_, "[{\"overlay\": {\"mark\": $marks[0], \"x\": $at, \"y\": 0}}]", '[]' ], [ $_, "[{\"composite\": {\"base\": $marks[4], \"x\": 0, \"y\": $at}}]", '["flip"]' ] } qw(kinds/rgb.png kinds/grey-alpha.png dot) } @far),
	(map { [ 'kinds/alpha.png', "[{\"shadow\": {\"dx\": $_, \"dy\": -10000}}]", '[]' ] } -10000, 0, 10000),
	[ 'dot', "[{\"watermark\": {\"mark\": $marks[4], \"margin\": 10000}}]", '[]' ], [ 'dot', '[{"watermark_text": {"text": "xxxxxxxxxxxx", "size": 300}}]', '[]' ]);
foreach my $at (@far)
{
	is($node->safe_psql('postgres', "SELECT png(img_overlay(data, data, x => $at, y => $at)) = png(data) FROM image WHERE name = 'kinds/rgb.png'"), 't', "H10: an overlay at $at leaves the image as it is");
	is($node->safe_psql('postgres', "SELECT png(img_composite(data, data, x => $at)) = png(data) FROM image WHERE name = 'kinds/rgb.png'"), 't', "H10: an image put at $at leaves its base as it is");
}
like(error_of($node, "SELECT png(img_overlay(data, data, opacity => 1e300)) FROM image WHERE name = 'dot'"), qr/22023/, 'H10: an opacity of 1e300 is an argument error');

# H11: large beside small, a decoded JPEG of another size, libvips' compiled loops.
my @filters = ('{"resize": {"width": 300}}', '{"resize": {"width": 500, "height": 100}}', '{"blur": {"sigma": 3}}', '{"sharpen": {}}', '{"sharpen": {"sigma": 1}}', '{"thumbnail": {"width": 90}}', '{"crop_to": {"aspect": "1:1", "gravity": "attention"}}',
	'{"shadow": {}}', '{"vips": {"operation": "gaussblur", "args": {"sigma": 2}}}');
try('H11', map { my $image = $_; map { my $filter = $_; map { [ $image, "[$filter, $_]", "[{\"resize\": {\"width\": 40}}]" ] } slow_checks() ? @filters : one_of(@filters) } @filters } slow_checks() ? qw(large photo kinds/rgb.png) : 'large');

# And everything with everything.
cmp_ok(try('H10, H11', map { [ one_of(slow_checks() ? @names : grep { !/photo|large/ } @names), recipe(), recipe() ] } 1 .. $tries), '>', $tries / 3, 'a good part of them makes something');
unlike(slurp_file($node->logfile), qr/killed by signal/, 'no codec was lost');
$node->stop;
done_testing();
