package front

import (
	"net/http"
	"strconv"
	"time"
)

// appendTerminal appends what a person at a terminal reads of a request:
//
//	15:04:05.000 STATUS DURATION METHOD URI [CAUSE]
//
// The status is green, cyan from 300 on, yellow from 400 and red from 500; in
// plain form nothing has a colour. Clients send nothing that reaches a terminal
// as anything but text; see appendQuoted.
func appendTerminal(b []byte, x *Exchange, r *http.Request, plain bool) []byte {
	paint := func(code string) {
		if !plain {
			b = append(append(append(b, "\x1b["...), code...), 'm')
		}
	}
	b = x.Start.AppendFormat(b, "15:04:05.000 ")
	paint(statusColour(x.Status))
	b = appendStatus(b, x.Status)
	paint("0")
	b = append(b, ' ')
	paint("2")
	b = appendDuration(b, x.Total)
	paint("0")
	b = append(b, ' ')
	b = appendQuoted(b, dash(r.Method))
	b = append(b, ' ')
	b = appendQuoted(b, dash(r.RequestURI))
	if x.Cause != "" {
		b = append(b, ' ')
		paint("31")
		b = append(b, x.Cause...)
		paint("0")
	}
	return append(b, '\n')
}

func statusColour(status int) string {
	switch {
	case status >= 500 || status == 0:
		return "31"
	case status >= 400:
		return "33"
	case status >= 300:
		return "36"
	}
	return "32"
}

// appendDuration writes d in at least six places, so that what follows stands
// in a column: " 1.2ms", " 850ms", " 12.3s".
func appendDuration(b []byte, d time.Duration) []byte {
	var digits [24]byte
	ms := float64(max(d, 0)) / float64(time.Millisecond)
	s, unit := digits[:0], "ms"
	switch {
	case ms < 10:
		s = strconv.AppendFloat(s, ms, 'f', 1, 64)
	case ms < 1000:
		s = strconv.AppendFloat(s, ms, 'f', 0, 64)
	default:
		s, unit = strconv.AppendFloat(s, ms/1000, 'f', 1, 64), "s"
	}
	s = append(s, unit...)
	for range 6 - len(s) {
		b = append(b, ' ')
	}
	return append(b, s...)
}
