# The reference is what the functions say of themselves, and its examples do what it shows.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('docs');
my $folder = $ENV{DOC_FOLDER} // PostgreSQL::Test::Utils::tempdir();

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
command_ok([ 'doc/generate', $folder ], 'every function has an example that runs');

# make docs takes them away; it has nothing to compare with yet.
if ($ENV{DOC_FOLDER})
{
	done_testing();
	exit;
}

# Figures such as a hash differ a little between versions of libvips.
my $made = slurp_file("$folder/reference.md");
SKIP:
{
	my $version = $node->safe_psql('postgres', "SELECT imgexport.helper_about('codec')->>'libvips'");

	skip "reference.md is written with libvips 8.14, this is $version", 1 if $version !~ /^8\.14/;
	ok($made eq slurp_file('doc/reference.md'), 'doc/reference.md is what make docs writes');
}

# Pictures in the repository look like what the example makes now.
my ($different, $count) = ('', 0);
foreach my $picture (glob "$folder/pictures/*.webp")
{
	(my $kept = $picture) =~ s/^.*\//doc\/pictures\//;
	my $likeness = 0;

	$count++;
	if (-e $kept)
	{
		my ($new, $old) = map { unpack 'H*', slurp_file($_) } $picture, $kept;
		$likeness = $node->safe_psql('postgres',
			"SELECT img_similarity('\\x$new'::bytea, '\\x$old'::bytea)");
	}
	$different .= "$kept ($likeness) " if $likeness < 0.95;
}
is($different, '', "$count pictures show what the examples make");

done_testing();
