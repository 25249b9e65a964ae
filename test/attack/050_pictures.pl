# Files whose samples are nothing that a picture has, in every combination that formats allow:
# each is a picture of one to four bands afterwards, or a clean error, whatever is done with it.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Pictures;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('pictures', 'imgexport.enabled = off', 'attack.slow = ' . slow_checks());

# Steps that read pixels by their address, and how they count bands; a second run gives the same.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION attacked(image bytea, VARIADIC clean text[] DEFAULT '{IX001,IX002,IX003}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    call text;
    made text;
    again text;
    bad text := '';
BEGIN
    FOREACH call IN ARRAY ARRAY[
        'img_convert($1, ''png'')', 'img_rotate($1, 30)', '(SELECT img_montage(i) FROM unnest(ARRAY[$1, $1, img_rotate($1, 10)]) AS i)', 'img_remove_background($1)',
        'img_mask($1, $1)', 'img_autocrop($1, 1)', 'img_composite($1, img_flop($1))', 'img_overlay($1, $1, x => 3, y => -2)', 'img_shadow($1)', 'img_tint($1, ''teal'')',
        'img_redact($1, 0, 0, 3, 3)', 'img_histogram($1, 4)'] || CASE WHEN current_setting('attack.slow')::bool THEN ARRAY[
        'img_flip(img_rotate($1, 90))', 'img_trim($1, 1)', 'img_overlay($1, $1, tile => true)', 'img_round_corners($1)', 'img_extend($1, 2, 2, 2, 2)',
        'img_grayscale($1)', 'img_negate($1, false)', 'img_gamma($1)', 'img_resize($1, 5)', 'img_blur($1)', 'img_sharpen($1, 1)', 'img_convert($1, ''webp'')',
        'img_convert($1, ''jpeg'')', 'img_convert($1, ''gif'')', 'img_convert($1, ''tiff'')', 'img_palette($1)', 'img_thumbhash($1)', 'img_similarity($1, img_flip($1))',
        'img_vips($1, ''hist_equal'')'] END
    LOOP
        BEGIN
            EXECUTE 'SELECT md5((' || call || ')::text)' INTO made USING image;
            -- What a codec's memory held before shows where pixels are made of it.
            IF call LIKE '%rotate%' THEN
                EXECUTE 'SELECT md5((' || call || ')::text)' INTO again USING image;
                IF made IS DISTINCT FROM again THEN
                    bad := bad || call || ': two results; ';
                END IF;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE <> ALL (clean) THEN
                bad := bad || format('%s: %s %s; ', call, SQLSTATE, SQLERRM);
            END IF;
        END;
    END LOOP;
    RETURN bad;
END $$;
SQL

my @cases;

# Have it attacked with all others; what comes back is '' where nothing happened.
sub is_harmless
{
	my ($id, $name, $file) = @_;

	push @cases, [ "$id: $name", 'attacked(' . bytea($file) . ')', '' ];
}

# Width, height and whether there is alpha, once it was decoded.
sub is_shaped
{
	my ($name, $file, $shape) = @_;

	push @cases, [ "H15: $name",
		"(SELECT concat_ws(' ', (i).width, (i).height, (i).has_alpha) FROM (SELECT img_info(img_convert(" . bytea($file) . ", 'png') || '') AS i) AS i)", $shape ];
}

# The example: gray with more samples than gray and alpha.
foreach my $samples (1 .. 6)
{
	my $file = tiff(photometric => 1, samples => $samples, width => 60, height => 40);

	is_harmless('H15', "a gray TIFF of $samples samples", $file);
	is_shaped("of $samples samples it is gray" . ($samples > 1 ? ' with alpha' : ''), $file, '60 40 ' . ($samples > 1 ? 't' : 'f'));
}
is_shaped('of seven samples of an RGB picture three and one are taken', tiff(photometric => 2, samples => 7), '13 9 t');

# Its siblings: all others that a TIFF can say.  A few of them always, so that each photometric,
# count, format and extra is among them.
my @shapes = tiff_shapes();
my $step = slow_checks() ? 7 : 397;
for (my $i = 0; $i < @shapes; $i += $step)
{
	is_harmless('H15.1', $shapes[$i][0], $shapes[$i][1]->());
}

# Every kind of PNG, with and without transparency of its own.
foreach my $kind ([ 0, 1 ], [ 0, 2 ], [ 0, 4 ], [ 0, 8 ], [ 0, 16 ], [ 2, 8 ], [ 2, 16 ], [ 3, 1 ], [ 3, 2 ], [ 3, 4 ], [ 3, 8 ], [ 4, 8 ], [ 4, 16 ], [ 6, 8 ], [ 6, 16 ])
{
	my ($type, $bits) = @$kind;
	my $transparent = { 0 => pack('n', 1), 2 => pack('n3', 1, 2, 3), 3 => "\0\x80" }->{$type};

	is_harmless('H15.2', "PNG of type $type, $bits bits", png(type => $type, bits => $bits));
	is_harmless('H15.2', "PNG of type $type, $bits bits, transparent", png(type => $type, bits => $bits, transparent => $transparent)) if $transparent;
}

# Profiles that say another number of colors than the file has.
foreach my $to (1 .. 4)
{
	my $icc = pack('N a4 N a4 a4 a4', 132, 'none', 0x02400000, 'mntr', (qw(GRAY GRAY), 'RGB ', 'CMYK')[ $to - 1 ], 'XYZ ') . "\0" x 12 . 'acsp' . "\0" x 88 . pack('N', 0);

	foreach my $samples (1 .. 5)
	{
		my $photometric = $samples < 3 ? 1 : $samples == 4 ? 5 : 2;
		my $file = tiff(photometric => $photometric, samples => $samples, tags => { 34675 => [ 4, unpack('V*', $icc) ] });

		is_harmless('H15.3', "TIFF of $samples samples with a profile of $to colors", $file);
	}
}

# JPEG with four colors, as Adobe's marker says and as it does not.
my $cmyk = slurp_file(photo('kinds/cmyk.jpg'));
foreach my $transform (-1, 0 .. 3, 255)
{
	my $file = $cmyk =~ s/\xff\xee\0\x0e.{12}//sr;

	$file =~ s/^\xff\xd8/"\xff\xd8\xff\xee\0\x0eAdobe" . pack('nnnC', 100, 0, 0, $transform)/e if $transform >= 0;
	is_harmless('H15.4', 'CMYK JPEG, Adobe transform ' . ($transform < 0 ? 'missing' : $transform), $file);
}

my $number = 0;

# H9: results of libvips' operations that are histograms, matrices, Lab or many bands.
foreach my $call (
	"'hist_find'", "'hist_equal'", "'hist_cum'", "'hist_norm'", "'hist_plot'", "'bandjoin_const', '{\"c\": 9}'", "'bandmean'",
	"'bandfold', '{\"factor\": 2}'", "'bandunfold'", "'cast', '{\"format\": \"complex\"}'", "'cast', '{\"format\": \"double\"}'", "'cast', '{\"format\": \"short\"}'",
	(map { "'colourspace', '{\"space\": \"$_\"}'" } qw(lab labq labs lch cmc xyz yxy hsv cmyk b-w grey16 rgb16 scrgb multiband histogram matrix fourier)),
	"'sobel'", "'canny'", "'labelregions'", "'math', '{\"math\": \"log\"}'", "'sRGB2HSV'", "'premultiply'", "'rank', '{\"width\": 3, \"height\": 3, \"index\": 4}'")
{
	foreach my $kind (slow_checks() ? qw(rgb.png alpha.png grey.png grey-alpha.png tiny.png) : (qw(rgb.png alpha.png grey-alpha.png))[ $number++ % 3 ])
	{
		# An operation may refuse an image by an error about its argument.
		push @cases, [ "H9: img_vips(..., $call) of $kind", "attacked(img_vips(pg_read_binary_file('" . photo("kinds/$kind") . "'), $call), 'IX002', 'IX003', '22023')", '' ];
	}
}

my $answers = $node->safe_psql('postgres', join "\n", map { "SELECT '=' || $_->[1];" } @cases);
my @answers = split /\n/, $answers;
is(scalar @answers, scalar @cases, 'each was attacked');
is($answers[$_], "=$cases[$_][2]", $cases[$_][0]) foreach 0 .. $#cases;
unlike(slurp_file($node->logfile), qr/killed by signal|IX007/, 'H15: no codec was lost');
$node->stop;
done_testing();
