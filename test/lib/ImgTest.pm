# What the tests share: a server with imgexport in it, and photographs.
package ImgTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use PostgreSQL::Test::Cluster;

our @EXPORT = qw(new_node photo error_of slow_checks);

# A started server in which CREATE EXTENSION imgexport was run.  Settings may be given.
sub new_node
{
	my ($name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'imgexport'");
	$node->append_conf('postgresql.conf',
		"imgexport.fetch_allowed_networks = '127.0.0.0/8'");
	$node->append_conf('postgresql.conf', $_)
	  foreach @settings, $ENV{IMGEXPORT_TEST_SETTINGS} // ();
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION imgexport');
	return $node;
}

# The path of a photograph, for pg_read_binary_file.
sub photo
{
	my ($name) = @_;

	return abs_path(($ENV{PHOTOS} // 'photos') . "/$name");
}

# What psql says of a statement that must fail, SQLSTATE and all; '' where it does not.
sub error_of
{
	my ($node, $statement, $database) = @_;
	my ($code, $stdout, $stderr) = $node->psql($database // 'postgres', $statement,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return $code == 0 ? '' : $stderr;
}

# Whether checks that take long are wanted: by make attack, not by make check.
sub slow_checks
{
	return $ENV{SLOW_CHECKS} ? 1 : 0;
}

1;
