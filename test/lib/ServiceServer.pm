# The services of the tests (test/server/services.py), started and stopped by their own id.
package ServiceServer;

use strict;
use warnings;

use JSON::PP;
use WebServer;

our @ISA = ('WebServer');

# On a free port of 127.0.0.1, or on the one given.
sub start
{
	my ($class, $port_wanted) = @_;

	return $class->run($port_wanted, 'test/server/services.py');
}

# How often a path was asked since the last time, and how many requests there were at once.
sub asked
{
	my ($self, $path) = @_;
	my $log = decode_json($self->ask('/log'));

	$self->ask('/forget');
	return ($log->{counts}{$path} // 0, $log->{at_once});
}

1;
