package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func socketMode(s *Server) *fs.FileMode                  { return &s.SocketMode }
func trustedProxies(s *Server) *[]netip.Prefix           { return &s.TrustedProxies }
func environ(a *App) *[]Variable                         { return &a.Env }
func sameText(s string) string                           { return s }
func ownText[T interface{ String() string }](v T) string { return v.String() }

var listener = parsed("an address", func(_ *reader, s string) (Address, error) { return ParseAddress(s) }, ownText[Address])

// listeners is a list of addresses, at least one.
var listeners = func() form[[]Address] {
	f := list(listener)
	read := f.read
	f.read = func(r *reader, n *node) ([]Address, error) {
		if n.kind == array && len(n.items) == 0 {
			return nil, fmt.Errorf("empty, want at least one of %s", addressForms)
		}
		return read(r, n)
	}
	f.schema["minItems"] = 1
	return f
}()

// socketPath is where a unix socket of our own is made.
var socketPath = func() form[string] {
	f := path("a socket's path")
	read := f.read
	f.read = func(r *reader, n *node) (string, error) {
		s, err := read(r, n)
		if err != nil {
			return "", err
		}
		return s, checkSocketPath(s)
	}
	return f
}()

// fileMode is a permission as chmod takes it.
var fileMode = func() form[fs.FileMode] {
	f := parsed(`a permission such as "0660"`, func(_ *reader, s string) (fs.FileMode, error) {
		m, err := strconv.ParseUint(s, 8, 9)
		if err != nil {
			return 0, fmt.Errorf(`%q is not a permission in octal, such as "0660"`, s)
		}
		if m&0o200 == 0 {
			return 0, fmt.Errorf(`%q: frontd itself could not connect; want at least "0600"`, s)
		}
		return fs.FileMode(m), nil
	}, func(m fs.FileMode) string { return fmt.Sprintf("%04o", uint32(m)) })
	f.schema = property{"type": "string", "pattern": `^0?[0-7]{3}$|\$\{`}
	return f
}()

// network is an address or a network in CIDR form.
var network = parsed(`a network such as "10.0.0.0/8" or an address such as "127.0.0.1"`,
	func(_ *reader, s string) (netip.Prefix, error) {
		if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
			return netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf(`%q is neither a network such as "10.0.0.0/8" nor an address`, s)
		}
		if p != p.Masked() {
			return p, fmt.Errorf("%q has bits beyond its length; want %q", s, p.Masked())
		}
		return p, nil
	}, ownText[netip.Prefix])

// interpreter is a program: a path, or a name to look for in PATH.
var interpreter = parsed("a program's path or name", func(r *reader, s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("empty, want a program's path or name")
	case strings.Contains(s, "/"):
		return r.absolute(s), nil
	}
	return s, nil
}, sameText)

// workers is a number of processes.
var workers = func() form[int] {
	f := count(1, maxProcesses)
	f.text = func(n int) string { return strconv.Itoa(cmp.Or(n, DefaultWorkers())) }
	return f
}()

// unset is the number of a setting whose zero means something.
const unset = -1

// umask is a mask of permissions, or unset.
var umask = func() form[int] {
	const want = `a mask such as "0027"`
	f := parsed(want, func(_ *reader, s string) (int, error) {
		m, err := strconv.ParseUint(s, 8, 9)
		if err != nil {
			return 0, fmt.Errorf(`%q is not a mask in octal, such as "0027"`, s)
		}
		if m&0o700 != 0 {
			return 0, fmt.Errorf(`%q: the workers could not use their own files; want at most "0077"`, s)
		}
		return int(m), nil
	}, func(int) string { return "" })
	f.text = func(m int) string {
		if m == unset {
			return `""`
		}
		return quote(fmt.Sprintf("%04o", m))
	}
	f.schema = property{"type": "string", "pattern": `^0?[0-7]{3}$|\$\{`}
	return f
}()

// bound is a size that is no limit, 0, or at least low: less is a slip of the pen.
func bound(low int64) form[int64] {
	f := size
	f.read = func(r *reader, n *node) (int64, error) {
		v, err := size.read(r, n)
		if err == nil && v != 0 && v < low {
			return 0, fmt.Errorf("%s is too little to start anything, at least %s", formatSize(v), formatSize(low))
		}
		return v, err
	}
	return f
}

// coreSize is a size, or unset.
var coreSize = func() form[int64] {
	f := size
	f.text = func(v int64) string {
		if v == unset {
			return `""`
		}
		return formatSize(v)
	}
	return f
}()

// maxCPUs is a typing error, not a machine.
const maxCPUs = 4096

// cpus is a number of CPUs, with a fraction or without.
var cpus = form[float64]{
	read: func(r *reader, n *node) (float64, error) {
		const want = "a number of CPUs such as 1.5"
		kind := n.kind
		if kind != integer {
			kind = float
		}
		s, err := r.scalar(n, kind, want)
		if err != nil {
			return 0, err
		}
		v, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
		if err != nil || !(v == 0 || v >= 0.01 && v <= maxCPUs) {
			return 0, fmt.Errorf("%s, want %s, from 0.01 to %d, or 0", s, want, maxCPUs)
		}
		return v, nil
	},
	text:   func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) },
	schema: fromEnv(property{"type": "number", "minimum": 0, "maximum": maxCPUs}),
}

// body is how a body reaches the worker.
var body = oneOf("stream", "spool")

// middleware is a WSGI middleware.
var middleware = parsed(`"MODULE:CALLABLE", such as "shop.profile:Profiler"`, func(_ *reader, s string) (string, error) {
	if !strings.Contains(s, ":") || strings.HasSuffix(s, ")") || !isWSGITarget(s) {
		return "", fmt.Errorf(`%q is not "MODULE:CALLABLE", such as "shop.profile:Profiler"`, s)
	}
	return s, nil
}, sameText)

// mountPrefix is where an app hangs in the URLs.
var mountPrefix = parsed(`a path such as "/blog", or "/"`, func(_ *reader, s string) (string, error) {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "", fmt.Errorf(`%q does not begin with "/"; want "/blog", or "/" for the whole path`, s)
	case strings.ContainsAny(s, "?#%") || strings.Contains(s, "//"):
		return "", fmt.Errorf("%q is no decoded path: no query, fragment, percent or empty segment in it", s)
	}
	return strings.TrimRight(s, "/"), nil
}, func(s string) string { return s + "/" })

// hostPattern is a name, or one with "*." before it.
var hostPattern = parsed(`a name such as "example.com"`, func(_ *reader, s string) (string, error) {
	name := strings.TrimPrefix(s, "*.")
	if ip, err := netip.ParseAddr(name); err == nil && name == s {
		return ip.String(), nil
	}
	if !isHostName(name) {
		return "", fmt.Errorf(`%q is not a host: want "example.com" or "*.example.com", without scheme, port or path`, s)
	}
	return strings.TrimSuffix(strings.ToLower(s), "."), nil
}, sameText)

// urlPath is a prefix, a whole path, or an expression.
var urlPath = parsed(`a path such as "/static/"`, func(_ *reader, s string) (Path, error) {
	if expression, ok := strings.CutPrefix(s, "~"); ok {
		expression = strings.TrimLeft(expression, " ")
		re, err := regexp.Compile(expression)
		if err != nil {
			return Path{}, fmt.Errorf("%q is not an expression: %w", expression, err)
		}
		return Path{Match: MatchRegexp, Text: expression, Regexp: re}, nil
	}
	p := Path{Match: MatchPrefix, Text: s}
	if exact, ok := strings.CutPrefix(s, "="); ok {
		p = Path{Match: MatchExact, Text: strings.TrimLeft(exact, " ")}
	}
	switch {
	case !strings.HasPrefix(p.Text, "/"):
		return p, fmt.Errorf(`%q does not begin with "/"; want "/prefix/", "= /exact" or "~ regexp"`, s)
	case strings.ContainsAny(p.Text, "?#"):
		return p, fmt.Errorf("%q has a query or a fragment, which are no part of a path", s)
	case slices.ContainsFunc(strings.Split(p.Text, "/"), func(seg string) bool { return seg == "." || seg == ".." }):
		return p, fmt.Errorf(`%q has a "." or ".." in it, which no request that gets here has`, s)
	}
	return p, nil
}, ownText[Path])

// environment is a table of variables.
var environment = form[[]Variable]{
	read: func(r *reader, n *node) ([]Variable, error) {
		if n.kind != table {
			return nil, fmt.Errorf(`%v, want a table: { NAME = "value" }`, n.kind)
		}
		var env []Variable
		for _, e := range n.entries {
			if !isVariableName(e.name) {
				r.failf(e.pos, e.value.path, "%q is not a variable's name: letters, digits and _, not beginning with a digit", e.name)
				continue
			}
			v, err := r.variable(e)
			if err != nil {
				r.fail(e.value.pos, e.value.path, err)
				continue
			}
			env = append(env, v)
		}
		slices.SortFunc(env, func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
		return env, nil
	},
	text: func(env []Variable) string {
		var list []string
		for _, v := range env {
			value := v.Value
			switch {
			case v.Secret:
				value = mask
			case strings.HasPrefix(value, "file:"):
				value = "text:" + value
			}
			list = append(list, v.Name+" = "+literal(value))
		}
		if list == nil {
			return "{ }"
		}
		return "{ " + strings.Join(list, ", ") + " }"
	},
	schema: property{
		"type":                 "object",
		"propertyNames":        property{"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
		"additionalProperties": property{"type": "string"},
	},
}

// mask stands for a secret wherever settings are shown.
const mask = "********"

// variable reads one variable. What the file itself says decides whether it
// names a secret: a value from the environment never makes frontd read a file.
func (r *reader) variable(e entry) (Variable, error) {
	n := e.value
	if n.kind != text {
		return Variable{}, fmt.Errorf("%v, want a string", n.kind)
	}
	secret := strings.HasPrefix(n.text, "file:")
	literal := strings.HasPrefix(n.text, "text:file:") // how to begin with "file:" and mean it
	value, err := r.str(n, "a string")
	switch {
	case err != nil:
		return Variable{}, err
	case literal:
		value = strings.TrimPrefix(value, "text:")
	case secret:
		value, err = r.secret(n, strings.TrimPrefix(value, "file:"))
		return Variable{Name: e.name, Value: value, Secret: true}, err
	}
	return Variable{Name: e.name, Value: value, Secret: soundsSecret(e.name) || hasPassword(value)}, nil
}

func (r *reader) secret(n *node, name string) (string, error) {
	if name == "" {
		return "", errors.New(`"file:" without a path`)
	}
	name = r.absolute(name)
	value, exposed, err := readSecret(name)
	if exposed != 0 {
		r.warnf(n.pos, n.path, "others than its owner may read %s; chmod 0600 it", filepath.Clean(name))
	}
	return value, err
}

var secretName = regexp.MustCompile(`(?i)secret|passw|token|credential|private|(^|_)(key|pass|pwd|dsn|salt)(_|$)|apikey`)

func soundsSecret(name string) bool { return secretName.MatchString(name) }

var urlWithPassword = regexp.MustCompile(`://[^/@\s]*:[^/@\s]*@`)

func hasPassword(value string) bool { return urlWithPassword.MatchString(value) }
