package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// A node is a TOML value with its place.
type node struct {
	kind    nodeKind
	pos     Pos
	path    string // dotted, for messages
	text    string // a string's value, or a number as it is written
	origin  origin
	entries []entry // of a table, in the order of the file
	items   []*node // of an array
}

// An entry is a key of a table and its value.
type entry struct {
	name  string
	pos   Pos // of the key
	value *node
}

type nodeKind uint8

const (
	table nodeKind = iota
	array
	text
	integer
	boolean
	float
	date
)

func (k nodeKind) String() string {
	return [...]string{"a table", "a list", "a string", "an integer", "a boolean", "a number with a fraction", "a date"}[k]
}

// An origin is how a table came to be, which decides what may add to it (TOML 1.0, Table).
type origin uint8

const (
	implied origin = iota // by the name of a table within it
	header                // by its own [header]
	dotted                // by a dotted key
	closed                // a value: nothing may be added
)

func (n *node) get(name string) *entry {
	for i := range n.entries {
		if n.entries[i].name == name {
			return &n.entries[i]
		}
	}
	return nil
}

func (n *node) add(name string, pos Pos, value *node) *node {
	value.path = join(n.path, name)
	n.entries = append(n.entries, entry{name, pos, value})
	return value
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// A document is a file on its way to a tree of nodes.
type document struct {
	data    []byte
	lines   []int // where each starts in data
	base    int   // where the parser was last started
	parser  unstable.Parser
	root    *node
	current *node // the table of the last header
	broken  bool  // a syntax error: what seems to be missing may be there
	fail    func(pos Pos, key, reason string)
}

// parseTree reads TOML. After a syntax error it goes on with the next line
// that looks like the start of something, so that one slip hides no other.
func parseTree(data []byte, fail func(pos Pos, key, reason string)) (root *node, broken bool) {
	d := &document{data: data, lines: lineStarts(data), root: &node{}, fail: fail}
	d.current = d.root
	for d.base = 0; d.base < len(data); {
		at, ok := d.parse()
		if ok {
			break
		}
		d.broken = true
		if d.isHeader(at) {
			d.current = lost() // the keys that follow are of no known table
		}
		next := restart.FindIndex(data[at:])
		if next == nil {
			break
		}
		d.base = at + next[0] + 1 // after the newline
	}
	return d.root, d.broken
}

// isHeader reports whether the line at an offset begins as a header does.
func (d *document) isHeader(at int) bool {
	start := bytes.LastIndexByte(d.data[:at], '\n') + 1
	return bytes.HasPrefix(bytes.TrimLeft(d.data[start:], " \t"), []byte{'['})
}

// restart is the start of a line on which parsing can go on.
var restart = regexp.MustCompile(`\n[ \t]*(\[|[A-Za-z0-9_."'-]+[ \t]*=)`)

// parse reads from base to the end or to an error of syntax, and returns where that is.
func (d *document) parse() (at int, ok bool) {
	d.parser.Reset(d.data[d.base:])
	for d.parser.NextExpression() {
		switch e := d.parser.Expression(); e.Kind {
		case unstable.Table:
			d.current = d.openTable(d.keys(e.Key()))
		case unstable.ArrayTable:
			d.current = d.openArray(d.keys(e.Key()))
		case unstable.KeyValue:
			d.keyValue(d.current, e)
		}
	}
	err := d.parser.Error()
	if err == nil {
		return 0, true
	}
	at = len(d.data)
	var perr *unstable.ParserError
	if errors.As(err, &perr) && cap(perr.Highlight) > 0 {
		at = d.base + int(d.parser.Range(perr.Highlight).Offset)
	}
	d.fail(d.place(at), "", "not TOML: "+strings.TrimPrefix(err.Error(), "toml: "))
	return at, false
}

// confirm has the library check what the rules here may have missed, so that
// nothing is taken which is not TOML.
func confirm(data []byte) (pos Pos, err error) {
	var into map[string]any
	err = toml.Unmarshal(data, &into)
	var derr *toml.DecodeError
	if errors.As(err, &derr) {
		pos.Line, pos.Column = derr.Position()
	}
	return pos, err
}

// place turns an offset into line and column.
func (d *document) place(offset int) Pos {
	line, _ := slices.BinarySearch(d.lines, offset+1) // lines that start at or before offset
	return Pos{line, utf8.RuneCount(d.data[d.lines[line-1]:offset]) + 1}
}

// lineStarts returns the offset of each line.
func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// A part is one name of a dotted key.
type part struct {
	name string
	pos  Pos
	end  int // offset after it
}

func (d *document) keys(it unstable.Iterator) []part {
	var parts []part
	for it.Next() {
		n := it.Node()
		at := d.base + int(n.Raw.Offset)
		parts = append(parts, part{string(n.Data), d.place(at), at + int(n.Raw.Length)})
	}
	return parts
}

// descend goes to the table that a header stands in, making those it implies.
// It is nil, and reported, where something else stands in the way.
func (d *document) descend(parts []part) *node {
	n := d.root
	for _, p := range parts {
		e := n.get(p.name)
		switch {
		case e == nil:
			n = n.add(p.name, p.pos, &node{pos: p.pos, origin: implied})
		case e.value.kind == table && e.value.origin != closed:
			n = e.value
		case e.value.kind == array && e.value.origin != closed:
			n = e.value.items[len(e.value.items)-1]
		default:
			d.twice(e, p)
			return nil
		}
	}
	return n
}

func (d *document) twice(e *entry, p part) {
	d.fail(p.pos, e.value.path, fmt.Sprintf("set twice, first at line %d", e.pos.Line))
}

// lost takes the keys under a header that was refused, so that they are
// parsed but go nowhere.
func lost() *node { return &node{} }

// openTable is [parts].
func (d *document) openTable(parts []part) *node {
	last := parts[len(parts)-1]
	parent := d.descend(parts[:len(parts)-1])
	if parent == nil {
		return lost()
	}
	e := parent.get(last.name)
	switch {
	case e == nil:
		return parent.add(last.name, last.pos, &node{pos: last.pos, origin: header})
	case e.value.kind == table && e.value.origin == implied:
		e.value.origin, e.value.pos, e.pos = header, last.pos, last.pos
		return e.value
	}
	d.twice(e, last)
	return lost()
}

// openArray is [[parts]].
func (d *document) openArray(parts []part) *node {
	last := parts[len(parts)-1]
	parent := d.descend(parts[:len(parts)-1])
	if parent == nil {
		return lost()
	}
	item := &node{pos: last.pos, origin: header, path: join(parent.path, last.name)}
	e := parent.get(last.name)
	switch {
	case e == nil:
		parent.add(last.name, last.pos, &node{kind: array, pos: last.pos, origin: header, items: []*node{item}})
	case e.value.kind == array && e.value.origin == header:
		e.value.items = append(e.value.items, item)
	default:
		d.twice(e, last)
		return lost()
	}
	return item
}

// keyValue adds one assignment to a table.
func (d *document) keyValue(n *node, kv *unstable.Node) {
	parts := d.keys(kv.Key())
	last := parts[len(parts)-1]
	for _, p := range parts[:len(parts)-1] {
		e := n.get(p.name)
		switch {
		case e == nil:
			n = n.add(p.name, p.pos, &node{pos: p.pos, origin: dotted})
		case e.value.kind == table && e.value.origin == dotted:
			n = e.value
		default:
			d.twice(e, p)
			return
		}
	}
	value := d.value(kv.Value(), join(n.path, last.name), d.place(d.afterEquals(last.end)))
	if e := n.get(last.name); e != nil {
		d.twice(e, last)
		return
	}
	n.add(last.name, last.pos, value)
}

// afterEquals returns the offset of the value of the key that ends at offset.
func (d *document) afterEquals(offset int) int {
	rest := bytes.TrimLeft(d.data[offset:], " \t")
	rest = bytes.TrimLeft(bytes.TrimPrefix(rest, []byte{'='}), " \t")
	return len(d.data) - len(rest)
}

// value copies a value out of the parser's memory. pos is for the kinds
// whose place the parser does not tell.
func (d *document) value(v *unstable.Node, path string, pos Pos) *node {
	if v.Raw.Length > 0 {
		pos = d.place(d.base + int(v.Raw.Offset))
	}
	n := &node{pos: pos, path: path, text: string(v.Data), origin: closed}
	switch v.Kind {
	case unstable.InlineTable:
		n.kind = table
		for it := v.Children(); it.Next(); {
			d.keyValue(n, it.Node())
		}
		closeTables(n)
	case unstable.Array:
		n.kind = array
		for it := v.Children(); it.Next(); {
			n.items = append(n.items, d.value(it.Node(), path, pos))
		}
	case unstable.String:
		n.kind = text
	case unstable.Integer:
		n.kind = integer
	case unstable.Bool:
		n.kind = boolean
	case unstable.Float:
		n.kind = float
	default:
		n.kind = date
	}
	return n
}

// closeTables ends an inline table: it is "fully self-contained" (TOML 1.0, Inline Table).
func closeTables(n *node) {
	n.origin = closed
	for _, e := range n.entries {
		if e.value.kind == table {
			closeTables(e.value)
		}
	}
}
