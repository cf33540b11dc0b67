// Package terminal keeps Bubble Tea from asking the terminal questions at the
// start of every command.
//
// Bubble Tea 1 asks for the background's colour in its init (tea_init.go), in
// whatever program it is linked into: it writes to standard output, and waits
// for an answer for 5 s. A terminal that does not know the question (a serial
// console, one that a script made) holds up each command so long, and on a slow
// line the answer is taken for input of the shell. It does not ask a terminal
// that says it is dumb, which is what init makes of all.
//
// It holds by the order of initialization: packages are initialized sorted by
// import path, each as soon as what it imports is. This one only imports os;
// Bubble Tea imports os/signal, which comes after os as well, and whose path
// is after this one's.
package terminal

import "os"

const variable = "TERM"

var (
	said  string
	isSet bool
)

func init() {
	said, isSet = os.LookupEnv(variable)
	os.Setenv(variable, "dumb")
}

// Restore lets the program, and those that it starts, know the terminal again.
// It is for the init of package main, which runs after all others.
func Restore() {
	if isSet {
		os.Setenv(variable, said)
	} else {
		os.Unsetenv(variable)
	}
}
