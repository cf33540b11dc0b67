#!/usr/bin/perl
# What the tests ask of every application, with the FCGI module.
use strict;
use warnings;
use Digest::SHA;
use FCGI;

my $request = FCGI::Request();

sub body {
    my ($each) = @_;
    my $left = $ENV{CONTENT_LENGTH} || 0;
    while ($left > 0) {
        my $n = read(STDIN, my $block, $left < 65536 ? $left : 65536);
        last unless $n;
        $each->($block);
        $left -= $n;
    }
}

sub fields {
    my %f;
    for (split /&/, $_[0]) {
        my ($k, $v) = split /=/, $_, 2;
        $v =~ tr/+/ /;
        $v =~ s/%(..)/chr hex $1/ge;
        $f{$k} = $v;
    }
    return \%f;
}

while ($request->Accept() >= 0) {
    my $path = $ENV{PATH_INFO} // '';
    if ($path eq '/form') {
        my $text = $ENV{QUERY_STRING};
        if ($ENV{REQUEST_METHOD} eq 'POST') {
            $text = '';
            body(sub { $text .= $_[0] });
        }
        my $f = fields($text);
        print "Content-Type: text/plain\r\n\r\nname=$f->{name} text=$f->{text} method=$ENV{REQUEST_METHOD}\n";
    } elsif ($path eq '/checksum') {
        my ($sha, $size) = (Digest::SHA->new(256), 0);
        body(sub { $sha->add($_[0]); $size += length $_[0] });
        printf "Content-Type: application/json\r\n\r\n{\"size\":%d,\"sha256\":\"%s\"}", $size, $sha->hexdigest;
    } elsif ($path eq '/download') {
        my ($left) = $ENV{QUERY_STRING} =~ /bytes=(\d+)/;
        my $block = join '', map { chr($_ % 251) } 0 .. 251 * 256 - 1;
        print "Content-Type: application/octet-stream\r\nContent-Length: $left\r\n\r\n";
        while ($left > 0) {
            print substr $block, 0, $left;
            $left -= length $block;
        }
    } else {
        print STDERR "no page $path\n";
        print "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno page\n";
    }
}
