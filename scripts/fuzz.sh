#!/bin/sh
# Runs every fuzz target of every package for the time given, one after the other.
set -eu
for dir in $(go list -f '{{.Dir}}' ./...); do
	grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' | while read -r target; do
		echo "== $target in $dir"
		(cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" .)
	done
done
