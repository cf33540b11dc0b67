package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// A node is a JSON value with its members in their order, so that the file
// that is written has the order of the one that was read.
type node struct {
	scalar  any // string, json.Number, bool or nil, unless one of the following
	members []member
	items   []node
	object  bool
	array   bool
}

type member struct {
	name  string
	value node
}

// maxDepth bounds the nesting: Unit's own files have ten levels.
const maxDepth = 64

func readJSON(src []byte) (node, error) {
	if len(src) > MaxSource {
		return node{}, &SyntaxError{Text: "larger than any configuration: 4 MiB are read"}
	}
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	n, err := decode(dec, 0)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		line := 1 + bytes.Count(src[:min(int(dec.InputOffset()), len(src))], []byte("\n"))
		return node{}, &SyntaxError{Line: line, Text: "not JSON: " + err.Error()}
	}
	return n, nil
}

func decode(dec *json.Decoder, depth int) (node, error) {
	tok, err := dec.Token()
	if err != nil {
		return node{}, err
	}
	delim, ok := tok.(json.Delim)
	switch {
	case !ok:
		return node{scalar: tok}, nil
	case depth > maxDepth:
		return node{}, errors.New("nested too deep")
	}
	n := node{object: delim == '{', array: delim == '['}
	for dec.More() {
		name := ""
		if n.object {
			key, err := dec.Token()
			if err != nil {
				return node{}, err
			}
			name, _ = key.(string)
		}
		v, err := decode(dec, depth+1)
		if err != nil {
			return node{}, err
		}
		if n.object {
			n.members = append(n.members, member{name, v})
		} else {
			n.items = append(n.items, v)
		}
	}
	_, err = dec.Token()
	return n, err
}

// get returns a member, by a path of names with "/" between.
func (n node) get(path string) (node, bool) {
	for name := range strings.SplitSeq(path, "/") {
		found := false
		for _, m := range n.members {
			if m.name == name {
				n, found = m.value, true
			}
		}
		if !found {
			return node{}, false
		}
	}
	return n, true
}

// text is a string or a number as it stands, "" for everything else.
func (n node) text() string {
	switch v := n.scalar.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

// texts are the strings of a value that is one or a list of them.
func (n node) texts() []string {
	if !n.array {
		if n.scalar == nil {
			return nil
		}
		return []string{n.text()}
	}
	var list []string
	for _, item := range n.items {
		list = append(list, item.texts()...)
	}
	return list
}

// source is the value as JSON, on one line.
func (n node) source() string {
	switch {
	case n.array:
		var list []string
		for _, item := range n.items {
			list = append(list, item.source())
		}
		return "[" + strings.Join(list, ", ") + "]"
	case n.object:
		var list []string
		for _, m := range n.members {
			list = append(list, jsonText(m.name)+": "+m.value.source())
		}
		return "{" + strings.Join(list, ", ") + "}"
	}
	return jsonText(n.scalar)
}

func jsonText(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "?"
	}
	return strings.TrimSpace(b.String())
}
