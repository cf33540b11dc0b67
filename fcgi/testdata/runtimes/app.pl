#!/usr/bin/perl
# The test application: it does what the first segment of REQUEST_URI says.
use strict;
use warnings;
use FCGI;

my ($in, $out, $err, %env) = (\*STDIN, \*STDOUT, \*STDERR);
$SIG{PIPE} = 'IGNORE';
my $request = FCGI::Request($in, $out, $err, \%env);
while ($request->Accept() >= 0) {
    my (undef, $what, $arg) = split '/', $env{REQUEST_URI};
    print "Content-Type: text/plain\r\n\r\n";
    if ($what eq 'hello') { print 'hello' }
    elsif ($what eq 'echo') {
        my ($left, $piece) = ($env{CONTENT_LENGTH} || 0);
        while ($left > 0 && (my $n = read $in, $piece, $left < 16384 ? $left : 16384)) {
            print $piece;
            $left -= $n;
        }
    }
    elsif ($what eq 'size') { print 'x' x $arg }
    elsif ($what eq 'env') { print $env{$arg} // 'none' }
    elsif ($what eq 'pid') { print $$ }
    elsif ($what eq 'endless') {
        for (1 .. 20000) { print 'endless ' x 1024 or last }
    }
}
