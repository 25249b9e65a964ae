# A server that answers as no good one does (test/server/odd.py), started and stopped by its own id.
package OddServer;

use strict;
use warnings;

use JSON::PP;
use WebServer;

our @ISA = ('WebServer');

# On a free port of 127.0.0.1; file: what it serves.
sub start
{
	my ($class, $file) = @_;

	return $class->run(undef, 'test/server/odd.py', $file);
}

# How often it was sent a request, as "METHOD /path".
sub count
{
	my ($self, $request) = @_;

	return decode_json($self->ask('/counts'))->{$request} // 0;
}

1;
