# The local web server of the tests (test/server/web.py), started and stopped by its own id.
package WebServer;

use strict;
use warnings;

use Cwd qw(abs_path);
use IO::Socket::INET;

# Serve a folder on a free port of 127.0.0.1, or on the one given.
sub start
{
	my ($class, $folder, $port_wanted) = @_;

	return $class->run($port_wanted, 'test/server/web.py', abs_path($folder));
}

# Run a server that says its port.
sub run
{
	my ($class, $port_wanted, @program) = @_;
	my $pid = open(my $output, '-|', 'python3', @program, $port_wanted ? ('--port', $port_wanted) : ())
	  or die "could not start $program[0]: $!";
	my $line = <$output>;
	my ($port) = ($line // '') =~ /(\d+)\s*$/ or die "$program[0] did not say its port";

	return bless { pid => $pid, output => $output, port => $port }, $class;
}

sub url
{
	my ($self) = @_;

	return "http://127.0.0.1:$self->{port}";
}

# What the server answers to one of its questions, as a string.
sub ask
{
	my ($self, $path) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port})
	  or die "could not ask the web server: $!";

	print $socket "GET $path HTTP/1.0\r\n\r\n";
	local $/;
	return (split /\r\n\r\n/, <$socket>, 2)[1];
}

sub stop
{
	my ($self) = @_;

	kill 'TERM', $self->{pid} if $self->{pid};
	close($self->{output}) if $self->{output};
	delete @$self{qw(pid output)};
}

sub DESTROY { $_[0]->stop }

1;
