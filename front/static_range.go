package front

import (
	"net/http"
	"strings"
)

// mendRange has a Range say what RFC 9110 means by it where http.ServeContent takes
// it for something else:
//
//   - one in a unit that is not bytes MUST be ignored (§14.2): it would be 416. Units
//     know no case (§14.1);
//   - a number too large for an int64 is one beyond the end (§14.1.1): it would be 416;
//   - the last 0 bytes are of nothing (§14.1.2), 416 where nothing else is asked for:
//     it would be 206 with "bytes 10-9/10".
func mendRange(h http.Header) {
	ranges := h["Range"]
	if len(ranges) == 0 {
		return
	}
	unit, set, ok := strings.Cut(ranges[0], "=")
	if !ok || !strings.EqualFold(unit, "bytes") {
		delete(h, "Range")
		return
	}
	specs := strings.Split(set, ",")
	for i, spec := range specs {
		specs[i] = mendSpec(spec)
	}
	h["Range"] = []string{"bytes=" + strings.Join(specs, ",")}
}

// beyond is a position that no file has, with room below the largest int64 for what
// is added to it.
const beyond = "999999999999999999"

// mendSpec does it for one of the ranges. What is no range is left to be refused.
func mendSpec(spec string) string {
	first, last, ok := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !ok || !isNumber(first) || !isNumber(last) {
		return spec
	}
	if first == "" && last != "" && strings.Trim(last, "0") == "" {
		return beyond + "-"
	}
	return bounded(first) + "-" + bounded(last)
}

// isNumber is also true of "".
func isNumber(s string) bool { return strings.Trim(s, "0123456789") == "" }

func bounded(number string) string {
	if len(strings.TrimLeft(number, "0")) > len(beyond) {
		return beyond
	}
	return number
}
