package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A lookup finds an environment variable, as os.LookupEnv does.
type lookup = func(name string) (value string, ok bool)

// expand replaces ${NAME} and ${NAME:-default}. As in the shell, the default
// also stands in for an empty value. "$$" is a dollar sign; a dollar sign
// before anything else is itself, as regular expressions need it.
func expand(s string, env lookup) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), nil
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			s = rest[1:]
			continue
		case !strings.HasPrefix(rest, "{"):
			b.WriteByte('$')
			s = rest
			continue
		}
		inside, after, closed := strings.Cut(rest[1:], "}")
		if !closed {
			return "", fmt.Errorf(`"${" without "}"; a dollar sign before a brace is written "$$"`)
		}
		value, err := variable(inside, env)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = after
	}
}

// variable returns the value of what stands between "${" and "}".
func variable(inside string, env lookup) (string, error) {
	name, def, hasDefault := strings.Cut(inside, ":-")
	if !isVariableName(name) {
		return "", fmt.Errorf(`"${%s}" is not ${NAME} or ${NAME:-default}`, inside)
	}
	value, ok := env(name)
	switch {
	case hasDefault && value == "":
		return def, nil
	case !ok:
		return "", fmt.Errorf("the environment has no %s; ${%s:-default} gives a default", name, name)
	}
	return value, nil
}

// isVariableName holds names to what a shell can set (POSIX XBD §3.216).
func isVariableName(s string) bool {
	notWord := func(r rune) bool { return !isWord(r) }
	return s != "" && (s[0] < '0' || s[0] > '9') && !strings.ContainsFunc(s, notWord)
}

// maxSecret bounds a secret's file: what is larger was not meant as one, and
// one variable of a process may have 128 KiB on Linux (MAX_ARG_STRLEN).
const maxSecret = 64 << 10

// readSecret returns the content of a secret's file without its final
// newline. exposed is set if others than its owner may read it.
func readSecret(path string) (secret string, exposed fs.FileMode, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("cannot read the secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, fmt.Errorf("cannot read the secret: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s is not a file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("cannot read the secret: %w", err)
	case len(b) > maxSecret:
		return "", 0, fmt.Errorf("%s has more than %d bytes: not a secret", path, maxSecret)
	}
	secret = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if strings.IndexByte(secret, 0) >= 0 {
		return "", 0, errors.New("a NUL in a secret")
	}
	return secret, info.Mode().Perm() & 0o044, nil
}

// absolute resolves a path of the file against the folder that the file is in.
func (r *reader) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.dir, path)
}
