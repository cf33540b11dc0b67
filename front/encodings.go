package front

import (
	"strings"
)

// bestEncoding chooses of the content codings that can be had, the preferred
// one first, the one that an Accept-Encoding (RFC 9110 §12.5.3) likes best; ""
// is to send the content as it is.
func bestEncoding(accept, offered []string) string {
	best, bestWeight := "", 0.0
	star, identity := 0.0, 0.0
	weights := [8]float64{} // by index in offered; -1: refused
	for _, field := range accept {
		for item := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(item, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			q := weight(params)
			switch name {
			case "":
				continue
			case "*":
				star = q
				continue
			case "identity":
				identity = q
				continue
			case "x-gzip":
				name = "gzip" // RFC 9110 §8.4.1.3
			}
			for i, o := range offered {
				if i < len(weights) && o == name {
					weights[i] = q
					if q == 0 {
						weights[i] = -1
					}
				}
			}
		}
	}
	for i, o := range offered {
		if i >= len(weights) {
			break
		}
		w := weights[i]
		if w == 0 {
			w = star
		}
		if w > bestWeight && w >= identity {
			best, bestWeight = o, w
		}
	}
	return best
}
