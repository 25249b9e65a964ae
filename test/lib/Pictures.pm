# Image files that no camera writes, made byte by byte: TIFF and PNG of any shape.
package Pictures;

use strict;
use warnings;

use Compress::Zlib qw(compress crc32);
use Exporter 'import';

our @EXPORT = qw(tiff tiff_shapes png bytea);

# A TIFF of one strip a plane.  Keys: width, height, photometric, samples, bits, format (of
# samples: 1 unsigned, 2 signed, 3 float, 5 and 6 complex), planar, extra (a list), palette,
# tags (more of them: number => [type, values]), pixels (a string; else a ramp).
sub tiff
{
	my (%t) = (width => 13, height => 9, photometric => 1, samples => 1, bits => 8, format => 1, planar => 1, @_);
	my $row = int(($t{width} * ($t{planar} == 1 ? $t{samples} : 1) * $t{bits} + 7) / 8);
	my $planes = $t{planar} == 1 ? 1 : $t{samples};
	my $size = $row * $t{height};
	my $pixels = $t{pixels} // join '', map { chr(($_ * 37 + ($_ >> 4) * 11) % 251) } 0 .. $size * $planes - 1;
	my %tags = (
		256 => [ 4, $t{width} ], 257 => [ 4, $t{height} ], 258 => [ 3, ($t{bits}) x $t{samples} ], 259 => [ 3, 1 ],
		262 => [ 3, $t{photometric} ], 273 => [ 4, map { 8 + $_ * $size } 0 .. $planes - 1 ], 277 => [ 3, $t{samples} ],
		278 => [ 4, $t{height} ], 279 => [ 4, ($size) x $planes ], 284 => [ 3, $t{planar} ],
		339 => [ 3, ($t{format}) x $t{samples} ], %{ $t{tags} // {} });
	my ($entries, $values) = ('', '');

	$tags{338} = [ 3, @{ $t{extra} } ] if $t{extra};
	$tags{320} = [ 3, map { $_ * 257 % 65536 } 1 .. 3 * 2**$t{bits} ] if $t{photometric} == 3 && $t{bits} <= 8;
	my $at = 8 + length($pixels) + 2 + 12 * keys(%tags) + 4;
	foreach my $tag (sort { $a <=> $b } keys %tags)
	{
		my ($type, @list) = @{ $tags{$tag} };
		my $data = pack($type == 3 ? 'v*' : 'V*', @list);

		$entries .= pack('vvV', $tag, $type, scalar @list)
		  . (length($data) <= 4 ? pack('a4', $data) : pack('V', $at + length $values));
		$values .= $data if length($data) > 4;
	}
	return 'II*' . "\0" . pack('V', 8 + length $pixels) . $pixels . pack('v', scalar keys %tags) . $entries . "\0\0\0\0" . $values;
}

# Every combination of what a TIFF may say of its samples, as [name, file].
sub tiff_shapes
{
	my @shapes;

	foreach my $photometric (0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 32844, 32845)
	{
		foreach my $samples (1 .. 6, 9)
		{
			foreach my $kind ([ 8, 1 ], [ 16, 1 ], [ 1, 1 ], [ 4, 1 ], [ 32, 1 ], [ 8, 2 ], [ 16, 2 ], [ 32, 2 ], [ 32, 3 ], [ 64, 3 ], [ 64, 6 ], [ 32, 5 ])
			{
				foreach my $extra (undef, [0], [1], [2], [ (2) x ($samples - 1) ], [ (0) x 7 ])
				{
					foreach my $planar (1, 2)
					{
						my ($bits, $format) = @$kind;

						push @shapes, [ "TIFF photometric $photometric, $samples samples of $bits bits, format $format, extra " . ($extra ? join('/', @$extra) : 'none') . ", planar $planar",
							sub { tiff(photometric => $photometric, samples => $samples, bits => $bits, format => $format, planar => $planar, $extra ? (extra => $extra) : ()) } ];
					}
				}
			}
		}
	}
	return @shapes;
}

sub chunk
{
	my ($type, $data) = @_;

	return pack('N', length $data) . $type . $data . pack('N', crc32($type . $data));
}

# A PNG of any color type (0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA) and depth.
sub png
{
	my (%p) = (width => 11, height => 7, type => 2, bits => 8, @_);
	my $samples = { 0 => 1, 2 => 3, 3 => 1, 4 => 2, 6 => 4 }->{ $p{type} };
	my $row = int(($p{width} * $samples * $p{bits} + 7) / 8);
	my $rows = join '', map { my $y = $_; "\0" . join('', map { chr(($_ * 29 + $y * 13) % 256) } 1 .. $row) } 1 .. $p{height};
	my $colors = $p{type} == 3 ? chunk('PLTE', join '', map { chr } map { ($_ * 5 % 256, $_ * 3 % 256, $_) } 0 .. 2**$p{bits} - 1) : '';

	return "\x89PNG\r\n\x1a\n" . chunk('IHDR', pack('NNCCCCC', $p{width}, $p{height}, $p{bits}, $p{type}, 0, 0, 0)) . $colors
	  . ($p{transparent} ? chunk('tRNS', $p{transparent}) : '') . chunk('IDAT', compress($rows)) . chunk('IEND', '');
}

# As a literal of SQL.
sub bytea
{
	return "'\\x" . unpack('H*', $_[0]) . "'::bytea";
}

1;
