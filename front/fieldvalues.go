package front

import "strings"

// A fieldValues makes values for header fields. A server may read a header after
// the handler has returned, so their memory is never used again; but it is had
// in blocks, so that a value costs no allocation of its own.
type fieldValues struct {
	slots []string
	text  strings.Builder
}

const (
	valuesBlock   = 32  // values of a block
	valueText     = 512 // bytes of text of a block: 16 requests' ids and lengths
	longValueText = 26  // bytes of a value; a longer one gets its own memory
)

// of returns the value s. nil works, and saves nothing.
func (v *fieldValues) of(s string) []string {
	if v == nil {
		return []string{s}
	}
	if len(v.slots) == cap(v.slots) {
		v.slots = make([]string, 0, valuesBlock)
	}
	n := len(v.slots)
	v.slots = append(v.slots, s)
	return v.slots[n : n+1 : n+1]
}

// string returns b as a string.
func (v *fieldValues) string(b []byte) string {
	if v == nil || len(b) > longValueText {
		return string(b)
	}
	if v.text.Cap()-v.text.Len() < len(b) {
		v.text.Reset() // what was made of the block before keeps it
		v.text.Grow(valueText)
	}
	at := v.text.Len()
	v.text.Write(b)
	return v.text.String()[at:]
}
